package image

import "debug/elf"

// A dynamic is what an object tells the dynamic loader (System V gABI, "Dynamic
// Section"), as far as it matters here. Addresses are as linked, names are
// offsets in the string table.
type dynamic struct {
	needed                          []uint64
	soname, rpath, runpath          uint64 // 0: none
	strings, stringsSize            uint64
	symbols, symbolSize             uint64
	hash, gnuHash                   uint64
	versym, verneed, verdef         uint64
	verneeds, verdefs               uint64
	rel, relSize, relEntry          uint64
	rela, relaSize, relaEntry       uint64
	plt, pltSize, pltForm           uint64 // relocations too, of the form of rel or rela
	relr, relrSize                  uint64
	pltGOT                          uint64
	init, fini                      uint64
	initArray, finiArray, preinit   uint64
	initArraySize, finiSize, preLen uint64
	symbolic                        bool // own definitions come first
	pie                             bool
}

// maxNeeded bounds the libraries that one object names.
const maxNeeded = 4096

const (
	tagRelrSize = elf.DynTag(35)
	tagRelr     = elf.DynTag(36)

	flagSymbolic = 2         // of DT_FLAGS
	flag1PIE     = 0x8000000 // of DT_FLAGS_1
)

func (e *layout) parseDynamic(b []byte) *dynamic {
	d := &dynamic{}
	words := map[elf.DynTag]*uint64{
		elf.DT_SONAME: &d.soname, elf.DT_RPATH: &d.rpath, elf.DT_RUNPATH: &d.runpath,
		elf.DT_STRTAB: &d.strings, elf.DT_STRSZ: &d.stringsSize,
		elf.DT_SYMTAB: &d.symbols, elf.DT_SYMENT: &d.symbolSize,
		elf.DT_HASH: &d.hash, elf.DT_GNU_HASH: &d.gnuHash,
		elf.DT_VERSYM: &d.versym, elf.DT_VERNEED: &d.verneed, elf.DT_VERDEF: &d.verdef,
		elf.DT_VERNEEDNUM: &d.verneeds, elf.DT_VERDEFNUM: &d.verdefs,
		elf.DT_REL: &d.rel, elf.DT_RELSZ: &d.relSize, elf.DT_RELENT: &d.relEntry,
		elf.DT_RELA: &d.rela, elf.DT_RELASZ: &d.relaSize, elf.DT_RELAENT: &d.relaEntry,
		elf.DT_JMPREL: &d.plt, elf.DT_PLTRELSZ: &d.pltSize, elf.DT_PLTREL: &d.pltForm,
		tagRelr: &d.relr, tagRelrSize: &d.relrSize, elf.DT_PLTGOT: &d.pltGOT,
		elf.DT_INIT: &d.init, elf.DT_FINI: &d.fini,
		elf.DT_INIT_ARRAY: &d.initArray, elf.DT_INIT_ARRAYSZ: &d.initArraySize,
		elf.DT_FINI_ARRAY: &d.finiArray, elf.DT_FINI_ARRAYSZ: &d.finiSize,
		elf.DT_PREINIT_ARRAY: &d.preinit, elf.DT_PREINIT_ARRAYSZ: &d.preLen,
	}
	for ; len(b) >= 2*e.size; b = b[2*e.size:] {
		tag, v := elf.DynTag(e.word(b, 0)), e.word(b, e.size)
		switch tag {
		case elf.DT_NULL:
			return d
		case elf.DT_NEEDED:
			if len(d.needed) < maxNeeded {
				d.needed = append(d.needed, v)
			}
		case elf.DT_SYMBOLIC:
			d.symbolic = true
		case elf.DT_FLAGS:
			d.symbolic = d.symbolic || v&flagSymbolic != 0
		case elf.DT_FLAGS_1:
			d.pie = v&flag1PIE != 0
		default:
			if w := words[tag]; w != nil {
				*w = v
			}
		}
	}
	return d
}

// table returns size bytes at the linked address addr, or nil if the file does
// not hold them all.
func (o *object) table(addr, size uint64) []byte {
	b := o.bytes(addr)
	if addr == 0 || size > uint64(len(b)) {
		return nil
	}
	return b[:size:size]
}

// str returns the dynamic string at off.
func (o *object) str(off uint64) string {
	return cstring(o.table(o.dynamic.strings, o.dynamic.stringsSize), off)
}
