package arch

import "strconv"

// AuditArch is an AUDIT_ARCH_* value: what a filter reads as the architecture of
// a call (include/uapi/linux/audit.h).
type AuditArch uint32

// auditArchNames are the architectures of audit.h: an ELF machine, with bit 31
// set for 64-bit and bit 30 for little-endian ones, and bit 29 for MIPS n32.
var auditArchNames = map[AuditArch]string{
	0xc00000b7: "aarch64",
	0xc0009026: "alpha",
	0x4000005d: "arcompact",
	0x0000005d: "arcompactbe",
	0x400000c3: "arcv2",
	0x000000c3: "arcv2be",
	0x40000028: "arm",
	0x00000028: "armeb",
	0x4000008c: "c6x",
	0x0000008c: "c6xbe",
	0x4000004c: "cris",
	0x400000fc: "csky",
	0x00005441: "frv",
	0x0000002e: "h8300",
	0x000000a4: "hexagon",
	0x40000003: "i386",
	0xc0000032: "ia64",
	0x40000102: "loongarch32",
	0xc0000102: "loongarch64",
	0x00000058: "m32r",
	0x00000004: "m68k",
	0x000000bd: "microblaze",
	0x00000008: "mips",
	0x80000008: "mips64",
	0xa0000008: "mips64n32",
	0x40000008: "mipsel",
	0xc0000008: "mipsel64",
	0xe0000008: "mipsel64n32",
	0x400000a7: "nds32",
	0x000000a7: "nds32be",
	0x40000071: "nios2",
	0x0000005c: "openrisc",
	0x0000000f: "parisc",
	0x8000000f: "parisc64",
	0x00000014: "ppc",
	0x80000015: "ppc64",
	0xc0000015: "ppc64le",
	0x400000f3: "riscv32",
	0xc00000f3: "riscv64",
	0x00000016: "s390",
	0x80000016: "s390x",
	0x0000002a: "sh",
	0x8000002a: "sh64",
	0x4000002a: "shel",
	0xc000002a: "shel64",
	0x00000002: "sparc",
	0x8000002b: "sparc64",
	0xc00000bf: "tilegx",
	0x400000bf: "tilegx32",
	0x400000bc: "tilepro",
	0x4000006e: "unicore",
	0xc000003e: "x86_64",
	0x0000005e: "xtensa",
}

// String returns the name of a, "unknown[N]" if it has none.
func (a AuditArch) String() string {
	if name, ok := auditArchNames[a]; ok {
		return name
	}
	return "unknown[" + strconv.FormatUint(uint64(a), 10) + "]"
}
