package image

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/sysgate/sysgate/abi"
)

// TestPlace decodes calls by which code of 386 finds out where it is, and others.
func TestPlace(t *testing.T) {
	code := []byte("\xe8\x0b\x00\x00\x00" + // CALL 1010
		"\xe8\x00\x00\x00\x00" + // CALL 100a
		"\xe8\x06\x00\x00\x00\x90" + // CALL 1015
		"\x8b\x1c\x24\xc3\x90" + // MOV (ESP), EBX; RET
		"\x8b\x1c\x24\x90\xc3") // MOV (ESP), EBX; NOP; RET
	f := &File{ABI: abi.I386, word: 4, Segments: []Segment{{Addr: 0x1000, MemSize: uint64(len(code)), Data: code, Exec: true}}}
	at := func(r Reg) Operand { return Operand{Kind: OperandReg, Reg: r} }
	constant := func(n int64) Operand { return Operand{Kind: OperandImm, Imm: n} }
	for off, want := range map[int]Inst{
		0:  {Addr: 0x1000, Len: 5, Op: OpPage, Size: 4, Dst: at(RBX), Src: constant(0x1005), Writes: 1 << RBX},
		5:  {Addr: 0x1005, Len: 5, Op: OpPush, Size: 4, Src: constant(0x100a), Writes: 1 << RSP},
		10: {Addr: 0x100a, Len: 5, Op: OpCall, Target: 0x1015},
	} {
		got := f.Decode(code[off:], 0x1000+uint64(off))
		if got.Op == OpCall {
			got.Size = 0 // says nothing
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("at %#x (-want +got):\n%s", off, diff)
		}
	}
}

// TestGlobalPointer checks that what code of riscv64 names by the global pointer is
// named by its address.
func TestGlobalPointer(t *testing.T) {
	f := &File{ABI: abi.RISCV64, word: 8, global: 0x12000}
	in := f.Decode([]byte{0x03, 0xb5, 0x81, 0xff}, 0x1000) // LD a0, -8(gp)
	if want := (Operand{Kind: OperandMem, Base: RegPC, Index: RegNone, Disp: 0x11ff8}); in.Op != OpMov || in.Src != want {
		t.Errorf("%v of %+v", in.Op, in.Src)
	}
}
