package record

import (
	"fmt"
	"math"
	"runtime"

	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"

	"github.com/sysgate/sysgate/abi"
)

// The ABIs of a machine in the order of the tables.
const (
	indexNative = iota
	indexCompat // the 32-bit one
	indexThird  // x32
	abis
)

// A machine is how a processor's kernel keeps a call.
type machine struct {
	tables    [abis]table
	thirdBase uint32 // from which on numbers of the native entry are of the third ABI
	// compat is the word of task_struct that tells the 32-bit ABI, by the bits of
	// compatMask.
	compat     []string
	compatMask int32
	// number is the member of pt_regs that keeps the number until the call's end.
	number     []string
	numberSize asm.Size
	// The arguments are at offsets of pt_regs, of a call of 64 bits and of one of 32.
	// The first is firstArg where there is a name.
	wide, narrow [6]int16
	firstArg     []string
}

// A table is the calls of an ABI: base is the number of the first.
type table struct {
	a    abi.ABI
	base uint32
}

// machines are those that programs are assembled for: by struct pt_regs of
// arch/*/include/asm/ptrace.h, whose first part is what user space knows.
var machines = map[string]*machine{
	"amd64": {
		tables:    [abis]table{{abi.AMD64, 0}, {abi.I386, 0}, {abi.X32, abi.X32Bit}},
		thirdBase: abi.X32Bit,
		compat:    []string{"task_struct", "thread_info", "status"}, compatMask: 2, // TS_COMPAT
		number: []string{"pt_regs", "orig_ax"}, numberSize: asm.DWord,
		wide:   [6]int16{112, 104, 96, 56, 72, 64}, // di si dx r10 r8 r9
		narrow: [6]int16{40, 88, 96, 104, 112, 32}, // bx cx dx si di bp
	},
	"arm64": {
		tables:    [abis]table{{abi.ARM64, 0}, {abi.ARM, 0}, {abi.ARM64, math.MaxInt32}},
		thirdBase: math.MaxInt32,                                                        // none
		compat:    []string{"task_struct", "thread_info", "flags"}, compatMask: 1 << 22, // TIF_32BIT
		number: []string{"pt_regs", "syscallno"}, numberSize: asm.Word,
		wide:     [6]int16{0, 8, 16, 24, 32, 40},
		narrow:   [6]int16{0, 8, 16, 24, 32, 40},
		firstArg: []string{"pt_regs", "orig_x0"}, // x0 is the result at the end
	},
}

// offsets are where the running kernel keeps what the programs read.
type offsets struct {
	machine      *machine
	pid          int16 // task_struct.pid
	filename     int16 // linux_binprm.filename
	compat       int16
	number       int16
	wide, narrow [6]int16
}

func kernelOffsets() (o offsets, err error) {
	o.machine = machines[runtime.GOARCH]
	spec, err := btf.LoadKernelSpec()
	if err != nil {
		return o, fmt.Errorf("the kernel does not say where its structures keep things (BTF): %w", err)
	}
	for _, want := range []struct {
		path []string
		at   *int16
	}{
		{[]string{"task_struct", "pid"}, &o.pid},
		{[]string{"linux_binprm", "filename"}, &o.filename},
		{o.machine.compat, &o.compat},
		{o.machine.number, &o.number},
	} {
		if *want.at, err = offsetOf(spec, want.path); err != nil {
			return o, err
		}
	}
	o.wide, o.narrow = o.machine.wide, o.machine.narrow
	if o.machine.firstArg != nil {
		if o.wide[0], err = offsetOf(spec, o.machine.firstArg); err != nil {
			return o, err
		}
		o.narrow[0] = o.wide[0]
	}
	return o, nil
}

func offsetOf(spec *btf.Spec, path []string) (int16, error) {
	var s *btf.Struct
	if err := spec.TypeByName(path[0], &s); err != nil {
		return 0, fmt.Errorf("the kernel's BTF has no struct %s: %w", path[0], err)
	}
	offset := uint32(0)
	for i, name := range path[1:] {
		found := false
		for _, m := range s.Members {
			if m.Name != name {
				continue
			}
			found = true
			offset += m.Offset.Bytes()
			if i < len(path)-2 {
				next, ok := btf.UnderlyingType(m.Type).(*btf.Struct)
				if !ok {
					return 0, fmt.Errorf("the kernel's %s.%s is no struct", path[0], name)
				}
				s = next
			}
			break
		}
		if !found {
			return 0, fmt.Errorf("the kernel's struct %s has no %s", path[0], name)
		}
	}
	if offset > math.MaxInt16 {
		return 0, fmt.Errorf("the kernel's struct %s is too large", path[0])
	}
	return int16(offset), nil
}
