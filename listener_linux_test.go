package sysgate_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	sysgate "github.com/sysgate/sysgate"
	"github.com/sysgate/sysgate/abi"
)

func TestListenerAnswers(t *testing.T) {
	need(t)
	before := runtime.NumGoroutine()
	p := start(t, notify("getppid"), sysgate.Options{}, func(t *testing.T) {
		r, errno := getppid(0)
		expect(t, "Return", r, errno, 1<<20+5, 0)
		r, errno = getppid(1)
		expect(t, "Fail", r, errno, 0, unix.EXDEV)
		r, errno = getppid(2)
		status, err := os.ReadFile("/proc/self/status")
		if err != nil || errno != 0 || !strings.Contains(string(status), fmt.Sprintf("\nPPid:\t%d\n", r)) {
			t.Errorf("Continue = %d, errno %d, %v", r, errno, err)
		}
		r, errno = getppid(3)
		expect(t, "no answer", r, errno, 0, unix.ENOSYS)
		r, errno = getppid(4)
		expect(t, "Return after mistakes", r, errno, 9, 0)
		r, errno = getppid(5)
		expect(t, "Goexit", r, errno, 0, unix.ENOSYS)
	})
	p.serve(t, func(ctx context.Context, r *sysgate.Request) {
		if r.ABI() != abi.Native() || r.Call.IP == 0 || ctx.Err() != nil {
			t.Errorf("%+v: ABI %v, %v", r.Call, r.ABI(), ctx.Err())
		}
		if name := r.ABI().SyscallName(r.Call.NR); name != "getppid" || !strings.Contains(r.String(), "getppid") {
			t.Errorf("number %d is %q: %v", r.Call.NR, name, r)
		}
		pid, err := r.PID()
		if err != nil || pid != p.Process.Pid {
			t.Errorf("PID = %d, %v, want %d", pid, err, p.Process.Pid)
		}
		if _, err := os.Stat(fmt.Sprintf("/proc/%d/task/%d", pid, r.TID)); err != nil {
			t.Errorf("TID %d: %v", r.TID, err)
		}
		if err := r.Valid(); err != nil {
			t.Errorf("Valid = %v", err)
		}
		switch r.Call.Args[0] {
		case 0:
			err = r.Return(1<<20 + 5)
		case 1:
			err = r.Fail(unix.EXDEV)
		case 2:
			err = r.Continue()
		case 3: // no answer
		case 4:
			for _, wrong := range []error{r.Return(-1), r.Return(-abi.MaxErrno), r.Fail(0), r.Fail(abi.MaxErrno + 1)} {
				if wrong == nil || errors.Is(wrong, sysgate.ErrAnswered) {
					t.Errorf("an answer that is none: %v", wrong)
				}
			}
			err = r.Return(9)
			for _, again := range []error{r.Return(1), r.Fail(unix.EPERM), r.Continue(), r.ContinueUnsafe()} {
				if !errors.Is(again, sysgate.ErrAnswered) {
					t.Errorf("second answer: %v", again)
				}
			}
			if _, again := r.AddFD(sysgate.Descriptor{FD: 0}); !errors.Is(again, sysgate.ErrAnswered) {
				t.Errorf("descriptor after the answer: %v", again)
			}
		case 5:
			runtime.Goexit()
		default:
			t.Errorf("unexpected %v", r)
		}
		if err != nil {
			t.Errorf("%v: %v", r, err)
		}
	})
	noLeak(t, before)
}

// TestListenerMemory reads what openat points at.
func TestListenerMemory(t *testing.T) {
	need(t)
	p := start(t, notify("openat(_, _, _, mode == 0o1234)"), sysgate.Options{}, func(t *testing.T) {
		pages, err := unix.Mmap(-1, 0, 3*os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
		if err != nil {
			t.Fatal(err)
		}
		if err := unix.Mprotect(pages[2*os.Getpagesize():], unix.PROT_NONE); err != nil {
			t.Fatal(err)
		}
		end := 2 * os.Getpagesize()
		open := func(at int, flags uintptr) (uintptr, syscall.Errno) {
			r, _, errno := unix.Syscall6(unix.SYS_OPENAT, 0, uintptr(unsafe.Pointer(unsafe.SliceData(pages)))+uintptr(at), flags, 0o1234, 0, 0)
			return r, errno
		}
		across := os.Getpagesize() - 3
		copy(pages[across:], "/dev/null\x00")
		r, errno := open(across, 0)
		expect(t, "string across pages", r, errno, 1, 0)
		copy(pages[end-4:], "abc\x00")
		r, errno = open(end-4, 1)
		expect(t, "string up to the last byte", r, errno, 2, 0)
		copy(pages[end-4:], "abcd")
		r, errno = open(end-4, 2)
		expect(t, "string into a hole", r, errno, 3, 0)
		r, errno = open(across, 3)
		expect(t, "long string", r, errno, 4, 0)
		r, errno = open(across, 4)
		if errno != 0 {
			t.Errorf("continued unsafely: errno %d", errno)
		} else if link, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", r)); err != nil || link != "/dev/null" {
			t.Errorf("continued unsafely: opened %q, %v", link, err)
		}
	})
	p.serve(t, func(_ context.Context, r *sysgate.Request) {
		path := r.Arg(1)
		answer := r.Return
		switch r.Arg(2) {
		case 0:
			if s, err := r.ReadString(path, 9); s != "/dev/null" || err != nil {
				t.Errorf("ReadString = %q, %v", s, err)
			}
			b := make([]byte, 4)
			if err := r.ReadMemory(path+5, b); string(b) != "null" || err != nil {
				t.Errorf("ReadMemory = %q, %v", b, err)
			}
			if err := r.Continue(); !errors.Is(err, sysgate.ErrMemoryRead) {
				t.Errorf("Continue after a read: %v", err)
			}
		case 1:
			if s, err := r.ReadString(path, 4096); s != "abc" || err != nil {
				t.Errorf("ReadString = %q, %v", s, err)
			}
		case 2:
			if s, err := r.ReadString(path, 4096); !errors.Is(err, unix.EFAULT) || s != "" {
				t.Errorf("ReadString = %q, %v", s, err)
			}
			b := []byte("12345")
			if err := r.ReadMemory(path, b); !errors.Is(err, unix.EFAULT) || string(b) != "\x00\x00\x00\x00\x00" {
				t.Errorf("ReadMemory = %q, %v", b, err)
			}
			for _, addr := range []uint64{0, 1 << 63, 1<<64 - 2} {
				if err := r.ReadMemory(addr, b); err == nil {
					t.Errorf("ReadMemory at %#x: no error", addr)
				}
			}
			if err := r.Continue(); !errors.Is(err, sysgate.ErrMemoryRead) {
				t.Errorf("Continue after reads that failed: %v", err)
			}
		case 3:
			for _, limit := range []int{8, 1, 0, -1} {
				if s, err := r.ReadString(path, limit); err == nil || s != "" || errors.Is(err, unix.EFAULT) {
					t.Errorf("ReadString of %d bytes = %q, %v", limit, s, err)
				}
			}
		case 4:
			if s, err := r.ReadString(path, 100); s != "/dev/null" || err != nil {
				t.Errorf("ReadString = %q, %v", s, err)
			}
			answer = func(int64) error { return r.ContinueUnsafe() }
		}
		if err := answer(int64(r.Arg(2)) + 1); err != nil {
			t.Errorf("%v: %v", r, err)
		}
	})
}

