package image

import (
	"encoding/hex"
	"slices"
	"testing"
)

// A decoded is an instruction, as a number, and what is known of it at 0x10000.
type decoded struct{ word, want string }

func testDecode(t *testing.T, decode func([]byte, uint64) Inst, tests []decoded) {
	for _, tt := range tests {
		code, err := hex.DecodeString(tt.word)
		if err != nil {
			t.Fatal(err)
		}
		slices.Reverse(code)
		in := decode(code, 0x10000)
		if got := briefly(&in); got != tt.want || int(in.Len) != len(code) {
			t.Errorf("%s: %s (%d bytes), want %s", tt.word, got, in.Len, tt.want)
		}
		for n := range code {
			if cut := decode(code[:n], 0x10000); cut.Op != OpBad || cut.Len < 1 || int(cut.Len) > max(n, 1) {
				t.Errorf("%s: cut off after %d bytes: %+v", tt.word, n, cut)
			}
		}
	}
}

// TestARMDecode decodes one instruction of each kind.
func TestARMDecode(t *testing.T) {
	testDecode(t, DecodeARM, []decoded{
		{"ef000000", "syscall4 - - W 0"},             // svc 0x00000000
		{"ef000001", "bad0 - - W all S any"},         // svc 0x00000001
		{"0f000000", "bad0 - - W all S any"},         // svceq 0x00000000
		{"e3a070a2", "mov4 r7 #0xa2 W 7"},            // mov r7, #162
		{"e3007142", "mov4 r7 #0x142 W 7"},           // movw r7, #322
		{"e3407001", "top4 r7 #0x1 W 7"},             // movt r7, #1
		{"e3e00000", "mov4 r0 #0xffffffff W 0"},      // mvn r0, #0
		{"e1a00001", "mov4 r0 r1 W 0"},               // mov r0, r1
		{"01a00001", "cmov4 r0 r1 W 0"},              // moveq r0, r1
		{"13a00005", "cmov4 r0 #0x5 W 0"},            // movne r0, #5
		{"e28d0008", "lea4 r0 [r13+8] W 0"},          // add r0, sp, #8
		{"128d0008", "other4 r0 r13 W 0"},            // addne r0, sp, #8
		{"e0810102", "lea4 r0 [r1+r2*4+0] W 0"},      // add r0, r1, r2, lsl #2
		{"e24dd010", "lea4 r13 [r13-16] W 13"},       // sub sp, sp, #16
		{"e05d200b", "other4 r2 r13 W 2"},            // subs r2, sp, fp
		{"e20100ff", "zx4<1 r0 r1 W 0"},              // and r0, r1, #255
		{"e0211001", "mov4 r1 #0x0 W 1"},             // eor r1, r1, r1
		{"e1a00180", "shl4 r0 #0x3 W 0"},             // lsl r0, r0, #3
		{"e1a001a1", "other4 r0 r0 W 0"},             // lsr r0, r1, #3
		{"e2600000", "neg4 r0 - W 0"},                // rsb r0, r0, #0
		{"e15d0001", "cmp4 r13 r1"},                  // cmp sp, r1
		{"e59d7004", "mov4 r7 [r13+4] W 7"},          // ldr r7, [sp, #4]
		{"e59f0008", "mov4 r0 [pc+65552] W 0"},       // ldr r0, [pc, #8]
		{"e49df010", "ret4 - - W 13"},                // ldr pc, [sp], #16
		{"e59ff004", "jmp*4 - [pc+65548]"},           // ldr pc, [pc, #4]
		{"e52de010", "mov4 [r13-16] r14 W 13 S 4"},   // str lr, [sp, #-16]!
		{"15810000", "other4 [r1+0] r0 S 4"},         // strne r0, [r1]
		{"e5d10001", "zx4<1 r0 [r1+1] W 0"},          // ldrb r0, [r1, #1]
		{"e1d100d0", "sx4<1 r0 [r1+0] W 0"},          // ldrsb r0, [r1]
		{"e1c100b2", "mov2 [r1+2] r0 S 2"},           // strh r0, [r1, #2]
		{"e1c200d8", "ldp4 r0 [r2+8] &1 W 0 1"},      // ldrd r0, [r2, #8]
		{"e1cd00f8", "stp4 [r13+8] r0 &1 S 8"},       // strd r0, [sp, #8]
		{"e7910102", "mov4 r0 [r1+r2*4+0] W 0"},      // ldr r0, [r1, r2, lsl #2]
		{"e7010002", "other4 - - S any"},             // str r0, [r1, -r2]
		{"e92d4030", "stm4 [r13-12] - W 13 S 12"},    // push {r4, r5, lr}
		{"e8bd8030", "ret4 - [r13+0] W 4 5 13"},      // pop {r4, r5, pc}
		{"e8b00006", "ldm4 - [r0+0] W 0 1 2"},        // ldm r0!, {r1, r2}
		{"e8802002", "other4 [r0+0] r13 S 8"},        // stm r0, {r1, sp}
		{"eb000002", "call4 - - to 0x10010"},         // bl a8
		{"1b000002", "call4? - - to 0x10010"},        // blne ac
		{"eafffffc", "jmp4 - - to 0xfff8"},           // b 98
		{"0a000000", "jcc4 - - to 0x10008"},          // beq ac
		{"e12fff1e", "ret4 - -"},                     // bx lr
		{"112fff1e", "ret4? - -"},                    // bxne lr
		{"e12fff13", "jmp*4 - r3"},                   // bx r3
		{"e12fff33", "call*4 - r3"},                  // blx r3
		{"fa000000", "call4 - - to 0x10008"},         // blx c0
		{"e28ef000", "ret4 - -"},                     // add pc, lr, #0
		{"e1a0f00e", "ret4 - -"},                     // mov pc, lr
		{"e1a0f001", "jmp*4 - r1"},                   // mov pc, r1
		{"e1a0e00f", "mov4 r14 #0x10008 W 14"},       // mov lr, pc
		{"e0000291", "other4 r0 - W 0"},              // mul r0, r1, r2
		{"e0810392", "other4 r1 - W 0 1"},            // umull r0, r1, r2, r3
		{"e710f211", "other4 r0 - W 0"},              // sdiv r0, r1, r2
		{"e16f0f11", "other4 r0 - W 0"},              // clz r0, r1
		{"e1910f9f", "other4 - - W 0"},               // ldrex r0, [r1]
		{"e1810f92", "other4 [r1+0] - W 0 S 8"},      // strex r0, r2, [r1]
		{"e6ff0071", "zx4<2 r0 r1 W 0"},              // uxth r0, r1
		{"e6af0071", "sx4<1 r0 r1 W 0"},              // sxtb r0, r1
		{"ee1d0f70", "other4 r0 - W 0"},              // mrc 15, 0, r0, cr13, cr0, {3}
		{"ec510f0e", "other4 - - W 0 1"},             // mrrc 15, 0, r0, r1, cr14
		{"ee100a10", "other4 r0 - W 0"},              // vmov r0, s0
		{"ee00da10", "other4 - r13"},                 // vmov s0, sp
		{"ed910b02", "other8 v [r1+8]"},              // vldr d0, [r1, #8]
		{"ed8d0b02", "other8 [r13+8] v S 8"},         // vstr d0, [sp, #8]
		{"ed2d8b04", "other4 - [r13-16] W 13 S any"}, // vpush {d8-d9}
		{"f400078d", "other4 - [r0+0] W 0 S any"},    // vst1.32 {d0}, [r0]!
		{"e1200070", "int34 - -"},                    // bkpt 0x0000
		{"e7f001f0", "int34 - -"},                    // .word 0xe7f001f0
		{"f7fabcfd", "trap4 - -"},                    // .word 0xf7fabcfd
		{"00000000", "nop4 - -"},                     // .word 0x00000000
		{"f57ff05b", "other4 - -"},                   // dmb ish
		{"f5d0f000", "nop4 - -"},                     // pld [r0]
	})
}

