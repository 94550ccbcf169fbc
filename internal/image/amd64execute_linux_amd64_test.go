package image

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The two mappings of the traced process.
const (
	codeBase   = 0x10000000
	codeSize   = 0x1000
	dataBase   = 0x20000000
	dataSize   = 0x1000
	instOffset = 0x800
)

// A stepper runs single instructions in a process under ptrace.
type stepper struct {
	pid  int
	mem  *os.File
	regs unix.PtraceRegs // those of the freshly started process

	narrow bool // the process is in 32-bit mode
}

// startStepper starts a process that never gets to run its own code, with a
// page for code and a page for data.
func startStepper(t *testing.T) *stepper {
	t.Helper()
	runtime.LockOSThread() // the tracer is a thread
	cmd := exec.Command("/bin/true")
	cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Skipf("no ptrace here: %v", err)
	}
	s := &stepper{pid: cmd.Process.Pid}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		runtime.UnlockOSThread()
	})
	var status unix.WaitStatus
	if _, err := unix.Wait4(s.pid, &status, 0, nil); err != nil || !status.Stopped() {
		t.Fatalf("wait: %v, %#x", err, status)
	}
	var err error
	if s.mem, err = os.OpenFile(fmt.Sprintf("/proc/%d/mem", s.pid), os.O_RDWR, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.mem.Close() })
	if err := unix.PtraceGetRegs(s.pid, &s.regs); err != nil {
		t.Fatal(err)
	}
	s.mmap(t, codeBase, codeSize)
	s.mmap(t, dataBase, dataSize)
	return s
}

// mmap maps memory in the process, by its own system call.
func (s *stepper) mmap(t *testing.T, addr, size uint64) {
	t.Helper()
	s.write(t, s.regs.Rip, []byte{0x0F, 0x05})
	regs := s.regs
	regs.Rax, regs.Rdi, regs.Rsi, regs.Rdx = unix.SYS_MMAP, addr, size, unix.PROT_READ|unix.PROT_WRITE|unix.PROT_EXEC
	regs.R10, regs.R8, regs.R9 = unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_FIXED, ^uint64(0), 0
	if _, err := s.step(&regs); err != nil || regs.Rax != addr {
		t.Fatalf("mmap in the process: %#x, %v", regs.Rax, err)
	}
}

func (s *stepper) write(t *testing.T, addr uint64, data []byte) {
	t.Helper()
	if _, err := s.mem.WriteAt(data, int64(addr)); err != nil {
		t.Fatal(err)
	}
}

// step runs one instruction with regs, which it updates, and returns the
// signal that stopped the process behind it: SIGTRAP unless it faulted.
func (s *stepper) step(regs *unix.PtraceRegs) (unix.Signal, error) {
	regs.Orig_rax = ^uint64(0) // no system call to restart
	if err := s.setRegisters(regs); err != nil {
		return 0, fmt.Errorf("set registers: %w", err)
	}
	if err := unix.PtraceSingleStep(s.pid); err != nil {
		return 0, fmt.Errorf("step: %w", err)
	}
	var status unix.WaitStatus
	if _, err := unix.Wait4(s.pid, &status, 0, nil); err != nil {
		return 0, err
	}
	if !status.Stopped() {
		return 0, fmt.Errorf("the process ended: %#x", status)
	}
	return status.StopSignal(), s.getRegisters(regs)
}

// code32 is the code segment of 32-bit programs.
const code32 = 0x23

// setRegisters sets the registers of the process. Once it is in 32-bit mode, the
// kernel reads and writes them in the form of 386.
func (s *stepper) setRegisters(regs *unix.PtraceRegs) error {
	if !s.narrow {
		return unix.PtraceSetRegs(s.pid, regs)
	}
	var r [17]uint32
	for i, p := range form386(regs) {
		r[i] = uint32(*p)
	}
	return s.registers386(unix.PTRACE_SETREGSET, &r)
}

func (s *stepper) getRegisters(regs *unix.PtraceRegs) error {
	if s.narrow = regs.Cs == code32; !s.narrow {
		return unix.PtraceGetRegs(s.pid, regs)
	}
	var r [17]uint32
	err := s.registers386(unix.PTRACE_GETREGSET, &r)
	for i, p := range form386(regs) {
		*p = uint64(r[i])
	}
	return err
}

