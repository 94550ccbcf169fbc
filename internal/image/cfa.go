package image

import (
	"slices"

	"github.com/sysgate/sysgate/abi"
)

// unwindRegisters give the encoding's numbers of the registers that unwind data
// numbers otherwise (the machines' ABI supplements).
var unwindRegisters = map[abi.ABI][]Reg{
	abi.AMD64: {RAX, RDX, RCX, RBX, RSI, RDI, RBP, RSP, R8, R9, R10, R11, R12, R13, R14, R15},
	abi.I386:  {RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI},
	abi.ARM64: {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31},

	abi.RISCV64: {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31},
}

// A cfaRule says where the canonical frame address is: register + offset, or
// somewhere else.
type cfaRule struct {
	reg    Reg
	offset int64
	known  bool
}

// maxRows bounds the rows of one frame.
const maxRows = 1 << 16

// depths reads the frame's rules for the canonical frame address, which is the
// stack pointer before the call: on x86 a word above that at the entry.
func (r *unwindReader) depths(f frame) []Depth {
	p, ok := r.program(f)
	if !ok || !p.runAll() {
		return nil
	}
	return p.rows
}

// program returns the frame's call frame instructions.
func (r *unwindReader) program(f frame) (*cfaProgram, bool) {
	c, b, at, ok := r.entry(f.addr)
	if !ok {
		return nil, false
	}
	start, n, ok := r.pointer(b, at, c.encoding)
	if !ok {
		return nil, false
	}
	d := dwarf{b: b[n:]}
	_, n, _ = r.pointer(d.b, 0, c.encoding&encFormat)
	d.skip(uint64(n))
	if c.augmented {
		d.skip(d.unsigned())
	}
	return &cfaProgram{machine: r.m.object.machine, common: c, own: d.b, pc: start, end: f.end}, !d.bad
}

// A cfaProgram runs the call frame instructions (DWARF 5, section 6.4.2).
type cfaProgram struct {
	machine abi.ABI
	*common
	own     []byte // instructions behind the common ones
	pc, end uint64
	rule    cfaRule
	saved   []cfaRule
	rows    []Depth
	finder  *rowFinder // nil: only the depths are wanted
	bad     bool
}

// runAll interprets the instructions of the common entry and of the frame.
func (p *cfaProgram) runAll() bool {
	p.run(p.instructions)
	if p.finder != nil {
		p.finder.initial = slices.Clone(p.finder.state.registers[:])
	}
	p.run(p.own)
	if p.bad {
		return false
	}
	p.row(p.end)
	return true
}

// row ends the row that the rule is of at the address end.
func (p *cfaProgram) row(end uint64) {
	if end <= p.pc || len(p.rows) == maxRows {
		return
	}
	if f := p.finder; f != nil {
		f.pass(p, end)
		p.pc = end
		return
	}
	d := Depth{End: end, Unknown: true, Base: RegNone}
	word := int64(0)
	sp := stackPointer(p.machine)
	switch p.machine { // the return address
	case abi.AMD64:
		word = 8
	case abi.I386:
		word = 4
	}
	switch {
	case p.rule.known && p.rule.reg == sp:
		d.Depth, d.Unknown = p.rule.offset-word, false
	case p.rule.known:
		d.Base, d.BaseDepth = p.rule.reg, p.rule.offset-word
	}
	p.pc = end
	if n := len(p.rows); n > 0 {
		last := p.rows[n-1]
		if last.End = end; last == d {
			p.rows[n-1] = d
			return
		}
	}
	p.rows = append(p.rows, d)
}

func (p *cfaProgram) register(n uint64) Reg {
	if regs := unwindRegisters[p.machine]; n < uint64(len(regs)) {
		return regs[n]
	}
	return RegNone
}

