// Children starts other programs.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

func main() {
	out, err := exec.Command("/bin/true").CombinedOutput()
	if err != nil {
		fmt.Fprintln(os.Stderr, err, out)
		os.Exit(1)
	}
	c := exec.Command("/bin/sleep", "10")
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.Dir = "/"
	c.Stdin, _ = os.Open("/dev/null")
	if err := c.Start(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	time.Sleep(10 * time.Millisecond)
	c.Process.Kill()
	c.Wait()
}
