package sysgate_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	sysgate "github.com/sysgate/sysgate"
	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/testkit"
)

// TestListener386 has a program for amd64 make a 386 call, with high words that
// the kernel does not read.
func TestListener386(t *testing.T) {
	if abi.Native() != abi.AMD64 {
		t.Skip("int 0x80 is of amd64")
	}
	testkit.Need(t, testkit.CC)
	need(t)
	program := os.Getenv("SYSGATE_TEST_PROGRAM")
	if program == "" {
		dir := t.TempDir()
		program = filepath.Join(dir, "open386")
		source := filepath.Join(dir, "open386.c")
		if err := os.WriteFile(source, []byte(open386), 0o644); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command("gcc", "-O", "-static", "-no-pie", "-o", program, source).CombinedOutput(); err != nil {
			t.Fatalf("gcc: %v\n%s", err, out)
		}
		t.Setenv("SYSGATE_TEST_PROGRAM", program)
	}
	p := start(t, "abis: [amd64, 386]\n"+notify("386:open"), sysgate.Options{}, func(t *testing.T) {
		if err := unix.Exec(program, []string{program}, os.Environ()); err != nil {
			t.Fatal(err)
		}
	})
	handled := false
	if err := p.listener.Serve(t.Context(), func(_ context.Context, r *sysgate.Request) {
		handled = true
		if r.ABI() != abi.I386 || !strings.HasPrefix(r.String(), "386:open(") {
			t.Errorf("%v of %v", r, r.ABI())
		}
		if flags := r.Arg(1); flags != 0x0badcafe {
			t.Errorf("flags %#x", flags)
		}
		if s, err := r.ReadString(r.Arg(0), 100); s != "/etc/hostname" || err != nil {
			t.Errorf("path %q, %v", s, err)
		}
		if err := r.Return(42); err != nil {
			t.Error(err)
		}
	}); err != nil {
		t.Errorf("Serve: %v", err)
	}
	if err := p.wait(); err != nil || !strings.Contains(p.output.String(), "open = 42\n") || !handled {
		t.Errorf("%v, handled: %v\n%s", err, handled, p.output.String())
	}
}

// playKernel runs body in a target, and handle for its calls in a supervisor, and
// answers the supervisor's own calls in the kernel's place: another listener has them.
func playKernel(t *testing.T, calls []string, body func(*testing.T), handle func(*testing.T, *sysgate.Request), kernel func(supervisor int, r *sysgate.Request)) {
	t.Helper()
	if os.Getenv(roleEnv) == "supervisor" {
		fd, err := receiveFD(4)
		if err != nil {
			t.Fatal(err)
		}
		if err := giveAway(notify(calls...), sysgate.Options{WaitKillable: true}); err != nil {
			t.Fatal(err)
		}
		l, err := sysgate.NewListener(fd)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Serve(t.Context(), func(_ context.Context, r *sysgate.Request) { handle(t, r) }); err != nil {
			t.Errorf("Serve: %v", err)
		}
		return
	}
	p := start(t, notify("getppid"), sysgate.Options{WaitKillable: true}, body)
	ours3, theirs3 := socketpair(t)
	ours4, theirs4 := socketpair(t)
	supervisor := testkit.Subprocess(t)
	supervisor.Env = append(supervisor.Env, roleEnv+"=supervisor")
	supervisor.ExtraFiles = []*os.File{theirs3, theirs4}
	var out strings.Builder
	supervisor.Stdout, supervisor.Stderr = &out, &out
	if err := supervisor.Start(); err != nil {
		t.Fatal(err)
	}
	theirs3.Close()
	theirs4.Close()
	wait := reap(supervisor)
	if err := errors.Join(sendFD(ours4, p.listener.FD()), p.listener.Close()); err != nil {
		t.Fatal(err)
	}
	fd, err := receiveFD(ours3)
	if err != nil {
		t.Fatal(err)
	}
	l, err := sysgate.NewListener(fd)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := l.Serve(t.Context(), func(_ context.Context, r *sysgate.Request) { kernel(supervisor.Process.Pid, r) }); err != nil {
		t.Error(err)
	}
	if err := wait(); err != nil {
		t.Errorf("supervisor: %v\n%s", err, out.String())
	}
	p.done(t)
}

