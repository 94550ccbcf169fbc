package image

import "encoding/binary"

// Variables are the package-level variables that can hold pointers, as the
// garbage collector is told where in them.
type Variables struct {
	Range
	// Pointers has a bit for each word from Start on, the lowest bit of a byte
	// first: whether it is a pointer.
	Pointers []byte
}

// Pointer reports that word i holds a pointer.
func (v *Variables) Pointer(i int) bool { return v.Pointers[i/8]>>(i%8)&1 != 0 }

// Words of runtime.moduledata besides those of findModule: initialised variables
// with pointers, the other ones, and where in the type descriptors' neighbourhood
// the collector's programs stand: the two words before types.
const (
	modData = 26
	modBSS  = 28
)

// Variables returns the initialised and the zeroed variables with pointers. ok
// is false where the program does not say what the collector has to know: it is
// damaged.
func (p *Program) Variables() (vars []Variables, ok bool) {
	if p.module == 0 {
		return nil, false
	}
	word := func(i int) uint64 { w, _ := p.Word(p.module + p.word*uint64(i)); return w }
	for i, at := range [...]int{modData, modBSS} {
		v := Variables{Range: Range{word(at), word(at + 1)}}
		if v.End < v.Start || v.End-v.Start > MaxSpan {
			return nil, false
		}
		words := int((v.End - v.Start) / p.word)
		if v.Pointers, ok = runPointerProgram(p.Bytes(word(p.modTypes-2+i)), words); !ok {
			return nil, false
		}
		vars = append(vars, v)
	}
	return vars, true
}

// runPointerProgram runs one of the collector's programs (runtime/mbitmap.go,
// runGCProg), which writes a bit for each of words:
//
//	00000000       end
//	0nnnnnnn bits  n bits
//	1nnnnnnn c     the last n bits c times again
//	10000000 n c   likewise, n as a varint
//
// Words that it does not reach hold no pointers. It reports false for a program
// that does not end, or writes more.
func runPointerProgram(b []byte, words int) (mask []byte, ok bool) {
	mask = make([]byte, (words+7)/8)
	n := 0
	set := func(bit byte) { mask[n/8] |= bit << (n % 8); n++ }
	varint := func() int {
		v, size := binary.Uvarint(b)
		if size <= 0 || v > MaxSpan {
			b = nil
			return -1
		}
		b = b[size:]
		return int(v)
	}
	for len(b) > 0 {
		op := b[0]
		b = b[1:]
		switch {
		case op == 0:
			return mask, true
		case op < 0x80:
			count := int(op)
			if len(b) < (count+7)/8 || count > words-n {
				return nil, false
			}
			for i := range count {
				set(b[i/8] >> (i % 8) & 1)
			}
			b = b[(count+7)/8:]
		default:
			length := int(op & 0x7f)
			if length == 0 {
				length = varint()
			}
			times := varint()
			if length <= 0 || times < 0 || length > n || times > (words-n)/length {
				return nil, false
			}
			for range length * times {
				from := n - length
				set(mask[from/8] >> (from % 8) & 1)
			}
		}
	}
	return nil, false
}