// TestListenerDescriptor answers openat with descriptors of the supervisor.
func TestListenerDescriptor(t *testing.T) {
	need(t)
	p := start(t, notify("getppid"), sysgate.Options{}, func(t *testing.T) {
		check := func(what string, fd, errno uintptr, want string, flags int) {
			t.Helper()
			got := make([]byte, 100)
			n, err := unix.Pread(int(fd), got, 0)
			if errno != 0 || err != nil || string(got[:max(n, 0)]) != want {
				t.Errorf("%s: descriptor %d, errno %d, has %q, %v", what, fd, errno, got[:max(n, 0)], err)
			}
			if f, err := unix.FcntlInt(fd, unix.F_GETFD, 0); err != nil || f != flags {
				t.Errorf("%s: descriptor flags %d, %v, want %d", what, f, err, flags)
			}
		}
		r, errno := getppid(0)
		check("ReturnFD", r, uintptr(errno), "from the supervisor", unix.FD_CLOEXEC)
		r, errno = getppid(1)
		check("kept on exec", r, uintptr(errno), "from the supervisor", 0)
		r, errno = getppid(2)
		if r != 77 {
			t.Errorf("exact number: %d", r)
		}
		check("exact number", r, uintptr(errno), "from the supervisor", unix.FD_CLOEXEC)
		if err := unix.Dup2(0, 78); err != nil {
			t.Fatal(err)
		}
		r, errno = getppid(3)
		expect(t, "AddFD, Return", r, errno, 78, 0)
		check("in place of another", r, uintptr(errno), "from the supervisor", unix.FD_CLOEXEC)
		r, errno = getppid(4)
		expect(t, "descriptor that is none", r, errno, 0, unix.EIO)
		var limit unix.Rlimit
		if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
			t.Fatal(err)
		}
		limit.Cur = 4 // 3 is the socket
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
			t.Fatal(err)
		}
		r, errno = getppid(5)
		expect(t, "no room", r, errno, 0, unix.EMFILE)
	})
	memfd, err := unix.MemfdCreate("answer", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(memfd)
	if _, err := unix.Write(memfd, []byte("from the supervisor")); err != nil {
		t.Fatal(err)
	}
	p.serve(t, func(_ context.Context, r *sysgate.Request) {
		var err error
		switch r.Call.Args[0] {
		case 0:
			_, err = r.ReturnFD(sysgate.Descriptor{FD: memfd})
			if again := r.Fail(unix.EPERM); !errors.Is(again, sysgate.ErrAnswered) {
				t.Errorf("second answer: %v", again)
			}
		case 1:
			_, err = r.ReturnFD(sysgate.Descriptor{FD: memfd, OnExec: true})
		case 2:
			var number int
			number, err = r.ReturnFD(sysgate.Descriptor{FD: memfd, Exact: true, Number: 77})
			if number != 77 {
				t.Errorf("ReturnFD = %d", number)
			}
		case 3:
			var number int
			if number, err = r.AddFD(sysgate.Descriptor{FD: memfd, Exact: true, Number: 78}); err == nil {
				err = r.Return(int64(number))
			}
		case 4:
			for _, d := range []sysgate.Descriptor{{FD: -1}, {FD: 1 << 20}, {FD: memfd, Number: 5}, {FD: memfd, Exact: true, Number: -1}} {
				if n, err := r.ReturnFD(d); err == nil || n != -1 {
					t.Errorf("ReturnFD(%+v) = %d, %v", d, n, err)
				}
				if n, err := r.AddFD(d); err == nil || n != -1 {
					t.Errorf("AddFD(%+v) = %d, %v", d, n, err)
				}
			}
			err = r.Fail(unix.EIO)
		case 5:
			_, full := r.ReturnFD(sysgate.Descriptor{FD: memfd})
			if !errors.Is(full, unix.EMFILE) {
				t.Errorf("ReturnFD without room: %v", full)
			}
			err = r.Fail(unix.EMFILE) // the call still waits
		}
		if err != nil {
			t.Errorf("%v: %v", r, err)
		}
	})
}
