package testkit

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sysgate/sysgate/internal/kernel"
)

// NeedFilters skips the test if the kernel cannot load filters any more (see
// [FiltersStuck]). It is what a test does first that has the kernel load one, if
// not through [NewOracle] or [NewJudge]: the process that would load it waits for
// ever and cannot be killed, and the test with it.
//
// It is no [Feature]: those the kernel has by its release, this one it has lost
// until the next boot. All other reasons why a filter may not load are not looked
// for.
func NeedFilters(t testing.TB) {
	t.Helper()
	if reason := FiltersStuck(); reason != "" {
		t.Skip(reason)
	}
}

// FiltersStuck returns why no filter can be loaded on this machine before it is
// booted again: the kernel's allocator of BPF programs is deadlocked (see pace).
// It returns "" if nothing shows that. It looks once a process.
func FiltersStuck() string { return filtersStuck() }

var filtersStuck = sync.OnceValue(func() string {
	waiting, sure := allocatorTasks("/proc")
	if len(waiting) == 0 && !sure {
		return tryFilter()
	}
	found := len(waiting)
	// Tasks wait there for a moment on a sound kernel too.
	const checks, pause = 6, 500 * time.Millisecond
	for n := 0; n < checks && len(waiting) > 0; n++ {
		time.Sleep(pause)
		maps.DeleteFunc(waiting, func(task, _ string) bool { return !waitsInAllocator(task) })
	}
	if len(waiting) == 0 {
		return ""
	}
	first := slices.Min(slices.Collect(maps.Keys(waiting)))
	return fmt.Sprintf("the kernel's BPF allocator is deadlocked until the next boot: %d of %d tasks have waited in it for %v (%s, %s)",
		len(waiting), found, checks*pause, first, waiting[first])
})

// allocatorTasks returns the tasks that wait in the allocator of BPF programs,
// with their names. sure means that there are no others: the kernel's own threads
// are seen, and where each task sleeps.
func allocatorTasks(proc string) (waiting map[string]string, sure bool) {
	waiting = map[string]string{}
	// Process 2 is kthreadd, unless this is a PID namespace or /proc hides it.
	name, _ := taskState(filepath.Join(proc, "2/task/2"))
	sure = name == "kthreadd"
	for _, process := range numbered(proc) {
		for _, task := range numbered(filepath.Join(process, "task")) {
			switch name, state := taskState(task); {
			case state != uninterruptible:
			case waitsInAllocator(task):
				waiting[task] = name
			default:
				sure = sure && sleepsInSight(task)
			}
		}
	}
	return waiting, sure
}

// numbered returns the entries of a directory of /proc that are processes or
// threads: none if the process has ended.
func numbered(dir string) []string {
	entries, _ := os.ReadDir(dir)
	var paths []string
	for _, e := range entries {
		if name := e.Name(); '0' <= name[0] && name[0] <= '9' {
			paths = append(paths, filepath.Join(dir, name))
		}
	}
	return paths
}

// uninterruptible is the state of tasks that wait and cannot be killed.
const uninterruptible = 'D'

// waitsInAllocator reports whether a task sleeps, uninterruptibly, for the lock
// of the allocator (bpf_prog_pack_alloc, bpf_prog_pack_free in kernel/bpf/core.c).
func waitsInAllocator(task string) bool {
	_, state := taskState(task)
	where, _ := os.ReadFile(filepath.Join(task, "wchan"))
	return state == uninterruptible && strings.HasPrefix(string(where), "bpf_prog_pack_")
}

// sleepsInSight reports whether it is visible where a task sleeps: it is not to
// other users, and without kallsyms.
func sleepsInSight(task string) bool {
	where, _ := os.ReadFile(filepath.Join(task, "wchan"))
	_, state := taskState(task)
	return state != uninterruptible || len(where) > 1 // "0" is a task that runs, or is hidden
}

// taskState reads the name and the state of a task (proc_pid_stat(5)), 0 if it has
// ended.
func taskState(task string) (name string, state byte) {
	stat, err := os.ReadFile(filepath.Join(task, "stat"))
	if err != nil {
		return "", 0
	}
	_, text, _ := strings.Cut(string(stat), "(")
	end := strings.LastIndex(text, ") ")
	if end < 0 || end+2 == len(text) {
		return "", 0
	}
	return text[:end], text[end+2]
}

// probeEnv makes the process one that loads a filter and ends.
const probeEnv = "SYSGATE_TEST_PROBE"

// A test binary has no other place that is reached whatever its tests and its
// TestMain are. Without the variable, this does nothing.
func init() {
	if os.Getenv(probeEnv) == "" {
		return
	}
	runtime.LockOSThread()
	if kernel.NoNewPrivs() == nil {
		// Whether it can be loaded is for the tests to see, not whether that ends.
		_ = kernel.SetFilter(allowAll, 0)
	}
	os.Exit(0)
}

// tryFilter has another process load a filter, and gives it ten seconds. The
// process shares nothing with this one that go test would wait for.
func tryFilter() string {
	const patience = 10 * time.Second
	binary, err := os.Executable()
	if err != nil {
		return ""
	}
	cmd := exec.Command(binary) // with /dev/null as its standard input and output
	cmd.Env = append(os.Environ(), probeEnv+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return ""
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // in vain if the kernel is stuck
		close(ended)
	}()
	select {
	case <-ended:
		return ""
	case <-time.After(patience):
		_ = cmd.Process.Kill()
		return fmt.Sprintf("the kernel's BPF allocator is deadlocked until the next boot: process %d could not load a filter within %v",
			cmd.Process.Pid, patience)
	}
}
