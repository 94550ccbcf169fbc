package cli

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/internal/kernel"
)

// loadEnv has a test binary make calls: "CALLS RATE NUMBER", as fast as it can for a rate
// of 0.
const loadEnv = "SYSGATE_TEST_LOAD"

// loadCall is a number that no kernel serves, and that no other test on the machine
// calls now: see SelfTest of internal/audit.
var loadCall = 1<<27 | os.Getpid()%1024<<16 | 0x4f3

// TestMonitorLoad has the kernel make records faster than anybody reads them, and holds
// what the monitor writes to their number. SYSGATE_LONG=1: 200,000 at once, and 20,000 a
// second for a minute, each written and counted together.
func TestMonitorLoad(t *testing.T) {
	if plan := os.Getenv(loadEnv); plan != "" {
		makeLoad(t, plan)
		return
	}
	type load struct {
		name        string
		calls, rate int
		args        []string
	}
	loads := []load{{"a burst", 20000, 0, nil}}
	if os.Getenv("SYSGATE_LONG") != "" {
		loads = []load{
			{"a burst, counted together", 200000, 0, nil},
			{"a burst, each written", 200000, 0, []string{"--window", "0"}},
			{"20,000 a second for a minute, counted together", 20000 * 60, 20000, nil},
			{"20,000 a second for a minute, each written", 20000 * 60, 20000, []string{"--window", "0"}},
		}
	}
	if os.Getenv(monitorEnv) != "" {
		startMonitor(t) // this process is the monitor
	}
	for _, l := range loads {
		out := filepath.Join(t.TempDir(), "events")
		args := append([]string{"--json", "--syscall", "nr:" + strconv.Itoa(loadCall)}, l.args...)
		w := startMonitorTo(t, out, args...)
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		generator := exec.Command(self, "-test.run=^TestMonitorLoad$")
		generator.Env = append(os.Environ(), fmt.Sprintf("%s=%d %d %d", loadEnv, l.calls, l.rate, loadCall))
		start := time.Now()
		if text, err := generator.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		made := time.Since(start)
		// What waits is read before the monitor is told to stop.
		for range 1200 {
			if n, _ := countEvents(t, out); n >= l.calls {
				break
			}
			time.Sleep(100 * time.Millisecond)
		}
		peak := peakMemory(w.process.Pid)
		w.stop(t)
		got, events := countEvents(t, out)
		t.Logf("%s: %d records in %.1f s (%.0f a second), %d events, %d MiB at most", l.name, l.calls, made.Seconds(), float64(l.calls)/made.Seconds(), events, peak>>20)
		if got != l.calls {
			t.Errorf("%s: %d of %d records\n%s", l.name, got, l.calls, w.messages.String())
		}
		if strings.Contains(w.messages.String(), "lost") {
			t.Errorf("%s: %s", l.name, w.messages.String())
		}
		const most = 256 << 20
		if peak > most {
			t.Errorf("%s: %d MiB of memory, %d at most are bounded", l.name, peak>>20, most>>20)
		}
	}
}

// makeLoad makes calls that are denied and logged, in a thread of its own.
func makeLoad(t *testing.T, plan string) {
	var calls, rate, nr int
	if _, err := fmt.Sscanf(plan, "%d %d %d", &calls, &rate, &nr); err != nil {
		t.Fatal(err)
	}
	program := bpf.Program{
		{Code: bpf.LdAbs, K: bpf.OffsetNR},
		{Code: bpf.JeqK, K: uint32(nr), JF: 1},
		{Code: bpf.RetK, K: uint32(abi.Errno.WithData(1))},
		{Code: bpf.RetK, K: uint32(abi.Allow)},
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends, and the filter with it
		if err := errors.Join(kernel.NoNewPrivs(), kernel.SetFilter(program, kernel.Log)); err != nil {
			done <- err
			return
		}
		start := time.Now()
		for i := range calls {
			if rate > 0 && i%100 == 0 {
				time.Sleep(time.Until(start.Add(time.Duration(i) * time.Second / time.Duration(rate))))
			}
			unix.RawSyscall(uintptr(nr), 0, 0, 0)
		}
		done <- nil
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// countEvents adds up the violations of a file of events.
func countEvents(t *testing.T, name string) (violations, events int) {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e struct {
			Seccomp struct{ Count int } `json:"seccomp"`
		}
		if json.Unmarshal(lines.Bytes(), &e) == nil { // the last may be half written
			violations += e.Seccomp.Count
			events++
		}
	}
	return violations, events
}

// peakMemory returns the most memory that a process has had, in bytes.
func peakMemory(pid int) int {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	var kib int
	fmt.Sscan(rest, &kib)
	return kib << 10
}
