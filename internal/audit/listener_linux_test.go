package audit

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/internal/kernel"
	"github.com/sysgate/sysgate/internal/testkit"
)

// datagram returns a record as the kernel sends it.
func datagram(kind uint16, text string) []byte {
	b := make([]byte, unix.NLMSG_HDRLEN, unix.NLMSG_HDRLEN+len(text))
	binary.NativeEndian.PutUint32(b, uint32(len(text)))
	binary.NativeEndian.PutUint16(b[4:], kind)
	return append(b, text...)
}

func TestMessage(t *testing.T) {
	l := &Listener{}
	now := time.Now()
	e := l.message(datagram(1326, "audit(1592235512.578:148): "+body), now)
	if e.Violation == nil || e.Violation.Name != "bind" || e.Violation.Serial != 148 {
		t.Errorf("%+v", e)
	}
	if e := l.message(datagram(1300, "audit(1.2:150): arch=c000003e syscall=1"), now); e != (Event{}) {
		t.Errorf("a record of another type: %+v", e)
	}
	if n := l.gaps.take(now.Add(gapPatience)); n != 1 {
		t.Errorf("%d lost between 148 and 150, want 1", n)
	}
	if e := l.message(datagram(1326, "audit(1.2:151): nonsense"), now); e.Problem == nil {
		t.Errorf("a record that cannot be read: %+v", e)
	}
	if e := l.message([]byte{1, 2}, now); e.Problem == nil {
		t.Errorf("no header: %+v", e)
	}
}

func FuzzMessage(f *testing.F) {
	f.Add(datagram(1326, "audit(1592235512.578:148): "+body))
	f.Fuzz(func(t *testing.T, data []byte) {
		l := &Listener{}
		if e := l.message(data, time.Time{}); e.Loss != nil {
			t.Errorf("%+v", e)
		}
	})
}

// mayListen returns a listener, or skips the test where this process may not hear
// the kernel.
func mayListen(t *testing.T) *Listener {
	t.Helper()
	return mayListenWith(t, wantBuffer, maxSpool)
}

