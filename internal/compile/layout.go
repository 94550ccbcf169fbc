package compile

import (
	"errors"
	"fmt"
	"slices"

	"github.com/sysgate/sysgate/bpf"
)

// layout writes the graph out as a program: the loads that its tests need, and
// jumps of any distance.
func layout(u *unit) error {
	l := &writer{g: u.graph, bigEndian: u.policy.BigEndian(), places: make([]places, len(u.graph.nodes))}
	order := l.order(u.root)
	l.enter(u.root, accumulator{word: nothing})
	for _, r := range order {
		if n := l.g.nodes[r]; n.op != opReturn {
			l.enter(n.t, after(n))
			l.enter(n.f, after(n))
		}
	}
	for _, r := range order {
		l.write(r)
	}
	program, err := l.asm.Assemble()
	if errors.Is(err, bpf.ErrTooLong) {
		return fmt.Errorf("%w: %w", ErrTooLarge, err)
	}
	if err != nil {
		return err
	}
	u.program = program
	return nil
}

// places are the labels of the ways into a test: to load its word first, to
// mask the loaded word first, or to compare at once. A return has one way in.
// bpf.Next stands for a way that nobody takes.
type places struct{ load, mask, compare bpf.Label }

// A writer writes a graph to an assembler.
type writer struct {
	g         *graph
	asm       bpf.Assembler
	bigEndian bool
	places    []places
}

// way returns the label by which to go to r with a in the accumulator.
func (l *writer) way(r ref, a accumulator) *bpf.Label {
	n, p := l.g.nodes[r], &l.places[r]
	switch {
	case n.op == opReturn || a == after(n):
		return &p.compare
	case a.word == n.word && a.mask&n.mask == n.mask:
		return &p.mask
	default:
		return &p.load
	}
}

// enter makes sure that there is a way to r with a in the accumulator.
func (l *writer) enter(r ref, a accumulator) {
	if way := l.way(r, a); *way == bpf.Next {
		*way = l.asm.NewLabel()
	}
}

// order returns the nodes that root leads to, each before its successors. The
// lighter successor follows its test, so that jumps are short, except that the
// kernel's translation wants what follows a bit test to be where it fails.
func (l *writer) order(root ref) []ref {
	weights := make([]int, len(l.g.nodes))
	for _, r := range l.g.reach(root) {
		weights[r] = 1
		if n := l.g.nodes[r]; n.op != opReturn {
			weights[r] = min(1+weights[n.t]+weights[n.f], bpf.MaxLen)
		}
	}
	var order []ref
	seen := make([]bool, len(l.g.nodes))
	var visit func(ref)
	visit = func(r ref) {
		if seen[r] {
			return
		}
		seen[r] = true
		if n := l.g.nodes[r]; n.op != opReturn {
			first, last := n.t, n.f
			if n.op != opAnyBits && weights[n.t] < weights[n.f] {
				first, last = n.f, n.t
			}
			visit(first)
			visit(last)
		}
		order = append(order, r)
	}
	visit(root)
	slices.Reverse(order)
	return order
}

// codes are the instructions of the tests.
var codes = map[op]uint16{opEqual: bpf.JeqK, opGreaterOrEqual: bpf.JgeK, opAnyBits: bpf.JsetK}

func (l *writer) write(r ref) {
	n, p := l.g.nodes[r], l.places[r]
	if n.op == opReturn {
		l.asm.Bind(p.compare)
		l.asm.Stmt(bpf.RetK, n.k)
		return
	}
	if p.load != bpf.Next {
		l.asm.Bind(p.load)
		l.asm.Stmt(bpf.LdAbs, offset(n.word, l.bigEndian))
	}
	if n.mask != fullMask && (p.load != bpf.Next || p.mask != bpf.Next) {
		if p.mask != bpf.Next {
			l.asm.Bind(p.mask)
		}
		l.asm.Stmt(bpf.AndK, n.mask)
	}
	if p.compare != bpf.Next {
		l.asm.Bind(p.compare)
	}
	l.asm.If(codes[n.op], n.k, *l.way(n.t, after(n)), *l.way(n.f, after(n)))
}

// offset returns where w lies in struct seccomp_data.
func offset(w word, bigEndian bool) uint32 {
	switch {
	case w == wordArch:
		return bpf.OffsetArch
	case w == wordNR:
		return bpf.OffsetNR
	}
	arg, high := int(w-wordArgs)/2, (w-wordArgs)%2 == 0
	if arg == 6 {
		return bpf.OffsetIP(high, bigEndian)
	}
	return bpf.OffsetArg(arg, high, bigEndian)
}
