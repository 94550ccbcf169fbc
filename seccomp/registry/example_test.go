package registry_test

import (
	"fmt"
	"log/slog"
	"os"

	"go.yaml.in/yaml/v4"

	"github.com/sysgate/sysgate/seccomp"
	"github.com/sysgate/sysgate/seccomp/registry"
)

// The first thing that main does.
func ExampleLoadFilter() {
	data, err := os.ReadFile("program.yaml")
	if err != nil {
		fmt.Println(err)
		return
	}
	unpack := func(to any) error { return yaml.Unmarshal(data, to) }
	result, err := registry.LoadFilter(unpack, registry.Options{Logger: slog.Default()})
	if err != nil {
		fmt.Println(err) // the configuration, or a filter that it requires
		return
	}
	fmt.Println(result.Outcome, result.Source)
}

// What `sysgate profile --format go` writes is an init function with this call.
func ExampleMustRegisterPolicy() {
	registry.MustRegisterPolicy(&seccomp.Policy{
		DefaultAction: seccomp.ActionErrno,
		Syscalls: []seccomp.SyscallGroup{
			{Action: seccomp.ActionAllow, Names: []string{"read", "write", "exit_group"}},
		},
	})
}

// A library that reads the kernel's log needs a call that the default policy
// denies.
func ExampleModifyDefaultPolicy() {
	if err := registry.ModifyDefaultPolicy(registry.AddSyscall, "syslog"); err != nil {
		fmt.Println(err)
	}
}
