// Command elsewhere asks for a filter where there is none, and prints what is not
// an error.
package main

import (
	"errors"
	"fmt"
	"runtime"

	"github.com/sysgate/sysgate/seccomp"
)

func main() {
	p := seccomp.Policy{
		DefaultAction: seccomp.ActionAllow,
		Syscalls:      []seccomp.SyscallGroup{{Action: seccomp.ActionErrno, Names: []string{"execve"}}},
	}
	_, assembled := p.Assemble()
	for name, err := range map[string]error{
		"LoadFilter":    seccomp.LoadFilter(seccomp.Filter{NoNewPrivs: true, Flag: seccomp.FilterFlagTSync, Policy: p}),
		"SetNoNewPrivs": seccomp.SetNoNewPrivs(),
		"Assemble":      assembled,
	} {
		if !errors.Is(err, errors.ErrUnsupported) {
			fmt.Printf("%s: %v\n", name, err)
		}
	}
	if seccomp.Supported() {
		fmt.Println("seccomp is supported")
	}
	fmt.Printf("ok: %s, %v\n", runtime.GOOS, seccomp.ActionErrno|13)
}
