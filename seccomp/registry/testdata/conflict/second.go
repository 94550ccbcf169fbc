package main

import (
	"github.com/sysgate/sysgate/seccomp"
	"github.com/sysgate/sysgate/seccomp/registry"
)

func init() {
	registry.MustRegisterPolicy(&seccomp.Policy{
		DefaultAction: seccomp.ActionErrno,
		Syscalls:      []seccomp.SyscallGroup{{Action: seccomp.ActionAllow, Names: []string{"write"}}},
	})
}
