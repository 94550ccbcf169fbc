package kernel_test

import (
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/kernel"
	"github.com/sysgate/sysgate/internal/testkit"
)

func TestServe(t *testing.T) {
	testkit.NeedFilters(t)
	testkit.Need(t, testkit.Notify)
	for _, polling := range []bool{false, true} {
		name := "waiting"
		if polling {
			name = "polling"
		}
		t.Run(name, func(t *testing.T) { testServe(t, polling) })
	}
}

// testServe answers each call of a thread, and ends with it.
func testServe(t *testing.T, polling bool) {
	t.Helper()
	testkit.RunInSubprocess(t, func(t *testing.T) {
		sizes, err := kernel.Notifications()
		if err != nil {
			t.Fatal(err)
		}
		const calls = 100
		fds := make(chan int)
		onOtherThread(func() {
			// The filter is of this thread alone, which ends with it.
			fd, err := kernel.SetFilterListener(answer(unix.SYS_GETPPID, abi.UserNotify), 0)
			if err != nil {
				t.Error(err)
			}
			fds <- fd
			for i := range uintptr(calls) {
				if r, _, errno := unix.Syscall(unix.SYS_GETPPID, i, 0, 0); i%2 == 0 && (r != i+1 || errno != 0) || i%2 == 1 && errno != unix.EXDEV {
					t.Errorf("call %d = %d, errno %d", i, r, errno)
				}
			}
		})
		listen := kernel.ServeOn
		if polling {
			listen = kernel.ListenOn
		}
		l := listen(<-fds, sizes)
		buffer := make([]byte, 4096)
		next := uint64(0)
		reply := func(n kernel.Notification) kernel.Reply {
			if n.Call.Args[0] != next {
				t.Errorf("call %d, want %d", n.Call.Args[0], next)
			}
			if got, ok := l.Pending(buffer); !polling && (!ok || got != n) {
				t.Errorf("pending: %+v, %v", got, ok)
			}
			if next++; next%2 == 0 {
				return kernel.Reply{Errno: unix.EXDEV}
			}
			return kernel.Reply{Value: int64(next)}
		}
		if !polling {
			if err := l.Serve(make([]byte, 10), reply); err == nil {
				t.Error("served with a buffer that is too small")
			}
			err = l.Serve(buffer, reply)
		} else {
			err = l.ServePolling(reply)
		}
		if err != nil || next != calls {
			t.Errorf("served %d calls: %v", next, err)
		}
		if n, ok := l.Pending(buffer); ok {
			t.Errorf("still pending: %+v", n)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if err := l.Serve(nil, reply); err == nil {
			t.Error("served after Close")
		}
	})
}

// onOtherThread runs f in a goroutine on a thread that ends with it: any but the
// process's first, which Go keeps.
func onOtherThread(f func()) {
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() != unix.Getpid() {
			f()
			return
		}
		done := make(chan struct{})
		onOtherThread(func() {
			defer close(done)
			f()
		})
		<-done
		runtime.UnlockOSThread()
	}()
}
