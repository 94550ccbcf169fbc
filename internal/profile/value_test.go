package profile

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/sysgate/sysgate/internal/image"
)

var anAtom = rapid.Custom(func(t *rapid.T) atom {
	a := atom{kind: atomKind(rapid.IntRange(0, 4).Draw(t, "kind"))}
	switch a.kind {
	case parameter:
		a.reg = image.Reg(rapid.IntRange(0, 15).Draw(t, "reg"))
	default:
		a.n = rapid.Int64().Draw(t, "n")
	}
	return a
})

var aValue = rapid.Custom(func(t *rapid.T) value {
	v := value{}
	for range rapid.IntRange(0, 30).Draw(t, "atoms") {
		v = v.join(exactly(anAtom.Draw(t, "atom")))
	}
	if rapid.IntRange(0, 9).Draw(t, "unknown") == 0 {
		v = value{why: &unknown{reason: "test"}}
	}
	return v
})

// TestJoin checks the laws that the fixpoint rests on.
func TestJoin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := aValue.Draw(t, "a"), aValue.Draw(t, "b"), aValue.Draw(t, "c")
		if !a.join(a).equal(a) {
			t.Error("not idempotent")
		}
		if !a.join(b).equal(b.join(a)) {
			t.Error("not commutative")
		}
		if !a.join(b).join(c).equal(a.join(b.join(c))) {
			t.Error("not associative")
		}
		j := a.join(b)
		if j.why != nil {
			return
		}
		if len(j.atoms) > maxAtoms {
			t.Errorf("%d atoms", len(j.atoms))
		}
		for _, v := range []value{a, b} {
			for _, x := range v.atoms {
				if !j.has(x) {
					t.Errorf("%+v is lost", x)
				}
			}
		}
	})
}

// TestExtend checks narrowing against Go's own conversions.
func TestExtend(t *testing.T) {
	why := &unknown{reason: "test"}
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64().Draw(t, "n")
		for size, want := range map[uint8]int64{1: int64(uint8(n)), 2: int64(uint16(n)), 4: int64(uint32(n)), 8: n} {
			if got, _ := constants(n).extend(size, 8, why).constants(); got[0] != want {
				t.Errorf("extend(%#x, %d) = %#x, want %#x", n, size, got[0], want)
			}
		}
		for size, want := range map[uint8]int64{1: int64(int8(n)), 2: int64(int16(n)), 4: int64(int32(n))} {
			if got, _ := constants(n).signExtend(size, 8, why).constants(); got[0] != want {
				t.Errorf("signExtend(%#x, %d) = %#x, want %#x", n, size, got[0], want)
			}
			if got, _ := constants(n).signExtend(size, 4, why).constants(); got[0] != int64(uint32(want)) {
				t.Errorf("signExtend(%#x, %d, 4) = %#x", n, size, got[0])
			}
		}
	})
	p := exactly(atom{kind: parameter, reg: image.RAX})
	if v := p.extend(1, 8, why).extend(2, 8, why); v.atoms[0].width != 1 {
		t.Errorf("a byte of a parameter, widened, is %+v", v)
	}
	address := exactly(atom{kind: frame, n: -8})
	if v := address.extend(4, 8, why); v.why == nil {
		t.Error("half a stack address is known")
	}
	if v := address.extend(4, 4, why); !v.equal(address) {
		t.Errorf("an address in a 32-bit frame is %+v", v)
	}
	if v := p.signExtend(1, 8, why); v.why == nil {
		t.Error("the sign of a parameter is known")
	}
}
