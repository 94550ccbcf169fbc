package image

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func bytesOf(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func reg(r Reg) Operand   { return Operand{Kind: OperandReg, Reg: r} }
func imm(v int64) Operand { return Operand{Kind: OperandImm, Imm: v} }
func vec(r Reg) Operand   { return Operand{Kind: OperandVec, Reg: r} }
func mem(base, index Reg, scale uint8, disp int64) Operand {
	return Operand{Kind: OperandMem, Base: base, Index: index, Scale: scale, Disp: disp}
}
func cell(base Reg, disp int64) Operand { return mem(base, RegNone, 0, disp) }

func set(regs ...Reg) (s uint16) {
	for _, r := range regs {
		s |= 1 << r
	}
	return s
}

func TestDecodeAMD64(t *testing.T) {
	const at = 0x1000
	for _, c := range []struct {
		code string
		want Inst // Addr and Len are filled in
	}{
		{"0f 05", Inst{Op: OpSyscall, Writes: set(RAX, RCX, R11)}},
		{"b8 01 00 00 00", Inst{Op: OpMov, Size: 4, Dst: reg(RAX), Src: imm(1), Writes: set(RAX)}},
	} {
		code := bytesOf(t, c.code)
		c.want.Addr, c.want.Len = at, uint8(len(code))
		if diff := cmp.Diff(c.want, DecodeAMD64(code, at)); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", c.code, diff)
		}
	}
}
