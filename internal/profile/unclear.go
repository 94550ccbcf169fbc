package profile

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/image"
)

// unclearCode looks at what the sweep could not follow: bytes of system-call
// instructions, and of calls and jumps to functions whose callers count, in code
// that does not decode, or in the middle of instructions where a jump leads into
// one; instructions that are not followed; and control flow that leaves the known
// functions.
func (a *analysis) unclearCode() {
	hidden := map[int]bool{}
	for _, fn := range a.survey.overlapping {
		hidden[fn] = a.reached(fn) && a.ragged[fn] == nil
	}
	for _, c := range a.survey.strays {
		fn, ok := a.prog.Find(c.target)
		if ok && a.prog.ABI == abi.ARM && a.reached(c.fn) && !isGo(a.prog, fn) && a.slicer(fn).c.at(c.target) < 0 {
			a.lose(&link{fn: c.fn, addr: a.entry(c.fn)}, unknown{reason: fmt.Sprintf("leads to %#x, which is inside of an instruction or of data", c.target)})
		}
		if ok && a.reached(c.fn) && !hidden[fn] && isGo(a.prog, fn) && a.slicer(fn).c.at(c.target) < 0 {
			hidden[fn] = true
		}
	}
	if a.prog.ABI == abi.ARM {
		a.misplaced()
	}
	for _, fn := range slices.Sorted(maps.Keys(hidden)) {
		if hidden[fn] {
			a.hiddenCode(fn)
		}
	}
	for _, fn := range a.survey.unfollowed {
		if a.reached(fn) {
			a.unfollowed(fn)
		}
	}
	for _, fn := range a.survey.unclear {
		if !a.reached(fn) || a.ragged[fn] != nil {
			continue
		}
		addr, code := a.prog.Code(fn)
		decoded := make([]bool, len(code))
		for at := 0; at < len(code); {
			in := a.prog.Decode(code[at:], addr+uint64(at))
			decoded[at] = in.Op != image.OpBad
			at += int(in.Len)
		}
		for i := range code {
			if decoded[i] {
				continue
			}
			at := &link{fn: fn, addr: addr + uint64(i)}
			if a.isSite(code[i:]) {
				a.lose(at, unknown{reason: "the bytes of a system-call instruction in code that does not decode"})
			}
			if to, ok := a.entryOf(a.branchTarget(code[i:], at.addr)); ok && a.asked[to] {
				a.lose(at, unknown{reason: fmt.Sprintf("the bytes of a call of %s in code that does not decode", a.prog.Name(to))})
			}
		}
	}
	for _, c := range a.survey.wild {
		if !a.reached(c.fn) || !isGo(a.prog, c.fn) && (c.target == 0 || !a.executable(c.target)) {
			continue // there is nothing: calls of weak symbols that no one defines
		}
		if !isGo(a.prog, c.fn) && a.ragged[c.fn] == nil && !a.slicer(c.fn).c.goesTo(c.target) {
			continue // data behind code, or that is taken for it
		}
		a.lose(&link{fn: c.fn, addr: a.entry(c.fn)}, unknown{reason: fmt.Sprintf("a jump to %#x, which is in no function", c.target)})
	}
}

// goesTo reports that an instruction that something leads to, jumps to or calls addr.
func (c *code) goesTo(addr uint64) bool {
	for _, b := range c.blocks {
		for i := b.start; i < b.end && b.live; i++ {
			if c.insts[i].Target == addr {
				return true
			}
		}
	}
	return len(c.insts) == 0 // it is too large
}

