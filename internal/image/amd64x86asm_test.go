package image

import (
	"debug/elf"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/arch/x86/x86asm"
)

// textOf returns the code of the file and its address.
func textOf(t testing.TB, path string) ([]byte, uint64) {
	t.Helper()
	f, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	text := f.Section(".text")
	code, err := text.Data()
	if err != nil {
		t.Fatal(err)
	}
	return code, text.Addr
}

// x86asmOps maps the operations of x86asm to ours; Jcc, CMOVcc and SETcc are
// found by name.
var x86asmOps = map[x86asm.Op]Op{
	x86asm.MOV: OpMov, x86asm.MOVZX: OpMovZX, x86asm.MOVSX: OpMovSX, x86asm.MOVSXD: OpMovSX, x86asm.LEA: OpLea,
	x86asm.ADD: OpAdd, x86asm.SUB: OpSub, x86asm.AND: OpAnd, x86asm.OR: OpOr, x86asm.XOR: OpXor,
	x86asm.SHL: OpShl, x86asm.SHR: OpShr, x86asm.SAR: OpSar, x86asm.INC: OpInc, x86asm.DEC: OpDec,
	x86asm.NEG: OpNeg, x86asm.NOT: OpNot, x86asm.XCHG: OpXchg, x86asm.CMP: OpCmp, x86asm.TEST: OpTest,
	x86asm.PUSH: OpPush, x86asm.POP: OpPop, x86asm.LEAVE: OpLeave, x86asm.RET: OpRet, x86asm.NOP: OpNop,
	x86asm.SYSCALL: OpSyscall, x86asm.UD2: OpTrap, x86asm.HLT: OpTrap, x86asm.MOVNTI: OpMov,
	x86asm.MOVUPS: OpMov, x86asm.MOVAPS: OpMov, x86asm.MOVUPD: OpMov, x86asm.MOVAPD: OpMov, x86asm.MOVDQA: OpMov,
}

// x86asmOp returns the Op that in should have, OpOther if anything will do.
func x86asmOp(in x86asm.Inst) Op {
	name := in.Op.String()
	computed := false
	if _, rel := in.Args[0].(x86asm.Rel); !rel {
		computed = true
	}
	switch {
	case in.Op == x86asm.IMUL && in.Args[2] != nil:
		return OpImul3
	case in.Op == x86asm.IMUL && in.Args[1] != nil:
		return OpImul
	case in.Op == x86asm.CALL && computed:
		return OpCallInd
	case in.Op == x86asm.CALL:
		return OpCall
	case in.Op == x86asm.JMP && computed:
		return OpJmpInd
	case in.Op == x86asm.JMP:
		return OpJmp
	case strings.HasPrefix(name, "J"):
		return OpJcc
	case strings.HasPrefix(name, "CMOV"):
		return OpCmov
	case strings.HasPrefix(name, "SET"):
		return OpSetcc
	}
	if op, ok := x86asmOps[in.Op]; ok {
		return op
	}
	return OpOther
}

// x86asmOperand translates an argument; ok is false if it has no counterpart.
func x86asmOperand(arg x86asm.Arg, next uint64) (o Operand, ok bool) {
	switch a := arg.(type) {
	case x86asm.Imm:
		return imm(int64(a)), true
	case x86asm.Reg:
		switch {
		case a >= x86asm.AH && a <= x86asm.BH:
			return Operand{Kind: OperandReg, Reg: Reg(a - x86asm.AH), High: true}, true
		case a >= x86asm.X0 && a <= x86asm.X15:
			return vec(Reg(a - x86asm.X0)), true
		}
		r, ok := x86asmReg(a)
		return reg(r), ok
	case x86asm.Mem:
		a.Disp = int64(int32(a.Disp)) // x86asm forgets the sign where there is no base
		if a.Segment == x86asm.FS || a.Segment == x86asm.GS {
			return cell(RegFS, a.Disp), true
		}
		if a.Base == x86asm.RIP {
			return cell(RegPC, int64(next)+a.Disp), true
		}
		o := cell(RegNone, a.Disp)
		ok := true
		if a.Base != 0 {
			o.Base, ok = x86asmReg(a.Base)
		}
		if a.Index != 0 && a.Scale != 0 {
			r, known := x86asmReg(a.Index)
			o.Index, o.Scale, ok = r, a.Scale, ok && known
		}
		return o, ok
	}
	return Operand{}, false
}