// registers386 makes the request with r, by the requests that take a size: the
// others assume the larger form.
func (s *stepper) registers386(request int, r *[17]uint32) error {
	const general = 1 // NT_PRSTATUS
	vec := unix.Iovec{Base: (*byte)(unsafe.Pointer(r)), Len: uint64(unsafe.Sizeof(*r))}
	if _, _, errno := unix.Syscall6(unix.SYS_PTRACE, uintptr(request), uintptr(s.pid), general, uintptr(unsafe.Pointer(&vec)), 0, 0); errno != 0 {
		return errno
	}
	if vec.Len != uint64(unsafe.Sizeof(*r)) {
		return fmt.Errorf("%d bytes of registers", vec.Len)
	}
	return nil
}

// form386 lists the registers in the order of struct user_regs_struct on 386
// (asm/user_32.h).
func form386(regs *unix.PtraceRegs) [17]*uint64 {
	return [17]*uint64{
		&regs.Rbx, &regs.Rcx, &regs.Rdx, &regs.Rsi, &regs.Rdi, &regs.Rbp, &regs.Rax, &regs.Ds, &regs.Es, &regs.Fs, &regs.Gs,
		&regs.Orig_rax, &regs.Rip, &regs.Cs, &regs.Eflags, &regs.Rsp, &regs.Ss,
	}
}

// general returns where regs keeps the general registers, by number.
func general(regs *unix.PtraceRegs) [16]*uint64 {
	return [16]*uint64{
		&regs.Rax, &regs.Rcx, &regs.Rdx, &regs.Rbx, &regs.Rsp, &regs.Rbp, &regs.Rsi, &regs.Rdi,
		&regs.R8, &regs.R9, &regs.R10, &regs.R11, &regs.R12, &regs.R13, &regs.R14, &regs.R15,
	}
}

// A machine is the state before an instruction.
type machine struct {
	narrow bool // in 32-bit mode
	reg    [16]uint64
	data   []byte // what lies at dataBase
}

// address returns the address of a memory operand.
func (m *machine) address(a Operand) uint64 {
	sum := uint64(a.Disp)
	if a.Base < 16 {
		sum += m.reg[a.Base]
	}
	if a.Index < 16 {
		sum += m.reg[a.Index] * uint64(a.Scale)
	}
	if m.narrow {
		return low(sum, 4)
	}
	return sum
}

// load reads memory of the data page; ok is false elsewhere.
func (m *machine) load(addr uint64, size uint8) (v uint64, ok bool) {
	if addr-dataBase > dataSize-uint64(size) {
		return 0, false
	}
	var b [8]byte
	copy(b[:], m.data[addr-dataBase:][:size])
	return binary.LittleEndian.Uint64(b[:]), true
}

// low keeps the low size bytes of v.
func low(v uint64, size uint8) uint64 { return v << (64 - 8*size) >> (64 - 8*size) }

// signed extends the sign of the low size bytes of v.
func signed(v uint64, size uint8) uint64 {
	return uint64(int64(v<<(64-8*size)) >> (64 - 8*size))
}

// value reads an operand of size bytes.
func (m *machine) value(o Operand, size uint8) (v uint64, ok bool) {
	switch o.Kind {
	case OperandReg:
		v = m.reg[o.Reg]
		if o.High {
			v >>= 8
		}
		return low(v, size), true
	case OperandImm:
		return low(uint64(o.Imm), size), true
	case OperandMem:
		if o.Base == RegFS {
			return 0, false
		}
		return m.load(m.address(o), size)
	}
	return 0, false
}

