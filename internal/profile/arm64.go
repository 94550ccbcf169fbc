package profile

import (
	"encoding/binary"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/image"
)

// pagedReferences notes what native code of arm64 refers to. An address takes two
// instructions there, ADRP and one that adds to it, with others between them, and
// several of the second kind share the first. A register holds the address that
// was put there last, in the order of the code: both halves are of one symbol, so
// where ways meet they agree.
func (s *survey) pagedReferences(p *image.Program, i int) {
	const none = ^uint64(0)
	var known [32]uint64
	for r := range known {
		known[r] = none
	}
	for _, in := range p.Instructions(i) {
		for _, o := range [...]*image.Operand{&in.Dst, &in.Src} {
			if o.Kind == image.OperandMem && o.Base < 31 && known[o.Base] != none {
				o.Base, o.Disp = image.RegPC, o.Disp+int64(known[o.Base])
			}
		}
		addr := none
		switch {
		case in.Dst.Kind != image.OperandReg:
		case in.Op == image.OpPage:
			addr = uint64(in.Src.Imm)
		case in.Op == image.OpLea && fixed(&in.Src):
			addr = uint64(in.Src.Disp)
		case in.Op == image.OpMov && in.Src.Kind == image.OperandReg && in.Src.Reg < 31:
			addr = known[in.Src.Reg]
		}
		if in.Op != image.OpPage {
			s.nativeReference(p, &in, &in.Dst, in.Store > 0, false)
			s.nativeReference(p, &in, &in.Src, in.StoreAny, false)
		}
		for r := range known {
			call := (in.Op == image.OpCall || in.Op == image.OpCallInd) && r < 19
			if call || in.Writes&(1<<r) != 0 {
				known[r] = none
			}
		}
		if addr != none && in.Dst.Reg < 31 {
			known[in.Dst.Reg] = addr
		}
	}
}

// paged reports that function i of p is native code of arm64.
func paged(p *image.Program, i int) bool { return p.ABI == abi.ARM64 && !p.IsGo(i) }

// moved returns how far an instruction of arm64 that loads or stores moves its base
// register, if that is the stack pointer.
func (c *code) moved(in *image.Inst) (n int64, ok bool) {
	if c.a.prog.ABI != abi.ARM64 || in.Writes&(1<<c.sp) == 0 {
		return 0, false
	}
	b := c.a.prog.Bytes(in.Addr)
	if len(b) < 4 {
		return 0, false
	}
	w := binary.LittleEndian.Uint32(b)
	if w>>5&31 != uint32(c.sp) {
		return 0, false
	}
	switch {
	case w&0x3A800000 == 0x28800000: // a pair, with an index of 7 bits before or after
		scale := 2 + w>>31
		if w&(1<<26) != 0 {
			scale = 2 + w>>30
		}
		return int64(int32(w<<10)>>25) << scale, true
	case w&0x3B200400 == 0x38000400: // one, of 9 bits
		return int64(int32(w<<11) >> 23), true
	}
	return 0, false
}
