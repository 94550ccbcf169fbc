package record

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"
	"unsafe"

	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"

	"github.com/sysgate/sysgate/abi"
)

// sys_exit, which knows calls that filters deny, is attached before the first filter of
// the program is there: the program's sys_enter sees the call that installs it, tells
// this process, and keeps the thread in the tracepoint until sys_exit is attached. That
// takes some hundred microseconds. The thread cannot sleep there, so that it looks again
// and again, and no longer than holdLimit. With one CPU there would be nobody to wait for.
const holdLimit = 50 * time.Millisecond

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
	return join(asm.Instructions{
		asm.LoadMem(asm.R1, asm.R8, modesInstall, asm.Word),
		asm.JEq.Imm(asm.R1, 0, "go on"),
		asm.LoadMem(asm.R2, asm.RFP, stackValues+8, asm.DWord),
		asm.Add.Imm(asm.R2, 1),
		asm.JNE.Reg(asm.R1, asm.R2, "go on"),
		asm.LoadMapValue(asm.R1, m.Control.FD(), 0),
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

		asm.LoadMapValue(asm.R1, m.Control.FD(), 0),
		asm.LoadMem(asm.R2, asm.R1, 0, asm.Word),
		asm.JNE.Imm(asm.R2, 0, "go on"),
	}, bump(m.Special, missExits, "too late"), asm.Instructions{
		asm.StoreMem(asm.RFP, stackIndex, asm.R9, asm.Word),
		asm.Mov.Imm(asm.R0, 0).WithSymbol("go on"),
	})
}

// wait is one look of hold: long wait(long n, u64 *deadline) returns 1 when it is over.
func (m *ebpfMaps) wait() asm.Instructions {
	return asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R2).WithSymbol(waitFunction),
		asm.LoadMapValue(asm.R1, m.Control.FD(), 0),
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
	binary.NativeEndian.PutUint32(control, taskSure)
	if err := s.maps.Control.Put(uint32(0), control); err != nil {
		return fmt.Errorf("ebpf: control: %w", err)
	}
	return nil
}

// waiterCPUs returns two CPUs for those who wait for the program to install a filter:
// the one on whose CPU the program waits for them cannot run. nil: there are not two.
func waiterCPUs() ([]int, error) {
	var allowed unix.CPUSet
	if err := unix.SchedGetaffinity(0, &allowed); err != nil {
		return nil, fmt.Errorf("sched_getaffinity: %w", err)
	}
	var cpus []int
	for cpu := range 8 * len(allowed) * int(unsafe.Sizeof(allowed[0])) {
		if allowed.IsSet(cpu) {
			if cpus = append(cpus, cpu); len(cpus) == 2 {
				return cpus, nil
			}
		}
	}
	return nil, nil
}

// awaitFilter has sys_exit attached as soon as a filter is about to be installed, until
// stop is called.
func (s *ebpfSession) awaitFilter() (stop func() error, err error) {
	ended, end, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("ebpf: filters: %w", err)
	}
	// Who comes back from the kernel must not have to wait for a processor of Go's,
	// which the collection of garbage can have all of.
	before := runtime.GOMAXPROCS(0)
	runtime.GOMAXPROCS(before + len(s.waiters))
	attach := sync.OnceValue(s.watchExits)
	done := make(chan error)
	for _, cpu := range s.waiters {
		go func() { done <- s.waitForFilter(cpu, int(ended.Fd()), attach) }()
	}
	return func() error {
		runtime.GOMAXPROCS(before)
		errs := []error{end.Close()}
		for range s.waiters {
			errs = append(errs, <-done)
		}
		if err := errors.Join(append(errs, ended.Close())...); err != nil {
			return fmt.Errorf("ebpf: calls that filters deny: %w", err)
		}
		return nil
	}, nil
}

// waitForFilter waits on a CPU for the program to tell of a filter, or for the end of a
// pipe.
func (s *ebpfSession) waitForFilter(cpu, ended int, attach func() error) error {
	runtime.LockOSThread() // the thread ends with the goroutine
	var one unix.CPUSet
	one.Set(cpu)
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		return fmt.Errorf("sched_setaffinity: %w", err)
	}
	_ = unix.Setpriority(unix.PRIO_PROCESS, 0, -20) // of the thread; without the right to, it takes its turn
	for {
		p := []unix.PollFd{{Fd: int32(s.maps.Filters.FD()), Events: unix.POLLIN}, {Fd: int32(ended)}}
		switch _, err := unix.Poll(p, -1); {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return fmt.Errorf("poll: %w", err)
		case p[0].Revents&unix.POLLIN != 0:
			return attach()
		}
		return nil
	}
}
