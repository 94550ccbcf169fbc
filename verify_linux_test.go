package sysgate

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/internal/kernel"
	"github.com/sysgate/sysgate/internal/testkit"
)

func compiled(t *testing.T, text string) *Filter {
	t.Helper()
	f, err := Compile(parse(t, text), CompileOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestVerifyNotInPlace looks for filters that were not installed.
func TestVerifyNotInPlace(t *testing.T) {
	if mode, err := kernel.Mode(); err != nil || mode != 0 {
		t.Skipf("the test runs under a filter itself: mode %d, %v", mode, err)
	}
	allow := "{version: 1, default_action: allow, syscalls: [{action: errno, names: [%s]}]}"
	tests := []struct {
		name, denied string
		options      Options
		want         string // "" where nothing can be seen
	}{
		{"every thread", "ptrace", Options{}, "thread "},
		{"this thread", "ptrace", Options{ThisThread: true}, "the calling thread has seccomp mode 0"},
		{"the mode", "openat", Options{}, "the calling thread has seccomp mode 0"},
		{"nothing", "openat, prctl", Options{}, ""},
	}
	for _, tt := range tests {
		l := loading{filter: compiled(t, fmt.Sprintf(allow, tt.denied)), options: tt.options, first: true}
		got, err := l.verify()
		switch {
		case tt.want == "" && (err != nil || got != EvidenceReply):
			t.Errorf("%s: %q, %v", tt.name, got, err)
		case tt.want != "" && (!errors.Is(err, ErrNotInPlace) || got != EvidenceNone || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s: %q, %v; want %s", tt.name, got, err, tt.want)
		}
	}
	under := loading{filter: compiled(t, fmt.Sprintf(allow, "ptrace"))}
	if got, err := under.verify(); err != nil || got != EvidenceReply {
		t.Errorf("under an older filter: %q, %v", got, err)
	}
}

func TestCheckTasks(t *testing.T) {
	good := kernel.Task{TID: 7, Mode: 2, NoNewPrivs: 1, Filters: 1}
	old := kernel.Task{TID: 8, Mode: 2, NoNewPrivs: -1, Filters: -1}
	bare := kernel.Task{TID: 9, Mode: 0, NoNewPrivs: 1}
	privileged := kernel.Task{TID: 10, Mode: 2, NoNewPrivs: 0, Filters: 1}
	tests := []struct {
		name  string
		tasks []kernel.Task
		keep  bool
		want  string
	}{
		{"all is well", []kernel.Task{good, old}, false, ""},
		{"one thread lacks the filter", []kernel.Task{good, bare}, false, "thread 9"},
		{"one thread lacks no_new_privs", []kernel.Task{good, privileged}, false, "thread 10"},
		{"no_new_privs is not wanted", []kernel.Task{good, privileged}, true, ""},
	}
	for _, tt := range tests {
		err := loading{options: Options{KeepPrivileges: tt.keep}}.check(tt.tasks)
		if tt.want == "" && err != nil || tt.want != "" && (!errors.Is(err, ErrNotInPlace) || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}

// TestPrctlDivergingThread: where there is no tsync to say so, the thread that has a
// filter of its own is found before the runtime, which would end the process, is
// asked to give the others one.
func TestPrctlDivergingThread(t *testing.T) {
	testkit.NeedFilters(t)
	testkit.RunInSubprocess(t, func(t *testing.T) {
		ids, failed := make(chan int, 1), make(chan error, 1)
		go func() {
			runtime.LockOSThread()
			allow := bpf.Program{bpf.Stmt(bpf.RetK, uint32(abi.Allow))}
			if err := errors.Join(kernel.NoNewPrivs(), kernel.SetFilterPrctl(allow, false)); err != nil {
				failed <- err
				return
			}
			ids <- unix.Gettid()
			select {}
		}()
		var tid int
		select {
		case err := <-failed:
			t.Fatal(err)
		case tid = <-ids:
		}
		runtime.LockOSThread()
		f := compiled(t, "{version: 1, default_action: allow, syscalls: [{action: errno, names: [ptrace]}]}")
		in, err := load(f, Options{}, FeatureSet{Filters: true, Release: abi.Kernel{Major: 3, Minor: 10}})
		var thread *ThreadError
		if !errors.As(err, &thread) || thread.TID != tid || !errors.Is(err, ErrThread) {
			t.Errorf("load = %+v, %v; want an error about thread %d", in, err, tid)
		}
		if mode, err := kernel.Mode(); err != nil || mode != 0 {
			t.Errorf("mode %d, %v after a refusal", mode, err)
		}
	})
}

// TestInstallTooMany fills the kernel's budget for the filters of a thread.
func TestInstallTooMany(t *testing.T) {
	testkit.NeedFilters(t)
	testkit.Need(t, testkit.Filter)
	testkit.RunInSubprocess(t, func(t *testing.T) {
		var text strings.Builder
		text.WriteString("{version: 1, default_action: allow, syscalls: [")
		for i := range 600 {
			fmt.Fprintf(&text, "{action: errno(%d), calls: ['nr:%d(%d)']},", i+1, 2000+2*i, i)
		}
		text.WriteString("]}")
		f := compiled(t, text.String())
		for n := 1; n < 20; n++ {
			_, err := f.Install(Options{})
			if errors.Is(err, ErrTooLarge) && errors.Is(err, unix.ENOMEM) {
				t.Logf("%d filters of %d instructions fit", n-1, len(f.Program))
				return
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		t.Error("20 filters fit")
	})
}
