// Installer is a program that gives itself filters, for the tests of the root
// package: on this machine as it is built for several ABIs, and as the only process
// of a foreign kernel under an emulator.
//
//	installer SCENARIO      runs one; it ends with 0, or says what is wrong
//	installer list          names them, one a line, and how each ends
//
// As process 1 it runs all of them, says how they ended, and switches the machine
// off.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sysgate/sysgate"
)

func main() {
	switch {
	case os.Getpid() == 1:
		guest()
	case len(os.Args) == 2 && os.Args[1] == "list":
		for _, s := range scenarios() {
			fmt.Println(s.name, s.ends())
		}
	case len(os.Args) >= 2:
		err := run(os.Args[1], len(os.Args) == 3)
		var reason skip
		switch {
		case errors.As(err, &reason):
			fmt.Println("skip:", err)
		case err != nil:
			fmt.Println("fail:", err)
			os.Exit(1)
		default:
			fmt.Println("ok")
		}
	default:
		fmt.Fprintln(os.Stderr, "usage: installer SCENARIO | list")
		os.Exit(2)
	}
}

// A skip is why a scenario cannot be run here.
type skip string

func (s skip) Error() string { return string(s) }

// run runs a scenario. One that needs a setting of its own prepares it and then
// executes the program again, so that nothing is left of the preparation but that.
func run(name string, prepared bool) error {
	for _, s := range scenarios() {
		if s.name != name {
			continue
		}
		if s.prepare == nil || prepared {
			var err error
			if features, err = sysgate.Features(); err != nil && s.name != lying {
				return err
			}
			return s.check()
		}
		self, err := os.Executable()
		if err != nil {
			return err
		}
		if self, err = s.prepare(self); err != nil {
			return err
		}
		return syscall.Exec(self, []string{self, name, "prepared"}, nil)
	}
	return fmt.Errorf("no scenario %q", name)
}

// guest is process 1.
func guest() {
	fmt.Println("guest: started")
	err := errors.Join(
		ignore(unix.EBUSY, unix.Mount("proc", "/proc", "proc", 0, "")),
		ignore(unix.EBUSY, unix.Mount("dev", "/dev", "devtmpfs", 0, "")),
	)
	if err != nil {
		fmt.Println("guest: fail:", err)
	}
	var u unix.Utsname
	_ = unix.Uname(&u)
	fmt.Printf("guest: Linux %s %s\n", unix.ByteSliceToString(u.Release[:]), unix.ByteSliceToString(u.Machine[:]))
	for _, s := range scenarios() {
		fmt.Printf("guest: %s %s\n", s.name, outcome("/proc/self/exe", s))
	}
	const compat = "/installer-compat" // built for the other ABI of the kernel, where there is one
	if _, err := os.Stat(compat); err == nil {
		for _, s := range scenarios() {
			fmt.Printf("guest: compat/%s %s\n", s.name, outcome(compat, s))
		}
	}
	fmt.Println("guest: done")
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
}

// outcome runs a scenario in a process of its own: "ok", or what it said.
func outcome(binary string, s scenario) string {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, binary, s.name).CombinedOutput()
	text := strings.Join(strings.Fields(string(out)), " ")
	if s.dies && !strings.HasPrefix(text, "skip: ") {
		var ended *exec.ExitError
		if errors.As(err, &ended) && ended.Sys().(syscall.WaitStatus).Signal() == unix.SIGSYS && text == "installed" {
			return "ok"
		}
		return fmt.Sprintf("fail: ended with %v, want SIGSYS: %s", err, text)
	}
	if err != nil && text == "" {
		return fmt.Sprintf("fail: %v", errors.Join(ctx.Err(), err))
	}
	return text
}

func ignore(harmless, err error) error {
	if errors.Is(err, harmless) {
		return nil
	}
	return err
}

func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
