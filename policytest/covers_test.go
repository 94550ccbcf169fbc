package policytest_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sysgate/sysgate/internal/profile"
	"github.com/sysgate/sysgate/internal/refine"
	"github.com/sysgate/sysgate/policy"
	"github.com/sysgate/sysgate/policytest"
)

// build compiles a Go program for linux/amd64 and returns its file.
func build(t *testing.T, source string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "program")
	cmd := exec.Command("go", "build", "-o", program, filepath.Join(dir, "main.go"))
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return program
}

func TestCovers(t *testing.T) {
	program := build(t, `package main

import "syscall"

func main() { refuse() }

//go:noinline
func refuse() { syscall.Sethostname([]byte("x")) }
`)
	profiled, err := profile.File(program, profile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	own, _ := refine.FromSet(&profiled.Set, refine.Options{})
	policytest.Covers(t, own, program)

	for name, c := range map[string]struct {
		first       policy.Rule
		errors, log string
	}{
		"a call is missing": {
			rule(t, "errno(EPERM)", "sethostname"),
			program + " can call sethostname:\n\tamd64:sethostname(0, 0) → errno(EPERM) by rule 1\n\treached by main.main → main.refuse → syscall.Sethostname", "",
		},
		"a call is conditional": {
			rule(t, "errno(EPERM)", "sethostname(len > 8)"), "",
			program + " can call sethostname, which is let through with some arguments only:\n\tamd64:sethostname(0, 9) → errno(EPERM) by rule 1",
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := *own
			p.Rules = append([]policy.Rule{c.first}, own.Rules...)
			r := record(t, func(tb testing.TB) { policytest.Covers(tb, &p, program) })
			is(t, "fatal", r.fatal, "")
			if got := strings.Join(r.errors, "\n"); c.errors == "" && got != "" || !strings.HasPrefix(got, c.errors) {
				t.Errorf("errors:\n%s\nwant:\n%s", got, c.errors)
			}
			if c.errors != "" && len(r.errors) != 1 {
				t.Errorf("errors: %q", r.errors)
			}
			is(t, "log", r.logs, c.log)
		})
	}

	r := record(t, func(tb testing.TB) { policytest.Covers(tb, own, filepath.Join("testdata", "gone")) })
	if len(r.fatal) != 1 {
		t.Errorf("fatal: %q", r.fatal)
	}
}

// Where the analysis cannot tell, no policy covers the program.
func TestCoversUndetermined(t *testing.T) {
	program := build(t, `package main

import (
	"os"
	"strconv"
	"syscall"
)

func main() {
	nr, _ := strconv.Atoi(os.Args[1])
	syscall.RawSyscall(uintptr(nr), 0, 0, 0)
}
`)
	p := parse(t, "version: 1\nabis: [amd64]\ndefault_action: allow\nsyscalls: []\n")
	r := record(t, func(tb testing.TB) { policytest.Covers(tb, p, program) })
	is(t, "fatal", r.fatal, "")
	if len(r.errors) != 1 || !strings.Contains(r.errors[0], "not known which system call main.main makes") {
		t.Errorf("errors: %q", r.errors)
	}
}

func rule(t *testing.T, action, call string) policy.Rule {
	t.Helper()
	a, err := policy.ParseAction(action)
	if err != nil {
		t.Fatal(err)
	}
	c, err := policy.ParsePattern(call)
	if err != nil {
		t.Fatal(err)
	}
	return policy.Rule{Action: a, Calls: []policy.Pattern{c}}
}
