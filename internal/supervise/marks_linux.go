package supervise

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/internal/kernel"
)

// Marks have the kernel itself do what a filter's action says, to a call that a
// supervisor has heard of. Signals with the data of seccomp, ends of single threads, core
// dumps and the status that a parent sees of a death are nobody else's to give.
//
// The thread makes its call again with four of its arguments replaced by marks, secret
// random numbers, and the filter gives such a call its action in place of the listener
// ([Marks.Filter]). A program that is given a signal finds its own arguments in its
// registers. Marks in the calls of a program that guesses them deny it those calls, as
// would be done without.
type Marks struct {
	words   [markedArgs]uint32 // the last one is the first action's
	actions []abi.Action
}

// markedArgs is how many arguments have marks: the second to the fifth. The first one is
// restored from elsewhere on arm64.
const (
	firstMarked = 1
	markedArgs  = 4
)

// maxMarked bounds the actions.
const maxMarked = 64

// NewMarks returns marks for actions: those of the given ones that are the kernel's to do.
func NewMarks(actions []abi.Action) (*Marks, error) {
	m := &Marks{}
	for _, a := range actions {
		if kernels(a) && !slices.Contains(m.actions, a) {
			m.actions = append(m.actions, a)
		}
	}
	if len(m.actions) > maxMarked {
		return nil, fmt.Errorf("%d different actions, at most %d can be explained", len(m.actions), maxMarked)
	}
	if err := binary.Read(rand.Reader, binary.LittleEndian, &m.words); err != nil {
		return nil, fmt.Errorf("marks: %w", err)
	}
	m.words[markedArgs-1] &^= maxMarked - 1
	return m, nil
}

// encode writes marks for [decodeMarks]: the words, how many actions there are, and them.
func (m *Marks) encode() []byte {
	var b []byte
	for _, word := range m.words {
		b = binary.NativeEndian.AppendUint32(b, word)
	}
	b = binary.NativeEndian.AppendUint32(b, uint32(len(m.actions)))
	for _, action := range m.actions {
		b = binary.NativeEndian.AppendUint32(b, uint32(action))
	}
	return b
}

func decodeMarks(in io.Reader) (*Marks, error) {
	m := &Marks{}
	var n uint32
	if err := errors.Join(binary.Read(in, binary.NativeEndian, &m.words), binary.Read(in, binary.NativeEndian, &n)); err != nil {
		return nil, fmt.Errorf("marks: %w", err)
	}
	if n > maxMarked {
		return nil, fmt.Errorf("marks: %d actions", n)
	}
	m.actions = make([]abi.Action, n)
	if err := binary.Read(in, binary.NativeEndian, m.actions); err != nil {
		return nil, fmt.Errorf("marks: %w", err)
	}
	return m, nil
}

// kernels reports whether an action is the kernel's to do.
func kernels(a abi.Action) bool {
	switch a.Kind() {
	case abi.KillProcess, abi.KillThread, abi.Trap:
		return true
	}
	return !a.Known() // which kills as well
}

// Filter returns what gives every call the action that p gives it, but those that p
// leaves to its listener and that are marked.
func (m *Marks) Filter(p bpf.Program) (bpf.Program, error) {
	if len(m.actions) == 0 {
		return p, nil
	}
	marked := slices.Clone(p)
	for i, in := range p {
		if in.Code == bpf.RetK && abi.Action(in.K).Kind() == abi.UserNotify {
			marked[i] = bpf.Stmt(bpf.Ja, uint32(len(p)-i-1))
		}
	}
	big := abi.Native().BigEndian()
	var a bpf.Assembler
	none := a.NewLabel()
	for i, word := range m.words {
		a.Stmt(bpf.LdAbs, bpf.OffsetArg(firstMarked+i, false, big))
		if i < markedArgs-1 {
			a.If(bpf.JeqK, word, bpf.Next, none)
		}
	}
	for i, action := range m.actions {
		next := a.NewLabel()
		a.If(bpf.JeqK, m.words[markedArgs-1]+uint32(i), bpf.Next, next)
		a.Stmt(bpf.RetK, uint32(action))
		a.Bind(next)
	}
	a.Bind(none)
	a.Stmt(bpf.RetK, uint32(abi.UserNotify))
	block, err := a.Assemble()
	if err != nil {
		return nil, fmt.Errorf("marks: %w", err)
	}
	marked = append(marked, block...)
	if err := marked.Validate(); err != nil {
		return nil, fmt.Errorf("marks: %w", err)
	}
	return marked, nil
}

// ErrOtherwise is wrapped by the error of [Marks.Do] for an action that could not be
// done as the kernel does it.
var ErrOtherwise = errors.New("done otherwise")