// results returns what the comment of in.Op says that Dst may be afterwards;
// none if it says nothing or memory cannot be read here.
func (m *machine) results(in *Inst) []uint64 {
	if in.Size > 8 {
		return nil
	}
	srcSize := in.Size
	if in.SrcSize != 0 {
		srcSize = in.SrcSize
	}
	src, ok := m.value(in.Src, srcSize)
	dst, okDst := m.value(in.Dst, in.Size)
	switch in.Op {
	case OpInc, OpDec, OpNeg, OpNot, OpSetcc:
		ok = okDst
	case OpAdd, OpSub, OpAnd, OpOr, OpXor, OpShl, OpShr, OpSar, OpImul, OpCmov, OpXchg:
		ok = ok && okDst
	case OpLea:
		ok = true
	}
	if !ok {
		return nil
	}
	count := src & 31
	if in.Size == 8 {
		count = src & 63
	}
	one := func(v uint64) []uint64 { return []uint64{low(v, in.Size)} }
	switch in.Op {
	case OpMov, OpMovZX, OpXchg:
		return one(src)
	case OpMovSX:
		return one(signed(src, srcSize))
	case OpLea:
		return one(m.address(in.Src))
	case OpAdd:
		return one(dst + src)
	case OpSub:
		return one(dst - src)
	case OpAnd:
		return one(dst & src)
	case OpOr:
		return one(dst | src)
	case OpXor:
		return one(dst ^ src)
	case OpShl:
		return one(dst << count)
	case OpShr:
		return one(dst >> count)
	case OpSar:
		return one(uint64(int64(signed(dst, in.Size)) >> count))
	case OpInc:
		return one(dst + 1)
	case OpDec:
		return one(dst - 1)
	case OpNeg:
		return one(-dst)
	case OpNot:
		return one(^dst)
	case OpImul:
		return one(dst * src)
	case OpImul3:
		return one(src * uint64(in.Imm2))
	case OpCmov:
		return []uint64{src, dst}
	case OpSetcc:
		return []uint64{0, 1}
	}
	return nil
}

// TestAMD64Execute runs random instructions on this processor and checks what
// the decoder said of them: where the next one starts, that no register
// outside Writes and no memory outside Store changed, and the value of Dst.
func TestAMD64Execute(t *testing.T) { testExecute(t, DecodeAMD64, false) }

// Test386Execute is TestAMD64Execute in 32-bit mode, which a code segment of
// Linux on amd64 brings.
func Test386Execute(t *testing.T) { testExecute(t, Decode386, true) }

func testExecute(t *testing.T, decode func([]byte, uint64) Inst, narrow bool) {
	rounds := 60_000
	if os.Getenv("SYSGATE_LONG") != "" {
		rounds = 2_000_000
	}
	s := startStepper(t)
	rng := rand.New(rand.NewPCG(1, 2))
	pattern := make([]byte, dataSize)
	for i := range pattern {
		pattern[i] = byte(rng.Uint32())
	}
	s.write(t, dataBase, pattern)
	x := &execution{before: machine{narrow: narrow, data: pattern}, after: make([]byte, dataSize), ops: make(map[Op]int)}
	faults, failures := 0, 0
	for range rounds {
		code := randomInstruction(rng, narrow)
		x.in = decode(code, codeBase+instOffset)
		if x.in.Op == OpBad || unsafeToRun(code, &x.in, narrow) {
			continue
		}
		var e encoding
		e.parse(code, narrow)
		x.restarts = x.in.Rep || e.kind == vex && e.space == map0F38 && e.opcode&0xFC == 0x90
		s.write(t, codeBase+instOffset, code)
		regs := s.regs
		randomRegisters(rng, &regs, &x.before)
		signal, err := s.step(&regs)
		if err != nil {
			t.Fatalf("% x: %v", code, err)
		}
		if _, err := s.mem.ReadAt(x.after, dataBase); err != nil {
			t.Fatal(err)
		}
		if signal != unix.SIGTRAP {
			faults++ // in the instruction, or where it went
		} else if complaint := x.check(&regs); complaint != "" {
			if failures++; failures <= 20 {
				t.Errorf("% x: %s\n%+v\nbefore %x", code[:x.in.Len], complaint, x.in, x.before.reg)
			}
		}
		if !bytes.Equal(x.after, pattern) {
			s.write(t, dataBase, pattern)
		}
	}
	t.Logf("%d executed, %d faults, %d values checked", x.executed, faults, x.valued)
	for op := OpOther; op <= OpJcc; op++ {
		if x.ops[op] == 0 && op != OpRet {
			t.Errorf("no instruction with Op %d ran", op)
		}
	}
	if x.executed < rounds/10 {
		t.Errorf("only %d of %d instructions ran", x.executed, rounds)
	}
}

// An execution compares the states before and after an instruction.
type execution struct {
	in               Inst
	restarts         bool // may stop halfway, to be run again: string instructions, gathers
	before           machine
	after            []byte
	executed, valued int
	ops              map[Op]int
}