// TestListenerOlderKernel is on a kernel that does not know SECCOMP_ADDFD_FLAG_SEND.
func TestListenerOlderKernel(t *testing.T) {
	need(t)
	testkit.Need(t, testkit.WaitKillable)
	var flags []uint32
	playKernel(t, []string{fmt.Sprintf("ioctl(cmd == %#x)", uint32(unix.SECCOMP_IOCTL_NOTIF_ADDFD))}, func(t *testing.T) {
		r, errno := getppid()
		expect(t, "ReturnFD in two steps", r, errno, 55, 0)
		if _, err := unix.FcntlInt(55, unix.F_GETFD, 0); err != nil {
			t.Errorf("descriptor 55: %v", err)
		}
	}, func(t *testing.T, r *sysgate.Request) {
		if n, err := r.ReturnFD(sysgate.Descriptor{FD: 0, Exact: true, Number: 55}); n != 55 || err != nil {
			t.Errorf("ReturnFD = %d, %v", n, err)
		}
	}, func(_ int, r *sysgate.Request) {
		addfd := make([]byte, 24)
		if err := r.ReadMemory(r.Arg(2), addfd); err != nil {
			t.Error(err)
		}
		flag := binary.NativeEndian.Uint32(addfd[8:])
		flags = append(flags, flag)
		if flag&unix.SECCOMP_ADDFD_FLAG_SEND != 0 {
			r.Fail(unix.EINVAL)
		} else {
			r.ContinueUnsafe()
		}
	})
	if want := []uint32{unix.SECCOMP_ADDFD_FLAG_SETFD | unix.SECCOMP_ADDFD_FLAG_SEND, unix.SECCOMP_ADDFD_FLAG_SETFD}; os.Getenv(roleEnv) == "" && !slices.Equal(flags, want) {
		t.Errorf("ADDFD flags %v, want %v", flags, want)
	}
}

// TestListenerPollError is on a kernel whose epoll_pwait has a signal come while it
// asks the listener whether a call waits: then it says EPOLLERR.
func TestListenerPollError(t *testing.T) {
	need(t)
	testkit.Need(t, testkit.WaitKillable)
	var mu sync.Mutex
	var event []byte // of the listener, as the supervisor gave it to epoll_ctl
	told := 0
	playKernel(t, []string{"epoll_ctl", "epoll_pwait"}, func(t *testing.T) {
		for i := range 20 {
			time.Sleep(20 * time.Millisecond)
			r, errno := getppid(uintptr(i))
			expect(t, "a call", r, errno, uintptr(i+7), 0)
		}
	}, func(t *testing.T, r *sysgate.Request) {
		if err := r.Return(int64(r.Call.Args[0]) + 7); err != nil {
			t.Error(err)
		}
	}, func(supervisor int, r *sysgate.Request) {
		mu.Lock()
		defer mu.Unlock()
		switch r.ABI().SyscallName(r.Call.NR) {
		case "epoll_ctl":
			file, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", supervisor, r.Arg(2)))
			if err != nil {
				t.Error(err)
			}
			if r.Arg(1) == unix.EPOLL_CTL_ADD && strings.Contains(file, "seccomp notify") {
				event = make([]byte, unsafe.Sizeof(unix.EpollEvent{}))
				if err := r.ReadMemory(r.Arg(3), event); err != nil {
					t.Error(err)
				}
			}
			r.ContinueUnsafe()
		case "epoll_pwait":
			if event == nil || told == 10 {
				r.Continue()
				return
			}
			told++
			binary.NativeEndian.PutUint32(event, unix.EPOLLERR)
			local := []unix.Iovec{{Base: &event[0]}}
			local[0].SetLen(len(event))
			remote := []unix.RemoteIovec{{Base: uintptr(r.Arg(1)), Len: len(event)}}
			if _, err := unix.ProcessVMWritev(r.TID, local, remote, 0); err != nil {
				t.Error(err)
			}
			r.Return(1)
		}
	})
	if os.Getenv(roleEnv) == "" && told != 10 {
		t.Errorf("%d errors were told, want 10", told)
	}
}

func TestNewListenerOfOtherFiles(t *testing.T) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Dup(int(null.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	if l, err := sysgate.NewListener(fd); err == nil || !strings.Contains(err.Error(), "no seccomp listener") {
		t.Errorf("NewListener(%s) = %v, %v", os.DevNull, l, err)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != unix.EBADF {
		t.Errorf("the descriptor was not closed: %v", err)
	}
	if l, err := sysgate.NewListener(-1); !errors.Is(err, unix.EBADF) {
		t.Errorf("NewListener(-1) = %v, %v", l, err)
	}
}
