package kernel_test

import (
	"errors"
	"os"
	"runtime"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/kernel"
	"github.com/sysgate/sysgate/internal/testkit"
)

func TestNotifications(t *testing.T) {
	testkit.Need(t, testkit.Notify)
	got, err := kernel.Notifications()
	if want := (kernel.NotifySizes{Notification: 80, Reply: 24, Data: 64}); err != nil || got != want {
		t.Errorf("Notifications() = %+v, %v, want %+v", got, err, want)
	}
}

// TestLargerNotifications reads and answers with structures that are larger than
// those of this kernel, as if it were one to come. It takes the first bytes.
func TestLargerNotifications(t *testing.T) {
	testkit.NeedFilters(t)
	testkit.Need(t, testkit.Notify)
	testkit.RunInSubprocess(t, func(t *testing.T) {
		sizes, err := kernel.Notifications()
		if err != nil {
			t.Fatal(err)
		}
		sizes.Notification += 64
		sizes.Reply += 64
		fds := make(chan int)
		go func() {
			runtime.LockOSThread() // the filter is of this thread alone
			fd, err := kernel.SetFilterListener(answer(unix.SYS_GETPPID, abi.UserNotify), 0)
			if err != nil {
				t.Error(err)
			}
			fds <- fd
			if r, _, errno := unix.Syscall(unix.SYS_GETPPID, 1, 2, 3); r != 6 || errno != 0 {
				t.Errorf("getppid = %d, errno %d, want 6", r, errno)
			}
			fds <- -1
		}()
		l := kernel.ListenOn(<-fds, sizes)
		n, err := l.Receive()
		if err != nil {
			t.Fatal(err)
		}
		if n.Call.NR != unix.SYS_GETPPID || n.Call.Args != [6]uint64{1, 2, 3} || n.Call.Arch != abi.Native().AuditArch() || n.Call.IP == 0 {
			t.Errorf("call %+v", n.Call)
		}
		for _, r := range []kernel.Reply{
			{Value: 1, Errno: 1},
			{Value: 1, Continue: true},
			{Errno: 1, Continue: true},
			{Errno: abi.MaxErrno + 1},
		} {
			if err := l.Send(n.ID, r); err == nil {
				t.Errorf("Send(%+v): no error", r)
			}
		}
		if err := l.Send(n.ID, kernel.Reply{Value: 6}); err != nil {
			t.Error(err)
		}
		<-fds
		if err := l.Send(n.ID, kernel.Reply{Value: 6}); !errors.Is(err, kernel.ErrNotifyGone) {
			t.Errorf("second answer: %v", err)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if err := l.Open(); !errors.Is(err, os.ErrClosed) {
			t.Errorf("Open after Close: %v", err)
		}
		if _, err := l.Receive(); !errors.Is(err, os.ErrClosed) {
			t.Errorf("Receive after Close: %v", err)
		}
	})
}

func TestReadMemory(t *testing.T) {
	text := []byte("what stands there")
	addr := uint64(uintptr(unsafe.Pointer(&text[0])))
	read := func(t *testing.T) {
		got := make([]byte, len(text))
		if n, err := kernel.ReadMemory(os.Getpid(), addr, got); n != len(text) || err != nil || string(got) != string(text) {
			t.Errorf("ReadMemory = %d, %v, %q", n, err, got)
		}
		for _, nowhere := range []uint64{0, 1 << 47, 1 << 63, ^uint64(0) - 2} {
			if n, err := kernel.ReadMemory(os.Getpid(), nowhere, got); n != 0 || !errors.Is(err, unix.EFAULT) {
				t.Errorf("ReadMemory at %#x = %d, %v", nowhere, n, err)
			}
		}
		for _, tid := range []int{-1, 0} {
			if n, err := kernel.ReadMemory(tid, addr, got); n != 0 || !errors.Is(err, unix.ESRCH) {
				t.Errorf("ReadMemory of %d = %d, %v", tid, n, err)
			}
		}
	}
	read(t)
	// A read that ends where the mapping does gives what is there.
	pages, err := unix.Mmap(-1, 0, 2*os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(pages)
	if err := unix.Mprotect(pages[os.Getpagesize():], unix.PROT_NONE); err != nil {
		t.Fatal(err)
	}
	last := uint64(uintptr(unsafe.Pointer(&pages[os.Getpagesize()-5])))
	if n, err := kernel.ReadMemory(os.Getpid(), last, make([]byte, 10)); n != 5 || !errors.Is(err, unix.EFAULT) {
		t.Errorf("ReadMemory into a hole = %d, %v, want 5, EFAULT", n, err)
	}
	for _, errno := range []uint16{uint16(unix.ENOSYS), uint16(unix.EPERM)} {
		t.Run(unix.ErrnoName(unix.Errno(errno)), func(t *testing.T) {
			testkit.NeedFilters(t)
			testkit.Need(t, testkit.Filter)
			testkit.RunInSubprocess(t, func(t *testing.T) {
				runtime.LockOSThread()
				if err := errors.Join(
					kernel.NoNewPrivs(),
					kernel.SetFilter(answer(unix.SYS_PROCESS_VM_READV, abi.Errno.WithData(errno)), kernel.TSync),
				); err != nil {
					t.Fatal(err)
				}
				read(t)
			})
		})
	}
}
