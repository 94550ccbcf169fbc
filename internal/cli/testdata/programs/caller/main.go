// Command caller makes the system call whose number it is told: no analysis can
// know it. With more arguments it makes memory executable.
package main

import (
	"fmt"
	"os"
	"strconv"
	"syscall"
)

func main() {
	if len(os.Args) > 2 {
		fmt.Println(syscall.Mprotect(nil, syscall.PROT_EXEC))
	}
	nr, _ := strconv.Atoi(os.Args[1])
	fmt.Println(call(uintptr(nr)))
}

//go:noinline
func call(nr uintptr) (uintptr, syscall.Errno) {
	r, _, errno := syscall.RawSyscall(nr, 0, 0, 0)
	return r, errno
}
