package launch

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/internal/testkit"
)

// The test binary plays three parts: the tests, the launcher that they start
// (its effects on a process are not undone), and the program that it runs.
const (
	launcherVar = "SYSGATE_TEST_LAUNCHER"
	programVar  = "SYSGATE_TEST_PROGRAM"
)

func TestMain(m *testing.M) {
	if spec := os.Getenv(launcherVar); spec != "" {
		os.Unsetenv(launcherVar)
		os.Exit(playLauncher(spec))
	}
	if name := os.Getenv(programVar); name != "" {
		os.Exit(programs[name]())
	}
	os.Exit(m.Run())
}

// A launcherSpec tells the launcher what to do.
type launcherSpec struct {
	Args    []string
	Filter  filterSpec
	Keep    bool
	NoLog   bool
	Address bool // print the addresses of the execve first
}

// A filterSpec is a filter that a test needs.
type filterSpec struct {
	Execve abi.Action // for calls that are not the launcher's
	Others abi.Action // for everything but execve
	Shut   bool       // no exception for the launcher
}

var allowAll = filterSpec{Execve: abi.Allow, Others: abi.Allow}

func (s filterSpec) program(call abi.Call) (bpf.Program, error) {
	var a bpf.Assembler
	execve, allowed := a.NewLabel(), a.NewLabel()
	big := abi.Native().BigEndian()
	a.Stmt(bpf.LdAbs, bpf.OffsetNR)
	a.If(bpf.JeqK, call.NR, bpf.Next, execve)
	if !s.Shut {
		for i := range 3 {
			for _, high := range []bool{true, false} {
				word := uint32(call.Args[i])
				if high {
					word = uint32(call.Args[i] >> 32)
				}
				mismatch := a.NewLabel()
				match := a.NewLabel()
				a.Stmt(bpf.LdAbs, bpf.OffsetArg(i, high, big))
				a.If(bpf.JeqK, word, match, mismatch)
				a.Bind(mismatch)
				a.Stmt(bpf.RetK, uint32(s.Execve))
				a.Bind(match)
			}
		}
		a.Goto(allowed)
	} else {
		a.Stmt(bpf.RetK, uint32(s.Execve))
	}
	a.Bind(execve)
	a.Stmt(bpf.RetK, uint32(s.Others))
	if !s.Shut {
		a.Bind(allowed)
		a.Stmt(bpf.RetK, uint32(abi.Allow))
	}
	return a.Assemble()
}

// playLauncher returns the exit codes of `sysgate run`.
func playLauncher(text string) int {
	var spec launcherSpec
	if err := json.Unmarshal([]byte(text), &spec); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	status, err := launchSpec(spec)
	switch {
	case errors.Is(err, ErrNotFound):
		fmt.Fprintln(os.Stderr, err)
		return 127
	case errors.Is(err, ErrNotExecutable):
		fmt.Fprintln(os.Stderr, err)
		return 126
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		return 125
	}
	return status.ExitCode()
}

func launchSpec(spec launcherSpec) (Status, error) {
	path, err := LookPath(spec.Args[0], os.Getenv("PATH"))
	if err != nil {
		return Status{}, err
	}
	p, err := Prepare(Command{Path: path, Args: spec.Args, KeepPrivileges: spec.Keep, NoLog: spec.NoLog})
	if err != nil {
		return Status{}, err
	}
	if spec.Address {
		fmt.Println(p.Execve().Args)
	}
	filter, err := spec.Filter.program(p.Execve())
	if err != nil {
		return Status{}, err
	}
	return p.Run(filter)
}

// launcher returns the command that plays the launcher, which loads a filter.
func launcher(t *testing.T, spec launcherSpec) *exec.Cmd {
	t.Helper()
	testkit.NeedFilters(t)
	text, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self(t))
	cmd.Env = append(os.Environ(), launcherVar+"="+string(text))
	return cmd
}

func self(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// run runs cmd and returns its standard output, and its exit code.
func run(t *testing.T, cmd *exec.Cmd) (stdout string, code int) {
	t.Helper()
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if exit != nil && len(exit.Stderr) > 0 {
		t.Logf("stderr: %s", exit.Stderr)
	}
	return string(out), cmd.ProcessState.ExitCode()
}
