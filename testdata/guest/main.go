// Guest is process 1 of a machine under an emulator: it runs the tests of /test that
// are named on the kernel's command line, shows what they say, and switches the
// machine off.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"

	"golang.org/x/sys/unix"
)

func main() {
	err := errors.Join(
		unix.Mount("proc", "/proc", "proc", 0, ""),
		unix.Mount("sysfs", "/sys", "sysfs", 0, ""),
		unix.Mount("dev", "/dev", "devtmpfs", 0, ""),
	)
	if err == nil {
		tests := exec.Command("/test", "-test.v", "-test.run="+os.Getenv("tests"))
		tests.Stdout, tests.Stderr = os.Stdout, os.Stdout
		err = run(tests)
	}
	fmt.Println("guest: ended:", err)
	unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
}

// run runs a program and, as becomes process 1, waits for the orphans too.
func run(cmd *exec.Cmd) error {
	if err := cmd.Start(); err != nil {
		return err
	}
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, 0, nil)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return err
		case pid == cmd.Process.Pid && status != 0:
			return fmt.Errorf("status %#x", int(status))
		case pid == cmd.Process.Pid:
			return nil
		}
	}
}