// check returns what the decoder had wrong, "" if nothing.
func (x *execution) check(regs *unix.PtraceRegs) string {
	x.executed++
	x.ops[x.in.Op]++
	in, m := &x.in, &x.before
	next := in.Addr + uint64(in.Len)
	switch in.Op {
	case OpRet, OpCallInd, OpJmpInd, OpTrap, OpInt3:
	case OpCall, OpJmp:
		if regs.Rip != in.Target {
			return fmt.Sprintf("went to %#x", regs.Rip)
		}
	case OpJcc:
		if regs.Rip != in.Target && regs.Rip != next {
			return fmt.Sprintf("went to %#x", regs.Rip)
		}
	default:
		if regs.Rip != next && !(x.restarts && regs.Rip == in.Addr) {
			return fmt.Sprintf("the next instruction is at %#x, not %#x", regs.Rip, next)
		}
	}
	writes := in.Writes
	if in.Op == OpCall || in.Op == OpCallInd {
		writes |= 1 << RSP
	}
	after := general(regs)
	for r, old := range m.reg {
		if *after[r] != old && writes&(1<<r) == 0 {
			return fmt.Sprintf("register %d changed to %#x", r, *after[r])
		}
	}
	if complaint := x.checkMemory(); complaint != "" {
		return complaint
	}
	return x.checkValue(after)
}

// checkMemory checks that memory changed in Store, or below the stack pointer
// by a push, only.
func (x *execution) checkMemory() string {
	in, m := &x.in, &x.before
	if in.StoreAny || in.Store > 0 && in.Dst.Base == RegFS {
		return "" // elsewhere; and what FS points to, the decoder cannot know
	}
	enters := in.Op == OpOther && in.Writes == 1<<RSP|1<<RBP
	for i, b := range x.after {
		if b == m.data[i] {
			continue
		}
		addr := uint64(dataBase + i)
		if in.Store > 0 && addr-m.address(in.Dst) < uint64(in.Store) {
			continue
		}
		below := m.reg[RSP] - 1 - addr
		if below < max(8, uint64(in.Size)) && (in.Op == OpPush || in.Op == OpCall || in.Op == OpCallInd) || below < 1024 && enters {
			continue
		}
		return fmt.Sprintf("memory at %#x changed", addr)
	}
	return ""
}

// checkValue checks what ended up in Dst.
func (x *execution) checkValue(after [16]*uint64) string {
	in, m := &x.in, &x.before
	switch in.Op {
	case OpPush:
		if want := m.reg[RSP] - uint64(in.Size); *after[RSP] != want {
			return fmt.Sprintf("the stack pointer is %#x, not %#x", *after[RSP], want)
		}
		v, ok := m.value(in.Src, in.Size)
		changed := machine{data: x.after}
		if got, _ := changed.load(*after[RSP], in.Size); ok && got != v {
			return fmt.Sprintf("pushed %#x, not %#x", got, v)
		}
		return ""
	case OpPop:
		if want := m.reg[RSP] + uint64(in.Size); in.Dst.Kind != OperandReg || in.Dst.Reg != RSP {
			if *after[RSP] != want {
				return fmt.Sprintf("the stack pointer is %#x, not %#x", *after[RSP], want)
			}
		}
	case OpLeave:
		want, ok := m.load(m.reg[RBP], in.Size)
		if ok && *after[RBP] != want || *after[RSP] != low(m.reg[RBP]+uint64(in.Size), in.Size) {
			return "LEAVE went wrong"
		}
	}
	var wants []uint64
	if in.Op == OpPop {
		if v, ok := m.load(m.reg[RSP], in.Size); ok {
			wants = []uint64{v}
		}
	} else {
		wants = m.results(in)
	}
	if wants == nil {
		return ""
	}
	x.valued++
	changed := machine{data: x.after}
	for r, p := range after {
		changed.reg[r] = *p
	}
	var got uint64
	switch in.Dst.Kind {
	case OperandMem:
		var ok bool
		if got, ok = changed.load(m.address(in.Dst), in.Size); !ok || in.Dst.Base == RegFS {
			return ""
		}
	case OperandReg:
		got, _ = changed.value(in.Dst, in.Size)
		full := changed.reg[in.Dst.Reg]
		switch {
		case in.Size == 4 && full>>32 != 0:
			return fmt.Sprintf("the upper half of Dst is not zero: %#x", full)
		case in.Size == 2 && full>>16 != m.reg[in.Dst.Reg]>>16 && in.Op != OpXchg:
			return fmt.Sprintf("the upper bytes of Dst changed: %#x", full)
		}
	default:
		return ""
	}
	for _, want := range wants {
		if got == want {
			return ""
		}
	}
	return fmt.Sprintf("Dst is %#x, not one of %#x", got, wants)
}

