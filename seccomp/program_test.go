package seccomp

import (
	"fmt"
	"strings"
	"testing"

	"golang.org/x/net/bpf"
	"pgregory.net/rapid"

	"github.com/sysgate/sysgate/abi"
	cbpf "github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/internal/testkit"
)

func TestProgramAssemble(t *testing.T) {
	p := NewProgram()
	yes, no := p.NewLabel(), p.NewLabel()
	p.LdHi(1)
	p.JmpIfTrue(bpf.JumpNotEqual, 3, no)
	p.LdLo(1)
	p.JmpIf(bpf.JumpLessThan, 9, yes, no)
	p.SetLabel(no)
	p.Ret(ActionErrno)
	p.SetLabel(yes)
	p.Ret(ActionAllow)
	for range 2 { // assembling changes nothing
		got, err := p.Assemble()
		if err != nil {
			t.Fatal(err)
		}
		hi, lo := uint32(28), uint32(24)
		if a, _ := target(p.abi); a.BigEndian() {
			hi, lo = lo, hi
		}
		want := []bpf.Instruction{
			bpf.LoadAbsolute{Off: hi, Size: 4},
			bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 3, SkipTrue: 2},
			bpf.LoadAbsolute{Off: lo, Size: 4},
			bpf.JumpIf{Cond: bpf.JumpLessThan, Val: 9, SkipTrue: 1},
			bpf.RetConstant{Val: 0x50001},
			bpf.RetConstant{Val: 0x7fff0000},
		}
		if fmt.Sprintf("%#v", got) != fmt.Sprintf("%#v", want) {
			t.Errorf("assembled\n%v\nwant\n%v", got, want)
		}
	}
	var zero Program
	if all, err := zero.Assemble(); len(all) != 0 || err != nil {
		t.Errorf("the zero program: %v, %v", all, err)
	}
}

func TestProgramErrors(t *testing.T) {
	for _, test := range []struct {
		name string
		make func(p *Program)
		want string
	}{
		{"backward", func(p *Program) {
			l := p.NewLabel()
			p.SetLabel(l)
			p.LdLo(0)
			p.JmpIfTrue(bpf.JumpEqual, 1, l)
			p.Ret(ActionAllow)
		}, "backward jumps are not supported"},
		{"to itself", func(p *Program) {
			l := p.NewLabel()
			p.SetLabel(l)
			p.JmpIfTrue(bpf.JumpEqual, 1, l)
			p.Ret(ActionAllow)
		}, "backward jumps are not supported"},
		{"useless", func(p *Program) {
			l := p.NewLabel()
			p.JmpIfTrue(bpf.JumpEqual, 1, l)
			p.SetLabel(l)
			p.Ret(ActionAllow)
		}, "useless jump found"},
		{"label without a place", func(p *Program) {
			p.JmpIfTrue(bpf.JumpEqual, 1, p.NewLabel())
			p.Ret(ActionAllow)
		}, "label 1 is not set"},
		{"label that nobody made", func(p *Program) {
			p.JmpIfTrue(bpf.JumpEqual, 1, 99)
			p.Ret(ActionAllow)
		}, "label 99 is not set"},
		{"argument", func(p *Program) { p.LdHi(6) }, "argument must be between 0 and 5 (inclusive), but is 6"},
		{"argument far away", func(p *Program) { p.LdLo(1 << 30) }, "argument must be between 0 and 5 (inclusive), but is 1073741824"},
		{"condition", func(p *Program) { p.JmpIfTrue(99, 1, 1) }, "unknown JumpTest 99"},
		{"action", func(p *Program) { p.Ret(0x60000) }, "invalid action value 393216"},
		{"operation", func(p *Program) {
			SyscallWithConditions{1, []ArgumentConditions{{{0, "", 1}}}}.Assemble(p, p.NewLabel())
		}, "missing operation"},
		{"no conditions", func(p *Program) {
			SyscallWithConditions{1, []ArgumentConditions{{}}}.Assemble(p, p.NewLabel())
		}, "missing arguments"},
		{"too long", func(p *Program) {
			for range 5000 {
				p.Ret(ActionAllow)
			}
		}, "more than the 4096 instructions that the kernel takes"},
	} {
		p := NewProgram()
		test.make(&p)
		if all, err := p.Assemble(); err == nil || all != nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, %v; want %q", test.name, all, err, test.want)
		}
	}
}

