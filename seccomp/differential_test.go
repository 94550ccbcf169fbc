package seccomp

import (
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/sysgate/sysgate/abi"
	cbpf "github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/internal/testkit"
)

// documented is what the documented package says of a call, with the read masks
// that it does not know, read out as plainly as it can be said.
func documented(p *Policy, c abi.Call) Action {
	if c.Arch != p.abi.AuditArch() {
		if p.BadArchAction == nil {
			return ActionKillProcess
		}
		return withEPERM(*p.BadArchAction)
	}
	if p.abi == abi.AMD64 && c.NR >= 0x40000000 {
		return ActionErrno | 38
	}
	for _, g := range p.Syscalls {
		if matches(g, p.abi, c) {
			return withEPERM(g.Action)
		}
	}
	return withEPERM(p.DefaultAction)
}

func withEPERM(a Action) Action {
	if a == ActionErrno {
		return ActionErrno | 1
	}
	return a
}

func matches(g SyscallGroup, a abi.ABI, c abi.Call) bool {
	for _, name := range g.Names {
		if nr, ok := a.Lookup(name); ok && nr == c.NR {
			return true
		}
		if mux, sub, ok := a.Multiplexed(name); ok && mux == c.NR && c.Args[0]&a.ReadMask(mux, 0) == sub {
			return true
		}
	}
	for _, n := range g.NamesWithCondtions {
		nr, ok := a.Lookup(n.Name)
		if !ok || nr != c.NR {
			continue
		}
		all := true
		for _, condition := range n.Conditions {
			all = all && holds(condition, c.Args[condition.Argument], read(a, nr, int(condition.Argument)))
		}
		if all {
			return true
		}
	}
	return false
}

// read returns the bits of an argument that the kernel reads: none if the call
// does not have it.
func read(a abi.ABI, nr uint32, arg int) uint64 {
	if args, known := a.Args(nr); known && arg >= len(args) {
		return 0
	}
	return a.ReadMask(nr, arg)
}

// holds compares what the kernel reads of the argument. Bits that it does not
// read are no part of a value that is compared for equality or bit by bit.
func holds(c Condition, argument, read uint64) bool {
	argument &= read
	switch c.Operation {
	case Equal:
		return argument == c.Value&read
	case NotEqual:
		return argument != c.Value&read
	case GreaterThan:
		return argument > c.Value
	case LessThan:
		return argument < c.Value
	case GreaterOrEqual:
		return argument >= c.Value
	case LessOrEqual:
		return argument <= c.Value
	case BitsSet:
		return argument&c.Value != 0
	case BitsNotSet:
		return argument&c.Value == 0
	}
	panic("unknown operation")
}

