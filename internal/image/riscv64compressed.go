package image

// expand returns the instruction that a compressed one stands for ("C" Standard
// Extension, RV64), or 0 if it stands for none.
func expand(h uint16) wordRV {
	c := wordC(h)
	switch c.field(0, 2)<<3 | c.field(13, 3) {
	case 0: // c.addi4spn
		if imm := c.bits(5, 3) | c.bits(6, 2) | c.bitsTo(7, 4, 6) | c.bitsTo(11, 2, 4); imm != 0 {
			return iType(rvOpImm, 0, c.low(2), RVSP, imm)
		}
	case 1: // c.fld
		return iType(rvLoadFP, 3, c.low(2), c.low(7), c.offset8())
	case 2: // c.lw
		return iType(rvLoad, 2, c.low(2), c.low(7), c.offset4())
	case 3: // c.ld
		return iType(rvLoad, 3, c.low(2), c.low(7), c.offset8())
	case 5: // c.fsd
		return sType(rvStoreFP, 3, c.low(7), c.low(2), c.offset8())
	case 6: // c.sw
		return sType(rvStore, 2, c.low(7), c.low(2), c.offset4())
	case 7: // c.sd
		return sType(rvStore, 3, c.low(7), c.low(2), c.offset8())

	case 8: // c.nop, c.addi
		return iType(rvOpImm, 0, c.rd(), c.rd(), c.imm6())
	case 9: // c.addiw
		if c.rd() != 0 {
			return iType(rvOpImm32, 0, c.rd(), c.rd(), c.imm6())
		}
	case 10: // c.li
		return iType(rvOpImm, 0, c.rd(), 0, c.imm6())
	case 11:
		switch {
		case c.imm6() == 0:
		case c.rd() == RVSP: // c.addi16sp
			imm := c.bits(6, 4) | c.bits(2, 5) | c.bits(5, 6) | c.bitsTo(3, 2, 7) | -c.bits(12, 9)
			return iType(rvOpImm, 0, RVSP, RVSP, imm)
		default: // c.lui
			return wordRV(c.imm6())<<12 | wordRV(c.rd())<<7 | rvLUI<<2 | 3
		}
	case 12:
		return c.arithmetic()
	case 13: // c.j
		imm := c.bitsTo(3, 3, 1) | c.bits(11, 4) | c.bits(2, 5) | c.bits(7, 6) | c.bits(6, 7) | c.bitsTo(9, 2, 8) | c.bits(8, 10) | -c.bits(12, 11)
		u := wordRV(imm)
		return u>>20&1<<31 | u>>1&0x3FF<<21 | u>>11&1<<20 | u>>12&0xFF<<12 | rvJAL<<2 | 3
	case 14, 15: // c.beqz, c.bnez
		imm := c.bitsTo(3, 2, 1) | c.bitsTo(10, 2, 3) | c.bits(2, 5) | c.bitsTo(5, 2, 6) | -c.bits(12, 8)
		u := wordRV(imm)
		return u>>12&1<<31 | u>>5&0x3F<<25 | wordRV(c.low(7))<<15 | wordRV(c.field(13, 1))<<12 | u>>1&15<<8 | u>>11&1<<7 | rvBranch<<2 | 3

	case 16: // c.slli
		return iType(rvOpImm, 1, c.rd(), c.rd(), c.imm6()&63)
	case 17: // c.fldsp
		return iType(rvLoadFP, 3, c.rd(), RVSP, c.bitsTo(5, 2, 3)|c.bits(12, 5)|c.bitsTo(2, 3, 6))
	case 18: // c.lwsp
		if c.rd() != 0 {
			return iType(rvLoad, 2, c.rd(), RVSP, c.bitsTo(4, 3, 2)|c.bits(12, 5)|c.bitsTo(2, 2, 6))
		}
	case 19: // c.ldsp
		if c.rd() != 0 {
			return iType(rvLoad, 3, c.rd(), RVSP, c.bitsTo(5, 2, 3)|c.bits(12, 5)|c.bitsTo(2, 3, 6))
		}
	case 20:
		return c.jumpOrMove()
	case 21: // c.fsdsp
		return sType(rvStoreFP, 3, RVSP, c.rs2(), c.bitsTo(10, 3, 3)|c.bitsTo(7, 3, 6))
	case 22: // c.swsp
		return sType(rvStore, 2, RVSP, c.rs2(), c.bitsTo(9, 4, 2)|c.bitsTo(7, 2, 6))
	case 23: // c.sdsp
		return sType(rvStore, 3, RVSP, c.rs2(), c.bitsTo(10, 3, 3)|c.bitsTo(7, 3, 6))
	}
	return 0
}