// A label that is set more than once is, for each jump, the next place after it.
func TestLabelsSetAgain(t *testing.T) {
	p := NewProgram()
	l := p.NewLabel()
	p.JmpIfTrue(bpf.JumpEqual, 1, l) // A is 0 at the start
	p.JmpIfTrue(bpf.JumpEqual, 0, l)
	p.Ret(ActionKillProcess)
	p.SetLabel(l)
	p.JmpIfTrue(bpf.JumpEqual, 0, l)
	p.Ret(ActionKillThread)
	p.SetLabel(l)
	p.Ret(ActionAllow)
	all, err := p.Assemble()
	if err != nil {
		t.Fatal(err)
	}
	if got := RawProgram(t, all).Run(abi.Call{}, false).Return; got != abi.Allow {
		t.Errorf("got %v", got)
	}
}

// What the caller appends is where a label at the end leads, over any distance.
func TestProgramGoesOn(t *testing.T) {
	for n := range 600 {
		p := NewProgram()
		end := p.NewLabel()
		p.JmpIfTrue(bpf.JumpEqual, 0, end)
		p.Ret(ActionKillThread)
		for range n {
			p.Ret(ActionKillProcess)
		}
		p.SetLabel(end)
		all, err := p.Assemble()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, bpf.RetConstant{Val: uint32(abi.Allow)})
		if got := RawProgram(t, all).Run(abi.Call{}, false).Return; got != abi.Allow {
			t.Fatalf("%d instructions between: %v", n, got)
		}
	}
}

// A jump of any length, in either direction of its condition, arrives.
func TestJumpLengths(t *testing.T) {
	for n := range 600 {
		for value, want := range map[uint32]abi.Action{0: abi.Allow, 1: abi.Log} {
			p := NewProgram()
			far, near := p.NewLabel(), p.NewLabel()
			p.JmpIf(bpf.JumpEqual, value, far, near) // A is 0 at the start
			for range n {
				p.Ret(ActionKillProcess)
			}
			p.SetLabel(near)
			p.Ret(ActionLog)
			for range n {
				p.Ret(ActionKillThread)
			}
			p.SetLabel(far)
			p.LdLo(0) // no return that could be copied
			p.Ret(ActionAllow)
			all, err := p.Assemble()
			if err != nil {
				t.Fatal(err)
			}
			assembled := RawProgram(t, all)
			if err := assembled.Validate(); err != nil {
				t.Fatal(err)
			}
			if got := assembled.Run(abi.Call{}, false).Return; got != want {
				t.Fatalf("%d instructions between: %v, want %v", n, got, want)
			}
		}
	}
}

// A step is one call of a Program's methods.
type step struct {
	method      string
	arg         uint32
	cond        bpf.JumpTest
	true, false Label
	action      Action
}

// run executes steps as their documentation says, without assembling them.
func run(steps []step, c abi.Call) Action {
	a := uint32(0)
	for pc := 0; ; pc++ {
		s := steps[pc]
		jump := Label(0)
		switch s.method {
		case "LdHi":
			a = uint32(c.Args[s.arg] >> 32)
		case "LdLo":
			a = uint32(c.Args[s.arg])
		case "Ret":
			return withEPERM(s.action)
		case "JmpIf":
			jump = s.false
			if tests[s.cond](a, s.arg) {
				jump = s.true
			}
		case "JmpIfTrue":
			if tests[s.cond](a, s.arg) {
				jump = s.true
			}
		}
		for jump != 0 && (steps[pc].method != "SetLabel" || steps[pc].true != jump) {
			pc++
		}
	}
}

