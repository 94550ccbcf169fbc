// Command execer becomes another program.
package main

import (
	"fmt"
	"os"
	"syscall"
)

func main() {
	fmt.Println(syscall.Exec(os.Args[1], os.Args[1:], nil))
	os.Exit(1)
}
