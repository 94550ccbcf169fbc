package image

import (
	"encoding/hex"
	"slices"
	"testing"
)

// TestThumbDecode decodes one instruction of each kind.
func TestThumbDecode(t *testing.T) {
	for _, tt := range []decoded{
		{"df00", "syscall4 - - W 0"},                          // svc 0
		{"df02", "syscall4 - - W 0"},                          // svc 2
		{"2706", "mov4 r7 #0x6 W 7"},                          // movs r7, #6
		{"4607", "mov4 r7 r0 W 7"},                            // mov r7, r0
		{"46bd", "mov4 r13 r7 W 13"},                          // mov sp, r7
		{"46f7", "ret4 - -"},                                  // mov pc, lr
		{"4687", "jmp*4 - r0"},                                // mov pc, r0
		{"4770", "ret4 - -"},                                  // bx lr
		{"4718", "jmp*4 - r3"},                                // bx r3
		{"4778", "jmp4 - - to 0x10004"},                       // bx pc
		{"4798", "call*4 - r3"},                               // blx r3
		{"447b", "add4 r3 #0x10004 W 3"},                      // add r3, pc
		{"4b0b", "mov4 r3 [pc+65584] W 3"},                    // ldr r3, [pc, #44]
		{"a305", "lea4 r3 [pc+65560] W 3"},                    // adr r3, #20
		{"ab02", "lea4 r3 [r13+8] W 3"},                       // add r3, sp, #8
		{"b083", "lea4 r13 [r13-12] W 13"},                    // sub sp, #12
		{"b003", "lea4 r13 [r13+12] W 13"},                    // add sp, #12
		{"1c51", "lea4 r1 [r2+1] W 1"},                        // adds r1, r2, #1
		{"1e51", "lea4 r1 [r2-1] W 1"},                        // subs r1, r2, #1
		{"18d1", "lea4 r1 [r2+r3*1+0] W 1"},                   // adds r1, r2, r3
		{"3b01", "lea4 r3 [r3-1] W 3"},                        // subs r3, #1
		{"2b05", "cmp4 r3 #0x5"},                              // cmp r3, #5
		{"4299", "cmp4 r1 r3"},                                // cmp r1, r3
		{"4219", "test4 r1 r3"},                               // tst r1, r3
		{"405a", "xor4 r2 r3 W 2"},                            // eors r2, r3
		{"4059", "xor4 r1 r3 W 1"},                            // eors r1, r3
		{"4261", "other4 r1 r4 W 1"},                          // negs r1, r4
		{"4349", "other4 r1 - W 1"},                           // muls r1, r1
		{"00a4", "shl4 r4 #0x2 W 4"},                          // lsls r4, r4, #2
		{"0940", "shr4 r0 #0x5 W 0"},                          // lsrs r0, r0, #5
		{"681a", "mov4 r2 [r3+0] W 2"},                        // ldr r2, [r3]
		{"6862", "mov4 r2 [r4+4] W 2"},                        // ldr r2, [r4, #4]
		{"60e5", "mov4 [r4+12] r5 S 4"},                       // str r5, [r4, #12]
		{"7818", "zx4<1 r0 [r3+0] W 0"},                       // ldrb r0, [r3]
		{"8858", "zx4<2 r0 [r3+2] W 0"},                       // ldrh r0, [r3, #2]
		{"5ee0", "sx4<2 r0 [r4+r3*1+0] W 0"},                  // ldrsh r0, [r4, r3]
		{"58fb", "mov4 r3 [r7+r3*1+0] W 3"},                   // ldr r3, [r7, r3]
		{"9b03", "mov4 r3 [r13+12] W 3"},                      // ldr r3, [sp, #12]
		{"b580", "stm4 [r13-8] - W 13 S 8"},                   // push {r7, lr}
		{"bd80", "ret4 - [r13+0] W 7 13"},                     // pop {r7, pc}
		{"bcf0", "ldm4 - [r13+0] W 4 5 6 7 13"},               // pop {r4, r5, r6, r7}
		{"c803", "ldm4 - [r0+0] W 0 1"},                       // ldm r0, {r0, r1}
		{"c806", "ldm4 - [r0+0] W 0 1 2"},                     // ldm r0!, {r1, r2}
		{"b14b", "jcc4 - - to 0x10016"},                       // cbz r3
		{"d1f6", "jcc4 - - to 0xfff0"},                        // bne
		{"e7fe", "jmp4 - - to 0x10000"},                       // b .
		{"b2c0", "zx4<1 r0 r0 W 0"},                           // uxtb r0, r0
		{"bf14", "nop4 - -"},                                  // ite ne
		{"bf00", "nop4 - -"},                                  // nop
		{"be00", "int34 - -"},                                 // bkpt
		{"deff", "trap4 - -"},                                 // udf #255
		{"f04f0c03", "mov4 r12 #0x3 W 12"},                    // mov.w ip, #3
		{"f44f72bc", "mov4 r2 #0x178 W 2"},                    // mov.w r2, #376
		{"f06f0015", "mov4 r0 #0xffffffea W 0"},               // mvn.w r0, #21
		{"f240521e", "mov4 r2 #0x51e W 2"},                    // movw r2, #1310
		{"f2c00701", "top4 r7 #0x1 W 7"},                      // movt r7, #1
		{"f5a464a0", "lea4 r4 [r4-1280] W 4"},                 // sub.w r4, r4, #1280
		{"f2a464a0", "lea4 r4 [r4-1696] W 4"},                 // subw r4, r4, #1696
		{"f20f0008", "lea4 r0 [pc+65548] W 0"},                // adr.w r0, #8
		{"f5105f80", "cmp4 r0 #0x1000"},                       // cmn.w r0, #4096
		{"f1ba0f00", "cmp4 r10 #0x0"},                         // cmp.w sl, #0
		{"eb1a0604", "lea4 r6 [r10+r4*1+0] W 6"},              // adds.w r6, sl, r4
		{"eba80805", "sub4 r8 r5 W 8"},                        // sub.w r8, r8, r5
		{"ea4f0382", "other4 r3 #0x10004 W 3"},                // mov.w r3, r2, lsl #2
		{"e9d30101", "ldp4 r0 [r3+4] &1 W 0 1"},               // ldrd r0, r1, [r3, #4]
		{"e9cd3100", "stp4 [r13+0] r3 &1 S 8"},                // strd r3, r1, [sp]
		{"e92d4ff0", "stm4 [r13-36] - W 13 S 36"},             // stmdb sp!, {r4-r11, lr}
		{"e8bd8ff0", "ret4 - [r13+0] W 4 5 6 7 8 9 10 11 13"}, // ldmia.w sp!, {r4-r11, pc}
		{"e89c0078", "ldm4 - [r12+0] W 3 4 5 6"},              // ldmia.w ip, {r3-r6}
		{"f8dfa018", "mov4 r10 [pc+65564] W 10"},              // ldr.w sl, [pc, #24]
		{"f85dfb04", "ret4 - - W 13"},                         // ldr.w pc, [sp], #4
		{"f85ff004", "jmp*4 - [pc+65536]"},                    // ldr.w pc, [pc, #-4]
		{"f8413d04", "mov4 [r1-4] r3 W 1 S 4"},                // str.w r3, [r1, #-4]!
		{"f85a0000", "mov4 r0 [r10+r0*1+0] W 0"},              // ldr.w r0, [sl, r0]
		{"f852f023", "jmp*4 - [r2+r3*4+0]"},                   // ldr.w pc, [r2, r3, lsl #2]
		{"e8dff003", "jmp*1 - [pc+r3*1+65540]"},               // tbb [pc, r3]
		{"e8dff013", "jmp*2 - [pc+r3*2+65540]"},               // tbh [pc, r3, lsl #1]
		{"e8512f00", "other4 r2 - W 2"},                       // ldrex r2, [r1]
		{"e8403100", "other4 [r0+0] - W 1 S 8"},               // strex r1, r3, [r0]
		{"ee1d4f70", "other4 r4 - W 4"},                       // mrc 15, 0, r4, cr13, cr0, {3}
		{"ed2d8b10", "other4 - [r13-64] W 13 S any"},          // vpush {d8-d15}
		{"f3bf8f5b", "other4 - -"},                            // dmb ish
		{"f7ffbf2e", "jmp4 - - to 0xfe60"},                    // b.w
		{"f7c0ff2f", "call4 - - to 0xfffd0e62"},               // bl
		{"f016e80e", "call4 - - to 0x26020"},                  // blx
		{"f43fabc9", "jcc4 - - to 0xf796"},                    // beq.w
		{"f7f0a000", "trap4 - -"},                             // udf.w #0
	} {
		code, err := hex.DecodeString(tt.word)
		if err != nil {
			t.Fatal(err)
		}
		for k := 0; k < len(code); k += 2 {
			slices.Reverse(code[k : k+2])
		}
		in := DecodeThumb(code, 0x10000, always)
		if got := briefly(&in); got != tt.want || int(in.Len) != len(code) {
			t.Errorf("%s: %s (%d bytes), want %s", tt.word, got, in.Len, tt.want)
		}
		for n := range code {
			if cut := DecodeThumb(code[:n], 0x10000, always); cut.Op != OpBad || cut.Len < 1 || int(cut.Len) > max(n, 1) {
				t.Errorf("%s: cut off after %d bytes: %+v", tt.word, n, cut)
			}
		}
	}
}

