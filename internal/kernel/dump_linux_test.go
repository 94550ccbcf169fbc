package kernel_test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/internal/kernel"
	"github.com/sysgate/sysgate/internal/testkit"
)

// denial returns a filter that denies one call of a number.
func denial(nr uint32) bpf.Program {
	return bpf.Program{
		{Code: bpf.LdAbs, K: bpf.OffsetNR},
		{Code: bpf.JeqK, K: nr, JF: 1},
		{Code: bpf.RetK, K: uint32(abi.Errno.WithData(1))},
		{Code: bpf.RetK, K: uint32(abi.Allow)},
	}
}

// TestFilters dumps two filters of a process, twice, and it goes on; of one that
// has none it gets none.
func TestFilters(t *testing.T) {
	if testkit.InSubprocess(t) {
		if err := kernel.NoNewPrivs(); err != nil {
			t.Fatal(err)
		}
		for _, nr := range []uint32{60001, 60002} {
			if err := kernel.SetFilter(denial(nr), kernel.TSync); err != nil {
				t.Fatal(err)
			}
		}
		fmt.Println("ready")
		line, err := bufio.NewReader(os.Stdin).ReadString('\n')
		if line != "go on\n" {
			t.Fatalf("%q, %v", line, err)
		}
		return
	}
	testkit.Need(t, testkit.Root)
	testkit.NeedFilters(t)
	cmd := testkit.Subprocess(t)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() && lines.Text() != "ready" {
	}
	for range 2 {
		got, err := kernel.Filters(cmd.Process.Pid)
		if errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.EINVAL) {
			cmd.Process.Kill()
			t.Skipf("needs a kernel that gives filters out, and CAP_SYS_ADMIN: %v", err)
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != 2 || !slices.Equal(got[0], denial(60002)) || !slices.Equal(got[1], denial(60001)) {
			t.Errorf("%v", got)
		}
	}
	fmt.Fprintln(in, "go on")
	if err := cmd.Wait(); err != nil {
		t.Errorf("after the dump: %v", err)
	}
	if _, err := kernel.Filters(cmd.Process.Pid); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("of no process: %v", err)
	}
}

// A process without filters, running, stopped or asleep, is as it was afterwards.
func TestFiltersNone(t *testing.T) {
	testkit.Need(t, testkit.Root)
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Skipf("needs sleep: %v", err)
	}
	for _, stopped := range []bool{false, true} {
		cmd := exec.Command(sleep, "60")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() { cmd.Process.Kill(); cmd.Wait() }()
		if stopped {
			if err := cmd.Process.Signal(syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			waitState(t, cmd.Process.Pid, 'T')
		}
		before := state(t, cmd.Process.Pid)
		got, err := kernel.Filters(cmd.Process.Pid)
		if errors.Is(err, syscall.EACCES) {
			t.Skipf("needs CAP_SYS_ADMIN and no filter: %v", err)
		}
		if err != nil || len(got) != 0 {
			t.Errorf("%v, %v", got, err)
		}
		if stopped {
			waitState(t, cmd.Process.Pid, before)
		}
	}
}

// state returns the letter of a process's state.
func state(t *testing.T, pid int) byte {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	return text[slices.Index(text, ')')+2]
}

func waitState(t *testing.T, pid int, want byte) {
	t.Helper()
	for range 1000 {
		if state(t, pid) == want {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("state %c, want %c", state(t, pid), want)
}
