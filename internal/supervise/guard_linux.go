package supervise

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/internal/kernel"
)

// A Guard is a process that takes over when the supervisor ends, by whatever: every
// call that the supervisor would have heard of then gets the policy's own action.
// Without one, the kernel has all of them fail with ENOSYS.
//
// It shares two things with the supervisor: the listener, and the memory into which
// the kernel writes each call that the supervisor receives. So it also answers the one
// that the supervisor had received and not answered: nobody waits for ever.
type Guard struct {
	memory []byte
	alive  *os.File // the guard's end of the pipe reads EOF when this process has ended
}

// The memory of a guard: a page for the call and, from guardMarks on, the marks; then
// the filter.
const (
	guardPage  = 4096
	guardMarks = 2048
)

// The descriptors of the guard's process.
const (
	guardAlive    = 0
	guardListener = 3
	guardMemory   = 4
)

// StartGuard starts the process: this program with arguments args, which is to call
// [RunGuard]. filter returns the policy's action for each call; marks, if not nil, are
// those of the filter that the listener is of.
func StartGuard(listener int, filter bpf.Program, marks *Marks, args ...string) (g *Guard, err error) {
	code := filter.Bytes(abi.Native().BigEndian())
	fd, err := unix.MemfdCreate("sysgate-guard", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("guard: memfd_create: %w", err)
	}
	memory := os.NewFile(uintptr(fd), "guard's memory")
	defer memory.Close()
	if _, err := memory.WriteAt(code, guardPage); err != nil {
		return nil, fmt.Errorf("guard: %w", err)
	}
	if marks == nil {
		marks = &Marks{}
	}
	if _, err := memory.WriteAt(marks.encode(), guardMarks); err != nil {
		return nil, fmt.Errorf("guard: %w", err)
	}
	g = &Guard{}
	if g.memory, err = unix.Mmap(fd, 0, guardPage, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE); err != nil {
		return nil, fmt.Errorf("guard: mmap: %w", err)
	}
	read, write, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("guard: %w", err)
	}
	defer read.Close()
	g.alive = write
	// A copy: os/exec wants files, and closes none that it was not given.
	copied, err := unix.FcntlInt(uintptr(listener), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("guard: %w", err), write.Close())
	}
	shared := os.NewFile(uintptr(copied), "listener")
	defer shared.Close()
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Args[0] = os.Args[0]
	cmd.Stdin, cmd.ExtraFiles = read, []*os.File{shared, memory}
	cmd.Dir = "/"
	// What the terminal sends to this process's group is not for the guard.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("guard: %w", err), write.Close())
	}
	go func() { _ = cmd.Wait() }() // it outlives this process, or ends with the program
	return g, nil
}

// slot is where the kernel writes the calls. What else there is it would clear.
func (g *Guard) slot() []byte { return g.memory[:guardMarks] }

// RunGuard is the guard's process: it returns when no process is under the filter any
// more.
func RunGuard() error {
	signal.Ignore(syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM)
	sizes, err := kernel.Notifications()
	if err != nil {
		return err
	}
	memory := os.NewFile(guardMemory, "guard's memory")
	code, err := io.ReadAll(io.NewSectionReader(memory, guardPage, bpf.MaxLen*8))
	if err != nil {
		return fmt.Errorf("guard: %w", err)
	}
	big := abi.Native().BigEndian()
	filter, err := bpf.FromBytes(code, big)
	if err != nil {
		return fmt.Errorf("guard: %w", err)
	}
	slot, err := unix.Mmap(guardMemory, 0, guardPage, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("guard: mmap: %w", err)
	}
	marks, err := decodeMarks(io.NewSectionReader(memory, guardMarks, guardPage-guardMarks))
	if err != nil {
		return fmt.Errorf("guard: %w", err)
	}
	l := kernel.ServeOn(guardListener, sizes)
	if err := l.Open(); err != nil {
		return err
	}
	if last, err := watch(); err != nil || last {
		return err
	}
	answer := func(n kernel.Notification) kernel.Reply {
		reply, _ := marks.Do(l, n, filter.Run(n.Call, big).Return) // nobody hears how
		return reply
	}
	// A tracer is a thread.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if n, ok := l.Pending(slot); ok && l.Valid(n.ID) == nil {
		if err := l.Send(n.ID, answer(n)); err != nil && !errors.Is(err, kernel.ErrNotifyGone) && !errors.Is(err, kernel.ErrNotifyAnswered) {
			return err
		}
	}
	return Serve(l, nil, answer)
}

// watch waits until the supervisor has ended, or the last process under the filter,
// which last says.
func watch() (last bool, err error) {
	for {
		p := []unix.PollFd{{Fd: guardAlive}, {Fd: guardListener}}
		_, err := unix.Poll(p, -1)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return false, fmt.Errorf("guard: poll: %w", err)
		case p[1].Revents&unix.POLLHUP != 0:
			return true, nil
		case p[0].Revents != 0:
			return false, nil
		}
	}
}