// unsafeToRun tells the instructions that would leave the test's control:
// system calls, and what changes the state that later rounds rely on.
func unsafeToRun(code []byte, in *Inst, narrow bool) bool {
	switch in.Op {
	case OpSyscall, OpInt80, OpSysenter:
		return true
	}
	var e encoding
	e.parse(code, narrow)
	switch {
	case e.space == mapOneByte:
		// MOV to a segment register delays the trap; x87 control words unmask exceptions.
		return e.opcode == 0x8E || e.opcode == 0x9D || e.opcode == 0xD9 && e.isMem() || e.opcode == 0xDD && e.isMem() && e.group() == 4
	case e.space == map0F:
		switch e.opcode {
		case 0x00, 0x01: // WRPKRU, and what Linux emulates (SGDT, SLDT and their kin) before the trap
			return true
		case 0xAE: // LDMXCSR, FXRSTOR, XRSTOR, WRFSBASE
			return e.group() == 1 || e.group() == 2 || e.group() == 3 && !e.isMem() || e.group() == 5
		case 0xB2, 0xA1, 0xA9: // LSS, POP FS
			return true
		}
	}
	return false
}

// randomInstruction returns fifteen bytes that are likely an instruction.
func randomInstruction(rng *rand.Rand, narrow bool) []byte {
	var code []byte
	pick := func(from ...byte) byte { return from[rng.IntN(len(from))] }
	vex := rng.IntN(4) == 0
	if rng.IntN(3) == 0 {
		if vex {
			code = append(code, pick(0x67, 0x2E, 0x3E))
		} else {
			code = append(code, pick(0x66, 0x66, 0x66, 0xF2, 0xF3, 0xF3, 0xF0, 0x67, 0x2E))
		}
	}
	switch {
	case vex:
		unused := pick(0, 0x78) // vvvv, which many instructions do not use
		if rng.IntN(3) == 0 {
			code = append(code, 0xC5, byte(rng.Uint32())|unused)
		} else {
			code = append(code, 0xC4, byte(rng.Uint32())&0xE0|pick(1, 2, 2, 3), byte(rng.Uint32())|unused)
		}
	default:
		if rng.IntN(4) == 0 {
			code = append(code, pick(0x66, 0xF2, 0xF3))
		}
		if rng.IntN(2) == 0 && !narrow {
			code = append(code, 0x40|byte(rng.IntN(16)))
		}
		switch rng.IntN(10) {
		case 0, 1, 2, 3:
			code = append(code, 0x0F)
		case 4:
			code = append(code, 0x0F, pick(0x38, 0x3A))
		}
	}
	code = append(code, byte(rng.Uint32()))
	switch modrm := byte(rng.Uint32()); rng.IntN(4) {
	case 0:
		code = append(code, modrm|0xC0)
	case 1:
		code = append(code, modrm&0x3F)
	case 2:
		code = append(code, modrm&0x3F|0x40)
	default:
		code = append(code, modrm)
	}
	for len(code) < maxX86 {
		code = append(code, byte(rng.Uint32()))
	}
	return code[:maxX86]
}

// randomRegisters fills in addresses of the data page, small numbers and
// noise.
func randomRegisters(rng *rand.Rand, regs *unix.PtraceRegs, m *machine) {
	pointer := func() uint64 { return dataBase + dataSize/2 + uint64(rng.IntN(64))*16 - 512 }
	for r, p := range general(regs) {
		switch rng.IntN(6) {
		case 0, 1, 2:
			*p = pointer()
		case 3:
			*p = uint64(rng.IntN(64))
		case 4:
			*p = uint64(int64(-1 - rng.IntN(64)))
		default:
			*p = rng.Uint64()
		}
		if r == int(RSP) {
			*p = pointer()
		}
		if m.narrow {
			// The eight registers, and the segments of a 32-bit program.
			if *p = low(*p, 4); r >= 8 {
				*p = 0
			}
		}
		m.reg[r] = *p
	}
	if m.narrow {
		regs.Cs, regs.Ds, regs.Es, regs.Ss = code32, 0x2b, 0x2b, 0x2b
	}
	regs.Rip = codeBase + instOffset
	const flags = 1<<0 | 1<<2 | 1<<4 | 1<<6 | 1<<7 | 1<<10 | 1<<11 // CF, PF, AF, ZF, SF, DF, OF
	regs.Eflags = 1<<1 | 1<<9 | rng.Uint64()&flags
}