// TestRISCV64Decode decodes one instruction of each kind.
func TestRISCV64Decode(t *testing.T) {
	testDecode(t, DecodeRISCV64, []decoded{
		{"00000073", "syscall8 - - W 10"},           // ecall
		{"00100073", "int38 - -"},                   // ebreak
		{"03800893", "mov8 r17 #0x38 W 17"},         // li a7,56
		{"00050893", "mov8 r17 r10 W 17"},           // mv a7,a0
		{"00012537", "mov8 r10 #0x12000 W 10"},      // lui a0,0x12
		{"00001517", "page8 r10 #0x11000 W 10"},     // auipc a0,0x1
		{"00450513", "lea8 r10 [r10+4] W 10"},       // add a0,a0,4 # 1018
		{"fe010113", "lea8 r2 [r2-32] W 2"},         // add sp,sp,-32
		{"00810513", "lea8 r10 [r2+8] W 10"},        // add a0,sp,8
		{"00c58533", "lea8 r10 [r11+r12*1+0] W 10"}, // add a0,a1,a2
		{"00258533", "lea8 r10 [r2+r11*1+0] W 10"},  // add a0,a1,sp
		{"00b00533", "mov8 r10 r11 W 10"},           // add a0,zero,a1
		{"40c58533", "other8 r10 - W 10"},           // sub a0,a1,a2
		{"40b50533", "sub8 r10 r11 W 10"},           // sub a0,a0,a1
		{"40a00533", "neg8 r10 - W 10"},             // neg a0,a0
		{"0ff5f513", "zx8<1 r10 r11 W 10"},          // zext.b a0,a1
		{"00351513", "shl8 r10 #0x3 W 10"},          // sll a0,a0,0x3
		{"40355513", "sar8 r10 #0x3 W 10"},          // sra a0,a0,0x3
		{"00c5b533", "set8 r10 - W 10"},             // sltu a0,a1,a2
		{"02b50533", "mul8 r10 r11 W 10"},           // mul a0,a0,a1
		{"0005851b", "sx8<4 r10 r11 W 10"},          // sext.w a0,a1
		{"0015851b", "other8 r10 - W 10"},           // addw a0,a1,1
		{"00c5853b", "other8 r10 - W 10"},           // addw a0,a1,a2
		{"00813503", "mov8 r10 [r2+8] W 10"},        // ld a0,8(sp)
		{"0005e503", "zx8<4 r10 [r11+0] W 10"},      // lwu a0,0(a1)
		{"00058503", "sx8<1 r10 [r11+0] W 10"},      // lb a0,0(a1)
		{"fe113423", "mov8 [r2-24] r1 S 8"},         // sd ra,-24(sp)
		{"00052223", "mov4 [r10+4] #0x0 S 4"},       // sw zero,4(a0)
		{"00b50463", "jcc8 r10 r11 to 0x10008"},     // beq a0,a1,78
		{"010000ef", "call8 - - to 0x10010"},        // jal 84
		{"0100006f", "jmp8 - - to 0x10010"},         // j 88
		{"00050067", "jmp*8 - r10"},                 // jr a0
		{"000500e7", "call*8 - r10"},                // jalr a0
		{"00450067", "jmp*8 - r10 &4"},              // jr 4(a0)
		{"00008067", "ret8 - -"},                    // ret
		{"1005b52f", "other8 [r11+0] - W 10 S 8"},   // lr.d a0,(a1)
		{"00c5a52f", "other4 [r11+0] - W 10 S 4"},   // amoadd.w a0,a2,(a1)
		{"00853507", "other8 v [r10+8]"},            // fld fa0,8(a0)
		{"00a53427", "other8 [r10+8] v S 8"},        // fsd fa0,8(a0)
		{"e2050553", "other8 r10 - W 10"},           // fmv.x.d a0,fa0
		{"f2010553", "other8 - r2"},                 // fmv.d.x fa0,sp
		{"02c5f553", "other8 - -"},                  // fadd.d fa0,fa1,fa2
		{"c0102573", "other8 r10 - W 10"},           // rdtime a0
		{"0ff0000f", "other8 - -"},                  // fence
		{"0000100f", "other8 - -"},                  // .word 0x0000100f
		{"0007a00f", "other8 - - S any"},            // .word 0x0007a00f
		{"0000000b", "bad0 - - W all S any"},        // .word 0x0000000b
		{"30200073", "bad0 - - W all S any"},        // .word 0x30200073
		{"4895", "mov8 r17 #0x5 W 17"},              // li a7,5
		{"852e", "mov8 r10 r11 W 10"},               // mv a0,a1
		{"1141", "lea8 r2 [r2-16] W 2"},             // add sp,sp,-16
		{"0028", "lea8 r10 [r2+8] W 10"},            // add a0,sp,8
		{"6522", "mov8 r10 [r2+8] W 10"},            // ld a0,8(sp)
		{"e006", "mov8 [r2+0] r1 S 8"},              // sd ra,0(sp)
		{"6588", "mov8 r10 [r11+8] W 10"},           // ld a0,8(a1)
		{"c1c8", "mov4 [r11+4] r10 S 4"},            // sw a0,4(a1)
		{"a021", "jmp8 - - to 0x10008"},             // j d8
		{"c501", "jcc8 r10 #0x0 to 0x10008"},        // beqz a0,da
		{"8082", "ret8 - -"},                        // ret
		{"8502", "jmp*8 - r10"},                     // jr a0
		{"9502", "call*8 - r10"},                    // jalr a0
		{"9002", "int38 - -"},                       // ebreak
		{"8d0d", "sub8 r10 r11 W 10"},               // sub a0,a0,a1
		{"9d2d", "other8 r10 - W 10"},               // addw a0,a0,a1
		{"6505", "mov8 r10 #0x1000 W 10"},           // lui a0,0x1
		{"7139", "lea8 r2 [r2-64] W 2"},             // add sp,sp,-64
		{"050a", "shl8 r10 #0x2 W 10"},              // sll a0,a0,0x2
		{"0000", "trap0 - -"},                       // padding
		{"8000", "bad0 - - W all S any"},            // reserved
		{"00000000001f", "bad0 - - W all S any"},
	})
}