// randomPolicies draws policies that are hard to lower: few calls, named again
// and again, with and without conditions; few values, equal low words under
// different high words, bits inside and outside of what the kernel reads.
func randomPolicies() *rapid.Generator[*Policy] {
	return rapid.Custom(func(t *rapid.T) *Policy {
		p := &Policy{abi: rapid.SampledFrom([]abi.ABI{
			abi.AMD64, abi.AMD64, abi.I386, abi.ARM64, abi.ARM, abi.S390X, abi.MIPS, abi.MIPS64LE, abi.RISCV64, abi.PPC64LE,
		}).Draw(t, "abi")}
		var all []string
		for _, name := range p.abi.Syscalls() {
			all = append(all, name)
		}
		all = compactNames(all)
		some := append([]string{"read", "clone", "openat", "ioctl", "mmap", "fchmod", "bind", "kill"}, "lseek", "prctl")
		some = slices.DeleteFunc(some, func(name string) bool { _, ok := p.abi.Lookup(name); return !ok })
		action := rapid.SampledFrom([]Action{ActionAllow, ActionErrno, ActionErrno | 13, ActionLog, ActionTrap | 3, ActionKillThread, ActionKillProcess, ActionUserNotify, ActionTrace})
		value := rapid.OneOf(
			rapid.SampledFrom([]uint64{0, 1, 2, 3, 0xfff, 0x1000, 0xffff, 0x10000, 1 << 31, 1<<31 - 1, 1<<32 - 1, 1 << 32, 1<<32 + 1, 1<<63 - 1, 1 << 63, ^uint64(0)}),
			rapid.Uint64(),
		)
		condition := rapid.Custom(func(t *rapid.T) Condition {
			return Condition{
				Argument:  rapid.Uint32Range(0, 5).Draw(t, "argument"),
				Operation: rapid.SampledFrom(Operations).Draw(t, "operation"),
				Value:     value.Draw(t, "value"),
			}
		})
		for range rapid.IntRange(1, 4).Draw(t, "groups") {
			g := SyscallGroup{Action: action.Draw(t, "action"), abi: p.abi}
			g.Names = rapid.SliceOfNDistinct(rapid.SampledFrom(some), 0, 3, rapid.ID).Draw(t, "names")
			if rapid.IntRange(0, 7).Draw(t, "long") == 0 {
				g.Names = all[:rapid.IntRange(0, len(all)).Draw(t, "length")]
			}
			for range rapid.IntRange(0, 5).Draw(t, "entries") {
				name := rapid.SampledFrom(some).Draw(t, "name")
				if slices.Contains(g.Names, name) {
					continue
				}
				conditions := rapid.SliceOfN(condition, 1, 3).Draw(t, "conditions")
				g.NamesWithCondtions = append(g.NamesWithCondtions, NameWithConditions{name, conditions})
			}
			p.Syscalls = append(p.Syscalls, g)
		}
		p.DefaultAction = action.Draw(t, "default")
		if rapid.Bool().Draw(t, "bad arch") {
			a := action.Draw(t, "bad arch action")
			p.BadArchAction = &a
		}
		return p
	})
}

// calls returns calls that lie where the policy's verdict can change.
func calls(t *rapid.T, p *Policy, n int) []abi.Call {
	f, err := p.compile()
	if err != nil {
		t.Fatalf("%+v: %v", p, err)
	}
	gen := testkit.NewCallGen(f.Policy, rapid.Uint64().Draw(t, "seed"))
	all := make([]abi.Call, n)
	for i := range all {
		all[i] = gen.Next()
	}
	return all
}

func cases(n int) int {
	if os.Getenv("SYSGATE_LONG") != "" {
		return 10 * n
	}
	return n
}

// What Assemble returns decides every call as the documentation says.
func TestAssembleDifferential(t *testing.T) {
	testkit.Check(t, cases(300), func(t *rapid.T) {
		p := randomPolicies().Draw(t, "policy")
		assembled, err := p.Assemble()
		if err != nil {
			t.Fatal(err)
		}
		filter := RawProgram(t, assembled)
		for _, c := range calls(t, p, 200) {
			if got, want := Action(filter.Run(c, p.abi.BigEndian()).Return), documented(p, c); got != want {
				t.Fatalf("%s: %+v: got %v, want %v", p.abi, c, got, want)
			}
		}
	})
}

// A group alone decides calls of its architecture by itself, whatever the
// accumulator holds before it.
func TestGroupDifferential(t *testing.T) {
	testkit.Check(t, cases(300), func(t *rapid.T) {
		p := randomPolicies().Draw(t, "policy")
		g := p.Syscalls[0]
		assembled, err := g.Assemble(p.DefaultAction)
		if err != nil {
			t.Fatal(err)
		}
		if len(g.Names)+len(g.NamesWithCondtions) == 0 {
			if len(assembled) != 0 {
				t.Fatalf("an empty group has %d instructions", len(assembled))
			}
			return
		}
		filter := append(cbpf.Program{cbpf.Stmt(cbpf.LdImm, 0xdead)}, RawProgram(t, assembled)...)
		if err := filter.Validate(); err != nil {
			t.Fatal(err)
		}
		for _, c := range calls(t, p, 200) {
			want := withEPERM(p.DefaultAction)
			if matches(g, p.abi, c) {
				want = withEPERM(g.Action)
			}
			if got := Action(filter.Run(c, p.abi.BigEndian()).Return); got != want {
				t.Fatalf("%s: %+v: got %v, want %v", p.abi, c, got, want)
			}
		}
	})
}

