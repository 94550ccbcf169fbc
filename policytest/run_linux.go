package policytest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sysgate/sysgate"
	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
)

// Run is the function of this name, for the target, whose ABI has to be that of
// the machine.
func (target Target) Run(t testing.TB, p *policy.Policy, cmd *exec.Cmd) *Result {
	t.Helper()
	if target.Native != abi.None && target.Native != abi.Native() {
		t.Fatalf("policytest: this machine runs no programs of %v", target.Native)
	}
	r := &run{policy: p, resolved: target.resolve(t, p), result: &Result{}}
	if err := r.run(t.Context(), target, cmd); err != nil {
		t.Fatalf("policytest: %v: %v", cmd, err)
	}
	return r.result
}

// A run is one command under a policy.
type run struct {
	policy   *policy.Policy
	resolved *policy.Resolved
	status   *os.File // what the starter says; ends when it has become the program

	mutex  sync.Mutex
	result *Result
}

// run starts this test's own program again, which [Main] makes the starter: it
// gives itself the filter and becomes the command.
func (r *run) run(ctx context.Context, target Target, cmd *exec.Cmd) error {
	switch {
	case cmd.Err != nil:
		return cmd.Err
	case len(cmd.ExtraFiles) > 0:
		return errors.New("a command with ExtraFiles cannot be run here")
	}
	message, err := json.Marshal(order{
		Policy: asking(r.policy).Format(), Caps: target.Caps, Kernel: target.Kernel.String(),
		Path: cmd.Path, Args: cmd.Args, Env: cmd.Environ(),
	})
	if err != nil {
		return err
	}
	status, statusEnd, err := os.Pipe()
	if err != nil {
		return err
	}
	defer status.Close()
	orderEnd, orders, err := os.Pipe()
	if err != nil {
		return err
	}
	defer orders.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	starter := exec.CommandContext(ctx, "/proc/self/exe", "-test.run=^$") // without Main it does nothing
	starter.Env = append(os.Environ(), starterEnv+"=1")
	starter.Dir, starter.Stdin, starter.Stdout, starter.Stderr = cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr
	starter.SysProcAttr = cmd.SysProcAttr
	starter.WaitDelay = time.Second // for what goes on writing in the background
	starter.ExtraFiles = []*os.File{statusEnd, orderEnd}
	var output bytes.Buffer
	if cmd.Stdout == nil && cmd.Stderr == nil {
		starter.Stdout, starter.Stderr = &output, &output
	}
	err = starter.Start()
	statusEnd.Close()
	orderEnd.Close()
	if err != nil {
		return err
	}
	r.status = status
	served, err := r.attend(ctx, starter.Process.Pid, orders, message)
	if err != nil {
		cancel()
		_ = starter.Wait() // killed
		return err
	}
	said, _ := io.ReadAll(status)
	waitErr := starter.Wait()
	cancel()
	if err := <-served; err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("answer its calls: %w", err)
	}
	if len(said) > 0 {
		return errors.New(string(said))
	}
	var exit *exec.ExitError
	if waitErr != nil && !errors.As(waitErr, &exit) && !errors.Is(waitErr, exec.ErrWaitDelay) {
		return waitErr
	}
	r.result.ExitCode, r.result.Output = starter.ProcessState.ExitCode(), output.Bytes()
	return nil
}

// attend waits until the starter has its filter, answers the calls of whatever it
// becomes, and lets it go on.
func (r *run) attend(ctx context.Context, pid int, orders io.Writer, message []byte) (<-chan error, error) {
	if _, err := fmt.Fprintf(orders, "%d\n%s", len(message), message); err != nil {
		return nil, fmt.Errorf("%w (does TestMain call policytest.Main?)", err)
	}
	l, err := r.listener(ctx, pid)
	if err != nil {
		return nil, err
	}
	served := make(chan error, 1)
	go func() {
		err := l.Serve(ctx, r.answer)
		served <- errors.Join(err, l.Close())
	}()
	_, err = orders.Write([]byte{1})
	return served, err
}

// listener takes the descriptor over on which process pid listens to its filter.
// The starter cannot send it: with the filter, any call may wait for an answer.
func (r *run) listener(ctx context.Context, pid int) (*sysgate.Listener, error) {
	process, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil, fmt.Errorf("pidfd_open: %w", err)
	}
	defer unix.Close(process)
	for {
		dir := filepath.Join("/proc", strconv.Itoa(pid), "fd")
		descriptors, err := os.ReadDir(dir)
		if err != nil {
			return nil, err
		}
		for _, d := range descriptors {
			if what, _ := os.Readlink(filepath.Join(dir, d.Name())); what != "anon_inode:seccomp notify" {
				continue
			}
			number, err := strconv.Atoi(d.Name())
			if err != nil {
				return nil, err
			}
			fd, err := unix.PidfdGetfd(process, number, 0)
			if err != nil {
				return nil, fmt.Errorf("pidfd_getfd: %w", err)
			}
			return sysgate.NewListener(fd)
		}
		if starting, _ := r.starting(); !starting {
			said, _ := io.ReadAll(r.status)
			if len(said) == 0 {
				return nil, errors.New("it needs func TestMain(m *testing.M) { policytest.Main(m) }")
			}
			return nil, errors.New(string(said))
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(time.Millisecond):
		}
	}
}

