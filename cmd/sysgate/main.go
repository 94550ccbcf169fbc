// Command sysgate gives a program the system calls it needs, and no others.
// "sysgate --help" is its manual.
package main

import (
	"os"

	"github.com/sysgate/sysgate/internal/cli"
)

func main() {
	collectLater()
	os.Exit(cli.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
