package sysgate_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	sysgate "github.com/sysgate/sysgate"
	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/testkit"
	"github.com/sysgate/sysgate/policy"
)

// roleEnv tells a process that a test starts what it plays.
const roleEnv = "SYSGATE_TEST_ROLE"

// A target is a process under a filter, whose listener the test has.
type target struct {
	*exec.Cmd
	listener *sysgate.Listener
	output   strings.Builder
	wait     func() error // for its end
}

// notify returns a policy that hands some calls over and allows the others.
func notify(calls ...string) string {
	return "default_action: allow\nsyscalls:\n- {action: user_notify, calls: ['" + strings.Join(calls, "', '") + "']}\n"
}

// start runs body in a process of its own under a filter of text, and returns the
// process with its listener. In that process it does not return. It has the files
// as descriptors 4 and up.
func start(t *testing.T, text string, o sysgate.Options, body func(t *testing.T), files ...*os.File) *target {
	t.Helper()
	if os.Getenv(roleEnv) == "target" {
		if err := giveAway(text, o); err != nil {
			t.Fatal(err)
		}
		body(t)
		if t.Failed() {
			os.Exit(1)
		}
		fmt.Println("target: done")
		os.Exit(0)
	}
	ours, theirs := socketpair(t)
	p := &target{Cmd: testkit.Subprocess(t)}
	// Without wait_killable_recv the signals of Go's runtime would withdraw calls, as
	// those of TestListenerSignals do.
	p.Env = append(p.Env, roleEnv+"=target", "GODEBUG=asyncpreemptoff=1")
	p.ExtraFiles = append([]*os.File{theirs}, files...)
	p.Stdout, p.Stderr = &p.output, &p.output
	if os.Getenv(roleEnv) != "" {
		p.Stdout, p.Stderr = os.Stdout, os.Stderr // outlives this process
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	p.wait = reap(p.Cmd)
	t.Cleanup(func() {
		p.Process.Kill()
		p.wait()
	})
	fd, err := receiveFD(ours)
	if err != nil {
		p.Process.Kill()
		p.wait()
		t.Fatalf("no listener from the target: %v\n%s", err, p.output.String())
	}
	if p.listener, err = sysgate.NewListener(fd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.listener.Close() })
	return p
}

// reap waits for cmd, which has started, and returns what gives the result. Before
// Linux 6.11 a process uses its filters until it is waited for.
func reap(cmd *exec.Cmd) (wait func() error) {
	ended := make(chan struct{})
	var err error
	go func() {
		err = cmd.Wait()
		close(ended)
	}()
	return func() error {
		<-ended
		return err
	}
}

// giveAway installs a filter and sends its listener over descriptor 3.
func giveAway(text string, o sysgate.Options) error {
	p, err := policy.Parse("test.yaml", []byte(text))
	if err != nil {
		return err
	}
	o.Listener = true
	in, err := sysgate.Install(p, o)
	if err != nil {
		return err
	}
	if err := sendFD(3, in.Listener.FD()); err != nil {
		return err
	}
	return in.Listener.Close()
}

// done waits for the target, which must have ended well.
func (p *target) done(t *testing.T) {
	t.Helper()
	if err := p.wait(); err != nil || !strings.Contains(p.output.String(), "target: done") {
		t.Errorf("target: %v\n%s", err, p.output.String())
	}
}

// serve serves the target until it ends, which must be well.
func (p *target) serve(t *testing.T, handle func(context.Context, *sysgate.Request)) {
	t.Helper()
	if err := p.listener.Serve(t.Context(), handle); err != nil {
		t.Errorf("Serve: %v", err)
		p.Process.Kill() // nobody answers it
	}
	p.done(t)
}

func socketpair(t *testing.T) (ours int, theirs *os.File) {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(pair[0]) })
	return pair[0], os.NewFile(uintptr(pair[1]), "socket")
}

func sendFD(socket, fd int) error {
	return unix.Sendmsg(socket, []byte{0}, unix.UnixRights(fd), nil, 0)
}

func receiveFD(socket int) (int, error) {
	b, oob := make([]byte, 1), make([]byte, unix.CmsgSpace(4))
	n, oobn, _, _, err := unix.Recvmsg(socket, b, oob, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return -1, err
	}
	if n == 0 {
		return -1, io.ErrUnexpectedEOF
	}
	messages, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil || len(messages) != 1 {
		return -1, fmt.Errorf("%d control messages: %v", len(messages), err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		return -1, err
	}
	return fds[0], nil
}

func need(t *testing.T) {
	t.Helper()
	testkit.NeedFilters(t)
	testkit.Need(t, testkit.TSyncESRCH)
}

// getppid makes the call that most tests hand over, with arguments of its own.
func getppid(args ...uintptr) (uintptr, syscall.Errno) {
	args = append(args, 0, 0, 0)
	r, _, errno := unix.Syscall(unix.SYS_GETPPID, args[0], args[1], args[2])
	return r, errno
}

func expect(t *testing.T, what string, r uintptr, errno syscall.Errno, want uintptr, wantErrno syscall.Errno) {
	t.Helper()
	if errno != wantErrno || errno == 0 && r != want {
		t.Errorf("%s = %d, errno %d; want %d, errno %d", what, r, errno, want, wantErrno)
	}
}

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

const open386 = `
#include <stdio.h>
static char path[] = "/etc/hostname";
int main(void) {
	long r;
	unsigned long dirty = 0xdeadbeef00000000;
	asm volatile("int $0x80" : "=a"(r) : "a"(5), "b"((unsigned long)path | dirty), "c"(0x0badcafe | dirty), "d"(0) : "memory");
	printf("open = %d\n", (int)r);
	return 0;
}
`

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