// starting reports whether the starter has neither become the program nor ended;
// failed, whether it says why not.
func (r *run) starting() (starting, failed bool) {
	var events int16
	conn, err := r.status.SyscallConn()
	if err == nil {
		err = conn.Control(func(fd uintptr) {
			list := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
			for {
				_, err := unix.Poll(list, 0)
				if err != unix.EINTR {
					break
				}
			}
			events = list[0].Revents
		})
	}
	return err == nil && events == 0, events&unix.POLLIN != 0
}

// answer answers a call that the policy denies.
func (r *run) answer(_ context.Context, q *sysgate.Request) {
	if starting, failed := r.starting(); starting || failed {
		_ = q.ContinueUnsafe() // the starter's own
		return
	}
	v := r.resolved.Eval(q.Call)
	r.note(q.Call, v)
	switch v.Action.Kind() {
	case abi.Errno:
		if v.Action.Data() == 0 {
			_ = q.Return(0)
			return
		}
		_ = q.Fail(syscall.Errno(min(v.Action.Data(), abi.MaxErrno)))
	case abi.Trap:
		if pid, err := q.PID(); err == nil {
			_ = unix.Tgkill(pid, q.TID, unix.SIGSYS)
		}
		_ = q.Fail(syscall.ENOSYS)
	case abi.Trace, abi.UserNotify:
		_ = q.Fail(syscall.ENOSYS)
	default:
		if pid, err := q.PID(); err == nil {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
	}
}

// note takes a denial down.
func (r *run) note(c abi.Call, v policy.Verdict) {
	by := r.policy.RuleName(v.Rule)
	r.mutex.Lock()
	defer r.mutex.Unlock()
	for i := range r.result.Denials {
		d := &r.result.Denials[i]
		if d.Call.NR == c.NR && d.Call.Arch == c.Arch && d.Action == v.Action && d.By == by {
			d.Times++
			return
		}
	}
	r.result.Denials = append(r.result.Denials, Denial{Call: c, Action: v.Action, By: by, Times: 1})
}

// starterEnv makes Main a starter.
const starterEnv = "SYSGATE_POLICYTEST_STARTER"

// An order tells the starter what to do.
type order struct {
	Policy    []byte
	Caps      []string
	Kernel    string
	Path      string
	Args, Env []string
}

// Main runs the tests of a package, like m.Run. [Run] and [RunUnder] need it:
//
//	func TestMain(m *testing.M) { policytest.Main(m) }
//
// They start the test's program again, and it is Main that makes of it the
// command that is to run.
func Main(m *testing.M) {
	if os.Getenv(starterEnv) == "" {
		m.Run()
		return
	}
	// Only an error comes back.
	fmt.Fprint(os.NewFile(statusFD, "status"), start(os.NewFile(orderFD, "orders")))
	os.Exit(1)
}

// The starter's descriptors, behind the standard ones.
const (
	statusFD = 3
	orderFD  = 4
)

// start makes this process the program of the order that it reads.
func start(orders *os.File) error {
	runtime.LockOSThread()
	unix.CloseOnExec(statusFD)
	unix.CloseOnExec(orderFD)
	var size int
	if _, err := fmt.Fscanf(orders, "%d\n", &size); err != nil {
		return fmt.Errorf("read the order: %w", err)
	}
	message := make([]byte, size)
	if _, err := io.ReadFull(orders, message); err != nil {
		return fmt.Errorf("read the order: %w", err)
	}
	var o order
	if err := json.Unmarshal(message, &o); err != nil {
		return fmt.Errorf("read the order: %w", err)
	}
	p, err := policy.Parse("policy", o.Policy)
	if err != nil {
		return err
	}
	f, err := sysgate.Compile(p, sysgate.CompileOptions{Caps: o.Caps, Kernel: o.Kernel})
	if err != nil {
		return err
	}
	// Other threads stay without the filter, and end with execve.
	if _, err := f.Install(sysgate.Options{ThisThread: true, Listener: true, Unverified: true}); err != nil {
		return err
	}
	var start [1]byte
	for {
		if _, err := syscall.Read(orderFD, start[:]); err != syscall.EINTR {
			break
		}
	}
	runtime.KeepAlive(orders) // and its descriptor
	return &os.PathError{Op: "execve", Path: o.Path, Err: syscall.Exec(o.Path, o.Args, o.Env)}
}
