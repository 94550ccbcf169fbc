package main

import (
	"flag"
	"fmt"
	"os"
)

func main() {
	dir := flag.String("abi", ".", "directory of package abi")
	update := flag.Bool("update", false, "first take the facts of golang.org/x/sys over into the text inputs")
	tracefs := flag.String("tracefs", "", "first take the tracepoint formats of the tracefs mounted at `DIR` over into the text inputs")
	flag.Parse()
	if err := run(*dir, *update, *tracefs); err != nil {
		fmt.Fprintln(os.Stderr, "gentables:", err)
		os.Exit(1)
	}
}

func run(dir string, update bool, tracefs string) error {
	if tracefs != "" {
		if err := updateSignatures(inputs{dir: dir + "/tables"}, tracefs); err != nil {
			return err
		}
	}
	if update {
		x, err := findXsys()
		if err != nil {
			return err
		}
		if err := updateConstants(inputs{dir: dir + "/tables"}, x, x.version); err != nil {
			return err
		}
	}
	return generate(dir)
}

// generate writes the Go tables of the text inputs below dir/tables.
func generate(dir string) error {
	in := inputs{dir: dir + "/tables"}
	calls, err := readSyscalls(in)
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
	signatures, err := readSignatures(in, calls)
	if err != nil {
		return err
	}
	if err := calls.emit(dir + "/zsyscalls.go"); err != nil {
		return err
	}
	if err := signatures.emit(calls, dir+"/zargs.go"); err != nil {
		return err
	}
	out := newSource()
	arguments.emit(out, "constants")
	if err := out.write(dir + "/zconstants.go"); err != nil {
		return err
	}
	out = newSource()
	emitErrnos(out, errnos)
	return out.write(dir + "/zerrno.go")
}
