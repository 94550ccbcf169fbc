package image

import "github.com/sysgate/sysgate/abi"

// A stub is a function of a procedure linkage table: it jumps where a slot says.
type stub struct {
	start uint64
	slot  uint64 // 0: the stub that calls the dynamic loader, or one that leads there
}

// maxStub is the length of the longest stub, in bytes.
const maxStub = 32

// stubs returns the stubs at the start of the code [start, end), each behind the
// other, and where they end. An area of code is a table if all of it is stubs, but
// for what fills it up.
func (m *Module) stubs(start, end uint64) (out []stub, stop uint64) {
	for at := start; at < end; {
		s, next, ok := m.stub(at, end)
		if !ok {
			return out, at
		}
		out = append(out, s)
		at = next
	}
	return out, end
}

// stub reads one stub at addr: on x86 an optional ENDBR, then a jump through a
// slot, or a push and a jump; on arm64 and riscv64 an optional BTI, the address of a
// slot, its content and a branch there. No-operations fill it up.
func (m *Module) stub(addr, end uint64) (s stub, next uint64, ok bool) {
	s.start = addr
	if m.arm != nil {
		return m.stubARM(addr, end)
	}
	at := addr
	page := uint64(0)
	pushed := false
	for steps := 0; steps < 8 && at < end && at-addr < maxStub; steps++ {
		code := m.bytes(at)
		if uint64(len(code)) > end-at {
			code = code[:end-at]
		}
		in := m.space.Decode(code, at)
		at += uint64(in.Len)
		switch {
		case in.Op == OpNop:
		case in.Op == OpPush && (in.Src.Kind == OperandImm || in.Src.constantAddress() || m.throughGOT(&in)):
			pushed = in.Src.Kind == OperandImm
		case in.Op == OpJmp && pushed && m.callsLoader(in.Target):
			return s, m.behindStub(at, addr, end), true
		case in.Op == OpJmpInd && in.Src.constantAddress():
			s.slot = uint64(in.Src.Disp)
			if sl, found := m.slot(s.slot); !found && (steps == 0 || !m.ownSlot(s.slot)) || found && sl.Target == addr {
				return s, 0, false
			}
			return s, m.behindStub(at, addr, end), true
		case in.Op == OpJmpInd && m.throughGOT(&in):
			s.slot = m.Base + m.object.dynamic.pltGOT + uint64(in.Src.Disp)
			if _, found := m.slot(s.slot); !found && steps == 0 {
				return s, 0, false
			}
			return s, m.behindStub(at, addr, end), true
		case in.Op == OpPage:
			page = uint64(in.Src.Imm)
		case in.Op == OpMov && page != 0 && in.Src.Kind == OperandMem && in.Size == 8 && s.slot == 0:
			s.slot = page + uint64(in.Src.Disp)
		case page != 0 && (in.Op == OpAdd || in.Op == OpMov && in.Src.Kind == OperandMem && m.space.ABI == abi.RISCV64 || in.Op == OpSub || in.Op == OpShr || in.Op == OpLea || in.Op == OpOther):
		case in.Op == OpStorePair && m.space.ABI == abi.ARM64 && steps < 2: // of the stub that calls the loader
		case in.Op == OpJmpInd && page != 0 && in.Src.Kind == OperandReg:
			if _, found := m.slot(s.slot); !found && !m.ownSlot(s.slot) {
				return s, 0, false
			}
			return s, m.behindStub(at, addr, end), true
		default:
			return s, 0, false
		}
	}
	return s, 0, false
}

// callsLoader reports that a stub is at addr that pushes a word and jumps through
// another, both of those that the loader keeps for itself.
func (m *Module) callsLoader(addr uint64) bool {
	code := m.bytes(addr)
	if len(code) < maxStub {
		return false
	}
	push := m.space.Decode(code, addr)
	return push.Op == OpPush && push.Src.Kind == OperandMem && m.space.Decode(code[push.Len:], addr+uint64(push.Len)).Op == OpJmpInd
}

// slot returns the slot at addr, if it is in the module: how far others are is not
// known before they are loaded.
func (m *Module) slot(addr uint64) (Slot, bool) {
	if addr < m.Range.Start || addr >= m.Range.End {
		return Slot{}, false
	}
	return m.space.Slot(addr)
}

// ownSlot reports that the word at addr is one of the first that the loader keeps
// for itself.
func (m *Module) ownSlot(addr uint64) bool {
	d := m.object.dynamic
	if d == nil || d.pltGOT == 0 {
		return false
	}
	off := addr - m.Base - d.pltGOT
	return off < 3*uint64(m.object.size)
}

// behindStub returns where the stub from start on ends whose last instruction
// ends at addr: behind what comes after it in lazy tables, a push of the slot's
// number and a jump to the loader's stub, and behind what fills it up.
func (m *Module) behindStub(at, start, end uint64) uint64 {
	decode := func(at uint64) Inst {
		code := m.bytes(at)
		if at >= end {
			return Inst{}
		}
		return m.space.Decode(code[:min(uint64(len(code)), end-at)], at)
	}
	if push := decode(at); push.Op == OpPush && push.Src.Kind == OperandImm {
		if jump := decode(at + uint64(push.Len)); jump.Op == OpJmp {
			at += uint64(push.Len) + uint64(jump.Len)
		}
	}
	for at < end && at-start < maxStub && !(machineRISC(m.space.ABI) != nil && at%16 == start%16) {
		n := m.filling(at, end)
		if n == 0 {
			break
		}
		at += n
	}
	return at
}

// throughGOT reports that in refers to a slot as position-independent code of 386
// does: EBX holds the address of the table.
func (m *Module) throughGOT(in *Inst) bool {
	return m.space.ABI == abi.I386 && in.Src.Kind == OperandMem && in.Src.Base == RBX && in.Src.Index == RegNone && m.object.dynamic != nil
}

func isEndbr(code []byte) bool {
	return len(code) >= 4 && code[0] == 0xf3 && code[1] == 0x0f && code[2] == 0x1e && code[3]&0xfe == 0xfa
}
