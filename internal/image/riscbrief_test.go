package image

import (
	"fmt"
	"math/bits"
	"strings"
)

var opNames = map[Op]string{
	OpBad: "bad", OpOther: "other", OpNop: "nop", OpMov: "mov", OpMovZX: "zx", OpMovSX: "sx", OpLea: "lea", OpAdd: "add", OpSub: "sub",
	OpAnd: "and", OpOr: "or", OpXor: "xor", OpShl: "shl", OpShr: "shr", OpSar: "sar", OpNeg: "neg", OpImul: "mul", OpCmov: "cmov", OpSetcc: "set",
	OpCmp: "cmp", OpTest: "test", OpCall: "call", OpCallInd: "call*", OpJmp: "jmp", OpJmpInd: "jmp*", OpJcc: "jcc", OpRet: "ret",
	OpSyscall: "syscall", OpInt3: "int3", OpTrap: "trap", OpPage: "page", OpLoadPair: "ldp", OpStorePair: "stp", OpLoadMany: "ldm", OpStoreMany: "stm", OpMovTop: "top",
}

// briefly says what is known of in: operation and size, operands, the second
// register, the target, then what is written.
func briefly(in *Inst) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s%d", opNames[in.Op], in.Size)
	if in.SrcSize != 0 {
		fmt.Fprintf(&b, "<%d", in.SrcSize)
	}
	if in.Perhaps {
		b.WriteString("?")
	}
	for _, o := range [...]Operand{in.Dst, in.Src} {
		switch o.Kind {
		case OperandNone:
			b.WriteString(" -")
		case OperandReg:
			fmt.Fprintf(&b, " r%d", o.Reg)
		case OperandImm:
			fmt.Fprintf(&b, " #%#x", o.Imm)
		case OperandVec:
			b.WriteString(" v")
		case OperandMem:
			b.WriteString(" [")
			switch o.Base {
			case RegPC:
				b.WriteString("pc")
			case RegNone:
			default:
				fmt.Fprintf(&b, "r%d", o.Base)
			}
			if o.Index != RegNone {
				fmt.Fprintf(&b, "+r%d*%d", o.Index, o.Scale)
			}
			fmt.Fprintf(&b, "%+d]", o.Disp)
		}
	}
	if in.Imm2 != 0 {
		fmt.Fprintf(&b, " &%d", in.Imm2)
	}
	if in.Target != 0 {
		fmt.Fprintf(&b, " to %#x", in.Target)
	}
	if in.Writes == allRegisters {
		b.WriteString(" W all")
	} else if in.Writes != 0 {
		b.WriteString(" W")
		for w := in.Writes; w != 0; w &= w - 1 {
			fmt.Fprintf(&b, " %d", bits.TrailingZeros64(w))
		}
	}
	if in.Store != 0 {
		fmt.Fprintf(&b, " S %d", in.Store)
	}
	if in.StoreAny {
		b.WriteString(" S any")
	}
	return b.String()
}