// x86asmReg translates a general register.
func x86asmReg(r x86asm.Reg) (Reg, bool) {
	for _, block := range []struct{ first, last x86asm.Reg }{
		{x86asm.RAX, x86asm.R15}, {x86asm.EAX, x86asm.R15L}, {x86asm.AX, x86asm.R15W},
	} {
		if r >= block.first && r <= block.last {
			return Reg(r - block.first), true
		}
	}
	switch {
	case r >= x86asm.AL && r <= x86asm.BL:
		return Reg(r - x86asm.AL), true
	case r >= x86asm.SPB && r <= x86asm.R15B:
		return Reg(r-x86asm.SPB) + RSP, true
	}
	return RegNone, false
}

// TestAMD64X86asm compares operations, operands, sizes and targets with
// x86asm's reading of real code, where it has one of the same length.
func TestAMD64X86asm(t *testing.T) {
	needAMD64(t)
	paths := []string{goTool(t, "gofmt")}
	if libc := "/lib/x86_64-linux-gnu/libc.so.6"; exists(libc) {
		paths = append(paths, libc)
	}
	for _, path := range paths {
		code, addr := textOf(t, path)
		compared, failures := 0, 0
		for i := 0; i < len(code) && failures < 20; {
			in := DecodeAMD64(code[i:], addr+uint64(i))
			want, err := x86asm.Decode(code[i:], 64)
			if err == nil && want.Op != 0 && want.Len == int(in.Len) {
				compared++
				if diff := x86asmDiff(want, in); diff != "" {
					failures++
					t.Errorf("%x: % x\t%v: %s", in.Addr, code[i:i+int(in.Len)], want, diff)
				}
			}
			i += int(in.Len)
		}
		t.Logf("%s: compared %d", path, compared)
		if compared < 200_000 {
			t.Errorf("%s: compared only %d instructions", path, compared)
		}
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// x86asmDiff returns how in differs from what x86asm says.
func x86asmDiff(want x86asm.Inst, in Inst) string {
	op := x86asmOp(want)
	switch {
	case op == OpOther, op == OpXchg && in.Op == OpNop:
		return ""
	case op == OpMov && in.Op == OpOther && strings.Contains(fmt.Sprint(want.Args[0], want.Args[1]), "S"):
		return "" // segment registers
	case op != in.Op:
		return fmt.Sprintf("op %d, want %d", in.Op, op)
	}
	next := in.Addr + uint64(in.Len)
	switch op {
	case OpCall, OpJmp, OpJcc:
		rel, _ := want.Args[0].(x86asm.Rel)
		if to := next + uint64(rel); to != in.Target {
			return fmt.Sprintf("target %#x, want %#x", in.Target, to)
		}
		return ""
	case OpNop, OpRet, OpLeave, OpTrap, OpSyscall:
		return ""
	}
	got := []Operand{in.Dst, in.Src}
	switch op {
	case OpPush, OpCallInd, OpJmpInd:
		got = []Operand{in.Src}
	case OpPop, OpSetcc, OpInc, OpDec, OpNeg, OpNot:
		got = []Operand{in.Dst}
	case OpImul3:
		got = append(got, imm(in.Imm2))
	}
	for i, g := range got {
		o, ok := x86asmOperand(want.Args[i], next)
		if !ok {
			continue
		}
		if o.Kind == OperandImm {
			shift := 64 - 8*in.Size
			g.Imm, o.Imm = g.Imm<<shift, o.Imm<<shift
		}
		if diff := cmp.Diff(o, g); diff != "" {
			return fmt.Sprintf("operand %d: (-want +got)\n%s", i, diff)
		}
		if m, ok := want.Args[i].(x86asm.Mem); ok && op != OpLea && m.Base != 0 && want.MemBytes != 0 {
			size := in.Size
			if i == 1 && in.SrcSize != 0 {
				size = in.SrcSize
			}
			if int(size) != want.MemBytes {
				return fmt.Sprintf("size %d, want %d", size, want.MemBytes)
			}
		}
	}
	return ""
}
