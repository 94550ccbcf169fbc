package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/sysgate/sysgate/internal/testkit"
	"github.com/sysgate/sysgate/policytest"
)

func TestMain(m *testing.M) { policytest.Main(m) }

// What the policy says, of every call there is.
func TestPolicy(t *testing.T) {
	p := policytest.Load(t, "policy.yaml")
	policytest.Allow(t, p, "read", "write", "openat(flags & (O_ACCMODE | O_CREAT | O_TRUNC) == 0)")
	policytest.Deny(t, p,
		"openat(flags & O_ACCMODE != O_RDONLY)", "openat(flags & O_CREAT != 0)", "openat2", "open", "creat",
		"socket", "execve", "execveat", "ptrace", "io_uring_setup", "@systemd/mount", "@systemd/module", "@systemd/reboot")
}

// The policy lets through what the compiled program can call.
func TestPolicyCovers(t *testing.T) {
	policytest.Covers(t, policytest.Load(t, "policy.yaml"), program(t))
}

// A run needs nothing that the policy denies.
func TestPolicyRun(t *testing.T) {
	testkit.NeedFilters(t) // of this repository
	if runtime.GOARCH != "amd64" {
		t.Skip("the policy is for amd64")
	}
	policytest.RunUnder(t, policytest.Load(t, "policy.yaml"), program(t), "main.go", "policy.yaml")
}

// program builds the program for the policy's ABI.
func program(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "tested")
	build := exec.Command("go", "build", "-o", file, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64", "GOFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return file
}
