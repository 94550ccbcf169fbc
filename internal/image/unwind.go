package image

import (
	"slices"
	"sort"

	"github.com/sysgate/sysgate/abi"
)

// An Unwind is the unwind data of one ELF file (.eh_frame): it finds the caller of a
// function, and the registers that the caller had, from those of the function. Addresses
// in the code are those that the file was linked for.
type Unwind struct {
	Machine abi.ABI
	file    *File
	reader  unwindReader
	frames  []frame
}

// OpenUnwind reads the unwind data of the file at path. Close it after use.
func OpenUnwind(path string) (*Unwind, error) {
	l := &loading{space: &File{Path: path}}
	o, err := l.open(path)
	if err != nil {
		return nil, l.fail(err)
	}
	return newUnwind(o, l.space), nil
}

// ParseUnwind is [OpenUnwind] for a file in memory; path only names it.
func ParseUnwind(path string, data []byte) (*Unwind, error) {
	o, err := parseObject(path, data)
	if err != nil {
		return nil, err
	}
	return newUnwind(o, &File{Path: path}), nil
}

func newUnwind(o *object, space *File) *Unwind {
	space.Segments = o.segments
	m := newModule(o, 0, space)
	return &Unwind{Machine: o.machine, file: space, reader: unwindReader{m: m, commons: map[uint64]*common{}}, frames: m.frames()}
}

// Close lets go of the file.
func (u *Unwind) Close() error { return u.file.Close() }

// maxUnwindRegisters bounds the registers that are followed: the machines' general
// ones, and the column that x86 has for the return address.
const maxUnwindRegisters = 33

// Registers are those of a thread in one function of its stack, by the numbers that
// unwind data has for them ([Unwind.StackPointer] is the stack pointer's). Of callers
// only those are known that the functions they called have kept.
type Registers struct {
	PC     uint64
	values [maxUnwindRegisters]uint64
	known  [maxUnwindRegisters]bool
}

// Set gives register n a value, if there is such a register.
func (r *Registers) Set(n int, v uint64) {
	if n >= 0 && n < maxUnwindRegisters {
		r.values[n], r.known[n] = v, true
	}
}

// Get returns register n, if it is known.
func (r *Registers) Get(n int) (v uint64, ok bool) {
	if n < 0 || n >= maxUnwindRegisters {
		return 0, false
	}
	return r.values[n], r.known[n]
}

// StackPointer returns the number of the stack pointer.
func (u *Unwind) StackPointer() int { return StackPointer(u.Machine) }

// StackPointer returns the number that a machine's unwind data has for its stack
// pointer; -1 where none is known.
func StackPointer(machine abi.ABI) int {
	switch machine {
	case abi.AMD64:
		return 7
	case abi.I386:
		return 4
	case abi.ARM64:
		return 31
	case abi.ARM:
		return 13
	case abi.RISCV64:
		return 2
	}
	return -1
}

// A Step is what [Unwind.Step] found out about a function.
type Step struct {
	// Interrupted says that the caller was interrupted by a signal: its address is that
	// of the instruction it was at, not of one behind a call.
	Interrupted bool
	// Outermost says that the function has no caller.
	Outermost bool
}

// Step replaces the registers of a function by those of its caller. at is the address
// in the file that regs.PC is; interrupted what the step before said. read reads a word
// of the thread's memory. ok is false where the file has no unwind data for the
// address, or a register or memory that it takes is not known: regs is as it was then.
func (u *Unwind) Step(regs *Registers, at uint64, interrupted bool, read func(addr uint64) (uint64, bool)) (s Step, ok bool) {
	f, ok := u.find(at, interrupted)
	if !ok {
		return s, false
	}
	p, ok := u.reader.program(f)
	if !ok {
		return s, false
	}
	// A return address follows its call, which may be the last of a row.
	if s.Interrupted = p.signal; !interrupted && !p.signal {
		at--
	}
	p.finder = &rowFinder{at: at}
	if !p.runAll() || p.finder.row == nil {
		return s, false
	}
	ok = u.apply(&s, p, regs, read)
	return s, ok
}

