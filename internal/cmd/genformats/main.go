// Command genformats makes docs/formats.md out of the table of package convert:
//
//	go generate ./internal/convert
//
// What each format says of itself is printed as it is. What it carries is found
// out: for every format and every feature a small policy is written, read back and
// compared by proof, as "sysgate convert" does. The page is the same on every
// machine.
package main

import (
	"fmt"
	"os"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: genformats FILE")
		os.Exit(2)
	}
	text, err := page()
	if err == nil {
		err = os.WriteFile(os.Args[1], text, 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "genformats:", err)
		os.Exit(1)
	}
}
