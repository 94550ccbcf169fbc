package policytest_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/testkit"
	"github.com/sysgate/sysgate/policy"
	"github.com/sysgate/sysgate/policytest"
)

func TestMain(m *testing.M) { policytest.Main(m) }

// needRun skips where no program can be run under a policy.
func needRun(t *testing.T) {
	t.Helper()
	testkit.NeedFilters(t)
	testkit.Need(t, testkit.Notify)
}

// program makes the calls that its arguments name and says what came of it.
const caller = `package main

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

func main() {
	for _, arg := range os.Args[1:] {
		var err error
		switch arg {
		case "sethostname":
			err = syscall.Sethostname(make([]byte, 65)) // too long anyway
		case "getpid":
			if pid, _, errno := syscall.RawSyscall(syscall.SYS_GETPID, 0, 0, 0); errno != 0 || pid == 0 {
				err = fmt.Errorf("%d, %w", pid, errno)
			}
		case "fail":
			os.Exit(7)
		case "child":
			cmd := exec.Command(os.Args[0], "sethostname")
			cmd.Stdout = os.Stdout
			err = cmd.Run()
		case "where":
			dir, _ := os.Getwd()
			fmt.Println(dir, os.Getenv("WHAT"), os.Getenv("SYSGATE_POLICYTEST_STARTER"))
		}
		fmt.Printf("%s: %v\n", arg, err)
	}
}
`

func deny(t *testing.T, action string, names ...string) *policy.Policy {
	t.Helper()
	return parse(t, fmt.Sprintf("version: 1\nabis: [amd64, 386]\ndefault_action: allow\nsyscalls:\n- action: %s\n  names: [%s]\n", action, strings.Join(names, ", ")))
}

func TestRunUnder(t *testing.T) {
	needRun(t)
	if abi.Native() != abi.AMD64 {
		t.Skipf("the program is for amd64, this is %v", abi.Native())
	}
	program := build(t, caller)
	p := deny(t, "errno(EXDEV)", "sethostname")
	r := record(t, func(tb testing.TB) { policytest.RunUnder(tb, p, program, "getpid", "where") })
	is(t, "fatal", r.fatal, "")
	is(t, "errors", r.errors, "")

	r = record(t, func(tb testing.TB) {
		policytest.RunUnder(tb, p, program, "sethostname", "sethostname", "child", "fail")
	})
	is(t, "fatal", r.fatal, "")
	if len(r.errors) != 2 || !strings.HasPrefix(r.errors[0], program+" sethostname sethostname child fail: denied: amd64:sethostname(") ||
		!strings.HasSuffix(r.errors[0], ", 65) → errno(EXDEV) by p.yaml:5:3, 3 times") {
		t.Errorf("errors: %q", r.errors)
	}
	const said = "sethostname: invalid cross-device link\nsethostname: invalid cross-device link\nsethostname: invalid cross-device link\nchild: <nil>"
	if len(r.errors) == 2 && !strings.HasSuffix(r.errors[1], "exit code 7\n"+said) {
		t.Errorf("errors: %q", r.errors[1])
	}
}

