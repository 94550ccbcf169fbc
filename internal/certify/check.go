package certify

import (
	"fmt"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/policy"
)

// An Error says why a certificate is refused.
type Error struct{ Reason string }

func (e *Error) Error() string { return "certificate refused: " + e.Reason }

func refuse(format string, args ...any) error { return &Error{fmt.Sprintf(format, args...)} }

// Check returns nil only if program gives, for every possible call, the action
// that the policy written in text says, resolved with o. o.Native has to be set
// where the policy lists no ABI. Else the error is an [*Error], or one of
// policy.Parse, Resolve or bpf.Program.Validate.
func Check(text []byte, o policy.Options, program bpf.Program, certificate []byte) error {
	c, err := Decode(certificate)
	if err != nil {
		return err
	}
	p, err := policy.Parse("policy", text)
	if err != nil {
		return err
	}
	r, _, err := p.Resolve(o)
	if err != nil {
		return err
	}
	if err := program.Validate(); err != nil {
		return err
	}
	switch h := HashesOf(text, o, program); {
	case c.Hashes.Policy != h.Policy:
		return refuse("it is for another policy")
	case c.Hashes.Filter != h.Filter:
		return refuse("it is for another filter")
	case c.Hashes.Tables != h.Tables:
		return refuse("it is for other tables of system calls than %s", abi.Tables)
	}
	return CheckResolved(r, program, c)
}

// CheckResolved returns nil only if program, which has to be valid, does what r
// says. It does not look at the hashes. c has to be as [Decode] establishes.
func CheckResolved(r *policy.Resolved, program bpf.Program, c *Certificate) error {
	circuit, err := Lower(r, program)
	if err != nil {
		return err
	}
	return c.verify(circuit)
}

// maxSteps bounds the work of one check.
const maxSteps = 2 << 20

// verify returns nil only if both ends of the circuit are the same function.
func (c *Certificate) verify(circuit *Circuit) error {
	if len(c.Choices) != len(circuit.Choices) {
		return refuse("it is about %d choices, there are %d", len(c.Choices), len(circuit.Choices))
	}
	words := make(map[abi.Action]Ref)
	for i, n := range c.Nodes {
		if n.Level == Levels {
			words[n.Word] = Ref(i)
		}
	}
	node := func(o Operand) Ref {
		if o.Choice >= 0 {
			return c.Choices[o.Choice]
		}
		if r, ok := words[o.Word]; ok {
			return r
		}
		return missing
	}
	v := verifier{nodes: c.Nodes}
	for i, choice := range circuit.Choices {
		v.load(choice.Test)
		if !v.agree(c.Choices[i], node(choice.Then), v.root, no) || !v.agree(c.Choices[i], node(choice.Else), v.root, yes) {
			if v.steps > maxSteps {
				return refuse("it takes too much work to check")
			}
			return refuse("its diagram is not what choice %d says", i)
		}
	}
	if end := node(circuit.Policy); end == missing || end != node(circuit.Program) {
		return refuse("policy and program end in different nodes")
	}
	return nil
}

// missing is no node: that of a word which the diagram does not have.
const missing = ^Ref(0)

// A verifier compares nodes of a diagram where a test holds.
type verifier struct {
	nodes []Node
	test  []branch // the test as a tree; no and yes are its leaves
	root  int32
	done  map[pair]bool // what agrees
	steps int
}

// A branch of a test looks at one input bit.
type branch struct{ level, low, high int32 }

const (
	no int32 = iota
	yes
)

// A pair is two nodes that are compared, from a branch of the test on, unless it
// comes to the leaf except.
type pair struct {
	a, b       Ref
	at, except int32
}

// load makes a tree of t.
func (v *verifier) load(t Test) {
	v.test = append(v.test[:0], branch{level: Levels}, branch{level: Levels})
	v.root = v.grow(t, t.Width-1, t.In)
	v.done = make(map[pair]bool)
}

// grow returns the tree for the bits of t from bit down, which hold a value of in
// if the test holds.
func (v *verifier) grow(t Test, bit int, in []policy.Interval) int32 {
	if len(in) == 0 {
		return no
	}
	top := uint64(1) << max(bit, 0)
	if bit < 0 || in[0].Lo == 0 && in[0].Hi >= t.Mask&(2*top-1) {
		return yes
	}
	var low, high []policy.Interval
	for _, i := range in {
		if i.Lo < top {
			low = append(low, policy.Interval{Lo: i.Lo, Hi: min(i.Hi, top-1)})
		}
		if i.Hi >= top {
			high = append(high, policy.Interval{Lo: max(i.Lo, top) - top, Hi: i.Hi - top})
		}
	}
	if t.Mask&top == 0 {
		return v.grow(t, bit-1, low)
	}
	b := branch{int32(t.Level + t.Width - 1 - bit), v.grow(t, bit-1, low), v.grow(t, bit-1, high)}
	if b.low == b.high {
		return b.low
	}
	v.test = append(v.test, b)
	return int32(len(v.test) - 1)
}

// agree reports whether a and b are the same function on all calls with which the
// test, from at on, does not come to the leaf except.
func (v *verifier) agree(a, b Ref, at, except int32) bool {
	key := pair{a, b, at, except}
	if a == b || at == except || v.done[key] {
		return true
	}
	if v.steps++; a == missing || b == missing || v.steps > maxSteps {
		return false
	}
	m, n, t := &v.nodes[a], &v.nodes[b], v.test[at]
	level := min(m.Level, n.Level, t.level)
	if level == Levels {
		return false // two words
	}
	a0, a1 := m.below(level, a)
	b0, b1 := n.below(level, b)
	if t.level != level {
		t.low, t.high = at, at
	}
	if !v.agree(a0, b0, t.low, except) || !v.agree(a1, b1, t.high, except) {
		return false
	}
	v.done[key] = true
	return true
}

// below returns what n, named r, is where the input bit of level is 0 and 1.
func (n *Node) below(level int32, r Ref) (low, high Ref) {
	if n.Level != level {
		return r, r
	}
	return n.Low, n.High
}