// A stop is one that a sweep has to make.
type stop struct {
	addr uint64
	what string
}

func testSweep(t *testing.T, s *Sweep, want []stop) {
	t.Helper()
	var in Inst
	for _, w := range want {
		if !s.Next(&in) || in.Addr != w.addr || briefly(&in) != w.what {
			t.Fatalf("stops at %x: %s, want %+v", in.Addr, briefly(&in), w)
		}
	}
	if s.Next(&in) {
		t.Errorf("stops at %x besides: %s", in.Addr, briefly(&in))
	}
}

// TestARMSweep checks what a sweep makes of constants in the code and of the
// register that they pass through.
func TestARMSweep(t *testing.T) {
	testSweep(t, NewSweepARM(arm64Code(
		0xe59fb01c, // ldr r11, 0x10024
		0xe59b0004, // ldr r0, [r11, #4]
		0xe59f1014, // ldr r1, 0x10024
		0xe59f2014, // ldr r2, 0x10028: no address
		0xe59fb014, // ldr r11, 0x1002c
		0xe12fff1b, // bx r11
		0xe59ff010, // ldr pc, 0x10030
		0xe59f0010, // ldr r0, 0x10034
		0xebfffffe, // bl .
		0x00012340,
		0x0f000000,
		0x00010100,
		0xffff0fa0,
		0xef000000, // svc, loaded
		0xef000001, // svc of another kind
	), 0x10000, Range{0x10000, 0x20000}), []stop{
		{0x10004, "mov4 r0 [pc+74564] W 0"},
		{0x10008, "mov4 r1 #0x12340 W 1"},
		{0x10014, "jmp4 - - to 0x10100"},
		{0x10018, "jmp4 - - to 0xffff0fa0"},
		{0x10020, "call4 - - to 0x10020"},
		{0x10034, "syscall4 - - W 0"},
		{0x10038, "bad0 - - W all S any"},
	})
}