func TestRun(t *testing.T) {
	needRun(t)
	if abi.Native() != abi.AMD64 {
		t.Skipf("the program is for amd64, this is %v", abi.Native())
	}
	program := build(t, caller)
	for name, c := range map[string]struct {
		action string
		code   int
		output string
	}{
		"fake success": {"fake_success", 0, "sethostname: <nil>\ngetpid: <nil>\n"},
		"trace":        {"trace(1)", 0, "sethostname: function not implemented\ngetpid: <nil>\n"},
		"notify":       {"user_notify", 0, "sethostname: function not implemented\ngetpid: <nil>\n"},
		"kill":         {"kill_process", -1, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := policytest.Run(t, deny(t, c.action, "sethostname"), exec.Command(program, "sethostname", "getpid"))
			if r.ExitCode != c.code || string(r.Output) != c.output || len(r.Denials) != 1 {
				t.Errorf("%d, %q, %v", r.ExitCode, r.Output, r.Denials)
			}
		})
	}
	t.Run("trap", func(t *testing.T) {
		r := policytest.Run(t, deny(t, "trap(3)", "sethostname"), exec.Command(program, "sethostname"))
		if r.ExitCode == 0 || !bytes.Contains(r.Output, []byte("SIGSYS")) || len(r.Denials) != 1 {
			t.Errorf("%d, %q, %v", r.ExitCode, r.Output, r.Denials)
		}
	})
	t.Run("the command's own", func(t *testing.T) {
		dir := t.TempDir()
		cmd := exec.Command(program, "where")
		cmd.Dir, cmd.Env = dir, []string{"WHAT=that"}
		var out bytes.Buffer
		cmd.Stdout = &out
		r := policytest.Run(t, deny(t, "errno(EXDEV)", "sethostname"), cmd)
		if want := dir + " that \nwhere: <nil>\n"; r.ExitCode != 0 || out.String() != want || r.Output != nil {
			t.Errorf("%d, %q, want %q", r.ExitCode, out.String(), want)
		}
	})
}

// The policy need not allow what starts the program.
func TestRunStrict(t *testing.T) {
	needRun(t)
	testkit.Need(t, testkit.CC)
	if abi.Native() != abi.AMD64 {
		t.Skipf("the policy is for amd64, this is %v", abi.Native())
	}
	dir := t.TempDir()
	source, program := filepath.Join(dir, "exit.c"), filepath.Join(dir, "exit")
	text := "void _start(void) { __asm__ volatile(\"mov $39, %eax; syscall; mov $231, %eax; mov $5, %edi; syscall\"); }\n"
	if err := os.WriteFile(source, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("gcc", "-nostdlib", "-static", "-o", program, source).CombinedOutput(); err != nil {
		t.Fatalf("gcc: %v\n%s", err, out)
	}
	for _, action := range []string{"errno(EPERM)", "kill_process", "trap"} {
		p := parse(t, "version: 1\nabis: [amd64]\ndefault_action: "+action+"\nsyscalls:\n- action: allow\n  names: [exit_group]\n")
		r := policytest.Run(t, p, exec.Command(program))
		if len(r.Denials) != 1 || r.Denials[0].Call.NR != 39 || r.Denials[0].By != "default_action" {
			t.Errorf("%s: %d, %v", action, r.ExitCode, r.Denials)
		}
		if want := map[string]int{"errno(EPERM)": 5, "kill_process": -1, "trap": -1}[action]; r.ExitCode != want {
			t.Errorf("%s: exit code %d", action, r.ExitCode)
		}
	}
}

func TestRunErrors(t *testing.T) {
	needRun(t)
	p := parse(t, "version: 1\ndefault_action: allow\nsyscalls: []\n")
	script := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(script, []byte("no program"), 0o700); err != nil {
		t.Fatal(err)
	}
	for want, run := range map[string]func(testing.TB){
		"no command to run":         func(tb testing.TB) { policytest.RunUnder(tb, p) },
		"executable file not found": func(tb testing.TB) { policytest.RunUnder(tb, p, "no-such-command") },
		"exec format error":         func(tb testing.TB) { policytest.RunUnder(tb, p, script) },
		"ExtraFiles": func(tb testing.TB) {
			cmd := exec.Command("true")
			cmd.ExtraFiles = []*os.File{os.Stdin}
			policytest.Run(tb, p, cmd)
		},
		"runs no programs of riscv64": func(tb testing.TB) { policytest.Target{Native: abi.RISCV64}.Run(tb, p, exec.Command("true")) },
	} {
		r := record(t, run)
		if len(r.fatal) != 1 || !strings.Contains(r.fatal[0], want) {
			t.Errorf("fatal: %q, want %q", r.fatal, want)
		}
	}
}
