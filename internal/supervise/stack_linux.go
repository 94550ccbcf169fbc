package supervise

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/image"
	"github.com/sysgate/sysgate/internal/kernel"
)

const (
	maxFrames  = 24
	maxGuesses = 8    // frames behind code without frame information
	scanBytes  = 2048 // of a stack without frame information
)

// signalFrame stands for the code that a signal handler returns to.
const signalFrame = "<signal>"

// Stacks says which functions threads are in, the innermost first: in Go programs by
// their own tables, which have the size of every frame, in other code by its unwind data,
// through libraries and signal handlers; both are there in stripped programs too. Behind
// code that has neither comes, marked with "?", what the stack has that looks like the
// address of a return. It keeps the tables of files that it has read; it is for one
// goroutine.
type Stacks struct {
	modules map[string]*module
}

// Close lets go of the files.
func (s *Stacks) Close() error {
	var errs []error
	for _, m := range s.modules {
		errs = append(errs, m.close())
	}
	s.modules = nil
	return errors.Join(errs...)
}

// Of returns the stack of the thread whose call waits; nil where it cannot be read. h is
// the thread if it is held: without its registers a function of C that keeps its frame's
// address in one of them has no callers but guessed ones. The stack of a thread that is
// not held counts only after [kernel.Listener.Valid].
func (s *Stacks) Of(n kernel.Notification, h *Held) []string {
	regions, err := codeOf(n.TID)
	if err != nil {
		return nil
	}
	w := walk{stacks: s, tid: n.TID, regions: regions, machine: abi.Native()}
	r, ok := w.region(n.Call.IP)
	if !ok {
		return nil
	}
	// A 64-bit program can make calls through the 32-bit entry.
	if m := s.module(r, n.TID); m.machine != abi.None {
		w.machine = m.machine
	}
	if h != nil {
		w.regs = *unwound(&h.regs, w.machine)
	} else {
		sp, err := stackPointer(n.TID)
		if err != nil {
			return nil
		}
		w.regs.Set(image.StackPointer(w.machine), sp)
	}
	w.regs.PC = n.Call.IP
	return w.frames()
}

// stackPointer returns the stack pointer of a thread that is in a system call, the
// field before the last of /proc/PID/syscall (proc_pid_syscall(5)). A thread that has
// just told its supervisor of a call may still be about to go to sleep.
func stackPointer(tid int) (uint64, error) {
	const tries, pause = 40, 250 * time.Microsecond
	for n := 0; ; n++ {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/syscall", tid))
		if err != nil {
			return 0, err
		}
		fields := strings.Fields(string(data))
		if len(fields) >= 2 {
			return strconv.ParseUint(fields[len(fields)-2], 0, 64)
		}
		if n == tries {
			return 0, fmt.Errorf("thread %d runs", tid)
		}
		time.Sleep(pause)
	}
}

// A walk goes up one stack.
type walk struct {
	stacks  *Stacks
	tid     int
	regions []region
	machine abi.ABI // of the program
	regs    image.Registers
}

// frames returns the functions from the one that holds the address of the call on.
func (w *walk) frames() []string {
	var frames []string
	interrupted := false // the address is not one behind a call
	for len(frames) < maxFrames {
		at := w.regs.PC
		if !interrupted {
			at--
		}
		r, ok := w.region(at)
		if !ok {
			break
		}
		m := w.stacks.module(r, w.tid)
		frames = append(frames, m.name(r, at, w.regs.PC))
		step, ok := w.up(m, r, interrupted, len(frames) == 1)
		if !ok {
			return append(frames, w.scan(min(maxGuesses, maxFrames-len(frames)))...)
		}
		if step.Outermost {
			break
		}
		if interrupted = step.Interrupted; interrupted {
			frames[len(frames)-1] = signalFrame
		}
	}
	return frames
}