// TestRISCV64Sweep checks what a sweep makes of two instructions that name an
// address together.
func TestRISCV64Sweep(t *testing.T) {
	testSweep(t, NewSweepRISCV64(arm64Code(
		0x00001f97, // auipc t6, 1
		0x008fb503, // ld a0, 8(t6)
		0x00001517, // auipc a0, 1
		0x00c53583, // ld a1, 12(a0)
		0x00001097, // auipc ra, 1
		0x010080e7, // jalr 16(ra)
		0x00001f97, // auipc t6, 1
		0xfe0f8067, // jr -32(t6)
		0x00000013, // nop
		0x00000463, // beqz zero, +8
		0x80000463, // beqz zero, -4088
		0x00000073, // ecall
		0x00008067, // ret
		0x00001f97, // auipc t6, 1, cut off
	), 0x10000), []stop{
		{0x10004, "mov8 r10 [pc+69640] W 10"},
		{0x10008, "page8 r10 #0x11008 W 10"},
		{0x1000c, "mov8 r11 [pc+69652] W 11"},
		{0x10014, "call8 - - to 0x11020"},
		{0x1001c, "jmp8 - - to 0x10ff8"},
		{0x10028, "jcc8 #0x0 #0x0 to 0xf030"},
		{0x1002c, "syscall8 - - W 10"},
		{0x10034, "page8 r31 #0x11034 W 31"},
	})
}

// fuzzRISC decodes arbitrary bytes: every instruction has a length, and a sweep
// ends.
func fuzzRISC(f *testing.F, decode func([]byte, uint64) Inst, sweep func(code []byte) *Sweep) {
	f.Add([]byte{1, 2, 3, 4, 5, 6, 7})
	f.Fuzz(func(t *testing.T, code []byte) {
		for at := 0; at < len(code); {
			in := decode(code[at:], uint64(at))
			if in.Len < 1 || at+int(in.Len) > len(code) || in.Op == OpBad && (in.Writes != allRegisters || !in.StoreAny) {
				t.Fatalf("% x: %+v", code[at:], in)
			}
			at += int(in.Len)
		}
		var in Inst
		for s, n := sweep(code), 0; s.Next(&in); n++ {
			if n > len(code) {
				t.Fatal("a sweep without an end")
			}
		}
	})
}

func FuzzARM(f *testing.F) {
	f.Add(arm64Code(0xe59fb008, 0xe59b0004, 0xe59f1000, 0xef000000, 0xebfffffe))
	fuzzRISC(f, DecodeARM, func(code []byte) *Sweep { return NewSweepARM(code, 0x10000, Range{0x10000, 0x20000}) })
}

func FuzzRISCV64(f *testing.F) {
	f.Add(arm64Code(0x00001f97, 0x008fb503, 0x00001097, 0x010080e7, 0x00000073, 0x65228082))
	fuzzRISC(f, DecodeRISCV64, func(code []byte) *Sweep { return NewSweepRISCV64(code, 0x10000) })
}
