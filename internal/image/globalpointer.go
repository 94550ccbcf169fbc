package image

import (
	"encoding/binary"

	"github.com/sysgate/sysgate/abi"
)

// globalPointer returns what the global pointer of riscv64 holds while the
// executable runs, 0 if its code does not set it (RISC-V ELF psABI, "Global-pointer
// Relaxation"): libraries leave it alone, and linkers make executables name what
// lies near to it by it. It is set once, at the start: AUIPC gp; ADDI gp, gp.
func (m *Module) globalPointer() (at uint64) {
	const auipc, addi = 0x17 | uint32(rvGP)<<7, 0x13 | uint32(rvGP)<<7 | uint32(rvGP)<<15
	if m.object.machine != abi.RISCV64 {
		return 0
	}
	for _, s := range m.segments() {
		for k := 0; s.Exec && k+8 <= len(s.Data); k += 2 {
			first, second := binary.LittleEndian.Uint32(s.Data[k:]), binary.LittleEndian.Uint32(s.Data[k+4:])
			if first&0xFFF != auipc || second&0xFFFFF != addi {
				continue
			}
			to := s.Addr + uint64(k) + uint64(wordRV(first).immU()+wordRV(second).immI())
			if at != 0 && at != to {
				return 0
			}
			at = to
		}
	}
	return at
}

// global makes the operands that in names by the global pointer constant
// addresses, if that holds one.
func (in *Inst) global(at uint64) {
	if at == 0 {
		return
	}
	for _, o := range [...]*Operand{&in.Dst, &in.Src} {
		if o.Kind == OperandMem && o.Base == rvGP {
			o.Base, o.Disp = RegPC, o.Disp+int64(at)
		}
	}
}
