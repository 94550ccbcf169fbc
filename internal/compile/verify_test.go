package compile

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/testkit"
)

// TestPasses runs the passes one by one. After each, what there is is well
// formed and means what the policy means.
func TestPasses(t *testing.T) {
	cases := 0
	testkit.Check(t, 500, func(t *rapid.T) {
		r := testkit.Policies(testkit.PolicyOptions{}).Draw(t, "policy")
		calls := testkit.NewCallGen(r, rapid.Uint64().Draw(t, "seed"))
		u := newUnit(r, drawOptions(t))
		for _, p := range passes {
			if err := p.run(u); err != nil {
				t.Fatal(err)
			}
			verify, mean := afterPass(p.name)
			if mean == nil {
				continue
			}
			if err := verify(u); err != nil {
				t.Fatalf("after %s: %v", p.name, err)
			}
			for range 100 {
				c := calls.Next()
				if got, want := mean(u, c), r.Eval(c).Action; got != want {
					t.Fatalf("after %s: %+v: got %v, want %v", p.name, c, got, want)
				}
				cases++
			}
		}
	})
	t.Logf("%d calls", cases)
}

// TestPassOrder sees that every pass comes after those that it needs, and says why
// it is there.
func TestPassOrder(t *testing.T) {
	seen := map[string]bool{}
	for i, p := range passes {
		if seen[p.name] || p.why == "" || i > 0 && len(p.after) == 0 {
			t.Errorf("pass %s is there twice, has no reason, or needs nothing", p.name)
		}
		for _, name := range p.after {
			if !seen[name] {
				t.Errorf("%s comes before %s, which it needs", p.name, name)
			}
		}
		seen[p.name] = true
	}
}

// afterPass returns what to check after a pass, and how to read the unit then.
func afterPass(name string) (verify func(*unit) error, mean func(*unit, abi.Call) abi.Action) {
	switch name {
	case "split":
		return verifyRuns, meanOfLists
	case "decide", "fold":
		return verifyGraph, meanOfRuns
	case "dispatch":
		return verifyGraph, func(u *unit, c abi.Call) abi.Action { return u.walk(u.root, c) }
	case "layout":
		return func(u *unit) error { return u.program.Validate() },
			func(u *unit, c abi.Call) abi.Action { return u.program.Run(c, u.policy.BigEndian()).Return }
	}
	return nil, nil
}

// verifyRuns sees that the runs of every axis cover all numbers.
func verifyRuns(u *unit) error {
	for _, a := range u.axes {
		if a.runs[0].lo != 0 {
			return fmt.Errorf("arch %#x: runs start at %d", a.arch, a.runs[0].lo)
		}
		for i := 1; i < len(a.runs); i++ {
			if a.runs[i-1].lo >= a.runs[i].lo {
				return fmt.Errorf("arch %#x: run %d starts at %#x, after %#x", a.arch, i, a.runs[i].lo, a.runs[i-1].lo)
			}
		}
	}
	return nil
}

// verifyGraph sees that, beyond what verifyRuns asks, neighbouring runs differ,
// every test can go both ways, and control goes from the architecture to the
// number to the arguments, never back.
func verifyGraph(u *unit) error {
	if err := verifyRuns(u); err != nil {
		return err
	}
	for _, a := range u.axes {
		for i := 1; i < len(a.runs); i++ {
			if a.runs[i-1].to == a.runs[i].to {
				return fmt.Errorf("arch %#x: runs %d and %d are one", a.arch, i-1, i)
			}
		}
	}
	stage := func(r ref) int {
		switch n := u.graph.nodes[r]; {
		case n.op == opReturn:
			return 3
		case n.word >= wordArgs:
			return 2
		default:
			return int(n.word)
		}
	}
	for i, n := range u.graph.nodes {
		if n.op == opReturn {
			continue
		}
		switch {
		case n.t == n.f:
			return fmt.Errorf("node %d %v has one way", i, n)
		case int(n.t) >= i || int(n.f) >= i:
			return fmt.Errorf("node %d %v leads to a later one", i, n)
		case n.word >= numWords || n.op > opAnyBits:
			return fmt.Errorf("node %d %v reads no word or does nothing", i, n)
		case n.k&^n.mask != 0:
			return fmt.Errorf("node %d %v compares bits that it has masked", i, n)
		case stage(n.t) < stage(ref(i)) || stage(n.f) < stage(ref(i)):
			return fmt.Errorf("node %d %v goes back", i, n)
		}
	}
	return nil
}

// run returns the run of c's number, if its architecture is listed.
func (u *unit) run(c abi.Call) (run, bool) {
	for _, a := range u.axes {
		if a.arch != c.Arch {
			continue
		}
		return a.runs[find(a.runs, c.NR)], true
	}
	return run{}, false
}

// meanOfLists follows the decision list of c's run, with the policy's own tests.
func meanOfLists(u *unit, c abi.Call) abi.Action {
	r, ok := u.run(c)
	if !ok {
		return u.policy.BadArch
	}
	for l := u.lists[r.list]; ; l = u.lists[l.rest] {
		if l.rule == nil {
			return l.action
		}
		for _, all := range l.rule.Any {
			holds := true
			for _, t := range all {
				word := c.IP
				if int(t.Word) < len(c.Args) {
					word = c.Args[t.Word]
				}
				in := false
				for _, i := range t.In {
					in = in || i.Lo <= word&t.Mask && word&t.Mask <= i.Hi
				}
				holds = holds && in
			}
			if holds {
				return l.rule.Action
			}
		}
	}
}

func meanOfRuns(u *unit, c abi.Call) abi.Action {
	r, ok := u.run(c)
	if !ok {
		return u.policy.BadArch
	}
	return u.walk(r.to, c)
}

// walk follows the graph from r to a return.
func (u *unit) walk(r ref, c abi.Call) abi.Action {
	for {
		n := u.graph.nodes[r]
		if n.op == opReturn {
			return abi.Action(n.k)
		}
		if r = n.f; n.holds(read(n.word, c)) {
			r = n.t
		}
	}
}

// read returns a word of a call.
func read(w word, c abi.Call) uint32 {
	switch w {
	case wordArch:
		return c.Arch
	case wordNR:
		return c.NR
	}
	v := c.IP
	if arg := int(w-wordArgs) / 2; arg < len(c.Args) {
		v = c.Args[arg]
	}
	if (w-wordArgs)%2 == 0 {
		v >>= 32
	}
	return uint32(v)
}
