package profile

import (
	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/image"
)

// A convention is how the code of a machine uses registers and the stack.
type convention struct {
	sp, fp image.Reg
	number image.Reg // of a system call
	word   int64     // size of an address
	// pushed is how far a call moves the stack pointer: the return address.
	pushed int64
	// link is the register that a call leaves it in, on the other machines.
	link image.Reg
	// first is where stack arguments start in Go, from the stack pointer at a call;
	// the caller leaves a word below them on machines with a register for the return
	// address.
	first int64
	// saved are the registers that a function leaves as they were (bit 1<<Reg).
	saved uint64
}

// The registers that calls keep (System V ABI for AMD64, figure 3.4, and for Intel386, 2.2.3; Procedure
// Call Standard for the Arm 64-bit Architecture, 6.1.1; RISC-V Calling Conventions,
// 1.1; Procedure Call Standard for the Arm Architecture, 6.1.1). Go keeps none.
const (
	savedAMD64 = 1<<image.RBX | 1<<image.RBP | 1<<image.R12 | 1<<image.R13 | 1<<image.R14 | 1<<image.R15
	saved386   = 1<<image.RBX | 1<<image.RBP | 1<<image.RSI | 1<<image.RDI
	savedARM64 = 0x3FF << 19 // X19 to X28

	savedARM = 0xFF0 // R4 to R11

	savedRISCV64 = 0x3FF<<18 | 1<<8 | 1<<9 | 1<<3 | 1<<4 // s0 to s11, gp, tp
)

// keeps reports that register r is the same behind a call as before.
func (c *convention) keeps(r image.Reg) bool { return c.saved&(1<<r) != 0 }

func conventionOf(p *image.Program, fn int) convention {
	word := int64(p.WordSize())
	native := !isGo(p, fn) || p.FromObject(fn)
	switch p.ABI {
	case abi.ARM64:
		c := convention{sp: image.SP, fp: image.X29, number: image.X8, word: word, first: word, link: image.X30}
		if native {
			c.saved = savedARM64 | 1<<image.X29
		}
		return c
	case abi.ARM:
		c := convention{sp: image.ARMSP, fp: image.RegNone, number: image.ARMR7, word: word, first: word}
		if native {
			c.link, c.fp, c.saved = image.ARMLR, image.ARMR11, savedARM
			if p.Thumb(p.Text + uint64(p.Funcs[fn].Entry)) {
				c.fp = image.ARMR7
			}
		}
		return c
	case abi.RISCV64:
		c := convention{sp: image.RVSP, fp: image.RegNone, number: image.RVA7, word: word, first: word, link: image.RVLink}
		if native {
			c.fp, c.saved = image.RVFP, savedRISCV64
		}
		return c
	}
	c := convention{sp: image.RSP, fp: image.RBP, number: image.RAX, word: word, pushed: word}
	switch {
	case native && p.ABI == abi.I386:
		c.saved = saved386
	case native:
		c.saved = savedAMD64
	}
	return c
}
