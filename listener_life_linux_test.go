package sysgate_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	sysgate "github.com/sysgate/sysgate"
	"github.com/sysgate/sysgate/internal/testkit"
	"github.com/sysgate/sysgate/policy"
)

// noLeak fails if there are more goroutines than before, and stay.
func noLeak(t *testing.T, before int) {
	t.Helper()
	for range 100 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	buf := make([]byte, 1<<16)
	t.Errorf("%d goroutines, %d before\n%s", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
}

// TestListenerGone kills the target while its call waits.
func TestListenerGone(t *testing.T) {
	need(t)
	p := start(t, notify("getppid"), sysgate.Options{}, func(t *testing.T) {
		getppid(uintptr(unsafe.Pointer(unsafe.StringData("secret"))))
	})
	handled := false
	err := p.listener.Serve(t.Context(), func(_ context.Context, r *sysgate.Request) {
		b := make([]byte, 6)
		if err := r.ReadMemory(r.Call.Args[0], b); err != nil || string(b) != "secret" {
			t.Errorf("while it waits: %q, %v", b, err)
		}
		p.Process.Kill()
		p.wait() // reaped: its ID can be used again
		_, pidErr := r.PID()
		_, addErr := r.AddFD(sysgate.Descriptor{FD: 0})
		_, returnErr := r.ReturnFD(sysgate.Descriptor{FD: 0})
		_, stringErr := r.ReadString(r.Call.Args[0], 6)
		for i, err := range []error{
			r.Valid(), r.ReadMemory(r.Call.Args[0], b), stringErr, pidErr, addErr, returnErr, r.Return(0), r.Fail(unix.EPERM), r.ContinueUnsafe(),
		} {
			if !errors.Is(err, sysgate.ErrGone) {
				t.Errorf("%d after the end: %v", i, err)
			}
		}
		if string(b) != "\x00\x00\x00\x00\x00\x00" {
			t.Errorf("the memory of a thread that is gone: %q", b)
		}
		handled = true
	})
	if err != nil || !handled {
		t.Errorf("Serve: %v, handled: %v", err, handled)
	}
}

// manyCalls makes n calls from threads at once and checks each answer.
func manyCalls(t *testing.T, threads, n int) {
	var all sync.WaitGroup
	for thread := range threads {
		all.Go(func() {
			runtime.LockOSThread()
			for i := thread; i < n; i += threads {
				if r, errno := getppid(uintptr(i), 5); errno != 0 || r != uintptr(i*3+1) {
					t.Errorf("call %d: %d, errno %d", i, r, errno)
					return
				}
			}
		})
	}
	all.Wait()
}

func TestListenerMany(t *testing.T) {
	need(t)
	testkit.Need(t, testkit.WaitKillable)
	const n = 10_000
	before := runtime.NumGoroutine()
	p := start(t, notify("getppid"), sysgate.Options{WaitKillable: true}, func(t *testing.T) { manyCalls(t, 64, n) })
	seen := make([]atomic.Int32, n)
	begin := time.Now()
	p.serve(t, func(_ context.Context, r *sysgate.Request) {
		i := r.Call.Args[0]
		// A signal can withdraw a call until it is received, not afterwards.
		if err := r.Return(int64(i)*3 + 1); err != nil {
			t.Errorf("call %d: %v", i, err)
		}
		seen[i].Add(1)
	})
	t.Logf("%v a call", time.Since(begin)/n)
	for i := range seen {
		if times := seen[i].Load(); times != 1 {
			t.Errorf("call %d was handled %d times", i, times)
		}
	}
	noLeak(t, before)
}

// TestListenerSlow has handlers wait for one that comes later.
func TestListenerSlow(t *testing.T) {
	need(t)
	p := start(t, notify("getppid"), sysgate.Options{}, func(t *testing.T) { manyCalls(t, 33, 33) })
	last := make(chan struct{})
	var waiting atomic.Int32
	p.serve(t, func(_ context.Context, r *sysgate.Request) {
		if waiting.Add(1) == 33 {
			close(last)
		}
		select {
		case <-last:
		case <-time.After(30 * time.Second):
			t.Error("33 handlers do not run at once")
		}
		for r.Valid() == nil && r.Return(int64(r.Call.Args[0])*3+1) != nil {
		}
	})
}

// TestListenerLimit has fewer handlers than calls.
func TestListenerLimit(t *testing.T) {
	need(t)
	p := start(t, notify("getppid"), sysgate.Options{}, func(t *testing.T) { manyCalls(t, 16, 200) })
	p.listener.SetLimit(3)
	var running, most atomic.Int32
	p.serve(t, func(_ context.Context, r *sysgate.Request) {
		defer running.Add(-1)
		for now := running.Add(1); ; {
			if before := most.Load(); now <= before || most.CompareAndSwap(before, now) {
				break
			}
		}
		time.Sleep(time.Millisecond)
		_ = r.Return(int64(r.Call.Args[0])*3 + 1) // gone: it comes again
	})
	if most.Load() != 3 {
		t.Errorf("%d handlers ran at once, want 3", most.Load())
	}
}

// TestListenerSignals sends SIGURG, as Go's runtime does, to every thread of the
// supervisor and of the target all the time.
func TestListenerSignals(t *testing.T) {
	for _, killable := range []bool{false, true} {
		t.Run(fmt.Sprintf("killable=%v", killable), func(t *testing.T) {
			need(t)
			if killable {
				testkit.Need(t, testkit.WaitKillable)
			}
			const n = 2000
			p := start(t, notify("getppid"), sysgate.Options{WaitKillable: killable}, func(t *testing.T) { manyCalls(t, 8, n) })
			ctx, cancel := context.WithCancel(t.Context())
			var storm sync.WaitGroup
			defer storm.Wait()
			defer cancel()
			for _, pid := range []int{os.Getpid(), p.Process.Pid} {
				storm.Go(func() {
					for ctx.Err() == nil {
						tasks, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
						for _, task := range tasks {
							var tid int
							fmt.Sscan(task.Name(), &tid)
							unix.Tgkill(pid, tid, unix.SIGURG)
						}
						time.Sleep(200 * time.Microsecond)
					}
				})
			}
			memfd, err := unix.MemfdCreate("answer", unix.MFD_CLOEXEC)
			if err != nil {
				t.Fatal(err)
			}
			defer unix.Close(memfd)
			var gone atomic.Int32
			p.serve(t, func(_ context.Context, r *sysgate.Request) {
				b := make([]byte, 1)
				readErr := r.ReadMemory(r.Call.IP, b)
				_, addErr := r.AddFD(sysgate.Descriptor{FD: memfd, Exact: true, Number: 100 + r.TID%50})
				for _, err := range []error{readErr, addErr, r.Return(int64(r.Call.Args[0])*3 + 1)} {
					if errors.Is(err, sysgate.ErrGone) && !killable {
						gone.Add(1)
					} else if err != nil {
						t.Errorf("%v: %v", r, err)
					}
				}
			})
			t.Logf("%d answers for calls that signals had withdrawn", gone.Load())
		})
	}
}

// TestListenerReturnFDUnderSignals has each descriptor arrive that was sent.
func TestListenerReturnFDUnderSignals(t *testing.T) {
	need(t)
	testkit.Need(t, testkit.WaitKillable)
	p := start(t, notify("getppid"), sysgate.Options{WaitKillable: true}, func(t *testing.T) {
		runtime.LockOSThread()
		for i := range 1000 {
			r, errno := getppid(uintptr(i))
			if errno != 0 || r < 3 {
				t.Fatalf("call %d: descriptor %d, errno %d", i, r, errno)
			}
			if err := unix.Close(int(r)); err != nil {
				t.Fatalf("call %d: descriptor %d: %v", i, r, err)
			}
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	var storm sync.WaitGroup
	defer storm.Wait()
	defer cancel()
	storm.Go(func() {
		for ctx.Err() == nil {
			tasks, _ := os.ReadDir("/proc/self/task")
			for _, task := range tasks {
				var tid int
				fmt.Sscan(task.Name(), &tid)
				unix.Tgkill(os.Getpid(), tid, unix.SIGURG)
			}
		}
	})
	p.serve(t, func(_ context.Context, r *sysgate.Request) {
		if _, err := r.ReturnFD(sysgate.Descriptor{FD: 0}); err != nil {
			t.Errorf("%v: %v", r, err)
		}
	})
}

// TestListenerOwnThread listens to a thread of its own process.
func TestListenerOwnThread(t *testing.T) {
	need(t)
	testkit.RunInSubprocess(t, func(t *testing.T) {
		p, err := policy.Parse("test.yaml", []byte(notify("getppid")))
		if err != nil {
			t.Fatal(err)
		}
		listeners := make(chan *sysgate.Listener, 1)
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			defer cancel()
			defer close(listeners)
			in, err := sysgate.Install(p, sysgate.Options{ThisThread: true, Listener: true})
			if err != nil {
				t.Error(err)
				return
			}
			listeners <- in.Listener
			r, errno := getppid(4)
			expect(t, "own thread", r, errno, 5, 0)
		}()
		l := <-listeners
		if l == nil {
			return
		}
		err = l.Serve(ctx, func(_ context.Context, r *sysgate.Request) {
			if pid, err := r.PID(); err != nil || pid != os.Getpid() {
				t.Errorf("PID %d, %v", pid, err)
			}
			if err := r.Return(5); err != nil {
				t.Error(err)
			}
		})
		// The thread ends with its goroutine, unless it is the first one.
		if err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("Serve: %v", err)
		}
	})
}

// TestListenerEnd has the filter's last user be a process that the target started.
func TestListenerEnd(t *testing.T) {
	need(t)
	if os.Getenv(roleEnv) == "grandchild" {
		if _, err := io.Copy(io.Discard, os.NewFile(3, "pipe")); err != nil {
			t.Error(err)
		}
		return
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	p := start(t, notify("getppid"), sysgate.Options{}, func(t *testing.T) {
		last := testkit.Subprocess(t)
		last.Env = append(last.Env, roleEnv+"=grandchild")
		last.ExtraFiles = []*os.File{os.NewFile(4, "pipe")}
		if err := last.Start(); err != nil {
			t.Fatal(err)
		}
	}, r)
	r.Close()
	served := make(chan error, 1)
	go func() {
		served <- p.listener.Serve(t.Context(), func(_ context.Context, r *sysgate.Request) { r.Continue() })
	}()
	p.done(t)
	select {
	case err := <-served:
		t.Fatalf("Serve ended before the last user: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	w.Close()
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
	// It is still gone.
	if err := p.listener.Serve(t.Context(), nil); err != nil {
		t.Errorf("Serve again: %v", err)
	}
}

func TestListenerCancel(t *testing.T) {
	need(t)
	testkit.Need(t, testkit.WaitKillable)
	p := start(t, notify("getppid"), sysgate.Options{WaitKillable: true}, func(t *testing.T) {
		r, errno := getppid(0)
		expect(t, "cancelled with it", r, errno, 0, unix.ENOSYS)
		r, errno = getppid(1)
		expect(t, "served again", r, errno, 11, 0)
		time.Sleep(300 * time.Millisecond)
		r, errno = getppid(1)
		expect(t, "served for the third time", r, errno, 11, 0)
	})
	before := runtime.NumGoroutine()
	why := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := false
	err := p.listener.Serve(ctx, func(ctx context.Context, _ *sysgate.Request) {
		if err := p.listener.Serve(t.Context(), nil); err == nil {
			t.Error("served twice at once")
		}
		cancel(why)
		<-ctx.Done()
		time.Sleep(50 * time.Millisecond)
		ended = true
	})
	if err != why || !ended {
		t.Errorf("Serve: %v, its handler has ended: %v", err, ended)
	}
	noLeak(t, before)
	if err := p.listener.Serve(ctx, nil); err != why {
		t.Errorf("Serve with a context that is over: %v", err)
	}
	eleven := func(_ context.Context, r *sysgate.Request) {
		if err := r.Return(11); err != nil {
			t.Error(err)
		}
	}
	deadline, cancelDeadline := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancelDeadline()
	if err := p.listener.Serve(deadline, eleven); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Serve with a deadline: %v", err)
	}
	p.serve(t, eleven)
	noLeak(t, before)
}

func TestListenerClose(t *testing.T) {
	need(t)
	testkit.Need(t, testkit.WaitKillable)
	p := start(t, notify("getppid"), sysgate.Options{WaitKillable: true}, func(t *testing.T) {
		r, errno := getppid(0)
		expect(t, "while it waits", r, errno, 0, unix.ENOSYS)
		r, errno = getppid(1)
		expect(t, "afterwards", r, errno, 0, unix.ENOSYS)
	})
	before := runtime.NumGoroutine()
	err := p.listener.Serve(t.Context(), func(_ context.Context, r *sysgate.Request) {
		if err := p.listener.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		for _, err := range []error{r.Valid(), r.Return(5)} {
			if !errors.Is(err, os.ErrClosed) {
				t.Errorf("after Close: %v", err)
			}
		}
	})
	if !errors.Is(err, os.ErrClosed) {
		t.Errorf("Serve: %v", err)
	}
	p.done(t)
	if err := p.listener.Close(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("second Close: %v", err)
	}
	if err := p.listener.Serve(t.Context(), nil); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Serve after Close: %v", err)
	}
	noLeak(t, before)
}

// TestListenerPanic sees what becomes of the target when a handler panics, and
// with it the supervisor ends.
func TestListenerPanic(t *testing.T) {
	need(t)
	testkit.Need(t, testkit.WaitKillable)
	if os.Getenv(roleEnv) == "" {
		cmd := testkit.Subprocess(t)
		cmd.Env = append(cmd.Env, roleEnv+"=supervisor")
		out, err := cmd.CombinedOutput() // ends when the target does, too
		if err == nil || !strings.Contains(string(out), "panic: on purpose") {
			t.Errorf("the supervisor: %v\n%s", err, out)
		}
		if !strings.Contains(string(out), "target: done") {
			t.Errorf("the target:\n%s", out)
		}
		return
	}
	p := start(t, notify("getppid"), sysgate.Options{WaitKillable: true}, func(t *testing.T) {
		for i := range 3 {
			r, errno := getppid(uintptr(i))
			expect(t, "without a supervisor", r, errno, 0, unix.ENOSYS)
		}
	})
	p.listener.Serve(t.Context(), func(context.Context, *sysgate.Request) { panic("on purpose") })
}

func TestListenerSyncWakeUp(t *testing.T) {
	need(t)
	p := start(t, notify("getppid"), sysgate.Options{}, func(t *testing.T) { manyCalls(t, 4, 400) })
	if err := p.listener.SyncWakeUp(); errors.Is(err, errors.ErrUnsupported) {
		t.Logf("older than Linux 6.6: %v", err)
	} else if err != nil {
		t.Error(err)
	}
	p.serve(t, func(_ context.Context, r *sysgate.Request) { _ = r.Return(int64(r.Call.Args[0])*3 + 1) })
}
