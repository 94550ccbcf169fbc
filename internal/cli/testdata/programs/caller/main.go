// Command caller makes the system call whose number it is told: no analysis can
// know it.
package main

import (
	"fmt"
	"os"
	"strconv"
	"syscall"
)

func main() {
	nr, _ := strconv.Atoi(os.Args[1])
	fmt.Println(call(uintptr(nr)))
}

//go:noinline
func call(nr uintptr) (uintptr, syscall.Errno) {
	r, _, errno := syscall.RawSyscall(nr, 0, 0, 0)
	return r, errno
}
