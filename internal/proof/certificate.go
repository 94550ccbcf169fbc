package proof

import (
	"fmt"
	"maps"
	"slices"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/internal/certify"
	"github.com/sysgate/sysgate/policy"
)

// Certify returns a certificate that p is r, for [certify.Check]; its hashes are
// for the caller to set. Whether p is r is not looked at here: of an unequal pair
// it is a certificate that nobody accepts. The error is a [*certify.Error] that
// says what certificates do not cover, or wraps [ErrUnknown] where b does not
// suffice.
func Certify(r *policy.Resolved, p bpf.Program, b Budget) (*certify.Certificate, error) {
	if err := check(r, p); err != nil {
		return nil, err
	}
	circuit, err := certify.Lower(r, p)
	if err != nil {
		return nil, err
	}
	d := newDiagram(b.limits())
	of := make([]ref, len(circuit.Choices))
	operand := func(o certify.Operand) ref {
		if o.Choice < 0 {
			return d.word(uint32(o.Word))
		}
		return of[o.Choice]
	}
	for i, c := range circuit.Choices {
		test := no
		for _, in := range c.Test.In {
			test = d.or(test, d.between(field{c.Test.Level / wordBits, c.Test.Width}, c.Test.Mask, in.Lo, in.Hi))
		}
		of[i] = d.ite(test, operand(c.Then), operand(c.Else))
	}
	operand(circuit.Policy) // a word of its own where nothing is chosen
	operand(circuit.Program)
	if d.stopped != "" {
		return nil, fmt.Errorf("certificate: %w: %s", ErrUnknown, d.stopped)
	}
	return d.certificate(of), nil
}

// certificate writes down the nodes of the functions, words first, and which each
// is.
func (d *diagram) certificate(functions []ref) *certify.Certificate {
	c := &certify.Certificate{}
	at := make(map[ref]certify.Ref)
	add := func(r ref, n certify.Node) {
		at[r] = certify.Ref(len(c.Nodes))
		c.Nodes = append(c.Nodes, n)
	}
	for _, w := range slices.Sorted(maps.Keys(d.words)) {
		add(d.words[w], certify.Node{Level: inputBits, Word: abi.Action(w)})
	}
	var visit func(ref)
	visit = func(r ref) {
		if _, ok := at[r]; ok {
			return
		}
		n := d.nodes[r]
		visit(n.low)
		visit(n.high)
		add(r, certify.Node{Level: n.level, Low: at[n.low], High: at[n.high]})
	}
	for _, f := range functions {
		visit(f)
		c.Choices = append(c.Choices, at[f])
	}
	return c
}
