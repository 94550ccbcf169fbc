package main

import (
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
	return out.write(filepath.Join(dir, "zerrno.go"))
}
