// Setid makes calls on all threads.
package main

import (
	"os"
	"runtime"
	"syscall"
	"time"
)

func main() {
	for i := 0; i < 4; i++ {
		go func() {
			runtime.LockOSThread()
			time.Sleep(time.Second)
		}()
	}
	time.Sleep(10 * time.Millisecond)
	syscall.Setgid(os.Getgid())
	syscall.Setuid(os.Getuid())
	syscall.AllThreadsSyscall(syscall.SYS_PRCTL, 38, 1, 0) // PR_SET_NO_NEW_PRIVS
}
