package profile

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/sysgate/sysgate/internal/image"
)

// An atomKind says where a value comes from.
type atomKind uint8

const (
	constant  atomKind = iota // n, or an address of the image
	parameter                 // register reg at the function's entry
	stacked                   // the word at entry SP + n at the function's entry
	global                    // the word at address n
	frame                     // the address entry SP + n
	// What lies off bytes behind a pointer, which is:
	behind        // register reg at the function's entry
	behindStacked // the word at entry SP + n
	behindGlobal  // the content of the word at address n
)

// An atom is one thing that a location can hold.
type atom struct {
	kind  atomKind
	width uint8 // bytes of the low end that count, zero-extended: 1, 2; 0 for all
	reg   image.Reg
	n     int64
	off   int64
	or    int64 // bits that are set besides, below 1<<32
	// since says what may have become of what lies behind the pointer since the
	// function's entry, where it is read: unchanged or perhaps.
	since change
}

// size returns how many bytes of an atom in memory count: a number is its low
// 32 bits.
func (a atom) size() uint8 {
	if a.width == 0 {
		return 4
	}
	return a.width
}

func compareAtoms(a, b atom) int {
	for _, d := range [...]int64{int64(a.kind) - int64(b.kind), int64(a.width) - int64(b.width), int64(a.reg) - int64(b.reg), int64(a.since) - int64(b.since)} {
		if d != 0 {
			return int(d)
		}
	}
	return cmp.Or(cmp.Compare(a.n, b.n), cmp.Compare(a.off, b.off), cmp.Compare(a.or, b.or))
}

// maxAtoms bounds a value: more alternatives make it unknown.
const maxAtoms = 40

// A value is everything that a location can hold: one of the atoms, unless it
// is unknown. The zero value holds nothing yet. Values are not changed once
// made.
type value struct {
	atoms []atom // ascending
	why   *unknown
}

// An unknown says why, and where, a value was lost.
type unknown struct {
	reason string
	fn     int
	at     uint64
}

func exactly(a ...atom) value { return value{atoms: a} }

func constants(n ...int64) value {
	v := value{}
	for _, x := range n {
		v = v.join(exactly(atom{kind: constant, n: x}))
	}
	return v
}

// join returns a value that holds what v or w can hold.
func (v value) join(w value) value {
	switch {
	case v.why != nil:
		return v
	case w.why != nil || len(v.atoms) == 0:
		return w
	case len(w.atoms) == 0:
		return v
	}
	if !slices.ContainsFunc(w.atoms, func(a atom) bool { return !v.has(a) }) {
		return v
	}
	atoms := slices.Concat(v.atoms, w.atoms)
	slices.SortFunc(atoms, compareAtoms)
	atoms = slices.Compact(atoms)
	if len(atoms) > maxAtoms {
		return value{why: &unknown{reason: fmt.Sprintf("more than %d alternatives", maxAtoms)}}
	}
	return value{atoms: atoms}
}

func (v value) has(a atom) bool {
	_, ok := slices.BinarySearchFunc(v.atoms, a, compareAtoms)
	return ok
}

func (v value) equal(w value) bool {
	return (v.why == nil) == (w.why == nil) && slices.Equal(v.atoms, w.atoms)
}

// constants returns the constants of v, if it holds nothing else.
func (v value) constants() ([]int64, bool) {
	if v.why != nil {
		return nil, false
	}
	out := make([]int64, len(v.atoms))
	for i, a := range v.atoms {
		if a.kind != constant {
			return nil, false
		}
		out[i] = a.n
	}
	return out, true
}

// mapEach applies f to every atom; f reports false for what it cannot express.
func (v value) mapEach(u *unknown, f func(atom) (atom, bool)) value {
	if v.why != nil {
		return v
	}
	out := value{}
	for _, a := range v.atoms {
		b, ok := f(a)
		if !ok {
			return value{why: u}
		}
		out = out.join(exactly(b))
	}
	return out
}

// combine applies f to every pair of constants of v and w.
func (v value) combine(w value, u *unknown, f func(a, b int64) int64) value {
	if v.why != nil {
		return v
	}
	if w.why != nil {
		return w
	}
	out := value{}
	for _, a := range v.atoms {
		for _, b := range w.atoms {
			if a.kind != constant || b.kind != constant {
				return value{why: u}
			}
			out = out.join(constants(f(a.n, b.n)))
		}
	}
	return out
}

// extend narrows v to its low size bytes, zero-extended: what a move of that
// size into a wider register leaves. For 4 bytes it keeps what comes from
// outside the function as it is: only the low 32 bits of a number count. An
// address in the frame is word bytes wide.
func (v value) extend(size, word uint8, u *unknown) value {
	if size >= 8 {
		return v
	}
	return v.mapEach(u, func(a atom) (atom, bool) {
		switch {
		case a.kind == constant:
			a.n &= 1<<(8*size) - 1
		case a.kind == frame:
			return a, size >= word
		case size < 4 && a.or != 0:
			return a, false
		case size < 4 && (a.width == 0 || a.width > size):
			a.width = size
		}
		return a, true
	})
}

// narrow cuts v down to what atom x takes of it.
func (v value) narrow(x atom, u *unknown) value {
	if x.width != 0 {
		v = v.extend(x.width, 8, u) // less than any address
	}
	return v.set(x.or, u)
}

// set sets bits of v, below 1<<32.
func (v value) set(bits int64, u *unknown) value {
	if bits == 0 {
		return v
	}
	return v.mapEach(u, func(a atom) (atom, bool) {
		switch a.kind {
		case constant:
			a.n |= bits
		case frame:
			return a, false
		default:
			a.or |= bits
		}
		return a, true
	})
}

// signExtend is extend with copies of the sign.
func (v value) signExtend(from, to uint8, u *unknown) value {
	return v.mapEach(u, func(a atom) (atom, bool) {
		switch {
		case a.kind == constant:
			shift := 64 - 8*from
			a.n = a.n << shift >> shift
			if to < 8 {
				a.n &= 1<<(8*to) - 1
			}
			return a, true
		case a.kind == frame:
			return a, false
		}
		return a, from >= 4
	})
}