// Calls with conditions follow each other in one program, in any order and
// number: none sees what another one left behind.
func TestSyscallsDifferential(t *testing.T) {
	testkit.Check(t, cases(300), func(t *rapid.T) {
		p := randomPolicies().Draw(t, "policy")
		prog := Program{abi: p.abi}
		type entry struct {
			g     SyscallGroup
			label Label
		}
		var entries []entry
		for _, g := range p.Syscalls {
			for _, n := range g.NamesWithCondtions {
				nr, _ := p.abi.Lookup(n.Name)
				e := entry{SyscallGroup{Action: g.Action, NamesWithCondtions: []NameWithConditions{n}}, prog.NewLabel()}
				SyscallWithConditions{nr, []ArgumentConditions{n.Conditions}}.Assemble(&prog, e.label)
				entries = append(entries, e)
			}
			for _, name := range g.Names {
				nr, _ := p.abi.Lookup(name)
				if _, _, multiplexed := p.abi.Multiplexed(name); multiplexed {
					continue // a number has no sub-call
				}
				e := entry{SyscallGroup{Action: g.Action, Names: []string{name}}, prog.NewLabel()}
				SyscallWithConditions{Num: nr}.Assemble(&prog, e.label)
				entries = append(entries, e)
			}
		}
		prog.Ret(p.DefaultAction)
		for _, e := range entries {
			prog.SetLabel(e.label)
			prog.Ret(e.g.Action)
		}
		assembled, err := prog.Assemble()
		if err != nil {
			t.Fatal(err)
		}
		filter := RawProgram(t, assembled)
		for _, c := range calls(t, p, 200) {
			want := withEPERM(p.DefaultAction)
			for _, e := range entries {
				if matches(e.g, p.abi, c) {
					want = withEPERM(e.g.Action)
					break
				}
			}
			if got := Action(filter.Run(c, p.abi.BigEndian()).Return); got != want {
				t.Fatalf("%s: %+v: got %v, want %v", p.abi, c, got, want)
			}
		}
	})
}

// Lists of every size, plain and with conditions before, between and after,
// decide every call: no jump misses its target, however far it is.
func TestEverySize(t *testing.T) {
	var names []string
	for _, name := range abi.AMD64.Syscalls() {
		names = append(names, name)
	}
	shuffled := slices.Clone(names)
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	step := 7
	if os.Getenv("SYSGATE_LONG") != "" {
		step = 1
	}
	for size := 1; size <= len(names); size += step {
		for _, list := range [][]string{names[:size], shuffled[:size]} {
			p := &Policy{abi: abi.AMD64, DefaultAction: ActionErrno | 38, Syscalls: []SyscallGroup{
				{Action: ActionTrap, NamesWithCondtions: []NameWithConditions{{list[0], ArgumentConditions{{0, Equal, 7}}}}},
				{Action: ActionAllow, Names: list[:size/2]},
				{Action: ActionTrace, NamesWithCondtions: []NameWithConditions{{list[size/2], ArgumentConditions{{1, BitsSet, 1}, {0, NotEqual, 3}}}}},
				{Action: ActionLog, Names: list[size/2:]},
				{Action: ActionKillThread, NamesWithCondtions: []NameWithConditions{{names[len(names)-1], ArgumentConditions{{0, LessThan, 9}}}}},
			}}
			assembled, err := p.Assemble()
			if err != nil {
				t.Fatal(err)
			}
			filter := RawProgram(t, assembled)
			for _, name := range names {
				nr, _ := abi.AMD64.Lookup(name)
				for _, args := range [][6]uint64{{}, {7, 1}, {3, 1}, {9, 2}} {
					c := abi.Call{NR: nr, Arch: abi.AMD64.AuditArch(), Args: args}
					if got, want := Action(filter.Run(c, false).Return), documented(p, c); got != want {
						t.Fatalf("%d names: %s%v: got %v, want %v", size, name, args, got, want)
					}
				}
			}
		}
	}
}
