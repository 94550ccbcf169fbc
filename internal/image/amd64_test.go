package image

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func reg(r Reg) Operand   { return Operand{Kind: OperandReg, Reg: r} }
func imm(v int64) Operand { return Operand{Kind: OperandImm, Imm: v} }
func vec(r Reg) Operand   { return Operand{Kind: OperandVec, Reg: r} }

func mem(base, index Reg, scale uint8, disp int64) Operand {
	return Operand{Kind: OperandMem, Base: base, Index: index, Scale: scale, Disp: disp}
}
func cell(base Reg, disp int64) Operand { return mem(base, RegNone, 0, disp) }

// high returns the operand AH, CH, DH or BH.
func high(r Reg) Operand { return Operand{Kind: OperandReg, Reg: r, High: true} }

func regs(list ...Reg) (s uint64) {
	for _, r := range list {
		s |= 1 << r
	}
	return s
}

// bad returns what OpBad always says.
func bad(length uint8) Inst {
	return Inst{Len: length, Op: OpBad, Writes: allRegisters, StoreAny: true}
}

// TestAMD64Decode decodes one instruction of each kind of encoding.
func TestAMD64Decode(t *testing.T) {
	const at = 0x1000
	other := func(in Inst) Inst { in.Op = OpOther; return in }
	for _, c := range []struct {
		code string
		want Inst // without Addr, and without Len where it takes all of the code
	}{
		// What value flow lives on.
		{"0f 05", Inst{Op: OpSyscall, Writes: regs(RAX, RCX, R11)}},
		{"cd 80", Inst{Op: OpInt80, Writes: regs(RAX, R8, R9, R10, R11)}},
		{"0f 34", Inst{Op: OpSysenter, Writes: allRegisters, StoreAny: true}},
		{"b8 01 00 00 00", Inst{Op: OpMov, Size: 4, Dst: reg(RAX), Src: imm(1), Writes: regs(RAX)}},
		{"49 c7 c1 ff ff ff ff", Inst{Op: OpMov, Size: 8, Dst: reg(R9), Src: imm(-1), Writes: regs(R9)}},
		{"48 bf 88 77 66 55 44 33 22 11", Inst{Op: OpMov, Size: 8, Dst: reg(RDI), Src: imm(0x1122334455667788), Writes: regs(RDI)}},
		{"b4 38", Inst{Op: OpMov, Size: 1, Dst: high(RAX), Src: imm(0x38), Writes: regs(RAX)}},
		{"40 b4 38", Inst{Op: OpMov, Size: 1, Dst: reg(RSP), Src: imm(0x38), Writes: regs(RSP)}},
		{"66 b8 34 12", Inst{Op: OpMov, Size: 2, Dst: reg(RAX), Src: imm(0x1234), Writes: regs(RAX)}},
		{"4c 89 64 24 08", Inst{Op: OpMov, Size: 8, Dst: cell(RSP, 8), Src: reg(R12), Store: 8}},
		{"8b 05 10 00 00 00", Inst{Op: OpMov, Size: 4, Dst: reg(RAX), Src: cell(RegPC, 0x1016), Writes: regs(RAX)}},
		{"66 c7 05 10 00 00 00 34 12", Inst{Op: OpMov, Size: 2, Dst: cell(RegPC, 0x1019), Src: imm(0x1234), Store: 2}},
		{"64 48 8b 04 25 f8 ff ff ff", Inst{Op: OpMov, Size: 8, Dst: reg(RAX), Src: cell(RegFS, -8), Writes: regs(RAX)}},
		{"65 48 89 04 25 f8 ff ff ff", other(Inst{Size: 8, Src: reg(RAX), StoreAny: true})},
		{"8b 04 8d 00 10 40 00", Inst{Op: OpMov, Size: 4, Dst: reg(RAX), Src: mem(RegNone, RCX, 4, 0x401000), Writes: regs(RAX)}},
		{"47 88 44 a5 00", Inst{Op: OpMov, Size: 1, Dst: mem(R13, R12, 4, 0), Src: reg(R8), Store: 1}},
		{"a1 88 77 66 55 44 33 22 11", Inst{Op: OpMov, Size: 4, Dst: reg(RAX), Src: cell(RegNone, 0x1122334455667788), Writes: regs(RAX)}},
		{"67 a2 44 33 22 91", Inst{Op: OpMov, Size: 1, Dst: cell(RegNone, 0x91223344), Src: reg(RAX), Store: 1}},
		{"67 89 01", other(Inst{Size: 4, Src: reg(RAX), StoreAny: true})},
		{"48 8d 05 f0 ff ff ff", Inst{Op: OpLea, Size: 8, Dst: reg(RAX), Src: cell(RegPC, 0xFF7), Writes: regs(RAX)}},
		{"67 48 8d 51 ff", Inst{Op: OpLea, Size: 4, Dst: reg(RDX), Src: cell(RCX, -1), Writes: regs(RDX)}},
		{"0f b6 c4", Inst{Op: OpMovZX, Size: 4, SrcSize: 1, Dst: reg(RAX), Src: high(RAX), Writes: regs(RAX)}},
		{"48 0f bf 07", Inst{Op: OpMovSX, Size: 8, SrcSize: 2, Dst: reg(RAX), Src: cell(RDI, 0), Writes: regs(RAX)}},
		{"48 63 c7", Inst{Op: OpMovSX, Size: 8, SrcSize: 4, Dst: reg(RAX), Src: reg(RDI), Writes: regs(RAX)}},
		{"48 98", Inst{Op: OpMovSX, Size: 8, SrcSize: 4, Dst: reg(RAX), Src: reg(RAX), Writes: regs(RAX)}},
		{"31 c0", Inst{Op: OpXor, Size: 4, Dst: reg(RAX), Src: reg(RAX), Writes: regs(RAX)}},
		{"48 83 ec 28", Inst{Op: OpSub, Size: 8, Dst: reg(RSP), Src: imm(0x28), Writes: regs(RSP)}},
		{"f0 48 01 03", Inst{Op: OpAdd, Size: 8, Dst: cell(RBX, 0), Src: reg(RAX), Store: 8}},
		{"48 3d 00 f0 ff ff", Inst{Op: OpCmp, Size: 8, Dst: reg(RAX), Src: imm(-4096)}},
		{"f6 05 00 00 00 00 80", Inst{Op: OpTest, Size: 1, Dst: cell(RegPC, 0x1007), Src: imm(-128)}},
		{"66 f7 c0 34 12", Inst{Op: OpTest, Size: 2, Dst: reg(RAX), Src: imm(0x1234)}},
		{"48 f7 d8", Inst{Op: OpNeg, Size: 8, Dst: reg(RAX), Writes: regs(RAX)}},
		{"48 f7 e1", other(Inst{Size: 8, Src: reg(RCX), Writes: regs(RAX, RDX)})},
		{"f6 f1", other(Inst{Size: 1, Src: reg(RCX), Writes: regs(RAX)})},
		{"48 d3 e0", Inst{Op: OpShl, Size: 8, SrcSize: 1, Dst: reg(RAX), Src: reg(RCX), Writes: regs(RAX)}},
		{"c1 f8 1f", Inst{Op: OpSar, Size: 4, Dst: reg(RAX), Src: imm(31), Writes: regs(RAX)}},
		{"48 11 d8", other(Inst{Size: 8, Dst: reg(RAX), Src: reg(RBX), Writes: regs(RAX)})},
		{"48 69 c1 e8 03 00 00", Inst{Op: OpImul3, Size: 8, Dst: reg(RAX), Src: reg(RCX), Imm2: 1000, Writes: regs(RAX)}},
		{"0f 45 c1", Inst{Op: OpCmov, Size: 4, Dst: reg(RAX), Src: reg(RCX), Writes: regs(RAX)}},
		{"0f 95 c4", Inst{Op: OpSetcc, Size: 1, Dst: high(RAX), Writes: regs(RAX)}},
		{"48 87 0b", Inst{Op: OpXchg, Size: 8, Dst: cell(RBX, 0), Src: reg(RCX), Writes: regs(RCX), Store: 8}},
		{"41 90", Inst{Op: OpXchg, Size: 4, Dst: reg(R8), Src: reg(RAX), Writes: regs(RAX, R8)}},
		{"90", Inst{Op: OpNop}},
		{"f3 0f 1e fa", Inst{Op: OpNop}},
		{"66 2e 0f 1f 84 00 00 00 00 00", Inst{Op: OpNop}},

		// The stack and control flow.
		{"41 54", Inst{Op: OpPush, Size: 8, Src: reg(R12), Writes: regs(RSP)}},
		{"68 00 00 00 80", Inst{Op: OpPush, Size: 8, Src: imm(-1 << 31), Writes: regs(RSP)}},
		{"ff 74 24 08", Inst{Op: OpPush, Size: 8, Src: cell(RSP, 8), Writes: regs(RSP)}},
		{"5b", Inst{Op: OpPop, Size: 8, Dst: reg(RBX), Writes: regs(RSP, RBX)}},
		{"8f 44 24 08", Inst{Op: OpPop, Size: 8, Dst: cell(RSP, 16), Store: 8, Writes: regs(RSP)}},
		{"c9", Inst{Op: OpLeave, Size: 8, Writes: regs(RSP, RBP)}},
		{"c3", Inst{Op: OpRet, Writes: regs(RSP)}},
		{"f3 c3", Inst{Op: OpRet, Writes: regs(RSP)}},
		{"e8 fb ff ff ff", Inst{Op: OpCall, Target: 0x1000}},
		{"66 48 e8 fa ff ff ff", Inst{Op: OpCall, Target: 0x1001}},
		{"66 e8 fa ff ff ff", bad(6)},
		{"ff 15 00 10 00 00", Inst{Op: OpCallInd, Size: 8, Src: cell(RegPC, 0x2006)}},
		{"41 ff e3", Inst{Op: OpJmpInd, Size: 8, Src: reg(R11)}},
		{"eb fe", Inst{Op: OpJmp, Target: 0x1000}},
		{"0f 84 00 01 00 00", Inst{Op: OpJcc, Target: 0x1106}},
		{"e2 fe", Inst{Op: OpJcc, Target: 0x1000, Writes: regs(RCX)}},
		{"c7 f8 10 00 00 00", Inst{Op: OpJcc, Target: 0x1016, Writes: regs(RAX)}},
		{"cc", Inst{Op: OpInt3}},
		{"0f 0b", Inst{Op: OpTrap}},

		// Implicit registers and wide stores.
		{"0f a2", other(Inst{Writes: regs(RAX, RBX, RCX, RDX)})},
		{"0f 31", other(Inst{Writes: regs(RAX, RDX)})},
		{"0f 01 f9", other(Inst{Writes: regs(RAX, RCX, RDX)})},
		{"0f 01 d0", other(Inst{Writes: regs(RAX, RDX)})},
		{"f0 48 0f b1 0b", other(Inst{Size: 8, Dst: cell(RBX, 0), Src: reg(RCX), Writes: regs(RAX), Store: 8})},
		{"f0 0f c1 0b", other(Inst{Size: 4, Dst: cell(RBX, 0), Src: reg(RCX), Writes: regs(RCX), Store: 4})},
		{"48 0f c7 0b", other(Inst{Size: 16, Dst: cell(RBX, 0), Writes: regs(RAX, RDX), Store: 16})},
		{"f3 48 ab", other(Inst{Size: 8, Writes: regs(RCX, RDI), StoreAny: true, Rep: true})},
		{"a4", other(Inst{Size: 1, Dst: cell(RDI, 0), Writes: regs(RSI, RDI), Store: 1})},
		{"48 0f ab 0b", other(Inst{Src: cell(RBX, 0), StoreAny: true})},
		{"48 0f ba 2b 05", other(Inst{Size: 8, Dst: cell(RBX, 0), Store: 8})},
		{"48 0f c7 f0", other(Inst{Size: 8, Dst: reg(RAX), Writes: regs(RAX)})},
		{"c5 fc 77", other(Inst{Size: 32})},
		{"f3 48 0f 1e c8", other(Inst{Size: 8, Dst: reg(RAX), Writes: regs(RAX)})},
		{"0f ae 23", other(Inst{Src: cell(RBX, 0), StoreAny: true})},
		{"0f c7 23", other(Inst{Src: cell(RBX, 0), StoreAny: true})},
		{"df e0", other(Inst{Size: 2, Dst: reg(RAX), Writes: regs(RAX)})},
		{"d9 3b", other(Inst{Size: 2, Dst: cell(RBX, 0), Store: 2})},

		// Vectors: SSE, VEX, EVEX.
		{"44 0f 11 7c 24 10", Inst{Op: OpMov, Size: 16, Dst: cell(RSP, 16), Src: vec(15), Store: 16}},
		{"f3 0f 7e 03", Inst{Op: OpMov, Size: 8, Dst: vec(0), Src: cell(RBX, 0)}},
		{"f2 0f 11 03", Inst{Op: OpMov, Size: 8, Dst: cell(RBX, 0), Src: vec(0), Store: 8}},
		{"66 48 0f 7e c1", Inst{Op: OpMov, Size: 8, Dst: reg(RCX), Src: vec(0), Writes: regs(RCX)}},
		{"66 49 0f 3a 22 c4 01", other(Inst{Size: 16, Dst: vec(0)})}, // pinsrq $1, %r12, %xmm0: a general register
		{"66 0f d7 c1", other(Inst{Size: 4, Dst: reg(RAX), Src: vec(1), Writes: regs(RAX)})},
		{"66 0f 3a 16 c1 01", other(Inst{Size: 4, Dst: reg(RCX), Src: vec(0), Writes: regs(RCX)})},
		{"f2 48 0f 38 f1 c1", other(Inst{Size: 8, Dst: reg(RAX), Writes: regs(RAX)})},
		{"66 0f 3a 63 c1 00", other(Inst{Size: 16, Src: vec(1), Writes: regs(RCX)})},
		{"66 0f f7 c1", other(Inst{Size: 16, StoreAny: true})},
		{"c5 fe 7f 07", Inst{Op: OpMov, Size: 32, Dst: cell(RDI, 0), Src: vec(0), Store: 32}},
		{"c4 c1 7a 6f 40 10", Inst{Op: OpMov, Size: 16, Dst: vec(0), Src: cell(R8, 16)}},
		{"c5 f8 77", other(Inst{Size: 16})},
		{"c4 e2 f8 f3 c9", other(Inst{Size: 8, Dst: reg(RAX), Writes: regs(RAX)})},
		{"c4 e2 fb f6 ca", other(Inst{Size: 8, Dst: reg(RCX), Writes: regs(RAX, RCX)})},
		{"c4 e3 fb f0 c1 07", other(Inst{Size: 8, Dst: reg(RAX), Writes: regs(RAX)})},
		{"c5 fb 93 c1", other(Inst{Size: 4, Dst: reg(RAX), Src: vec(1), Writes: regs(RAX)})},
		{"62 f1 7c 48 11 44 24 01", Inst{Op: OpMov, Size: 64, Dst: cell(RSP, 64), Src: vec(0), Store: 64}},
		{"62 e1 fe 28 6f 3b", Inst{Op: OpMov, Size: 32, Dst: vec(23), Src: cell(RBX, 0)}},
		{"62 f1 7c 49 11 03", other(Inst{Size: 64, Dst: cell(RBX, 0), Src: vec(0), Store: 64})},
		{"62 f2 7d 49 a0 04 0b", other(Inst{Size: 64, StoreAny: true})},
		{"8f e9 78 e1 c1", other(Inst{Writes: allRegisters, StoreAny: true})},

		// What is no instruction, or too much of one.
		{"06", bad(1)},
		{"0f 04", bad(1)},
		{"66 c5 fe 7f 07", bad(1)},
		{"62 f9 7c 48 11 03", bad(1)},
		{"c4 e4 78 11 03", bad(1)},
		{"48 8d c0", bad(3)},
		{"ff 18", bad(2)},
		{"cb", bad(1)},
		{"48 cf", bad(2)},
		{"0f 07", bad(2)},
		{"66 66 66 66 66 66 66 66 66 66 66 66 66 66 90", Inst{Op: OpNop}},
		{"66 66 66 66 66 66 66 66 66 66 66 66 66 66 66 90", bad(1)},
	} {
		code, err := hex.DecodeString(strings.ReplaceAll(c.code, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		if c.want.Addr = at; c.want.Len == 0 {
			c.want.Len = uint8(len(code))
		}
		got := DecodeAMD64(code, at)
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", c.code, diff)
		}
		for n := range int(got.Len) {
			if cut := DecodeAMD64(code[:n], at); cut.Op != OpBad && got.Op != OpBad || cut.Len < 1 {
				t.Errorf("%s: cut off after %d bytes: %+v", c.code, n, cut)
			}
		}
	}
}

// TestAMD64Tables checks that every table of classes has a place for every
// opcode, and knows its letters.
func TestAMD64Tables(t *testing.T) {
	for i, table := range []string{
		x86Vector0F, x86Vector38, x86Vector3A, x86VEX0F, x86VEX38, x86VEX3A, x86EVEX5, x86EVEX6, modrmLengths,
	} {
		if len(table) != 256 {
			t.Errorf("table %d has %d places", i, len(table))
		}
	}
	if bad := strings.Trim(x86Vector0F+x86Vector38+x86Vector3A+x86VEX0F+x86VEX38+x86VEX3A+x86EVEX5+x86EVEX6, ".vnogxsdkaicemp"); bad != "" {
		t.Errorf("unknown classes in %q", bad)
	}
}

// TestAMD64Allocations checks that decoding takes no memory from the heap.
func TestAMD64Allocations(t *testing.T) {
	code := []byte{0x48, 0x8D, 0x05, 0, 0, 0, 0, 0xE8, 0, 0, 0, 0}
	var in Inst
	if n := testing.AllocsPerRun(100, func() { in = DecodeAMD64(code, 0) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	sweep := Sweep{code: code}
	if n := testing.AllocsPerRun(100, func() {
		for sweep.pos = 0; sweep.Next(&in); {
		}
	}); n != 0 {
		t.Errorf("a sweep: %v allocations", n)
	}
}