var tests = map[bpf.JumpTest]func(a, k uint32) bool{
	bpf.JumpEqual:          func(a, k uint32) bool { return a == k },
	bpf.JumpNotEqual:       func(a, k uint32) bool { return a != k },
	bpf.JumpGreaterThan:    func(a, k uint32) bool { return a > k },
	bpf.JumpLessThan:       func(a, k uint32) bool { return a < k },
	bpf.JumpGreaterOrEqual: func(a, k uint32) bool { return a >= k },
	bpf.JumpLessOrEqual:    func(a, k uint32) bool { return a <= k },
	bpf.JumpBitsSet:        func(a, k uint32) bool { return a&k != 0 },
	bpf.JumpBitsNotSet:     func(a, k uint32) bool { return a&k == 0 },
}

// Random programs of random length, with jumps of random length, assemble to
// what they say.
func TestProgramDifferential(t *testing.T) {
	testkit.Check(t, cases(300), func(t *rapid.T) {
		p := Program{abi: rapid.SampledFrom([]abi.ABI{abi.AMD64, abi.S390X}).Draw(t, "abi")}
		var steps []step
		var open []Label // labels that are used and not set
		label := func() Label {
			if len(open) > 0 && rapid.Bool().Draw(t, "old label") {
				return rapid.SampledFrom(open).Draw(t, "label")
			}
			l := p.NewLabel()
			open = append(open, l)
			return l
		}
		set := func(i int) {
			p.SetLabel(open[i])
			steps = append(steps, step{method: "SetLabel", true: open[i]})
			open = append(open[:i], open[i+1:]...)
		}
		words := rapid.SampledFrom([]uint32{0, 1, 2, 1 << 31, ^uint32(0)})
		condition := rapid.Custom(func(t *rapid.T) bpf.JumpTest {
			return bpf.JumpTest(rapid.IntRange(0, len(tests)-1).Draw(t, "condition"))
		})
		for range rapid.IntRange(1, 60).Draw(t, "blocks") {
			switch s := (step{arg: rapid.Uint32Range(0, 5).Draw(t, "argument")}); rapid.IntRange(0, 5).Draw(t, "method") {
			case 0:
				s.method = "LdHi"
				p.LdHi(s.arg)
				steps = append(steps, s)
			case 1:
				s.method = "LdLo"
				p.LdLo(s.arg)
				steps = append(steps, s)
			case 2, 3:
				s.method, s.arg, s.cond, s.true = "JmpIfTrue", words.Draw(t, "constant"), condition.Draw(t, "cond"), label()
				p.JmpIfTrue(s.cond, s.arg, s.true)
				steps = append(steps, s)
			case 4:
				s.method, s.arg, s.cond, s.true, s.false = "JmpIf", words.Draw(t, "constant"), condition.Draw(t, "cond"), label(), label()
				p.JmpIf(s.cond, s.arg, s.true, s.false)
				steps = append(steps, s)
			}
			// Something has to stand between a jump and its label, else it is useless.
			for range rapid.SampledFrom([]int{1, 1, 2, 5, 100, 260}).Draw(t, "filler") {
				arg := uint32(len(steps) % 6)
				p.LdLo(arg)
				steps = append(steps, step{method: "LdLo", arg: arg})
			}
			if len(open) > 0 && rapid.IntRange(0, 3).Draw(t, "set") == 0 {
				set(rapid.IntRange(0, len(open)-1).Draw(t, "which"))
			}
		}
		ret := func(action Action) {
			p.Ret(action)
			steps = append(steps, step{method: "Ret", action: action})
		}
		ret(ActionErrno)
		for n := 0; len(open) > 0; n++ {
			set(0)
			ret(ActionTrace | Action(n))
		}
		all, err := p.Assemble()
		if err != nil {
			if strings.Contains(err.Error(), "4096") {
				t.Skip("too long")
			}
			t.Fatal(err)
		}
		assembled := RawProgram(t, all)
		if err := assembled.Validate(); err != nil {
			t.Fatal(err)
		}
		for range 50 {
			var c abi.Call
			for i := range c.Args {
				c.Args[i] = uint64(words.Draw(t, "high"))<<32 | uint64(words.Draw(t, "low"))
			}
			if got, want := Action(assembled.Run(c, p.abi.BigEndian()).Return), run(steps, c); got != want {
				t.Fatalf("%+v: got %v, want %v", c, got, want)
			}
		}
	})
}