// run interprets instructions; those about registers other than the frame
// address are for the finder of a row.
func (p *cfaProgram) run(b []byte) {
	d := dwarf{b: b}
	for len(d.b) > 0 && !d.bad {
		op := d.byte()
		low := uint64(op & 0x3f)
		switch op & 0xc0 {
		case 0x40: // advance_loc
			p.row(p.pc + low*p.codeAlign)
			continue
		case 0x80: // offset
			p.finder.set(low, registerRule{kind: ruleOffset, offset: int64(d.unsigned()) * p.dataAlign})
			continue
		case 0xc0: // restore
			p.finder.restore(low)
			continue
		}
		switch op {
		case 0x00, 0x2d: // nop; arm64: the return address changes its signature
		case 0x02: // advance_loc1
			p.row(p.pc + uint64(d.byte())*p.codeAlign)
		case 0x03: // advance_loc2
			v := d.take(2)
			if v != nil {
				p.row(p.pc + (uint64(v[0])|uint64(v[1])<<8)*p.codeAlign)
			}
		case 0x04: // advance_loc4
			v := d.take(4)
			if v != nil {
				p.row(p.pc + (uint64(v[0])|uint64(v[1])<<8|uint64(v[2])<<16|uint64(v[3])<<24)*p.codeAlign)
			}
		case 0x05: // offset_extended
			n := d.unsigned()
			p.finder.set(n, registerRule{kind: ruleOffset, offset: int64(d.unsigned()) * p.dataAlign})
		case 0x06: // restore_extended
			p.finder.restore(d.unsigned())
		case 0x07: // undefined
			p.finder.set(d.unsigned(), registerRule{kind: ruleUndefined})
		case 0x08: // same_value
			p.finder.set(d.unsigned(), registerRule{})
		case 0x09: // register
			n := d.unsigned()
			p.finder.set(n, registerRule{kind: ruleRegister, offset: int64(d.unsigned())})
		case 0x0a: // remember_state
			if len(p.saved) < 64 {
				p.saved = append(p.saved, p.rule)
				p.finder.remember()
			}
		case 0x0b: // restore_state
			if n := len(p.saved); n > 0 {
				p.rule, p.saved = p.saved[n-1], p.saved[:n-1]
				p.finder.recall()
			}
		case 0x0c: // def_cfa
			reg := p.register(d.unsigned())
			p.rule = cfaRule{reg, int64(d.unsigned()), reg != RegNone}
		case 0x0d: // def_cfa_register
			p.rule.reg = p.register(d.unsigned())
			p.rule.known = p.rule.known && p.rule.reg != RegNone
		case 0x0e: // def_cfa_offset
			p.rule.offset = int64(d.unsigned())
		case 0x0f: // def_cfa_expression
			p.finder.computed(d.take(d.unsigned()))
			p.rule = cfaRule{}
		case 0x10: // expression
			n := d.unsigned()
			p.finder.set(n, registerRule{kind: ruleExpression, expression: d.take(d.unsigned())})
		case 0x11: // offset_extended_sf
			n := d.unsigned()
			p.finder.set(n, registerRule{kind: ruleOffset, offset: d.signed() * p.dataAlign})
		case 0x12: // def_cfa_sf
			reg := p.register(d.unsigned())
			p.rule = cfaRule{reg, d.signed() * p.dataAlign, reg != RegNone}
		case 0x13: // def_cfa_offset_sf
			p.rule.offset = d.signed() * p.dataAlign
		case 0x14: // val_offset
			n := d.unsigned()
			p.finder.set(n, registerRule{kind: ruleValueOffset, offset: int64(d.unsigned()) * p.dataAlign})
		case 0x15: // val_offset_sf
			n := d.unsigned()
			p.finder.set(n, registerRule{kind: ruleValueOffset, offset: d.signed() * p.dataAlign})
		case 0x16: // val_expression
			n := d.unsigned()
			p.finder.set(n, registerRule{kind: ruleValueExpression, expression: d.take(d.unsigned())})
		case 0x2e: // args_size
			d.unsigned()
		case 0x2f: // negative_offset_extended
			n := d.unsigned()
			p.finder.set(n, registerRule{kind: ruleOffset, offset: -int64(d.unsigned()) * p.dataAlign})
		default:
			p.bad = true
			return
		}
	}
	p.bad = p.bad || d.bad
}
