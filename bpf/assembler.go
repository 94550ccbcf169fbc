package bpf

import (
	"fmt"
	"slices"
)

// A Label names a place in the program that an [Assembler] builds.
type Label int

// Next is the place after the statement that names it.
const Next Label = 0

// An Assembler builds a program from statements and labels. Jumps go forward
// only, over any distance: where a conditional jump, which reaches 255
// instructions, cannot reach, it goes through an instruction placed right after
// it. The zero value is an empty program. Mistakes are kept until [Assembler.Assemble].
type Assembler struct {
	items  []item
	labels Label // number of labels made
	err    error
}

// An item is a statement, or a place if it binds a label.
type item struct {
	code uint16
	k    uint32
	t, f Label // where a jump goes
	bind Label // the label bound here, Next if none
}

// NewLabel returns a new label, to be bound to one place.
func (a *Assembler) NewLabel() Label {
	a.labels++
	return a.labels
}

// Bind gives l to the statement that follows.
func (a *Assembler) Bind(l Label) {
	if l == Next {
		a.fail("bound label is Next, which is no place")
	}
	a.add(item{bind: l})
}

// Stmt adds an instruction that is no jump.
func (a *Assembler) Stmt(code uint16, k uint32) {
	switch formOf(code) {
	case jump, branchK, branchX:
		a.fail("jump without a label")
	}
	a.add(item{code: code, k: k})
}

// Goto adds a jump to l. It adds nothing if l is what follows.
func (a *Assembler) Goto(l Label) { a.add(item{code: Ja, t: l}) }

// If adds a conditional jump: to t if A compares with k, or with X, as code
// says, else to f.
func (a *Assembler) If(code uint16, k uint32, t, f Label) {
	if !(Instruction{Code: code}).IsBranch() {
		a.fail("code %#x is no conditional jump", code)
	}
	a.add(item{code: code, k: k, t: t, f: f})
}

func (a *Assembler) add(i item) {
	for _, l := range []Label{i.t, i.f, i.bind} {
		if l < 0 || l > a.labels {
			a.fail("label %d was not made by NewLabel", l)
		}
	}
	a.items = append(a.items, i)
}

func (a *Assembler) fail(format string, args ...any) {
	if a.err == nil {
		a.err = fmt.Errorf("statement %d: %w", len(a.items), fmt.Errorf(format, args...))
	}
}

// Assemble returns the program, which is valid; see [Program.Validate]. It is an
// error if a label that is used is bound nowhere or twice, if a jump would go
// backward, and if the program is longer than [MaxLen] instructions
// ([ErrTooLong]) or else not valid.
func (a *Assembler) Assemble() (Program, error) {
	if a.err != nil {
		return nil, a.err
	}
	l := layout{at: make([]int, a.labels+1), islands: make(map[int]int)}
	for n := range l.at {
		l.at[n] = unbound
	}
	for n, i := range slices.Backward(a.items) {
		if err := l.place(i); err != nil {
			return nil, fmt.Errorf("statement %d: %w", n, err)
		}
	}
	slices.Reverse(l.rev)
	if err := l.rev.Validate(); err != nil {
		return nil, err
	}
	return l.rev, nil
}

// A layout places statements from the last to the first, so that the distance
// to every target is final when a jump to it is placed and nothing is ever
// moved. A position is the number of instructions from a place to the end.
type layout struct {
	rev     Program     // the program placed so far, last instruction first
	at      []int       // position of each label
	islands map[int]int // position of a target to that of the nearest island for it
}

const (
	unbound   = -1
	maxBranch = 255 // largest JT and JF
)

func (l *layout) place(i item) error {
	if i.bind != Next {
		if l.at[i.bind] != unbound {
			return fmt.Errorf("label %d is bound twice", i.bind)
		}
		l.at[i.bind] = len(l.rev)
		return nil
	}
	switch formOf(i.code) {
	case jump:
		return l.placeGoto(i)
	case branchK, branchX:
		return l.placeBranch(i)
	}
	l.add(Stmt(i.code, i.k))
	return nil
}

func (l *layout) placeGoto(i item) error {
	t, err := l.position(i.t)
	if err != nil {
		return err
	}
	if d := l.distance(t); d > 0 {
		l.add(Stmt(Ja, uint32(d)))
	}
	return nil
}

func (l *layout) placeBranch(i item) error {
	t, err := l.position(i.t)
	if err != nil {
		return err
	}
	f, err := l.position(i.f)
	if err != nil {
		return err
	}
	// An island lengthens the other way by one, so both are looked at again.
	for l.distance(t) > maxBranch || l.distance(f) > maxBranch {
		if l.distance(t) > maxBranch {
			t = l.island(t)
		}
		if l.distance(f) > maxBranch {
			f = l.island(f)
		}
	}
	l.add(Jump(i.code, i.k, uint8(l.distance(t)), uint8(l.distance(f))))
	return nil
}

// island returns the position, near enough for the branch that is placed next,
// of an instruction that does what the one at t does: a copy of it if it
// returns, else a jump to it.
func (l *layout) island(t int) int {
	const twoMoreIslands = 2
	if at, ok := l.islands[t]; ok && l.distance(at) <= maxBranch-twoMoreIslands {
		return at
	}
	i := Stmt(Ja, uint32(l.distance(t)))
	if t > 0 && l.rev[t-1].IsReturn() {
		i = l.rev[t-1]
	}
	l.add(i)
	l.islands[t] = len(l.rev)
	return len(l.rev)
}

func (l *layout) add(i Instruction) { l.rev = append(l.rev, i) }

// distance returns how many instructions the one placed next has to skip to
// reach position t.
func (l *layout) distance(t int) int { return len(l.rev) - t }

func (l *layout) position(target Label) (int, error) {
	if target == Next {
		return len(l.rev), nil
	}
	if l.at[target] == unbound {
		return 0, fmt.Errorf("label %d is not bound to a later place", target)
	}
	return l.at[target], nil
}
