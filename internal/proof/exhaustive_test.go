package proof

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
)

// Every arithmetic and comparison code, on every pair of values that A and X can
// have when a few bits of the input are free.
func TestOperations(t *testing.T) {
	const freeA, freeX = 0x8000000f, 0x80000027
	arithmetic := []uint16{
		bpf.AddK, bpf.SubK, bpf.MulK, bpf.DivK, bpf.AndK, bpf.OrK, bpf.XorK, bpf.LshK, bpf.RshK, bpf.Neg,
		bpf.AddX, bpf.SubX, bpf.MulX, bpf.DivX, bpf.AndX, bpf.OrX, bpf.XorX, bpf.LshX, bpf.RshX,
	}
	comparisons := []uint16{bpf.JeqK, bpf.JgtK, bpf.JgeK, bpf.JsetK, bpf.JeqX, bpf.JgtX, bpf.JgeX, bpf.JsetX}
	word := func(i int) uint32 { return bpf.OffsetArg(i, false, false) }
	run := func(name string, tail ...bpf.Instruction) {
		t.Run(name, func(t *testing.T) {
			p := append(bpf.Program{
				bpf.Stmt(bpf.LdAbs, word(1)), bpf.Stmt(bpf.AndK, freeX), bpf.Stmt(bpf.Tax, 0),
				bpf.Stmt(bpf.LdAbs, word(0)), bpf.Stmt(bpf.AndK, freeA),
			}, tail...)
			if err := p.Validate(); err != nil {
				t.Fatal(err)
			}
			want := map[abi.Call]uint32{}
			for _, a := range subsets(freeA) {
				for _, x := range subsets(freeX) {
					c := abi.Call{Args: [6]uint64{uint64(a), uint64(x)}}
					want[c] = uint32(p.Run(c, false).Return)
				}
			}
			d := newDiagram(Budget{}.limits())
			root := d.program(p, false, slices.Sorted(maps.Values(want)))
			if d.stopped != "" {
				t.Fatal(d.stopped)
			}
			for c, want := range want {
				if got := d.at(root, c); got != want {
					t.Fatalf("A %#x, X %#x: %#x, want %#x", c.Args[0], c.Args[1], got, want)
				}
			}
		})
	}
	for _, k := range []uint32{1, 3, 5, 9, 31, 0x80000001, 0xffffffff} {
		for _, code := range arithmetic {
			if (code == bpf.LshK || code == bpf.RshK) && k > 31 {
				continue
			}
			run(fmt.Sprintf("%v", bpf.Stmt(code, k)), bpf.Stmt(code, k), bpf.Stmt(bpf.RetA, 0))
		}
		for _, code := range comparisons {
			i := bpf.Jump(code, k, 0, 1)
			run(fmt.Sprintf("%v", i), i, bpf.Stmt(bpf.RetK, 7), bpf.Stmt(bpf.RetK, 9))
		}
	}
}

// subsets returns all values that have no bits outside of mask.
func subsets(mask uint32) []uint32 {
	all := []uint32{0}
	for v := mask & -mask; v != 0; v = (v - mask) & mask {
		all = append(all, v)
	}
	return all
}

// reduced is everything on the few bits that a program of genReduced can see.
var reduced = blend{body: everything.body, branches: everything.branches, words: []uint32{bpf.OffsetNR, bpf.OffsetArch, 16, 20}}

const reducedBits = 0x5 // of each word

// genReduced gives programs that depend on two bits of four words only.
func genReduced() *rapid.Generator[bpf.Program] {
	return rapid.Custom(func(t *rapid.T) bpf.Program {
		p := genProgram(reduced, 16).Draw(t, "program")
		// Keep the words in M[8..11], and load them from there instead.
		var out bpf.Program
		for i, offset := range reduced.words {
			out = append(out, bpf.Stmt(bpf.LdAbs, offset), bpf.Stmt(bpf.AndK, reducedBits), bpf.Stmt(bpf.St, uint32(8+i)))
		}
		for _, i := range p {
			if i.Code == bpf.LdAbs {
				for slot, offset := range reduced.words {
					if i.K == offset {
						i = bpf.Stmt(bpf.LdMem, uint32(8+slot))
						break
					}
				}
			}
			out = append(out, i)
		}
		return out
	})
}

// On all inputs that they can tell apart: two programs have the same node
// exactly if they return the same words, and these are what the diagram says.
func TestExhaustive(t *testing.T) {
	var same, different int
	for range rounds() {
		rapid.Check(t, func(t *rapid.T) {
			p := genReduced().Draw(t, "program")
			q := append(bpf.Program(nil), p...)
			at := rapid.IntRange(12, len(q)-1).Draw(t, "instruction")
			q[at].K = genConstant().Draw(t, "k")
			if q.Validate() != nil {
				return
			}
			var calls []abi.Call
			var words []uint32 // of p, then of q, for each call
			for bits := range uint32(1 << 8) {
				part := func(i int) uint32 { v := bits >> (2 * i); return v&1 | v<<1&4 }
				c := abi.Call{NR: part(0), Arch: part(1), Args: [6]uint64{uint64(part(2)) | uint64(part(3))<<32}}
				calls = append(calls, c)
				words = append(words, uint32(p.Run(c, false).Return), uint32(q.Run(c, false).Return))
			}
			d := newDiagram(Budget{}.limits())
			a, b := d.program(p, false, words), d.program(q, false, words)
			if d.stopped != "" {
				t.Fatal(d.stopped)
			}
			equal := true
			for i, c := range calls {
				x, y := words[2*i], words[2*i+1]
				if d.at(a, c) != x || d.at(b, c) != y {
					t.Fatalf("the diagrams say %#x and %#x, the programs %#x and %#x of %+v", d.at(a, c), d.at(b, c), x, y, c)
				}
				equal = equal && x == y
			}
			if equal != (a == b) {
				t.Fatalf("programs equal: %v, nodes %d and %d", equal, a, b)
			}
			if equal {
				same++
			} else {
				different++
				if c := d.witness(a, b); p.Run(c, false) == q.Run(c, false) {
					t.Fatalf("%+v is no witness", c)
				}
			}
		})
	}
	t.Logf("%d pairs the same, %d different", same, different)
	if same == 0 || different == 0 {
		t.Error("all pairs are of one kind")
	}
}
