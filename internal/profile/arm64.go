package profile

import (
	"encoding/binary"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/image"
)

// moved returns how far an instruction of arm or arm64 that loads or stores moves its
// base register, if that is the stack pointer.
func (c *code) moved(in *image.Inst) (n int64, ok bool) {
	if in.Moves != 0 {
		base := &in.Src
		if in.Dst.Kind == image.OperandMem {
			base = &in.Dst
		}
		return int64(in.Moves), base.Kind == image.OperandMem && base.Base == c.sp && in.List&(1<<c.sp) == 0
	}
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