// misplaced looks for addresses of code of arm that native code takes and where no
// instruction starts: what is there was taken for something else.
func (a *analysis) misplaced() {
	s := a.survey
	done := map[uint64]bool{}
	for fn := range a.prog.Funcs {
		if !a.reached(fn) || isGo(a.prog, fn) {
			continue
		}
		for _, r := range s.refs[s.refAt[fn]:s.refAt[fn+1]] {
			addr, kind := s.ref(r)
			if kind != refTaken || done[addr] || !a.prog.CodeAt(addr) {
				continue
			}
			done[addr] = true
			to, ok := a.prog.Find(addr &^ 1)
			starts := ok && (a.entry(to) == addr&^1 || a.slicer(to).c.at(addr&^1) >= 0)
			if addr&1 != 0 && !starts || addr&1 == 0 && !(starts && !a.prog.Thumb(addr)) && a.prog.LooksA32(addr) {
				if !a.slicer(fn).c.makes(addr) {
					continue // pieces of different addresses
				}
				a.lose(&link{fn: fn, addr: a.entry(fn)}, unknown{reason: fmt.Sprintf("takes the address %#x, where no instruction starts", addr)})
			}
		}
	}
}

// makes reports that an instruction of the function makes the address addr, on
// whatever way control comes to it.
func (c *code) makes(addr uint64) bool {
	return slices.ContainsFunc(c.insts, func(in image.Inst) bool {
		return in.Op == image.OpLea && fixed(&in.Src) && uint64(in.Src.Disp) == addr
	})
}

// unfollowed looks for instructions of function fn that are not followed and that
// something leads to: they may jump anywhere, or leave the processor's mode for
// one with other instructions.
func (a *analysis) unfollowed(fn int) {
	c := a.slicer(fn).c
	for _, b := range c.blocks {
		for i := b.start; i < b.end && b.live; i++ {
			if in := &c.insts[i]; in.Op == image.OpBad && in.Len > 1 {
				a.lose(&link{fn: fn, addr: in.Addr}, unknown{reason: "an instruction that is not followed, and may jump anywhere"})
			}
		}
	}
	if len(c.insts) == 0 && a.ragged[fn] == nil {
		a.lose(&link{fn: fn, addr: c.entry}, unknown{reason: tooLarge})
	}
}

// hiddenCode takes the bytes of function fn, all but where its instructions
// start, for code that may run.
func (a *analysis) hiddenCode(fn int) {
	addr, code := a.prog.Code(fn)
	for at := 0; at < len(code); {
		in := a.prog.Decode(code[at:], addr+uint64(at))
		for i := at + 1; i < at+int(in.Len); i++ {
			at := &link{fn: fn, addr: addr + uint64(i)}
			if a.isSite(code[i:]) {
				a.lose(at, unknown{reason: "the bytes of a system-call instruction inside another, and a jump leads into one"})
			}
			if to, ok := a.entryOf(a.branchTarget(code[i:], at.addr)); ok && a.asked[to] {
				a.lose(at, unknown{reason: fmt.Sprintf("the bytes of a call of %s inside another instruction, and a jump leads into one", a.prog.Name(to))})
			}
		}
		at += int(in.Len)
	}
}

// isSite reports whether b starts with SYSCALL, SYSENTER or INT 0x80, or with the
// ECALL of riscv64.
func (a *analysis) isSite(b []byte) bool {
	if a.prog.ABI == abi.RISCV64 {
		return a.prog.Decode(b, 0).Op == image.OpSyscall
	}
	return len(b) >= 2 && (b[0] == 0x0f && (b[1] == 0x05 || b[1] == 0x34) || b[0] == 0xcd && b[1] == 0x80)
}

// branchTarget returns where b goes if it starts with a call or jump of 32-bit
// distance, else 0; addr is its address.
func (a *analysis) branchTarget(b []byte, addr uint64) uint64 {
	n := 0
	switch {
	case a.prog.ABI == abi.RISCV64:
		return a.prog.Decode(b, addr).Target
	case len(b) >= 5 && (b[0] == 0xe8 || b[0] == 0xe9):
		n = 5
	case len(b) >= 6 && b[0] == 0x0f && b[1]&0xf0 == 0x80:
		n = 6
	default:
		return 0
	}
	target := addr + uint64(n) + uint64(int64(int32(binary.LittleEndian.Uint32(b[n-4:]))))
	if a.prog.WordSize() == 4 {
		target = uint64(uint32(target))
	}
	return target
}

// executable reports that addr lies in code.
func (a *analysis) executable(addr uint64) bool {
	s := a.prog.Segment(addr)
	return s != nil && s.Exec
}
