package sysgate_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	sysgate "github.com/sysgate/sysgate"
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
