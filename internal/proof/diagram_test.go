package proof

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/sysgate/sysgate/abi"
)

// at returns the word that the diagram gives for c.
func (d *diagram) at(r ref, c abi.Call) uint32 {
	w := [words]uint32{wordArch: c.Arch, wordNR: c.NR, wordIP: uint32(c.IP >> 32), wordIP + 1: uint32(c.IP)}
	for i, a := range c.Args {
		w[wordArgs+2*i], w[wordArgs+2*i+1] = uint32(a>>32), uint32(a)
	}
	for {
		n := d.nodes[r]
		if n.level == inputBits {
			return d.wordOf(r)
		}
		r = n.low
		if w[n.level/wordBits]>>(wordBits-1-n.level%wordBits)&1 != 0 {
			r = n.high
		}
	}
}

// wordOf returns the word of a terminal, or unlisted.
func (d *diagram) wordOf(r ref) uint32 {
	for w, terminal := range d.words {
		if terminal == r {
			return w
		}
	}
	return unlisted
}

// unlisted is what wordOf says of otherWord; no test lets a program return it.
const unlisted = 0xbad0bad0

// The diagram of a program is what Run gives, on each of many calls.
func TestProgramDiagram(t *testing.T) {
	for name, m := range map[string]blend{"everything": everything, "usual": usual} {
		t.Run(name, func(t *testing.T) {
			stopped := 0
			rapid.Check(t, func(t *rapid.T) {
				p := genProgram(m, 24).Draw(t, "program")
				order := rapid.Bool().Draw(t, "big endian")
				d := newDiagram(Budget{Nodes: 20_000}.limits())
				var calls []abi.Call
				var words []uint32
				for range 50 {
					c := genCall().Draw(t, "call")
					calls = append(calls, c)
					words = append(words, uint32(p.Run(c, order).Return))
				}
				root := d.program(p, order, words[:25])
				if d.stopped != "" {
					stopped++
					return
				}
				for i, c := range calls {
					got, want := d.at(root, c), words[i]
					if got != want && (got != unlisted || slices.Contains(words[:25], want)) {
						t.Fatalf("diagram says %#x, run %#x for %+v", got, want, c)
					}
				}
			})
			t.Logf("%d programs exceeded the budget", stopped)
		})
	}
}

// The diagram of a policy is what Eval gives, on each of many calls.
func TestPolicyDiagram(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := genPolicy().Draw(t, "policy")
		d := newDiagram(Budget{}.limits())
		root := d.policy(r)
		if d.stopped != "" {
			t.Fatal(d.stopped)
		}
		for range 50 {
			c := genCall().Draw(t, "call")
			if got, want := d.at(root, c), uint32(r.Eval(c).Action); got != want {
				t.Fatalf("diagram says %#x, Eval %#x for %+v", got, want, c)
			}
		}
	})
}
