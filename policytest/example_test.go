package policytest_test

import (
	"os/exec"
	"testing"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policytest"
)

// The test of a server that reads files and serves on sockets.
func Example() {
	var t *testing.T // the parameter of a test function

	p := policytest.Load(t, "server.yaml")
	policytest.Allow(t, p, "read", "openat(flags & O_ACCMODE == O_RDONLY)", "socket(AF_INET, SOCK_STREAM)")
	policytest.Deny(t, p, "@systemd/mount", "ptrace", "socket(AF_ALG)", "mmap(prot & PROT_EXEC != 0)")
	policytest.Covers(t, p, "./server")
	policytest.RunUnder(t, p, "./server", "-selftest")
}

// A policy that depends on the machine is tested for each that it is for.
func ExampleTarget() {
	var t *testing.T

	p := policytest.Load(t, "server.yaml")
	for _, native := range []abi.ABI{abi.AMD64, abi.ARM64} {
		policytest.Target{Native: native}.Deny(t, p, "ptrace")
	}
	policytest.Target{Caps: []string{"CAP_SYS_CHROOT"}}.Allow(t, p, "chroot")
}

// An attack is tried, and has to be denied.
func ExampleRun() {
	var t *testing.T

	p := policytest.Load(t, "server.yaml")
	r := policytest.Run(t, p, exec.Command("./exploit"))
	if len(r.Denials) == 0 {
		t.Errorf("the exploit was denied nothing; exit code %d\n%s", r.ExitCode, r.Output)
	}
}