func mayListenWith(t *testing.T, buffer, spool int) *Listener {
	t.Helper()
	testkit.NeedFilters(t)
	l, err := listen(buffer, spool)
	if errors.Is(err, ErrNotAllowed) || errors.Is(err, unix.EPROTONOSUPPORT) {
		t.Skipf("needs audit multicast: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// TestSelfTest hears the running kernel.
func TestSelfTest(t *testing.T) {
	testkit.RunInSubprocess(t, func(t *testing.T) {
		l := mayListen(t)
		size, forced := l.Buffer()
		if forced && size < wantBuffer {
			t.Errorf("a forced receive buffer of %d bytes, asked for %d", size, wantBuffer)
		}
		if _, err := SelfTest(t.Context(), l); errors.Is(err, ErrDeaf) {
			t.Skipf("needs the initial network namespace and audit records: %v", err)
		} else if err != nil {
			t.Error(err)
		}
	})
}

// TestDeaf: in another network namespace the kernel accepts a listener that
// hears nothing, and only the self-test finds out.
func TestDeaf(t *testing.T) {
	const inside = "SYSGATE_TEST_DEAF"
	if os.Getenv(inside) != "" {
		l := mayListen(t)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		if _, err := SelfTest(ctx, l); err == nil {
			t.Error("heard the kernel from another network namespace")
		}
		return
	}
	testkit.Need(t, testkit.Root)
	testkit.NeedFilters(t)
	unshare, err := exec.LookPath("unshare")
	if err != nil {
		t.Skipf("needs unshare: %v", err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(unshare, "-n", self, "-test.run=^TestDeaf$", "-test.v")
	cmd.Env = append(os.Environ(), inside+"=1")
	out, err := cmd.CombinedOutput()
	switch {
	case err != nil && strings.Contains(string(out), "unshare failed"):
		t.Skipf("needs network namespaces: %s", out)
	case err != nil:
		t.Errorf("%v\n%s", err, out)
	case strings.Contains(string(out), "--- SKIP"):
		t.Skip(string(out))
	}
}

// flood makes calls that are denied and logged, as fast as it can, while the test
// goes on.
func flood(t *testing.T, nr uint32, calls int) {
	t.Helper()
	program := bpf.Program{
		{Code: bpf.LdAbs, K: bpf.OffsetNR},
		{Code: bpf.JeqK, K: nr, JF: 1},
		{Code: bpf.RetK, K: uint32(abi.Errno.WithData(1))},
		{Code: bpf.RetK, K: uint32(abi.Allow)},
	}
	failed := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends, and the filter with it
		err := errors.Join(kernel.NoNewPrivs(), kernel.SetFilter(program, kernel.Log))
		failed <- err
		for range calls {
			unix.RawSyscall(uintptr(nr), 0, 0, 0)
		}
	}()
	if err := <-failed; err != nil {
		t.Fatal(err)
	}
}

// TestRest: what had come when the context ended is returned.
func TestRest(t *testing.T) {
	testkit.RunInSubprocess(t, func(t *testing.T) {
		const calls, nr = 3000, 1<<27 | 78
		l := mayListen(t)
		if _, err := SelfTest(t.Context(), l); err != nil {
			t.Skipf("needs the initial network namespace and audit records: %v", err)
		}
		flood(t, nr, calls)
		time.Sleep(2 * time.Second)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		got := 0
		for {
			e, err := l.Next(ctx)
			if errors.Is(err, context.Canceled) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			switch {
			case e.Violation != nil && e.Violation.NR == nr:
				got++
			case e.Loss != nil:
				t.Errorf("%v", e.Loss)
			}
		}
		if got != calls {
			t.Errorf("%d of %d records", got, calls)
		}
	})
}

// TestLoss: with a small buffer that nobody empties records are lost. That is said, and
// what arrived and what was lost adds up to what was made.
func TestLoss(t *testing.T) {
	testkit.RunInSubprocess(t, func(t *testing.T) {
		const calls, nr = 5000, 1<<27 | 79
		l := mayListenWith(t, 64<<10, 70<<10)
		if _, err := SelfTest(t.Context(), l); err != nil {
			t.Skipf("needs the initial network namespace and audit records: %v", err)
		}
		flood(t, nr, calls)
		time.Sleep(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
		defer cancel()
		got, lost, full := 0, uint64(0), 0
		read := func(quiet int, until func() bool) {
			t.Helper()
			for quiet > 0 && !until() {
				e, err := l.Next(ctx)
				switch {
				case errors.Is(err, ErrIdle):
					quiet--
				case err != nil:
					t.Fatalf("%d records, %d lost: %v", got, lost, err)
				case e.Loss != nil && e.Loss.Records == 0:
					full++
				case e.Loss != nil:
					lost += e.Loss.Records
				case e.Violation != nil && e.Violation.NR == nr:
					got++
				}
			}
		}
		read(5, func() bool { return false })
		flood(t, nr, 1) // it shows the gap
		read(50, func() bool { return lost > 0 })
		// Records of others are among those that were lost.
		if full == 0 || lost == 0 || got == 0 || got+int(lost) < calls+1 {
			t.Errorf("%d records arrived and %d were lost, of %d; the buffer was full %d times", got, lost, calls+1, full)
		}
	})
}

// TestBurst makes more records than the kernel's default buffer holds, as fast as it
// can, and counts them all.
func TestBurst(t *testing.T) {
	testkit.RunInSubprocess(t, func(t *testing.T) {
		l := mayListen(t)
		if _, err := SelfTest(t.Context(), l); err != nil {
			t.Skipf("needs the initial network namespace and audit records: %v", err)
		}
		const calls, nr = 20000, 1<<27 | 77
		flood(t, nr, calls)
		ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
		defer cancel()
		got, serials := 0, map[uint64]bool{}
		for got < calls {
			e, err := l.Next(ctx)
			switch {
			case errors.Is(err, ErrIdle):
			case err != nil:
				t.Fatalf("%d of %d records: %v", got, calls, err)
			case e.Loss != nil:
				t.Fatalf("%d of %d records: %v", got, calls, e.Loss)
			case e.Violation != nil && e.Violation.NR == nr:
				got++
				serials[e.Violation.Serial] = true
			}
		}
		if len(serials) != calls {
			t.Errorf("%d records have %d serial numbers", calls, len(serials))
		}
	})
}
