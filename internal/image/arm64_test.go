package image

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestARM64Decode decodes one instruction of each kind.
func TestARM64Decode(t *testing.T) {
	const at = 0x10000
	other := func(in Inst) Inst { in.Op = OpOther; return in }
	unknown := Inst{Op: OpOther, Writes: allRegisters, StoreAny: true}
	for _, c := range []struct {
		word uint32
		want Inst // without Addr and Len
	}{
		// What value flow lives on.
		{0xd4000001, Inst{Op: OpSyscall, Writes: regs(0)}},                                                       // svc #0
		{0xd4001541, Inst{Op: OpSyscall, Writes: regs(0)}},                                                       // svc #0xaa
		{0xd2800708, Inst{Op: OpMov, Size: 8, Dst: reg(X8), Src: imm(56), Writes: regs(X8)}},                     // mov x8, #56
		{0xb27d0be8, Inst{Op: OpMov, Size: 8, Dst: reg(X8), Src: imm(56), Writes: regs(X8)}},                     // orr x8, xzr, #0x38
		{0x12800000, Inst{Op: OpMov, Size: 4, Dst: reg(0), Src: imm(-1), Writes: regs(0)}},                       // mov w0, #-1
		{0xf2a00028, other(Inst{Size: 8, Dst: reg(X8), Writes: regs(X8)})},                                       // movk x8, #1, lsl #16
		{0xaa0003e8, Inst{Op: OpMov, Size: 8, Dst: reg(X8), Src: reg(0), Writes: regs(X8)}},                      // mov x8, x0
		{0x2a1f03e1, Inst{Op: OpMov, Size: 4, Dst: reg(1), Src: imm(0), Writes: regs(1)}},                        // mov w1, wzr
		{0xca010021, Inst{Op: OpMov, Size: 8, Dst: reg(1), Src: imm(0), Writes: regs(1)}},                        // eor x1, x1, x1
		{0x12001c00, Inst{Op: OpMovZX, Size: 4, SrcSize: 1, Dst: reg(0), Src: reg(0), Writes: regs(0)}},          // and w0, w0, #0xff
		{0x53001c00, Inst{Op: OpMovZX, Size: 4, SrcSize: 1, Dst: reg(0), Src: reg(0), Writes: regs(0)}},          // uxtb w0, w0
		{0x93407c20, Inst{Op: OpMovSX, Size: 8, SrcSize: 4, Dst: reg(0), Src: reg(1), Writes: regs(0)}},          // sxtw x0, w1
		{0xd341fc00, Inst{Op: OpShr, Size: 8, Dst: reg(0), Src: imm(1), Writes: regs(0)}},                        // lsr x0, x0, #1
		{0xd37ff800, Inst{Op: OpShl, Size: 8, Dst: reg(0), Src: imm(1), Writes: regs(0)}},                        // lsl x0, x0, #1
		{0x91001020, Inst{Op: OpLea, Size: 8, Dst: reg(0), Src: cell(1, 4), Writes: regs(0)}},                    // add x0, x1, #4
		{0xd10083ff, Inst{Op: OpLea, Size: 8, Dst: reg(SP), Src: cell(SP, -32), Writes: regs(SP)}},               // sub sp, sp, #32
		{0xd14007f4, Inst{Op: OpLea, Size: 8, Dst: reg(20), Src: cell(SP, -4096), Writes: regs(20)}},             // sub x20, sp, #1, lsl #12
		{0x910003e0, Inst{Op: OpLea, Size: 8, Dst: reg(0), Src: cell(SP, 0), Writes: regs(0)}},                   // mov x0, sp
		{0x8b020c20, Inst{Op: OpLea, Size: 8, Dst: reg(0), Src: mem(1, 2, 8, 0), Writes: regs(0)}},               // add x0, x1, x2, lsl #3
		{0x8b2163e0, Inst{Op: OpLea, Size: 8, Dst: reg(0), Src: mem(SP, 1, 1, 0), Writes: regs(0)}},              // add x0, sp, x1
		{0xcb2163e0, other(Inst{Size: 8, Dst: reg(0), Src: reg(SP), Writes: regs(0)})},                           // sub x0, sp, x1
		{0xf100041f, Inst{Op: OpCmp, Size: 8, Dst: reg(0), Src: imm(1)}},                                         // cmp x0, #1
		{0xeb2163ff, Inst{Op: OpCmp, Size: 8, Dst: reg(SP), Src: reg(1)}},                                        // cmp sp, x1
		{0x9a821020, Inst{Op: OpSelect, Size: 8, Dst: reg(0), Src: reg(1), Imm2: 2, Writes: regs(0)}},            // csel x0, x1, x2, ne
		{0x9a9f07e0, Inst{Op: OpSetcc, Size: 8, Dst: reg(0), Writes: regs(0)}},                                   // cset x0, ne
		{0xb0000000, Inst{Op: OpPage, Size: 8, Dst: reg(0), Src: imm(0x11000), Writes: regs(0)}},                 // adrp x0, +0x1000
		{0x10000040, Inst{Op: OpLea, Size: 8, Dst: reg(0), Src: cell(RegPC, at+8), Writes: regs(0)}},             // adr x0, +8
		{0x58000048, Inst{Op: OpMov, Size: 8, Dst: reg(X8), Src: cell(RegPC, at+8), Writes: regs(X8)}},           // ldr x8, +8
		{0xf94007e8, Inst{Op: OpMov, Size: 8, Dst: reg(X8), Src: cell(SP, 8), Writes: regs(X8)}},                 // ldr x8, [sp, #8]
		{0xf81a0ffe, Inst{Op: OpMov, Size: 8, Dst: cell(SP, -96), Src: reg(X30), Store: 8, Writes: regs(SP)}},    // str x30, [sp, #-96]!
		{0xf84607fe, Inst{Op: OpMov, Size: 8, Dst: reg(X30), Src: cell(SP, 0), Writes: regs(SP, X30)}},           // ldr x30, [sp], #96
		{0xf84087ff, other(Inst{Size: 8, Src: cell(SP, 0), Writes: regs(SP)})},                                   // ldr xzr, [sp], #8
		{0xf900003f, Inst{Op: OpMov, Size: 8, Dst: cell(1, 0), Src: imm(0), Store: 8}},                           // str xzr, [x1]
		{0x39000420, Inst{Op: OpMov, Size: 1, Dst: cell(1, 1), Src: reg(0), Store: 1}},                           // strb w0, [x1, #1]
		{0x39400420, Inst{Op: OpMovZX, Size: 4, SrcSize: 1, Dst: reg(0), Src: cell(1, 1), Writes: regs(0)}},      // ldrb w0, [x1, #1]
		{0xb9800420, Inst{Op: OpMovSX, Size: 8, SrcSize: 4, Dst: reg(0), Src: cell(1, 4), Writes: regs(0)}},      // ldrsw x0, [x1, #4]
		{0xf8627820, Inst{Op: OpMov, Size: 8, Dst: reg(0), Src: mem(1, 2, 8, 0), Writes: regs(0)}},               // ldr x0, [x1, x2, lsl #3]
		{0xb8224820, other(Inst{Size: 4, Src: reg(0), StoreAny: true})},                                          // str w0, [x1, w2, uxtw]
		{0xa9010be1, Inst{Op: OpStorePair, Size: 8, Dst: cell(SP, 16), Src: reg(1), Imm2: 2, Store: 16}},         // stp x1, x2, [sp, #16]
		{0xa9017fe1, Inst{Op: OpStorePair, Size: 8, Dst: cell(SP, 16), Src: reg(1), Imm2: -1, Store: 16}},        // stp x1, xzr, [sp, #16]
		{0xa94407e0, Inst{Op: OpLoadPair, Size: 8, Dst: reg(0), Src: cell(SP, 64), Imm2: 1, Writes: regs(0, 1)}}, // ldp x0, x1, [sp, #64]
		{0x69400420, other(Inst{Size: 4, Src: cell(1, 0), Writes: regs(0, 1)})},                                  // ldpsw x0, x1, [x1]
		{0xc8dffc20, Inst{Op: OpMov, Size: 8, Dst: reg(0), Src: cell(1, 0), Writes: regs(0)}},                    // ldar x0, [x1]
		{0xc89ffc20, Inst{Op: OpMov, Size: 8, Dst: cell(1, 0), Src: reg(0), Store: 8}},                           // stlr x0, [x1]
		{0xc85f7c20, other(Inst{Size: 8, Dst: cell(1, 0), Store: 16, Writes: regs(0, 1)})},                       // ldxr x0, [x1]
		{0xf8e20020, other(Inst{Size: 8, Dst: cell(1, 0), Store: 8, Writes: regs(0)})},                           // ldaddal x2, x0, [x1]
		{0xf9800020, Inst{Op: OpNop}}, // prfm
		{0x3d800020, other(Inst{Size: 16, Dst: cell(1, 0), Src: vec(0), Store: 16})}, // str q0, [x1]
		{0x4c9f2020, other(Inst{Src: cell(1, 0), StoreAny: true, Writes: regs(1)})},  // st1 {v0-v3}, [x1], #64
		{0x9e660000, other(Inst{Writes: regs(0)})},                                   // fmov x0, d0
		{0x9e670000, other(Inst{Writes: regs(0)})},                                   // fmov d0, x0
		{0x0e043c00, other(Inst{Writes: regs(0)})},                                   // umov w0, v0.s[0]
		{0x4e082c00, other(Inst{Writes: regs(0)})},                                   // smov x0, v0.s[1]
		{0x2f20a400, other(Inst{})},                                                  // uxtl v0.2d, v0.2s
		{0x6e0c0420, other(Inst{})},                                                  // mov v0.s[1], v1.s[0]
		{0x4e040c20, other(Inst{})},                                                  // dup v0.4s, w1
		{0x1e602800, other(Inst{})},                                                  // fadd d0, d0, d0

		// Control flow.
		{0x97ffffff, Inst{Op: OpCall, Target: at - 4}},                      // bl -4
		{0x14000002, Inst{Op: OpJmp, Target: at + 8}},                       // b +8
		{0x54000040, Inst{Op: OpJcc, Target: at + 8}},                       // b.eq +8
		{0xb4ffffe0, Inst{Op: OpJcc, Target: at - 4}},                       // cbz x0, -4
		{0x37f80040, Inst{Op: OpJcc, Target: at + 8}},                       // tbnz w0, #31, +8
		{0x74010040, Inst{Op: OpJcc, Target: at + 8}},                       // cbgt w0, w1, +8
		{0xd61f0360, Inst{Op: OpJmpInd, Size: 8, Src: reg(27)}},             // br x27
		{0xd63f0020, Inst{Op: OpCallInd, Size: 8, Src: reg(1)}},             // blr x1
		{0xd65f03c0, Inst{Op: OpRet, Size: 8}},                              // ret
		{0xd65f0020, Inst{Op: OpJmpInd, Size: 8, Src: reg(1)}},              // ret x1
		{0xd4200000, Inst{Op: OpInt3}},                                      // brk #0
		{0x00000000, Inst{Op: OpTrap}},                                      // udf #0
		{0xd4000002, Inst{Op: OpTrap}},                                      // hvc #0
		{0xd503201f, Inst{Op: OpNop}},                                       // nop
		{0xd503233f, other(Inst{Writes: regs(16, 17, X30)})},                // paciasp
		{0xd53bd040, other(Inst{Writes: regs(0)})},                          // mrs x0, tpidr_el0
		{0xd50b7420, other(Inst{StoreAny: true})},                           // dc zva, x0
		{0xd69f03e0, Inst{Op: OpBad, Writes: allRegisters, StoreAny: true}}, // eret

		// What the architecture does not allocate.
		{0x00030201, Inst{Op: OpBad, Writes: allRegisters, StoreAny: true}},
		{0x22040302, Inst{Op: OpBad, Writes: allRegisters, StoreAny: true}},
		{0xee00bc4f, Inst{Op: OpBad, Writes: allRegisters, StoreAny: true}},

		// What may do anything.
		{0x04200000, unknown}, // scalable vectors
		{0x19000000 | 1<<10, unknown},
		{0xf8201020 | 1<<15, unknown}, // 64-byte atomics
	} {
		c.want.Addr, c.want.Len = at, 4
		code := binary.LittleEndian.AppendUint32(nil, c.word)
		if diff := cmp.Diff(c.want, DecodeARM64(code, at)); diff != "" {
			t.Errorf("%08x: (-want +got)\n%s", c.word, diff)
		}
		for n := range 4 {
			if cut := DecodeARM64(code[:n], at); cut.Op != OpBad || cut.Len < 1 || int(cut.Len) > max(n, 1) {
				t.Errorf("%08x: cut off after %d bytes: %+v", c.word, n, cut)
			}
		}
	}
}

