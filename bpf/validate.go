package bpf

import (
	"errors"
	"fmt"
)

// Errors about a program as a whole.
var (
	ErrEmpty    = errors.New("program without instructions")
	ErrTooLong  = fmt.Errorf("more than the %d instructions that the kernel takes", MaxLen)
	ErrNoReturn = errors.New("last instruction is not a return")
)

// An InvalidError says which instruction the kernel would refuse, and why.
type InvalidError struct {
	Index       int // of the instruction, from 0
	Instruction Instruction
	Reason      string
}

func (e *InvalidError) Error() string {
	return fmt.Sprintf("instruction %d (%v): %s", e.Index, e.Instruction, e.Reason)
}

// Validate returns nil for exactly the programs that seccomp(2) accepts, and
// else an [*InvalidError], [ErrEmpty], [ErrTooLong] or [ErrNoReturn]. The rules
// are those of bpf_check_classic (net/core/filter.c) and seccomp_check_filter
// (kernel/seccomp.c) of Linux 6.18. They guarantee that the program ends: jumps
// go forward and stay inside.
//
// The kernel can still refuse a valid program: a stack of filters has a size
// budget, and the caller needs the right to install one.
func (p Program) Validate() error {
	switch {
	case len(p) == 0:
		return ErrEmpty
	case len(p) > MaxLen:
		return fmt.Errorf("%d instructions: %w", len(p), ErrTooLong)
	}
	scratch := false
	for pc, i := range p {
		if reason := i.fault(len(p) - pc - 1); reason != "" {
			return &InvalidError{pc, i, reason}
		}
		scratch = scratch || formOf(i.Code) == withMem
	}
	if !p[len(p)-1].IsReturn() {
		return ErrNoReturn
	}
	if scratch {
		return p.checkScratch()
	}
	return nil
}

// fault returns what is wrong with an instruction that rest others follow, or
// "".
func (i Instruction) fault(rest int) string {
	switch formOf(i.Code) {
	case illegal:
		return "seccomp does not admit this code"
	case withData:
		if i.K >= DataSize {
			return "offset is outside of struct seccomp_data"
		}
		if i.K%4 != 0 {
			return "offset is not a multiple of 4"
		}
	case withMem:
		if i.K >= MemWords {
			return "index is outside of scratch memory"
		}
	case jump:
		if uint64(i.K) >= uint64(rest) {
			return "jump leaves the program"
		}
	case branchK, branchX:
		if int(i.JT) >= rest || int(i.JF) >= rest {
			return "jump leaves the program"
		}
	case withK:
		if i.Code == DivK && i.K == 0 {
			return "division by zero"
		}
		if (i.Code == LshK || i.Code == RshK) && i.K >= 32 {
			return "shift of 32 or more"
		}
	}
	return ""
}

// checkScratch does what the kernel's check_load_and_stores does: a word of
// scratch memory must have been stored on every path to a load of it. As there,
// what follows an unconditional jump and is no target counts as having all words
// stored, and what follows a return is judged as if the return fell through.
func (p Program) checkScratch() error {
	var missingAt [MaxLen]uint16 // words that some jump to the index has not stored
	missing := ^uint16(0)
	for pc, i := range p {
		missing |= missingAt[pc]
		switch formOf(i.Code) {
		case withMem:
			word := uint16(1) << i.K
			if i.Code == St || i.Code == Stx {
				missing &^= word
			} else if missing&word != 0 {
				return &InvalidError{pc, i, "scratch memory is read before it is written"}
			}
		case jump:
			missingAt[pc+1+int(i.K)] |= missing
			missing = 0
		case branchK, branchX:
			missingAt[pc+1+int(i.JT)] |= missing
			missingAt[pc+1+int(i.JF)] |= missing
			missing = 0
		}
	}
	return nil
}
