package seccomp

import (
	"errors"
	"fmt"

	"golang.org/x/net/bpf"

	"github.com/sysgate/sysgate/abi"
	cbpf "github.com/sysgate/sysgate/bpf"
)

// Label marks a jump destination in the instruction list of the Program.
type Label int

// Index is the concrete index of an instruction in the instruction list.
type Index int

// JumpIf jumps conditionally to the true or the false label. The concrete
// condition is not relevant to resolve the jumps.
type JumpIf struct {
	index      Index
	trueLabel  Label
	falseLabel Label
}

// The Program consists of a list of bpf.Instructions. Conditional jumps can
// point to different labels in the program and are resolved by Assemble.
//
// NewLabel creates a new label that can be used as jump destination.
//
// SetLabel must be used to specify the concrete instruction. Only forward jumps
// are supported; this means a label must not be used after setting it.
//
// A program is for the architecture that the Go program is built for. Mistakes
// are kept until Assemble.
type Program struct {
	instructions []cbpf.Instruction // jumps without their distances
	jumps        []JumpIf           // in the order of their indexes
	labels       map[Label][]Index  // where a label was set
	lastLabel    Label
	abi          abi.ABI // None: GOARCH's
	numberLoaded bool    // A holds the call's number wherever the next instruction is reached from
	err          error   // the first mistake
}

// NewProgram returns an initialized empty program.
func NewProgram() Program { return Program{} }

// NewLabel creates a new label. It must be used with SetLabel.
func (p *Program) NewLabel() Label {
	p.lastLabel++
	return p.lastLabel
}

// SetLabel sets the label to the latest instruction: the one that is inserted
// next. At the end of a program it is what the caller appends to it.
func (p *Program) SetLabel(label Label) {
	p.bind(label)
	p.numberLoaded = false
}

// bind is SetLabel for labels that leave the accumulator as it is.
func (p *Program) bind(label Label) {
	if p.labels == nil {
		p.labels = make(map[Label][]Index)
	}
	p.labels[label] = append(p.labels[label], p.next())
}

func (p *Program) next() Index { return Index(len(p.instructions)) }

// JmpIfTrue inserts a conditional jump. If the condition is true, it jumps to
// the given label. If it is false, the program flow continues with the next
// instruction.
func (p *Program) JmpIfTrue(cond bpf.JumpTest, val uint32, trueLabel Label) {
	next := p.NewLabel()
	p.JmpIf(cond, val, trueLabel, next)
	p.bind(next)
}

// JmpIf inserts a conditional jump. If the condition is true, it jumps to the
// true label. If it is false, it jumps to the false label.
func (p *Program) JmpIf(cond bpf.JumpTest, val uint32, trueLabel Label, falseLabel Label) {
	raw, err := bpf.JumpIf{Cond: cond, SkipTrue: 1}.Assemble()
	if err != nil {
		p.fail(err)
	}
	if raw.Jt == 0 { // classic BPF has no such condition, but its opposite
		trueLabel, falseLabel = falseLabel, trueLabel
	}
	p.jump(raw.Op, val, trueLabel, falseLabel)
}

func (p *Program) jump(code uint16, k uint32, trueLabel, falseLabel Label) {
	p.jumps = append(p.jumps, JumpIf{p.next(), trueLabel, falseLabel})
	p.add(code, k)
}

func (p *Program) add(code uint16, k uint32) {
	p.instructions = append(p.instructions, cbpf.Stmt(code, k))
}

// Ret inserts a return instruction.
func (p *Program) Ret(action Action) {
	if !action.valid() {
		p.fail(fmt.Errorf("invalid action value %d", action))
	}
	if action == ActionErrno {
		action |= Action(ePERM)
	}
	p.add(cbpf.RetK, uint32(action))
}

// ePERM is EPERM, on every ABI.
const ePERM = 1

// LdHi inserts an instruction to load the most significant 32-bit of the 64-bit
// argument.
func (p *Program) LdHi(arg uint32) { p.load(arg, true) }

// LdLo inserts an instruction to load the least significant 32-bit of the 64-bit
// argument.
func (p *Program) LdLo(arg uint32) { p.load(arg, false) }

func (p *Program) load(arg uint32, high bool) {
	a, err := target(p.abi)
	if err != nil {
		p.fail(err)
	}
	if arg > 5 {
		p.fail(fmt.Errorf("argument must be between 0 and 5 (inclusive), but is %v", arg))
		return
	}
	p.add(cbpf.LdAbs, cbpf.OffsetArg(int(arg), high, a.BigEndian()))
	p.numberLoaded = false
}

func (p *Program) fail(err error) {
	if p.err == nil {
		p.err = err
	}
}

// Assemble resolves all jump destinations to concrete instructions using the
// labels. This method takes care of long jumps and resolves them by using early
// returns or unconditional long jumps.
//
// The program need not end with a return: the caller can append instructions.
func (p *Program) Assemble() ([]bpf.Instruction, error) {
	if p.err != nil {
		return nil, p.err
	}
	var asm cbpf.Assembler
	places := make(map[Index]cbpf.Label)
	place := func(to Index) cbpf.Label {
		l, ok := places[to]
		if !ok {
			l = asm.NewLabel()
			places[to] = l
		}
		return l
	}
	jumps := p.jumps
	for n, i := range p.instructions {
		at := Index(n)
		if l, ok := places[at]; ok {
			asm.Bind(l)
		}
		if len(jumps) == 0 || jumps[0].index != at {
			asm.Stmt(i.Code, i.K)
			continue
		}
		t, err := p.destination(jumps[0], jumps[0].trueLabel)
		if err != nil {
			return nil, err
		}
		f, err := p.destination(jumps[0], jumps[0].falseLabel)
		if err != nil {
			return nil, err
		}
		jumps = jumps[1:]
		switch {
		case i.Code == cbpf.Ja:
			asm.Goto(place(t))
		case t == at+1 && f == at+1:
			return nil, errors.New("useless jump found")
		default:
			asm.If(i.Code, i.K, place(t), place(f))
		}
	}
	// What the caller appends stands at the end. Only the place is wanted, not the
	// two instructions that make it one; the first is no return, which a jump to it
	// would become.
	if l, ok := places[p.next()]; ok {
		asm.Bind(l)
	}
	asm.Stmt(cbpf.LdImm, 0)
	asm.Stmt(cbpf.RetK, 0)
	assembled, err := asm.Assemble()
	if err != nil {
		return nil, err
	}
	return instructions(assembled[:len(assembled)-2]), nil
}

// destination returns where a jump to label goes: to the first place after the
// jump that was given the label.
func (p *Program) destination(from JumpIf, label Label) (Index, error) {
	places := p.labels[label]
	for _, to := range places {
		if to > from.index {
			return to, nil
		}
	}
	if len(places) == 0 {
		return 0, fmt.Errorf("label %d is not set", label)
	}
	return 0, errors.New("backward jumps are not supported")
}