// Any number of calls, each with conditions, follow each other in one program:
// the jumps to their actions and around their conditions grow past every limit
// of a conditional jump.
func TestManySyscalls(t *testing.T) {
	conditions := func(nr uint32) []ArgumentConditions {
		if nr%9 != 4 || abi.AMD64.SyscallName(nr) == "" {
			return nil
		}
		return []ArgumentConditions{{{0, Equal, uint64(nr)}, {1, BitsSet, 1}}, {{0, GreaterThan, 1 << 20}}}
	}
	for size := uint32(1); size <= 400; size++ {
		p := Program{abi: abi.AMD64}
		action := p.NewLabel()
		for nr := range size {
			SyscallWithConditions{nr, conditions(nr)}.Assemble(&p, action)
		}
		p.Ret(ActionErrno)
		p.SetLabel(action)
		p.Ret(ActionAllow)
		all, err := p.Assemble()
		if err != nil {
			t.Fatal(err)
		}
		assembled := RawProgram(t, all)
		for nr := range size + 2 {
			var g SyscallGroup
			for _, c := range conditions(nr) {
				g.NamesWithCondtions = append(g.NamesWithCondtions, NameWithConditions{abi.AMD64.SyscallName(nr), c})
			}
			for _, args := range [][6]uint64{{}, {uint64(nr), 1}, {uint64(nr), 2}, {1<<20 + 1}} {
				c := abi.Call{NR: nr, Args: args}
				want := ActionErrno | 1
				if nr < size && (len(g.NamesWithCondtions) == 0 || matches(g, abi.AMD64, c)) {
					want = ActionAllow
				}
				if got := Action(assembled.Run(c, false).Return); got != want {
					t.Fatalf("%d calls: number %d%v: got %v, want %v", size, nr, args, got, want)
				}
			}
		}
	}
}

// FuzzProgram lets the fuzzer choose programs: none panics, and what assembles
// is what the kernel takes once a return follows.
func FuzzProgram(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9})
	f.Add([]byte("\x03\x01\x01\x03\x02\x02\x05\x00\x00\x04\x01\x00\x05"))
	f.Fuzz(func(t *testing.T, data []byte) {
		p := NewProgram()
		for len(data) >= 3 {
			op, x, y := data[0], data[1], data[2]
			data = data[3:]
			switch op % 8 {
			case 0:
				p.LdHi(uint32(x % 8))
			case 1:
				p.LdLo(uint32(x % 8))
			case 2:
				p.JmpIf(bpf.JumpTest(x%9), uint32(y), Label(x), Label(y))
			case 3:
				p.JmpIfTrue(bpf.JumpTest(x%9), uint32(y), Label(y))
			case 4:
				p.SetLabel(Label(x))
			case 5:
				p.Ret(actions[x%8] | Action(y/250))
			case 6:
				p.NewLabel()
			case 7:
				SyscallWithConditions{uint32(x), []ArgumentConditions{{{uint32(y % 7), Operations[y%8], uint64(x) << (y % 64)}}}}.Assemble(&p, Label(y))
			}
		}
		all, err := p.Assemble()
		if err != nil {
			return
		}
		var assembled cbpf.Program
		for _, i := range append(all, bpf.RetConstant{}) {
			r, err := i.Assemble()
			if err != nil {
				t.Fatal(err)
			}
			assembled = append(assembled, cbpf.Instruction{Code: r.Op, JT: r.Jt, JF: r.Jf, K: r.K})
		}
		if err := assembled.Validate(); err != nil {
			t.Error(err)
		}
	})
}
