package bpf

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/sysgate/sysgate/abi"
	"pgregory.net/rapid"
)

func TestAssemble(t *testing.T) {
	ret := func(n int) Instruction { return Stmt(RetK, uint32(n)) }
	tests := []struct {
		name  string
		build func(a *Assembler)
		want  Program
	}{
		{"statement", func(a *Assembler) { a.Stmt(RetK, 1) }, Program{ret(1)}},
		{"branch", func(a *Assembler) {
			l := a.NewLabel()
			a.If(JeqK, 7, Next, l)
			a.Stmt(RetK, 1)
			a.Bind(l)
			a.Stmt(RetK, 2)
		}, Program{Jump(JeqK, 7, 0, 1), ret(1), ret(2)}},
		{"goto", func(a *Assembler) {
			l := a.NewLabel()
			a.Goto(l)
			a.Stmt(RetK, 1)
			a.Bind(l)
			a.Stmt(RetK, 2)
		}, Program{Stmt(Ja, 1), ret(1), ret(2)}},
		{"goto what follows", func(a *Assembler) {
			l := a.NewLabel()
			a.Goto(l)
			a.Bind(l)
			a.Goto(Next)
			a.Stmt(RetK, 2)
		}, Program{ret(2)}},
		{"two labels at one place", func(a *Assembler) {
			l, m := a.NewLabel(), a.NewLabel()
			a.If(JgtX, 0, m, l)
			a.Stmt(RetK, 1)
			a.Bind(l)
			a.Bind(m)
			a.Stmt(RetK, 2)
		}, Program{Jump(JgtX, 0, 1, 1), ret(1), ret(2)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var a Assembler
			tt.build(&a)
			got, err := a.Assemble()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAssembleErrors(t *testing.T) {
	tests := []struct {
		name  string
		build func(a *Assembler)
		want  string
	}{
		{"nothing", func(*Assembler) {}, ErrEmpty.Error()},
		{"no return", func(a *Assembler) { a.Stmt(LdImm, 1) }, ErrNoReturn.Error()},
		{"unbound", func(a *Assembler) { a.If(JeqK, 0, a.NewLabel(), Next); a.Stmt(RetK, 0) }, "statement 0: label 1 is not bound"},
		{"bound twice", func(a *Assembler) {
			l := a.NewLabel()
			a.Bind(l)
			a.Stmt(LdImm, 0)
			a.Bind(l)
			a.Stmt(RetK, 0)
		}, "statement 0: label 1 is bound twice"},
		{"backward", func(a *Assembler) {
			l := a.NewLabel()
			a.Bind(l)
			a.Stmt(LdImm, 0)
			a.Goto(l)
			a.Stmt(RetK, 0)
		}, "statement 2: label 1 is not bound to a later place"},
		{"to itself", func(a *Assembler) {
			l := a.NewLabel()
			a.Bind(l)
			a.Goto(l)
			a.Stmt(RetK, 0)
		}, "statement 1: label 1 is not bound to a later place"},
		{"to the end", func(a *Assembler) {
			l := a.NewLabel()
			a.Goto(l)
			a.Stmt(RetK, 0)
			a.Bind(l)
		}, "jump leaves the program"},
		{"unknown label", func(a *Assembler) { a.Goto(3); a.Stmt(RetK, 0) }, "statement 0: label 3 was not made"},
		{"negative label", func(a *Assembler) { a.Bind(-1) }, "statement 0: label -1 was not made"},
		{"bound Next", func(a *Assembler) { a.Bind(Next) }, "statement 0: bound label is Next"},
		{"jump as statement", func(a *Assembler) { a.Stmt(Ja, 0) }, "statement 0: jump without a label"},
		{"branch as statement", func(a *Assembler) { a.Stmt(JeqX, 0) }, "statement 0: jump without a label"},
		{"statement as branch", func(a *Assembler) { a.If(LdAbs, 0, Next, Next) }, "statement 0: code 0x20 is no conditional jump"},
		{"invalid", func(a *Assembler) { a.Stmt(LdAbs, 3); a.Stmt(RetK, 0) }, "instruction 0"},
		{"too long", func(a *Assembler) {
			for range MaxLen {
				a.Stmt(LdImm, 0)
			}
			a.Stmt(RetK, 0)
		}, ErrTooLong.Error()},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var a Assembler
			tt.build(&a)
			p, err := a.Assemble()
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Assemble() = %v, %v, want error with %q", p, err, tt.want)
			}
		})
	}
}

// TestJumpDistances puts both targets of a branch at every distance around what
// JT and JF hold, alone and together.
func TestJumpDistances(t *testing.T) {
	distances := []int{0, 1, 2, 253, 254, 255, 256, 257, 258, 510, 511, 512, 513, 1000, 3000}
	for _, dt := range distances {
		for _, df := range distances {
			for _, returns := range []bool{true, false} {
				t.Run(fmt.Sprintf("%d,%d,%v", dt, df, returns), func(t *testing.T) {
					var a Assembler
					lt, lf := a.NewLabel(), a.NewLabel()
					a.Stmt(LdAbs, OffsetNR)
					a.If(JeqK, 1, lt, lf)
					for d := range max(dt, df) + 1 {
						if d == dt {
							a.Bind(lt)
						}
						if d == df {
							a.Bind(lf)
						}
						if (d == dt || d == df) && !returns {
							a.Stmt(LdImm, uint32(d))
							a.Stmt(RetA, 0)
						} else {
							a.Stmt(RetK, uint32(d))
						}
					}
					p, err := a.Assemble()
					if err != nil {
						t.Fatal(err)
					}
					if got := p.Run(abi.Call{NR: 1}, false).Return; got != abi.Action(dt) {
						t.Errorf("taken: landed at %d", got)
					}
					if got := p.Run(abi.Call{NR: 2}, false).Return; got != abi.Action(df) {
						t.Errorf("not taken: landed at %d", got)
					}
				})
			}
		}
	}
}

// TestAssembleFarReturns holds the assembler to copying a far return instead of
// jumping to it, and to using one copy more than once.
func TestAssembleFarReturns(t *testing.T) {
	var a Assembler
	far := a.NewLabel()
	a.If(JeqK, 1, far, Next)
	a.If(JeqK, 2, far, Next)
	for range 300 {
		a.Stmt(LdImm, 0)
	}
	a.Stmt(RetK, 1)
	a.Bind(far)
	a.Stmt(RetK, 2)
	p, err := a.Assemble()
	if err != nil {
		t.Fatal(err)
	}
	want := Program{Jump(JeqK, 1, 1, 0), Jump(JeqK, 2, 0, 1), Stmt(RetK, 2), Stmt(LdImm, 0)}
	if diff := cmp.Diff(want, p[:4]); diff != "" {
		t.Error(diff)
	}
}

// interpret runs the label form: it is what the assembled program has to mean.
func interpret(a *Assembler, c abi.Call) abi.Action {
	var p Program
	at := map[Label]int{}
	for n, i := range a.items {
		if i.bind != Next {
			at[i.bind] = n
		}
	}
	// Each statement runs in a program of its own, which sets the registers and
	// the scratch word first.
	var ra, rx uint32
	m := [MemWords]uint32{}
	for pc := 0; pc < len(a.items); {
		i := a.items[pc]
		goTo := func(l Label) {
			if l == Next {
				pc++
			} else {
				pc = at[l]
			}
		}
		switch {
		case i.bind != Next:
			pc++
		case i.code == Ja:
			goTo(i.t)
		case formOf(i.code) == branchK || formOf(i.code) == branchX:
			p = Program{Stmt(LdxImm, rx), Stmt(LdImm, ra), Jump(i.code, i.k, 0, 1), Stmt(RetK, 1), Stmt(RetK, 0)}
			if p.Run(c, false).Return == 1 {
				goTo(i.t)
			} else {
				goTo(i.f)
			}
		case i.code == RetK:
			return abi.Action(i.k)
		case i.code == RetA:
			return abi.Action(ra)
		default:
			setup := Program{Stmt(LdImm, m[i.k%MemWords]), Stmt(St, i.k%MemWords), Stmt(LdxImm, rx), Stmt(LdImm, ra), Stmt(i.code, i.k)}
			a := append(setup[:5:5], Stmt(RetA, 0)).Run(c, false)
			if a.Steps < len(setup)+1 {
				return a.Return // division by zero
			}
			x := append(setup[:5:5], Stmt(Txa, 0), Stmt(RetA, 0)).Run(c, false)
			if i.code == St || i.code == Stx {
				m[i.k] = uint32(append(setup[:5:5], Stmt(LdMem, i.k), Stmt(RetA, 0)).Run(c, false).Return)
			}
			ra, rx = uint32(a.Return), uint32(x.Return)
			pc++
		}
	}
	return abi.KillProcess
}

// drawAssembler draws statements in which labels lie at any distance.
func drawAssembler(t *rapid.T) *Assembler {
	a := new(Assembler)
	r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
	branches := []uint16{JeqK, JgtK, JgeK, JsetK, JeqX, JgtX, JgeX, JsetX}
	statements := []uint16{LdAbs, LdImm, LdxImm, AddK, XorX, Tax, Txa, St, Stx, LdMem, DivX}
	var open []Label
	target := func() Label {
		if r.IntN(3) == 0 {
			return Next
		}
		if len(open) > 0 && r.IntN(2) == 0 {
			return open[r.IntN(len(open))]
		}
		open = append(open, a.NewLabel())
		return open[len(open)-1]
	}
	for _, word := range []uint32{0, 1, 2, 3} {
		a.Stmt(St, word)
	}
	density := rapid.IntRange(1, 12).Draw(t, "density")
	for range rapid.IntRange(1, 1500).Draw(t, "statements") {
		switch r.IntN(density + 2) {
		case 0:
			a.If(branches[r.IntN(len(branches))], randomWord(r), target(), target())
		case 1:
			if r.IntN(4) == 0 {
				a.Stmt(RetK, randomWord(r))
			} else if len(open) > 0 && r.IntN(3) == 0 {
				n := r.IntN(len(open))
				a.Bind(open[n])
				open = append(open[:n], open[n+1:]...)
			} else if r.IntN(4) == 0 {
				a.Goto(target())
			}
		default:
			code := statements[r.IntN(len(statements))]
			k := randomWord(r)
			switch formOf(code) {
			case withData:
				k = uint32(4 * r.IntN(16))
			case withMem:
				k = uint32(r.IntN(4))
			}
			a.Stmt(code, k)
		}
	}
	for _, l := range open {
		a.Stmt(RetA, 0)
		a.Bind(l)
	}
	a.Stmt(RetA, 0)
	return a
}

func TestAssembleMeansTheSame(t *testing.T) {
	far := 0
	rapid.Check(t, func(t *rapid.T) {
		a := drawAssembler(t)
		p, err := a.Assemble()
		if errors.Is(err, ErrTooLong) {
			t.Skip(err)
		}
		if err != nil {
			t.Fatal(err)
		}
		statements := 0
		for _, i := range a.items {
			if i.bind == Next {
				statements++
			}
		}
		if len(p) > statements {
			far++
		}
		r := rand.New(rand.NewPCG(1, rapid.Uint64().Draw(t, "calls")))
		for range 20 {
			c := randomCall(r)
			if got, want := p.Run(c, false).Return, interpret(a, c); got != want {
				t.Fatalf("Run = %v, the statements return %v", got, want)
			}
		}
	})
	if far == 0 {
		t.Error("no program needed a jump longer than a branch reaches")
	}
}