// up goes to the caller.
func (w *walk) up(m *module, r region, interrupted, innermost bool) (step image.Step, ok bool) {
	at, ok := m.address(r, w.regs.PC)
	if !ok {
		return step, false
	}
	if depth, known := m.goDepth(at-1, innermost); known {
		return w.upGo(depth)
	}
	if m.unwind == nil || m.machine != w.machine {
		return w.upSignal()
	}
	before, _ := w.stackPointer()
	step, ok = m.unwind.Step(&w.regs, at, interrupted, w.read)
	if !ok {
		return w.upSignal()
	}
	if after, known := w.stackPointer(); !step.Outermost && !step.Interrupted && (!known || after < before) {
		return step, false // a caller's frame lies above, unless a handler has a stack of its own
	}
	return step, true
}

// upGo goes to the caller of a function of Go, whose frame has a known size. Go keeps no
// registers for callers.
func (w *walk) upGo(depth int64) (step image.Step, ok bool) {
	sp, ok := w.stackPointer()
	if !ok || depth < 0 || depth > 1<<20 {
		return step, false
	}
	above := sp + uint64(depth)
	var pc uint64
	switch {
	case w.machine == abi.AMD64 || w.machine == abi.I386: // the call has put it there
		pc, ok = w.read(above)
		above += w.word()
	case depth > 0: // the function has put it at the lower end of its frame
		pc, ok = w.read(sp)
	default: // it is where the call has put it
		if pc, ok = w.regs.Get(linkRegister); !ok || w.machine != abi.ARM64 {
			return step, false
		}
	}
	if !ok || pc == 0 {
		return image.Step{Outermost: true}, true
	}
	w.regs = image.Registers{PC: pc}
	w.regs.Set(image.StackPointer(w.machine), above)
	return step, true
}

// linkRegister is the number of the register that calls on arm64 leave their return
// address in.
const linkRegister = 30

func (w *walk) stackPointer() (uint64, bool) { return w.regs.Get(image.StackPointer(w.machine)) }

// word returns the size of an address.
func (w *walk) word() uint64 {
	if w.machine.Bits() == 32 {
		return 4
	}
	return 8
}

// read reads an address from the thread's memory.
func (w *walk) read(addr uint64) (uint64, bool) {
	data := make([]byte, w.word())
	if _, err := kernel.ReadMemory(w.tid, addr, data); err != nil {
		return 0, false
	}
	return decode(data), true
}

func decode(data []byte) uint64 {
	if len(data) == 4 {
		return uint64(binary.NativeEndian.Uint32(data))
	}
	return binary.NativeEndian.Uint64(data)
}

// region returns the code at an address.
func (w *walk) region(addr uint64) (region, bool) {
	i := slices.IndexFunc(w.regions, func(r region) bool { return r.start <= addr && addr < r.end })
	if i < 0 {
		return region{}, false
	}
	return w.regions[i], true
}

// scan returns what the stack has that looks like the address of a return: one that
// follows a call instruction.
func (w *walk) scan(most int) []string {
	sp, ok := w.stackPointer()
	if !ok || w.machine != abi.AMD64 && w.machine != abi.I386 {
		return nil
	}
	data := make([]byte, scanBytes)
	n, _ := kernel.ReadMemory(w.tid, sp, data) // as far as the stack goes
	word := int(w.word())
	var frames []string
	for at := 0; at+word <= n && len(frames) < most; at += word {
		addr := decode(data[at : at+word])
		r, ok := w.region(addr - 1)
		if !ok || r.name == "" || !w.followsCall(addr) {
			continue
		}
		frames = append(frames, "? "+w.stacks.module(r, w.tid).name(r, addr-1, addr))
	}
	return frames
}

// followsCall reports whether an x86 call instruction ends before addr: e8 with four
// bytes, or ff /2 with its forms of operands.
func (w *walk) followsCall(addr uint64) bool {
	code := make([]byte, 7)
	if _, err := kernel.ReadMemory(w.tid, addr-7, code); err != nil {
		return false
	}
	if code[2] == 0xe8 {
		return true
	}
	for _, at := range []int{5, 4, 3, 1, 0} { // 2, 3, 4, 6 and 7 bytes
		if code[at] == 0xff && code[at+1]>>3&7 == 2 {
			return true
		}
	}
	return false
}