// Do gives a call the action and returns the answer that is left to send, if there is
// one: errno as the filter would, allow and log by letting the call go on, trace and
// user_notify as the kernel does where nobody is there to decide, by ENOSYS. Of kills and
// traps nothing is left to send; where the thread cannot be held its process is ended by
// SIGKILL, and the error wraps [ErrOtherwise].
func (m *Marks) Do(l *kernel.Listener, n kernel.Notification, a abi.Action) (kernel.Reply, error) {
	switch a.Kind() {
	case abi.Allow, abi.Log:
		return kernel.Reply{Continue: true}, nil
	case abi.Errno:
		return kernel.Reply{Errno: unix.Errno(min(a.Data(), abi.MaxErrno))}, nil
	case abi.Trace, abi.UserNotify:
		return kernel.Reply{Errno: unix.ENOSYS}, nil
	}
	err := m.leave(l, n, a)
	if err == nil || errors.Is(err, kernel.ErrNotifyGone) {
		return kernel.Reply{Errno: unix.EPERM}, nil // nobody waits for it
	}
	// Its number is that of another thread if the call does not wait any more.
	if l.Valid(n.ID) == nil && n.TID > 0 {
		_ = unix.Kill(n.TID, unix.SIGKILL) // it may be gone by now
	}
	return kernel.Reply{Errno: unix.EPERM}, fmt.Errorf("%w: SIGKILL for the process in place of %v: %w", ErrOtherwise, a, err)
}

// leave leaves a call to the kernel.
func (m *Marks) leave(l *kernel.Listener, n kernel.Notification, a abi.Action) error {
	i := slices.Index(m.actions, a)
	if i < 0 {
		return fmt.Errorf("no mark for %v", a)
	}
	h, err := Hold(l, n)
	if err != nil {
		return err
	}
	words := m.words
	words[markedArgs-1] += uint32(i)
	return h.leave(words, n.Call.Arch, a)
}

// The siginfo of a filter's signal (sigaction(2)).
const (
	sysSeccomp = 1 // si_code SYS_SECCOMP
	sigSYS     = unix.SIGSYS
)

// siginfo is the start of siginfo_t.
type siginfo struct {
	signo, errno, code int32
	_                  [29]int32
}

// setArgs gives the thread the arguments in h.regs, and looks whether it has them: if not
// it would make its call, be heard of and be held again for ever.
func (h *Held) setArgs(arch uint32) error {
	if err := setRegs(h.tid, &h.regs); err != nil {
		return err
	}
	var now threadRegs
	if err := getRegs(h.tid, &now); err != nil {
		return err
	}
	want := argRegs(&h.regs, arch)
	for i, got := range argRegs(&now, arch) {
		if *got != *want[i] {
			return fmt.Errorf("argument %d does not change", i)
		}
	}
	return nil
}

// leave lets the thread make its call again, with marks. Other signals wait until that
// is done.
func (h *Held) leave(words [markedArgs]uint32, arch uint32, a abi.Action) error {
	own := h.regs
	args, given := argRegs(&h.regs, arch), argRegs(&own, arch)
	for i, word := range words {
		*args[firstMarked+i] = uint64(word)
	}
	blocked, err := h.sigMask()
	if err != nil {
		return errors.Join(fmt.Errorf("mark thread %d: %w", h.tid, err), h.Release())
	}
	const sys = uint64(1) << (sigSYS - 1)
	if err := errors.Join(h.setSigMask(^uint64(0)&^sys|blocked&sys), h.setArgs(arch)); err != nil {
		return errors.Join(fmt.Errorf("mark thread %d: %w", h.tid, err), h.setSigMask(blocked), h.Release())
	}
	if a.Kind() != abi.Trap {
		return h.Release() // to its end
	}
	if err := ptrace(unix.PTRACE_CONT, h.tid, 0, 0); err != nil {
		return fmt.Errorf("mark thread %d: %w", h.tid, err)
	}
	if err := h.stopped(); err != nil {
		return err
	}
	// It is about to get its signal, or stops for another reason with the call to come.
	var info siginfo
	if err := ptrace(unix.PTRACE_GETSIGINFO, h.tid, 0, uintptr(unsafe.Pointer(&info))); err != nil {
		info = siginfo{}
	}
	trapped := info.signo == int32(sigSYS) && info.code == sysSeccomp
	for i := firstMarked; i < firstMarked+markedArgs; i++ {
		*args[i] = *given[i]
	}
	signal := syscall.Signal(0)
	switch {
	case trapped:
		signal = sigSYS
		if blocked&sys != 0 {
			blocked &^= sys // the kernel has unblocked it, and its default is to kill
		}
	case info.code>>8 == 0 && info.signo > 0:
		signal = syscall.Signal(info.signo)
	}
	err = errors.Join(setRegs(h.tid, &h.regs), h.setSigMask(blocked))
	return errors.Join(err, h.detach(signal))
}