// find returns the frame of an address that was returned to, or was interrupted.
func (u *Unwind) find(at uint64, interrupted bool) (frame, bool) {
	if !interrupted {
		if f, ok := u.frameOf(at - 1); ok {
			return f, true
		}
	}
	// Where a signal handler returns to, no call comes before.
	return u.frameOf(at)
}

func (u *Unwind) frameOf(at uint64) (frame, bool) {
	i := sort.Search(len(u.frames), func(i int) bool { return u.frames[i].end > at })
	if i == len(u.frames) || u.frames[i].start > at {
		return frame{}, false
	}
	return u.frames[i], true
}

// apply evaluates the row that was found.
func (u *Unwind) apply(s *Step, p *cfaProgram, regs *Registers, read func(uint64) (uint64, bool)) bool {
	e := evaluation{regs: regs, read: read, size: u.reader.m.object.size}
	row := p.finder.row
	cfa, ok := uint64(0), false
	switch {
	case row.cfa.known:
		cfa, ok = regs.Get(slices.Index(unwindRegisters[u.Machine], row.cfa.reg))
		cfa = e.cut(cfa + uint64(row.cfa.offset))
	case row.expression != nil:
		cfa, ok = e.value(row.expression)
	}
	if !ok {
		return false
	}
	caller := Registers{}
	for n, rule := range row.registers {
		if v, ok := e.register(n, rule, cfa); ok {
			caller.Set(n, e.cut(v))
		}
	}
	if sp := u.StackPointer(); sp >= 0 && row.registers[sp].kind == ruleSame {
		caller.Set(sp, e.cut(cfa)) // what the address is by definition
	}
	if p.returns >= maxUnwindRegisters {
		return false
	}
	if row.registers[p.returns].kind == ruleUndefined {
		s.Outermost = true
		return true
	}
	if caller.PC, ok = caller.Get(int(p.returns)); !ok {
		return false
	}
	if u.Machine == abi.ARM64 {
		caller.PC &= 1<<48 - 1 // the rest may be a signature
	}
	s.Outermost = caller.PC == 0
	*regs = caller
	return true
}

// The kinds of rules for a register of the caller.
type ruleKind uint8

const (
	ruleSame            ruleKind = iota // it is as it was
	ruleUndefined                       // it is lost
	ruleOffset                          // it is in memory, at an offset from the frame address
	ruleValueOffset                     // it is an offset from the frame address
	ruleRegister                        // it is in another register
	ruleExpression                      // it is in memory, at the address of an expression
	ruleValueExpression                 // it is the value of an expression
)

type registerRule struct {
	kind       ruleKind
	offset     int64 // or the other register
	expression []byte
}

// A rowFinder keeps the rules of the row that has an address, as a [cfaProgram] comes
// by it. Its methods do nothing for a nil one.
type rowFinder struct {
	at      uint64
	state   unwindRow
	initial []registerRule // after the common instructions
	saved   []unwindRow
	row     *unwindRow // what was found
}

// An unwindRow has the rules for the frame address and for the registers.
type unwindRow struct {
	cfa        cfaRule
	expression []byte // the frame address, where cfa does not know it
	registers  [maxUnwindRegisters]registerRule
}

// pass is told of each row, which ends at end.
func (f *rowFinder) pass(p *cfaProgram, end uint64) {
	if p.pc <= f.at && f.at < end {
		row := f.state
		row.cfa = p.rule
		f.row = &row
	}
}

func (f *rowFinder) set(n uint64, rule registerRule) {
	if f != nil && n < maxUnwindRegisters {
		f.state.registers[n] = rule
	}
}

func (f *rowFinder) restore(n uint64) {
	if f != nil && n < uint64(len(f.initial)) {
		f.state.registers[n] = f.initial[n]
	}
}

func (f *rowFinder) remember() {
	if f != nil {
		f.saved = append(f.saved, f.state)
	}
}

func (f *rowFinder) recall() {
	if f != nil {
		f.state, f.saved = f.saved[len(f.saved)-1], f.saved[:len(f.saved)-1]
	}
}

func (f *rowFinder) computed(expression []byte) {
	if f != nil {
		f.state.expression = expression
	}
}
