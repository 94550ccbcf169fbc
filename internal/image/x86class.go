package image

// The tables below give each opcode of the vector maps its class: where the
// result goes.
//
//	.  not known; in x86Vector0F: no vector instruction
//	v  a vector or mask register
//	n  nowhere but the flags
//	o  nowhere; no operands (EMMS, VZEROUPPER)
//	g  the general register ModRM.reg
//	x  an element: to the general register or the memory that ModRM.rm names
//	s  the vector or the memory that ModRM.rm names
//	d  as s under an F3 prefix (a part of the vector), else as v
//	k  as s (the chosen elements)
//	a  memory elsewhere: at RDI, or at a vector of addresses
//	i  a vector, from a vector of addresses
//	c  RCX
//	e  the general register VEX.vvvv
//	m  the general registers ModRM.reg and VEX.vvvv
//	p  depends on the prefix: see classOf
//
// In every row the opcode's low digit counts from 0 to F.

// x86Vector0F is the map of 0F without VEX: SSE and MMX.
const x86Vector0F = "" +
	"................" + // 00
	"vsvsvvvs........" + // 10
	"........vsvsppnn" + // 20
	"................" + // 30
	"................" + // 40
	"gvvvvvvvvvvvvvvv" + // 50
	"vvvvvvvvvvvvvvvv" + // 60
	"vvvvvvvopv..vvps" + // 70
	"................" + // 80
	"................" + // 90
	"................" + // A0
	"................" + // B0
	"..v.vgv........." + // C0
	"vvvvvvpgvvvvvvvv" + // D0
	"vvvvvvvsvvvvvvvv" + // E0
	"vvvvvvvavvvvvvv." //   F0

// x86Vector38 is the map of 0F 38 without VEX.
const x86Vector38 = "" +
	"vvvvvvvvvvvv...." + // 00
	"v...vv.n....vvv." + // 10
	"vvvvvv..vvvv...." + // 20
	"vvvvvv.vvvvvvvvv" + // 30
	"vv.............." + // 40
	"................" + // 50
	"................" + // 60
	"................" + // 70
	"nnn............." + // 80
	"................" + // 90
	"................" + // A0
	"................" + // B0
	"........vvvvvv.v" + // C0
	"........v..vvvvv" + // D0
	"................" + // E0
	"pp...sp.asgg...." //   F0

// x86Vector3A is the map of 0F 3A without VEX.
const x86Vector3A = "" +
	"........vvvvvvvv" + // 00
	"....xxxx........" + // 10
	"vvv............." + // 20
	"................" + // 30
	"vvv.v..........." + // 40
	"................" + // 50
	"vcvc............" + // 60
	"................" + // 70
	"................" + // 80
	"................" + // 90
	"................" + // A0
	"................" + // B0
	"............v.vv" + // C0
	"...............v" + // D0
	"................" + // E0
	"n..............." //   F0

// x86VEX0F is map 1 of VEX and EVEX.
const x86VEX0F = "" +
	"................" + // 00
	"vsvsvvvs........" + // 10
	"........vsvsppnn" + // 20
	"................" + // 30
	".vv.vvvv..vv...." + // 40
	"gvvvvvvvvvvvvvvv" + // 50
	"vvvvvvvvvvvvvvvv" + // 60
	"vvvvvvvoppvvvvps" + // 70
	"................" + // 80
	"vsvg....nn......" + // 90
	"..............p." + // A0
	"................" + // B0
	"..v.vgv........." + // C0
	"vvvvvvpgvvvvvvvv" + // D0
	"vvvvvvvsvvvvvvvv" + // E0
	"vvvvvvvavvvvvvv." //   F0

// x86VEX38 is map 2 of VEX and EVEX.
const x86VEX38 = "" +
	"vvvvvvvvvvvvvvnn" + // 00
	"ddddddvnvvvvvvvv" + // 10
	"ddddddvvvvvvvvss" + // 20
	"ddddddvvvvvvvvvv" + // 30
	"vvvvvvvv.p.pvvvv" + // 40
	"vvvvvv..vvvvv.v." + // 50
	"..vkvvv.v...v..." + // 60
	"vvvv.vvvvvvvvvvv" + // 70
	"...v....vvkkvvsv" + // 80
	"iiii..vvvvvvvvvv" + // 90
	"aaaa..vvvvvvvvvv" + // A0
	"vv..vvvvvvvvvvvv" + // B0
	"....v.iiv.vvvv.v" + // C0
	"..vv......vvvvvv" + // D0
	"pppppppppppppppp" + // E0
	"..ge.gmg........" //   F0