// A wordC is a compressed instruction.
type wordC uint16

func (c wordC) field(lo, n int) int { return int(c >> lo & (1<<n - 1)) }
func (c wordC) rd() Reg             { return Reg(c.field(7, 5)) }
func (c wordC) rs2() Reg            { return Reg(c.field(2, 5)) }

// low returns the register x8 to x15 whose number is at lo.
func (c wordC) low(lo int) Reg { return Reg(8 + c.field(lo, 3)) }

// bits returns bit from of the instruction as bit to of a constant, bitsTo n of
// them.
func (c wordC) bits(from, to int) int64      { return int64(c.field(from, 1)) << to }
func (c wordC) bitsTo(from, n, to int) int64 { return int64(c.field(from, n)) << to }

func (c wordC) imm6() int64    { return c.bitsTo(2, 5, 0) | -c.bits(12, 5) }
func (c wordC) offset4() int64 { return c.bits(6, 2) | c.bitsTo(10, 3, 3) | c.bits(5, 6) }
func (c wordC) offset8() int64 { return c.bitsTo(10, 3, 3) | c.bitsTo(5, 2, 6) }

// arithmetic expands what works on x8 to x15 alone.
func (c wordC) arithmetic() wordRV {
	rd := c.low(7)
	switch c.field(10, 2) {
	case 0: // c.srli
		return iType(rvOpImm, 5, rd, rd, c.imm6()&63)
	case 1: // c.srai
		return iType(rvOpImm, 5, rd, rd, c.imm6()&63|0x400)
	case 2: // c.andi
		return iType(rvOpImm, 7, rd, rd, c.imm6())
	}
	rs2 := c.low(2)
	switch c.field(12, 1)<<2 | c.field(5, 2) {
	case 0: // c.sub
		return rType(rvOp, 0, 0x20, rd, rs2)
	case 1: // c.xor
		return rType(rvOp, 4, 0, rd, rs2)
	case 2: // c.or
		return rType(rvOp, 6, 0, rd, rs2)
	case 3: // c.and
		return rType(rvOp, 7, 0, rd, rs2)
	case 4: // c.subw
		return rType(rvOp32, 0, 0x20, rd, rs2)
	case 5: // c.addw
		return rType(rvOp32, 0, 0, rd, rs2)
	}
	return 0
}

// jumpOrMove expands c.jr, c.mv, c.ebreak, c.jalr and c.add.
func (c wordC) jumpOrMove() wordRV {
	rd, rs2, link := c.rd(), c.rs2(), c.field(12, 1) == 1
	switch {
	case rs2 != 0 && link:
		return rType(rvOp, 0, 0, rd, rs2)
	case rs2 != 0:
		return iType(rvOpImm, 0, rd, rs2, 0)
	case rd != 0 && link:
		return iType(rvJALR, 0, RVLink, rd, 0)
	case rd != 0:
		return iType(rvJALR, 0, 0, rd, 0)
	case link:
		return 0x00100073
	}
	return 0
}

func iType(op, funct3 int, rd, rs1 Reg, imm int64) wordRV {
	return wordRV(imm)<<20 | wordRV(rs1)<<15 | wordRV(funct3)<<12 | wordRV(rd)<<7 | wordRV(op)<<2 | 3
}

func sType(op, funct3 int, rs1, rs2 Reg, imm int64) wordRV {
	return wordRV(imm)>>5&0x7F<<25 | wordRV(rs2)<<20 | wordRV(rs1)<<15 | wordRV(funct3)<<12 | wordRV(imm)&31<<7 | wordRV(op)<<2 | 3
}

// rType is the operation on rd and rs2.
func rType(op, funct3, funct7 int, rd, rs2 Reg) wordRV {
	return wordRV(funct7)<<25 | wordRV(rs2)<<20 | wordRV(rd)<<15 | wordRV(funct3)<<12 | wordRV(rd)<<7 | wordRV(op)<<2 | 3
}
