package profile

import (
	"encoding/binary"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/image"
)

// Code of amd64 for the large and the medium code model that can lie anywhere says
// where things are by constants of 8 bytes, which it adds to the address of the
// linker's table (System V ABI for AMD64, 3.5). In other code constants of so many
// bytes are larger than a program.

// farLength is the length of MOVABS, with its prefix.
const farLength = 10

// farOf reports that function i of p may hold such constants: the bytes look like it.
func farOf(p *image.Program, i int) bool {
	if p.ABI != abi.AMD64 || p.IsGo(i) || len(p.Modules) == 0 {
		return false
	}
	if _, fixed := fixedRange(p, i); fixed {
		return false
	}
	_, text := p.Code(i)
	for at := 0; at+farLength <= len(text); at++ {
		if text[at]&0xf8 != 0x48 || text[at+1]&0xf8 != 0xb8 {
			continue
		}
		if n := int64(binary.LittleEndian.Uint64(text[at+2:])); n > -image.MaxSpan && n < image.MaxSpan {
			return true
		}
	}
	return false
}

// sum makes in, if it adds an address and a part of one, one that takes their sum, and
// its operands that are memory there constant ones.
func (x *composer) sum(in *image.Inst) {
	if in.Op == image.OpAdd && in.Size == 8 && in.Dst.Kind == image.OperandReg && in.Src.Kind == image.OperandReg && x.knows(in.Dst.Reg) && x.knows(in.Src.Reg) {
		if to := x.known[in.Dst.Reg] + x.known[in.Src.Reg]; x.prog.Segment(to) != nil {
			in.Op, in.Src = image.OpLea, image.Operand{Kind: image.OperandMem, Base: image.RegPC, Index: image.RegNone, Disp: int64(to)}
		}
	}
	for _, o := range [...]*image.Operand{&in.Dst, &in.Src} {
		if o.Kind != image.OperandMem || o.Scale != 1 || !x.knows(o.Base) || !x.knows(o.Index) {
			continue
		}
		if to := x.known[o.Base] + x.known[o.Index] + uint64(o.Disp); x.prog.Segment(to) != nil {
			o.Base, o.Index, o.Disp = image.RegPC, image.RegNone, int64(to)
		}
	}
}
