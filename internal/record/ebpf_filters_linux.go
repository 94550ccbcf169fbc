package record

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/ringbuf"
	"golang.org/x/sys/unix"

	"github.com/sysgate/sysgate/abi"
)

// sys_exit, which knows calls that filters deny, is attached before the first filter of
// the program is there: the program's sys_enter sees the call that installs it, tells
// this process, and keeps the thread in the tracepoint until sys_exit is attached. That
// takes some hundred microseconds. The thread cannot sleep there, so that it looks again
// and again, and no longer than holdLimit.
const holdLimit = 20 * time.Millisecond

// loopSince is the release from which on programs can do that (bpf_loop); with older
// ones sys_exit is attached from the start.
var loopSince = abi.Kernel{Major: 5, Minor: 17}

// installs is the first argument with which a call installs a filter: of seccomp,
// SECCOMP_SET_MODE_FILTER, of prctl, PR_SET_SECCOMP.
var installs = map[string]uint32{"seccomp": 1, "prctl": 22}

const (
	waitFunction = "wait"
	loopMax      = 1 << 23 // BPF_MAX_LOOPS
	wakeUp       = 2       // BPF_RB_FORCE_WAKEUP
)

// hold waits, in a call with the modes R8 and the arguments in stackValues that
// installs a filter, until sys_exit is attached.
func (m *ebpfMaps) hold() asm.Instructions {
	return asm.Instructions{
		asm.LoadMem(asm.R1, asm.R8, modesInstall, asm.Word),
		asm.JEq.Imm(asm.R1, 0, "go on"),
		asm.LoadMem(asm.R2, asm.RFP, stackValues+8, asm.DWord),
		asm.Add.Imm(asm.R2, 1),
		asm.JNE.Reg(asm.R1, asm.R2, "go on"),
		asm.LoadMapValue(asm.R1, m.Control.FD(), controlSure),
		asm.LoadMem(asm.R1, asm.R1, 0, asm.Word),
		asm.JNE.Imm(asm.R1, 0, "go on"),

		asm.StoreMem(asm.RFP, stackOne, asm.R1, asm.DWord),
		asm.LoadMapPtr(asm.R1, m.Filters.FD()),
		asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, stackOne),
		asm.Mov.Imm(asm.R3, 8),
		asm.Mov.Imm(asm.R4, wakeUp),
		asm.FnRingbufOutput.Call(), // there is no room only where others wait already

		asm.FnKtimeGetNs.Call(),
		asm.Add.Imm(asm.R0, int32(holdLimit)),
		asm.StoreMem(asm.RFP, stackOne, asm.R0, asm.DWord),
		asm.Mov.Imm(asm.R1, loopMax),
		asm.Instruction{OpCode: asm.LoadImmOp(asm.DWord), Dst: asm.R2, Src: asm.PseudoFunc, Constant: -1}.WithReference(waitFunction),
		asm.Mov.Reg(asm.R3, asm.RFP), asm.Add.Imm(asm.R3, stackOne),
		asm.Mov.Imm(asm.R4, 0),
		asm.FnLoop.Call(),

		asm.LoadMapValue(asm.R1, m.Control.FD(), controlSure),
		asm.LoadMem(asm.R2, asm.R1, 0, asm.Word),
		asm.JNE.Imm(asm.R2, 0, "go on"),
		asm.StoreImm(asm.R1, controlLate, 1, asm.Word),
		asm.Mov.Imm(asm.R0, 0).WithSymbol("go on"),
	}
}

// wait is one look of hold: long wait(long n, u64 *deadline) returns 1 when it is over.
func (m *ebpfMaps) wait() asm.Instructions {
	return asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R2).WithSymbol(waitFunction),
		asm.LoadMapValue(asm.R1, m.Control.FD(), controlSure),
		asm.LoadMem(asm.R1, asm.R1, 0, asm.Word),
		asm.JNE.Imm(asm.R1, 0, "waited"),
		asm.FnKtimeGetNs.Call(),
		asm.LoadMem(asm.R1, asm.R6, 0, asm.DWord),
		asm.JGE.Reg(asm.R0, asm.R1, "waited"),
		asm.Mov.Imm(asm.R0, 0),
		asm.Return(),
		asm.Mov.Imm(asm.R0, 1).WithSymbol("waited"),
		asm.Return(),
	}
}

// watchExits attaches sys_exit.
func (s *ebpfSession) watchExits() error {
	if err := s.attach(s.exits); err != nil {
		return err
	}
	control := make([]byte, controlSize)
	binary.NativeEndian.PutUint32(control[controlSure:], taskSure)
	if err := s.maps.Control.Put(uint32(0), control); err != nil {
		return fmt.Errorf("ebpf: control: %w", err)
	}
	return nil
}

// awaitFilter has sys_exit attached as soon as a filter is about to be installed. The
// function that it returns ends that, and says what then is not known.
func (s *ebpfSession) awaitFilter() (stop func() ([]string, error), err error) {
	told, err := ringbuf.NewReader(s.maps.Filters)
	if err != nil {
		return nil, fmt.Errorf("ebpf: filters: %w", err)
	}
	attached := make(chan error, 1)
	go func() {
		// The program waits for it on its CPU. The thread ends with the goroutine.
		runtime.LockOSThread()
		urgent := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 1, Flags: unix.SCHED_FLAG_RESET_ON_FORK}
		_ = unix.SchedSetAttr(0, &urgent, 0) // without the right to, it takes its turn
		if _, err := told.Read(); err != nil {
			if errors.Is(err, os.ErrClosed) {
				err = nil
			}
			attached <- err
			return
		}
		attached <- s.watchExits()
	}()
	return func() ([]string, error) {
		if err := errors.Join(told.Close(), <-attached); err != nil {
			return nil, fmt.Errorf("ebpf: calls that filters deny: %w", err)
		}
		control := make([]byte, controlSize)
		if err := s.maps.Control.Lookup(uint32(0), &control); err != nil {
			return nil, fmt.Errorf("ebpf: control: %w", err)
		}
		if binary.NativeEndian.Uint32(control[controlLate:]) == 0 {
			return nil, nil
		}
		return []string{"the program installed a filter, and sysgate was too busy to follow: the first calls that it denied may be missing"}, nil
	}, nil
}