// TestThumbConditions checks which instructions an IT puts under a condition, and what
// they are then.
func TestThumbConditions(t *testing.T) {
	m := Module{space: &File{}, object: &object{segments: []Segment{{}}}}
	code := []byte("\x14\xbf\x01\x20\x02\x20\x18\xbf\x70\x47\x00\x20") // ite ne; movne r0, #1; moveq r0, #2; it ne; bxne lr; movs r0, #0
	m.space.Segments = []Segment{{Addr: 0x1000, MemSize: uint64(len(code)), Data: code, Exec: true}}
	c := &armCode{span: Range{0x1000, 0x1010}, conditional: make(bitSet, 1)}
	m.conditions(c, 0x1000, 0x1000+uint64(len(code)))
	want := []uint8{always, 1, 0, always, 1, always}
	for i, w := range want {
		if got := c.condition(0x1000 + 2*uint64(i)); got != w {
			t.Errorf("instruction %d: condition %d, want %d", i, got, w)
		}
	}
	if in := DecodeThumb(code[2:], 0x1002, 1); in.Op != OpCmov || in.Condition != 2 {
		t.Errorf("%+v", in)
	}
	if in := DecodeThumb(code[8:], 0x1008, 1); in.Op != OpRet || !in.Perhaps || in.Writes != 0 {
		t.Errorf("%+v", in)
	}
}

// FuzzThumb decodes arbitrary bytes: every instruction has a length, and one that
// is not known may do anything.
func FuzzThumb(f *testing.F) {
	f.Add([]byte("\x14\xbf\x01\x20\xdf\xe8\x03\xf0\xf0\xf7\x00\xa0\x70\x47"), uint8(always))
	f.Fuzz(func(t *testing.T, code []byte, condition uint8) {
		for at := 0; at < len(code); {
			in := DecodeThumb(code[at:], uint64(at), condition%15)
			if in.Len < 1 || in.Len == 3 || at+int(in.Len) > len(code) || in.Op == OpBad && (in.Writes != allRegisters || !in.StoreAny) {
				t.Fatalf("% x: %+v", code[at:], in)
			}
			at += int(in.Len)
		}
	})
}
