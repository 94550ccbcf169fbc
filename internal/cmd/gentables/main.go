package main

import (
	"crypto/sha256"
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	dir := flag.String("abi", ".", "`directory` of package abi")
	update := flag.String("update", "", "first take the facts of this `version` of golang.org/x/sys over into the text files")
	tracefs := flag.String("tracefs", "", "first take the tracepoint formats of the tracefs mounted at this `directory` over into the text files")
	flag.Parse()
	if err := run(*dir, *update, *tracefs); err != nil {
		fmt.Fprintln(os.Stderr, "gentables:", err)
		os.Exit(1)
	}
}

func run(dir, version, tracefs string) error {
	in := inputs{filepath.Join(dir, "tables")}
	if version != "" {
		if err := update(in, version); err != nil {
			return err
		}
	}
	if tracefs != "" {
		if err := updateSignatures(in, tracefs); err != nil {
			return err
		}
	}
	return generate(in, dir)
}

// generate writes the Go tables of the text files.
func generate(in inputs, dir string) error {
	calls, err := readSyscalls(in)
	if err != nil {
		return err
	}
	signatures, err := readSignatures(in, calls)
	if err != nil {
		return err
	}
	arguments, errnos := constants{}, constants{}
	for _, file := range []string{"constants.txt", "constants-extra.txt"} {
		if err := arguments.read(in, file); err != nil {
			return err
		}
	}
	if err := errnos.read(in, "errno.txt"); err != nil {
		return err
	}
	if err := calls.emit(filepath.Join(dir, "zsyscalls.go")); err != nil {
		return err
	}
	if err := signatures.emit(calls, filepath.Join(dir, "zargs.go")); err != nil {
		return err
	}
	out := newSource()
	arguments.emit(out, "constants")
	if err := out.write(filepath.Join(dir, "zconstants.go")); err != nil {
		return err
	}
	out = newSource()
	emitErrnos(out, errnos)
	if err := out.write(filepath.Join(dir, "zerrno.go")); err != nil {
		return err
	}
	return emitVersion(dir, calls.latest)
}

// emitVersion writes what tells these tables from others: the release, and the
// start of a hash of the other generated files.
func emitVersion(dir string, latest uint16) error {
	sum := sha256.New()
	for _, name := range []string{"zsyscalls.go", "zargs.go", "zconstants.go", "zerrno.go"} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		fmt.Fprintf(sum, "%s %d\n", name, len(data))
		sum.Write(data)
	}
	out := newSource()
	out.printf("// Tables names the contents of the tables: the release that they are current to,\n")
	out.printf("// and a hash. It changes whenever they do.\n")
	out.printf("const Tables = \"%d.%d-%x\"\n", latest>>8, latest&0xff, sum.Sum(nil)[:8])
	return out.write(filepath.Join(dir, "zversion.go"))
}