// x86VEX3A is map 3 of VEX and EVEX.
const x86VEX3A = "" +
	"vvvvvvv.vvvvvvvv" + // 00
	"....xxxxvsvs.svv" + // 10
	"vvvv.vvv........" + // 20
	"vvvv....vsvs..vv" + // 30
	"vvvvv.v.vvvvv..." + // 40
	"vv..vvvv....vvvv" + // 50
	"vcvc..vvvvvvvvvv" + // 60
	"vvvv....vvvvvvvv" + // 70
	"................" + // 80
	"................" + // 90
	"................" + // A0
	"................" + // B0
	"..v...........vv" + // C0
	"..............vv" + // D0
	"................" + // E0
	"g..............." //   F0

// x86EVEX5 is map 5 of EVEX: half-precision numbers.
const x86EVEX5 = "" +
	"................" + // 00
	"vs...........v.." + // 10
	"..........v.ppnn" + // 20
	"................" + // 30
	"................" + // 40
	".v......vvvvvvvv" + // 50
	"..............v." + // 60
	"........ppvvvvx." + // 70
	noClasses

// x86EVEX6 is map 6 of EVEX.
const x86EVEX6 = "" +
	"................" + // 00
	"...v............" + // 10
	"............vv.." + // 20
	"................" + // 30
	"..vv........vvvv" + // 40
	"......vv........" + // 50
	"................" + // 60
	"................" + // 70
	"................" + // 80
	"......vvvvvvvvvv" + // 90
	"......vvvvvvvvvv" + // A0
	"......vvvvvvvvvv" + // B0
	"................" + // C0
	"......vv........" + // D0
	"................" + // E0
	"................" //   F0

// noClasses is half a map without known opcodes.
const noClasses = "" +
	"................" + "................" + "................" + "................" +
	"................" + "................" + "................" + "................"

// classOf returns the class of the opcode.
func (e *encoding) classOf() byte {
	var c byte
	switch op := e.opcode; e.space {
	case map0F:
		c = x86Vector0F[op]
		if e.kind != legacy {
			c = x86VEX0F[op]
		}
	case map0F38:
		c = x86Vector38[op]
		if e.kind != legacy {
			c = x86VEX38[op]
		}
	case map0F3A:
		c = x86Vector3A[op]
		if e.kind != legacy {
			c = x86VEX3A[op]
		}
	case mapEVEX5:
		c = x86EVEX5[op]
	case mapEVEX6:
		c = x86EVEX6[op]
	}
	switch {
	case c == 'p':
		return e.classByPrefix()
	case c == 'd' && e.rep == 0xF3:
		return 'k'
	case c == 'd':
		return 'v'
	}
	return c
}

// classByPrefix returns the class where the prefix decides.
func (e *encoding) classByPrefix() byte {
	if e.space == map0F38 {
		return e.classByPrefix38()
	}
	switch e.opcode {
	case 0x2C, 0x2D: // conversions of a scalar to an integer
		if e.rep != 0 {
			return 'g'
		}
	case 0x78, 0x79: // the same, unsigned; without EVEX: EXTRQ, INSERTQ, VMREAD
		switch {
		case e.kind != legacy && e.rep != 0:
			return 'g'
		case e.kind == legacy && e.rep == 0 && !e.data16:
			return 'x'
		}
	case 0x7E: // MOVD, MOVQ
		if e.rep != 0xF3 {
			return 'x'
		}
	case 0xD6: // MOVQ to memory, MOVQ2DQ and back
		if e.rep == 0 {
			return 's'
		}
	case 0xAE: // VLDMXCSR, VSTMXCSR
		switch {
		case e.isMem() && e.group() == 3:
			return 's'
		case e.isMem() && e.group() == 2:
			return 'n'
		}
		return '.'
	}
	return 'v'
}

// classByPrefix38 is classByPrefix for map 2.
func (e *encoding) classByPrefix38() byte {
	switch {
	case e.kind != legacy && e.opcode == 0x49: // STTILECFG, LDTILECFG, TILEZERO, TILERELEASE
		if e.isMem() && e.data16 {
			return 's'
		}
		return 'n'
	case e.kind != legacy && e.opcode == 0x4B: // TILESTORED; TILELOADD
		if e.rep == 0xF3 {
			return 'a'
		}
		return 'i'
	case e.kind != legacy: // CMPccXADD
		return 'p'
	case e.opcode <= 0xF1 && e.rep == 0xF2: // CRC32
		return 'g'
	case e.opcode == 0xF0: // MOVBE
		return 'g'
	case e.opcode == 0xF6 && (e.data16 || e.rep != 0): // ADCX, ADOX
		return 'g'
	}
	return 's' // MOVBE, WRSS
}
