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
	// first is where stack arguments start, from the stack pointer at a call; the
	// caller leaves a word below them on machines with a register for the return
	// address.
	first int64
}

func conventionOf(p *image.Program) convention {
	word := int64(p.WordSize())
	switch p.ABI {
	case abi.ARM64:
		return convention{sp: image.SP, fp: image.X29, number: image.X8, word: word, first: word}
	case abi.ARM:
		return convention{sp: image.ARMSP, fp: image.RegNone, number: image.ARMR7, word: word, first: word}
	case abi.RISCV64:
		return convention{sp: image.RVSP, fp: image.RegNone, number: image.RVA7, word: word, first: word}
	}
	return convention{sp: image.RSP, fp: image.RBP, number: image.RAX, word: word, pushed: word}
}
