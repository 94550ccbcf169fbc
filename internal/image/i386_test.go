package image

import (
	"debug/elf"
	"debug/gosym"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Test386Decode decodes what 32-bit mode reads in another way than 64-bit mode.
func Test386Decode(t *testing.T) {
	const at = 0x8048000
	other := func(in Inst) Inst { in.Op = OpOther; return in }
	all := func(in Inst) Inst { in.Writes, in.StoreAny = allRegisters, true; return in }
	for _, c := range []struct {
		code string
		want Inst // without Addr, and without Len where it takes all of the code
	}{
		// What value flow lives on.
		{"cd 80", Inst{Op: OpInt80, Writes: regs(RAX)}},
		{"0f 34", all(Inst{Op: OpSysenter})},
		{"0f 05", all(Inst{Op: OpSyscall})},
		{"b8 66 00 00 00", Inst{Op: OpMov, Size: 4, Dst: reg(RAX), Src: imm(0x66), Writes: regs(RAX)}},
		{"c7 04 24 92 00 00 00", Inst{Op: OpMov, Size: 4, Dst: cell(RSP, 0), Src: imm(0x92), Store: 4}},
		{"8b 44 24 04", Inst{Op: OpMov, Size: 4, Dst: reg(RAX), Src: cell(RSP, 4), Writes: regs(RAX)}},
		{"a1 00 b0 1a 88", Inst{Op: OpMov, Size: 4, Dst: reg(RAX), Src: cell(RegNone, 0x881AB000), Writes: regs(RAX)}},
		{"8b 0d 00 b0 1a 88", Inst{Op: OpMov, Size: 4, Dst: reg(RCX), Src: cell(RegNone, 0x881AB000), Writes: regs(RCX)}},
		{"c7 05 00 b0 1a 08 dd 00 00 00", Inst{Op: OpMov, Size: 4, Dst: cell(RegNone, 0x81AB000), Src: imm(0xDD), Store: 4}},
		{"8b 04 8d 00 b0 1a 88", Inst{Op: OpMov, Size: 4, Dst: reg(RAX), Src: mem(RegNone, RCX, 4, 0x881AB000), Writes: regs(RAX)}},
		{"89 88 00 b0 1a 08", Inst{Op: OpMov, Size: 4, Dst: cell(RAX, 0x81AB000), Src: reg(RCX), Store: 4}},
		{"8d 05 00 b0 1a 08", Inst{Op: OpLea, Size: 4, Dst: reg(RAX), Src: cell(RegNone, 0x81AB000), Writes: regs(RAX)}},
		{"8d 54 24 fc", Inst{Op: OpLea, Size: 4, Dst: reg(RDX), Src: cell(RSP, -4), Writes: regs(RDX)}},
		{"65 8b 0d fc ff ff ff", Inst{Op: OpMov, Size: 4, Dst: reg(RCX), Src: cell(RegFS, -4), Writes: regs(RCX)}},
		{"65 a1 00 00 00 00", Inst{Op: OpMov, Size: 4, Dst: reg(RAX), Src: cell(RegFS, 0), Writes: regs(RAX)}},
		{"40", Inst{Op: OpInc, Size: 4, Dst: reg(RAX), Writes: regs(RAX)}},
		{"66 4f", Inst{Op: OpDec, Size: 2, Dst: reg(RDI), Writes: regs(RDI)}},
		{"b4 38", Inst{Op: OpMov, Size: 1, Dst: high(RAX), Src: imm(0x38), Writes: regs(RAX)}},
		{"82 c0 01", Inst{Op: OpAdd, Size: 1, Dst: reg(RAX), Src: imm(1), Writes: regs(RAX)}},
		{"66 0f 6e c1", Inst{Op: OpMov, Size: 4, Dst: vec(0), Src: reg(RCX)}},

		// The stack and control flow.
		{"6a 2b", Inst{Op: OpPush, Size: 4, Src: imm(0x2B), Writes: regs(RSP)}},
		{"68 00 b0 1a 08", Inst{Op: OpPush, Size: 4, Src: imm(0x81AB000), Writes: regs(RSP)}},
		{"5e", Inst{Op: OpPop, Size: 4, Dst: reg(RSI), Writes: regs(RSP, RSI)}},
		{"8f 44 24 08", Inst{Op: OpPop, Size: 4, Dst: cell(RSP, 12), Store: 4, Writes: regs(RSP)}},
		{"60", Inst{Op: OpPush, Size: 32, Writes: regs(RSP)}},
		{"66 60", Inst{Op: OpPush, Size: 16, Writes: regs(RSP)}},
		{"61", other(Inst{Writes: allRegisters})},
		{"1e", Inst{Op: OpPush, Size: 4, Src: vec(0), Writes: regs(RSP)}},
		{"c9", Inst{Op: OpLeave, Size: 4, Writes: regs(RSP, RBP)}},
		{"e8 fb ff ff ff", Inst{Op: OpCall, Target: at}},
		{"e9 00 00 00 f8", Inst{Op: OpJmp, Target: 0x48005}},
		{"ff 15 00 b0 1a 08", Inst{Op: OpCallInd, Size: 4, Src: cell(RegNone, 0x81AB000)}},
		{"ff 24 85 00 b0 1a 08", Inst{Op: OpJmpInd, Size: 4, Src: mem(RegNone, RAX, 4, 0x81AB000)}},
		{"65 ff 15 10 00 00 00", Inst{Op: OpSysenter, Writes: regs(RAX)}},
		{"65 ff 15 14 00 00 00", Inst{Op: OpCallInd, Size: 4, Src: cell(RegFS, 20)}},
		{"0f 84 00 01 00 00", Inst{Op: OpJcc, Target: at + 0x106}},

		// Segments; parts of registers; 16-bit addresses.
		{"8e e8", other(Inst{Dst: vec(0), Src: reg(RAX)})},
		{"8e d8", bad(2)},
		{"1f", bad(1)},
		{"c5 12", bad(2)},
		{"0f b2 03", bad(3)},
		{"27", other(Inst{Writes: regs(RAX)})},
		{"d4 0a", other(Inst{Writes: regs(RAX)})},
		{"ce", other(Inst{})},
		{"62 03", other(Inst{Src: cell(RBX, 0)})},
		{"63 03", other(Inst{Size: 2, Dst: cell(RBX, 0), Store: 2})},
		{"67 8b 46 01", other(Inst{Size: 4, Dst: reg(RAX), Writes: regs(RAX)})},
		{"67 89 06 01 00", other(Inst{Size: 4, Src: reg(RAX), StoreAny: true})},
		{"67 8d 40 01", other(Inst{Size: 4, Dst: reg(RAX), Writes: regs(RAX)})},
		{"67 a1 01 82", Inst{Op: OpMov, Size: 4, Dst: reg(RAX), Src: cell(RegNone, 0x8201), Writes: regs(RAX)}},

		// Vectors: eight registers, no 64-bit ones.
		{"c5 fe 7f 07", Inst{Op: OpMov, Size: 32, Dst: cell(RDI, 0), Src: vec(0), Store: 32}},
		{"c4 e2 fb f6 ca", other(Inst{Size: 4, Dst: reg(RCX), Writes: regs(RAX, RCX)})},
		{"c4 c1 7a 6f 40 10", Inst{Op: OpMov, Size: 16, Dst: vec(0), Src: cell(RAX, 16)}},
		{"62 f1 7c 48 11 44 24 01", Inst{Op: OpMov, Size: 64, Dst: cell(RSP, 64), Src: vec(0), Store: 64}},

		// What may leave the mode, or does different things on different machines.
		{"9a 01 02 03 04 05 06", bad(7)},
		{"66 ea 01 02 03 04", bad(6)},
		{"ff 2b", bad(2)},
		{"66 e8 fa ff", bad(4)},
		{"66 0f 84 fa ff", bad(5)},
		{"66 74 01", bad(3)},
		{"0f 04", bad(1)},
		{"d6", bad(1)},
	} {
		code, err := hex.DecodeString(strings.ReplaceAll(c.code, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		if c.want.Addr = at; c.want.Len == 0 {
			c.want.Len = uint8(len(code))
		}
		got := Decode386(code, at)
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", c.code, diff)
		}
		for n := range int(got.Len) {
			if cut := Decode386(code[:n], at); cut.Op != OpBad && got.Op != OpBad || cut.Len < 1 {
				t.Errorf("%s: cut off after %d bytes: %+v", c.code, n, cut)
			}
		}
	}
}

// program386 is where the code of the tests says that its program lies.
var program386 = Range{0x8048000, 0x8200000}

// Test386Functions is TestAMD64Functions for 32-bit code.
func Test386Functions(t *testing.T) {
	path := build386(t, "cmd/gofmt")
	f, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	pclntab, err := f.Section(".gopclntab").Data()
	if err != nil {
		t.Fatal(err)
	}
	code, addr := textOf(t, path)
	table, err := gosym.NewTable(nil, gosym.NewLineTable(pclntab, addr))
	if err != nil {
		t.Fatal(err)
	}
	for _, fn := range table.Funcs {
		if strings.HasPrefix(fn.Name, "crypto/internal/boring/sig.") {
			continue // a signature: bytes that a jump skips
		}
		checkFunction(t, fn.Name, Decode386, NewSweep386(code[fn.Entry-addr:fn.End-addr], fn.Entry, program386))
	}
	if len(table.Funcs) < 1000 {
		t.Errorf("only %d functions", len(table.Funcs))
	}
}

// Fuzz386 is FuzzAMD64 in 32-bit mode.
func Fuzz386(f *testing.F) {
	f.Add([]byte{0xCD, 0x80, 0xE8, 1, 2, 3, 4, 0xC3, 0x60, 0x61, 0x9A, 1, 2, 3, 4, 5, 6})
	f.Add([]byte{0x62, 0xF1, 0x7C, 0x48, 0x11, 0x44, 0x24, 0x01, 0xC4, 0xE2, 0x7B, 0xF7, 0xC0, 0x62, 3, 0xC5, 0x12})
	f.Add([]byte{0x67, 0x66, 0x8B, 0x06, 0, 0, 0x67, 0xA1, 0, 0, 0xC7, 0x80, 0, 0x80, 4, 8, 0, 0x80, 5, 8})
	f.Fuzz(func(t *testing.T, code []byte) {
		checkDecoding(t, Decode386, NewSweep386(code, 0x8048000, program386))
	})
}

// Test386Random is Fuzz386 on fixed noise.
func Test386Random(t *testing.T) {
	code := noise()
	for ; len(code) > 0; code = code[min(len(code), 1000):] {
		checkDecoding(t, Decode386, NewSweep386(code[:min(len(code), 1003)], 0xFFFFF000, Range{0x8000000, 0x48000000}))
	}
}
