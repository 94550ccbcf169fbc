package image

import (
	"encoding/binary"
	"math/bits"
)

// stubARM is stub for arm: the address of a slot in two or three instructions of A32
// code, which loads the program counter from there, perhaps with a BX of Thumb code
// before, which counts as a function of its own.
func (m *Module) stubARM(addr, end uint64) (s stub, next uint64, ok bool) {
	s.start = addr
	code := m.bytes(addr)
	code = code[:min(uint64(len(code)), end-addr)]
	word := func(k int) uint32 {
		if 4*k+4 > len(code) {
			return 0
		}
		return binary.LittleEndian.Uint32(code[4*k:])
	}
	slot := uint32(addr) + 8
	for k := range 4 {
		w := word(k)
		switch n := bits.RotateLeft32(w&0xFF, -int(w>>8&15)*2); {
		case k == 0 && w&0xFFFFF000 == 0xE28FC000, k > 0 && k < 3 && w&0xFFFFF000 == 0xE28CC000: // ADD IP, PC; ADD IP, IP
			slot += n
		case k > 0 && w&0xFFFFF000 == 0xE5BCF000: // LDR PC, [IP, n]!
			s.slot = uint64(slot + w&0xFFF)
			if _, found := m.slot(s.slot); !found && !m.ownSlot(s.slot) {
				return s, 0, false
			}
			next = addr + uint64(4*k+4)
			if !m.arm.mapped {
				m.arm.put(m.arm.thumb, addr, next, false)
			}
			return s, next, true
		default:
			if k == 0 && w == 0xE52DE004 && word(1) == 0xE59FE004 && word(2) == 0xE08FE00E && word(3) == 0xE5BEF008 { // what calls the loader
				if !m.arm.mapped {
					m.arm.put(m.arm.thumb, addr, addr+20, false)
					m.arm.put(m.arm.data, addr+16, addr+20, true)
				}
				return s, addr + 20, true
			}
			return s, 0, false
		}
	}
	return s, 0, false
}
