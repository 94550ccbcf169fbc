package image

// A Reg is a general-purpose register by its number in the instruction
// encoding: on x86 RAX 0, RCX 1, RDX 2, RBX 3, RSP 4, RBP 5, RSI 6, RDI 7,
// R8 to R15 8 to 15; on arm64 X0 to X30 0 to 30, and 31 the stack pointer. What
// arm64 reads from the zero register is the constant 0, what it writes there is
// nothing.
type Reg uint8

// The registers of x86.
const (
	RAX Reg = iota
	RCX
	RDX
	RBX
	RSP
	RBP
	RSI
	RDI
	R8
	R9
	R10
	R11
	R12
	R13
	R14
	R15
)

// Registers of arm64 with a task, and pseudo registers for addresses.
const (
	X8  Reg = 8  // the number of a system call
	X29 Reg = 29 // the frame pointer
	X30 Reg = 30 // the return address
	SP  Reg = 31

	RegPC   Reg = iota + 64 // base of a PC-relative address; Disp then is the target address itself
	RegFS                   // an address in the thread's segment (FS), whatever its base and the other registers
	RegNone                 // no base, no index
)

// An Op is what an instruction does, as far as value flow needs to know.
type Op uint8

// The operations. Every other instruction is OpOther, of which only Writes is
// known, or OpBad.
const (
	OpBad      Op = iota // not an instruction, or not known: it may do anything
	OpOther              // writes the registers in Writes, memory perhaps at Dst, nothing else
	OpNop                // endbr64 and prefetches included
	OpMov                // Dst = Src (Size bytes; 4 zero-extends, 1 and 2 merge)
	OpMovZX              // Dst = zero-extended Src (SrcSize bytes)
	OpMovSX              // Dst = sign-extended Src (SrcSize bytes; cdqe and its kin included)
	OpLea                // Dst = the address Src
	OpAdd                // Dst += Src
	OpSub                // Dst -= Src
	OpAnd                // Dst &= Src
	OpOr                 // Dst |= Src
	OpXor                // Dst ^= Src
	OpShl                // Dst <<= Src
	OpShr                // Dst >>= Src, zeros in
	OpSar                // Dst >>= Src, signs in
	OpInc                // Dst++
	OpDec                // Dst--
	OpNeg                // Dst = -Dst
	OpNot                // Dst = ^Dst
	OpImul               // Dst *= Src
	OpImul3              // Dst = Src * Imm2
	OpCmov               // Dst = Src, or not (4 bytes: zero-extends either way)
	OpSetcc              // Dst = 0 or 1 (one byte; on arm64 and riscv64 Size)
	OpXchg               // Dst and Src change places
	OpCmp                // compares Dst with Src; writes nothing
	OpTest               // Dst & Src; writes nothing
	OpPush               // pushes Src
	OpPop                // pops into Dst
	OpLeave              // RSP = RBP; pop RBP
	OpCall               // direct: Target
	OpCallInd            // through Src; on riscv64 Imm2 is added to it
	OpJmp                // direct: Target
	OpJmpInd             // through Src
	OpJcc                // conditional, direct: Target; loop and jrcxz included; on riscv64 it compares Dst with Src
	OpRet                // on x86 it takes Imm2 bytes of arguments off the stack
	OpSyscall            // SYSCALL (0F 05), SVC
	OpInt80              // INT 0x80
	OpSysenter           // SYSENTER (0F 34); on 386 also what libraries do in its place
	OpInt3               // a breakpoint: only a handler goes on behind it; padding, mostly
	OpTrap               // UD2, HLT, INT n, UDF: the path ends here

	// Not of amd64.
	OpPage      // Dst = Src, an address to which others are relative (ADRP, AUIPC; of 386 where it is itself)
	OpSelect    // Dst = Src, or register Imm2 (-1: zero)
	OpLoadPair  // Dst = Src; register Imm2 (-1: none) = the Size bytes behind
	OpStorePair // Dst = Src; the Size bytes behind = register Imm2 (-1: zero)
	OpLoadMany  // the registers of List, ascending = the words from Src on
	OpStoreMany // the words from Dst on = the registers of List, ascending
	OpMovTop    // the upper half of Dst = Src
)

// An OperandKind says which fields of an Operand count.
type OperandKind uint8

// The kinds of operands.
const (
	OperandNone OperandKind = iota
	OperandReg              // Reg; High: AH, CH, DH, BH of it
	OperandMem              // [Base + Index*Scale + Disp]
	OperandImm              // Imm, sign-extended to 64 bits as the instruction does
	OperandVec              // a vector, mask, x87, segment or control register (OpMov: vector Reg, by number)
)

// An Operand is a register, a memory cell or a constant.
type Operand struct {
	Kind        OperandKind
	Reg         Reg
	High        bool
	Base, Index Reg
	Scale       uint8
	Disp        int64 // with Base RegPC: the absolute address
	Imm         int64
}

// An Inst is one decoded instruction.
type Inst struct {
	Addr     uint64
	Len      uint8 // bytes; at least 1 even where Op is OpBad
	Op       Op
	Size     uint8 // operand size in bytes: 1, 2, 4, 8 (16, 32, 64 for vectors)
	SrcSize  uint8 // of Src where it differs (OpMovZX, OpMovSX)
	Dst, Src Operand
	Imm2     int64  // third operand of OpImul3 and of the operations on two registers
	Target   uint64 // of direct calls and jumps
	// Writes is the set of general-purpose registers that may change, Dst and
	// implicit ones included (bit 1<<Reg); calls excepted, which follow the
	// calling convention.
	Writes uint64
	// Store is the number of bytes that the instruction may write to memory at
	// Dst: 0 for none. StoreAny: it writes elsewhere, or an unknown amount, from
	// Src on if that is memory (string instructions, xsave, pushes excepted).
	Store    uint8
	StoreAny bool
	Rep      bool // a string instruction under a REP or REPNE prefix
	Perhaps  bool // a call, computed jump or OpRet of arm under a condition: it may do nothing
	// Of arm: Switch says that an OpCall or OpJmp goes on in the other of its two kinds
	// of code, A32 and Thumb. Moves is how far a memory operand moves its base, List
	// the registers of OpLoadMany, OpStoreMany and of an OpRet or OpJmpInd that loads
	// several.
	// Condition is one more than the condition that an OpCmov is under; two that differ in
	// the lowest bit of what they are under exclude each other.
	Switch    bool
	Condition uint8
	Moves     int16
	List      uint16
}
