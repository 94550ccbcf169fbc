package sysgate_test

import (
	"fmt"
	"log"

	"github.com/sysgate/sysgate"
	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
)

// The policy of a program that reads and writes what it has open, and no more. A
// program embeds the file instead; see [policy.ParseFS].
var policyYAML = []byte(`
version: 1
default_action: errno(EPERM)
unknown_action: errno(ENOSYS)
syscalls:
- action: allow
  names: [read, write, exit_group, futex, rt_sigreturn, mmap, munmap, madvise]
- action: allow
  calls: [socket(domain == AF_UNIX)]
`)

func Example() {
	p, err := policy.Parse("policy.yaml", policyYAML)
	if err != nil {
		log.Fatal(err)
	}
	in, err := sysgate.Install(p, sysgate.Options{})
	if err != nil {
		log.Fatal(err)
	}
	log.Printf("filter of %d instructions by %s; evidence: %s", len(in.Filter.Program), in.Method, in.Verified)
}

func ExampleCompile() {
	p, err := policy.Parse("policy.yaml", policyYAML)
	if err != nil {
		log.Fatal(err)
	}
	f, err := sysgate.Compile(p, sysgate.CompileOptions{Native: abi.ARM64})
	if err != nil {
		log.Fatal(err)
	}
	for _, text := range []string{"read", "socket(AF_UNIX)", "socket(AF_INET)", "nr:9999"} {
		call, err := policy.ParseCall(text, abi.ARM64)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(text, "→", abi.ARM64.ActionString(f.Policy.Eval(call).Action))
	}
	// Output:
	// read → allow
	// socket(AF_UNIX) → allow
	// socket(AF_INET) → errno(EPERM)
	// nr:9999 → errno(ENOSYS)
}

func ExampleDegrade() {
	p, err := policy.Parse("policy.yaml", []byte("{version: 1, default_action: kill_process, syscalls: [{action: allow, names: [read]}]}"))
	if err != nil {
		log.Fatal(err)
	}
	old := sysgate.FeatureSet{
		Release: abi.Kernel{Major: 4, Minor: 9}, Filters: true, Seccomp: true, Flags: []string{"tsync"},
		Actions: []abi.Action{abi.KillThread, abi.Trap, abi.Errno, abi.Trace, abi.Allow},
	}
	degraded, _, losses, err := sysgate.Degrade(p, sysgate.Options{}, old)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(degraded.Default)
	fmt.Println(losses[0])
	// Output:
	// kill_thread
	// action kill_process: kill_thread ends the thread that calls, not the process
}