func arm64Code(words ...uint32) []byte {
	var code []byte
	for _, w := range words {
		code = binary.LittleEndian.AppendUint32(code, w)
	}
	return code
}

// TestARM64Sweep checks what a sweep makes of two instructions that name an
// address together, and of words that are loaded as constants.
func TestARM64Sweep(t *testing.T) {
	const at = 0x10000
	sweep := NewSweepARM64(arm64Code(
		0xb000001b, // adrp x27, 0x11000
		0xf9400760, // ldr x0, [x27, #8]
		0xb0000001, // adrp x1, 0x11000
		0xd503201f, // nop
		0x58000060, // ldr x0, at+28
		0x580000a0, // ldr x0, at+40
		0xd65f03c0, // ret
		0x97ffffff, // bl, but loaded
		0x97ffffff,
		0x97ffffff, // bl
		0xd4000001, // svc, loaded
		0x14000000, // b, loaded
	), at)
	want := []struct {
		addr uint64
		op   Op
		disp int64
	}{
		{at + 4, OpMov, 0x11008},
		{at + 8, OpPage, 0},
		{at + 16, OpMov, at + 28},
		{at + 20, OpMov, at + 40},
		{at + 36, OpCall, 0},
		{at + 40, OpSyscall, 0},
	}
	var in Inst
	for _, w := range want {
		if !sweep.Next(&in) || in.Addr != w.addr || in.Op != w.op || in.Src.Disp != w.disp {
			t.Fatalf("stops at %+v, want %+v", in, w)
		}
	}
	if sweep.Next(&in) {
		t.Errorf("stops at %+v besides", in)
	}

	// A page that stays is named too; one that is overwritten is not.
	for _, tt := range []struct {
		second uint32
		ops    []Op
	}{{0xf9000420, []Op{OpPage, OpMov}}, {0xf9400421, []Op{OpMov}}, {0x91002021, []Op{OpLea}}, {0xf9400440, []Op{OpPage}}} {
		sweep := NewSweepARM64(arm64Code(0xb0000001, tt.second, 0xd65f03c0), at)
		var ops []Op
		for sweep.Next(&in) {
			ops = append(ops, in.Op)
			if in.Op != OpPage && in.Src.Disp != 0x11008 && in.Dst.Disp != 0x11008 {
				t.Errorf("%08x: %+v", tt.second, in)
			}
		}
		if !slices.Equal(ops, tt.ops) {
			t.Errorf("%08x: %v, want %v", tt.second, ops, tt.ops)
		}
	}
}

// FuzzARM64 decodes arbitrary bytes: every instruction has a length, and a
// sweep ends.
func FuzzARM64(f *testing.F) {
	f.Add(arm64Code(0xb0000001, 0xf9400420, 0x58000060, 0xd4000001, 0x97ffffff))
	f.Add([]byte{1, 2, 3, 4, 5, 6, 7})
	f.Fuzz(func(t *testing.T, code []byte) {
		for at := 0; at < len(code); {
			in := DecodeARM64(code[at:], uint64(at))
			if in.Len < 1 || at+int(in.Len) > len(code) || in.Op == OpBad && (in.Writes != allRegisters || !in.StoreAny) {
				t.Fatalf("% x: %+v", code[at:], in)
			}
			at += int(in.Len)
		}
		var in Inst
		for sweep, n := NewSweepARM64(code, 0x10000), 0; sweep.Next(&in); n++ {
			if n > len(code) {
				t.Fatal("a sweep without an end")
			}
		}
	})
}
