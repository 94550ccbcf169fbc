package profile

import (
	"bytes"
	"slices"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/image"
)

// sysinfoEHDR is AT_SYSINFO_EHDR, by which the auxiliary vector says where the vDSO is
// (getauxval(3)); sysinfo is AT_SYSINFO, by which that of 386 says where its function is
// that makes any system call, and vsyscallName the name of that.
const (
	sysinfoEHDR  = 33
	sysinfo      = 32
	vsyscallName = "__kernel_vsyscall"
)

const vsyscallReason = "it may enter the kernel by the function of the vDSO that makes any call"

// vdsoTexts are what the vDSO and its functions are called by (vdso(7)), vdsoNames other
// names of functions that fall back to a call, and vdsoWays what else leads to it.
var (
	vdsoTexts = [][]byte{[]byte("__vdso_"), []byte("__kernel_clock_get"), []byte("__kernel_gettimeofday"), []byte("linux-vdso"), []byte("linux-gate")}
	vdsoNames = []string{"clock_getres", "clock_gettime", "clock_gettime64", "getrandom", "gettimeofday"}
	vdsoWays  = []string{"vdso", "[vdso]", "/proc/self/auxv", "/proc/%d/auxv"}
)

// pathText is a text of the function of static glibc that asks the vDSO for its functions,
// as it does other things at start (elf/dl-support.c).
const pathText = "LD_LIBRARY_PATH"

// vdsoHeads are the first bytes of these: most addresses lead to nothing that has them.
var vdsoHeads = func() map[string]bool {
	heads := map[string]bool{}
	for _, text := range vdsoTexts {
		heads[string(text[:minName])] = true
	}
	for _, name := range slices.Concat(vdsoNames, vdsoWays) {
		heads[name[:minName]] = true
	}
	return heads
}()

// A vdsoEvidence is what a text, or a module by its texts, says about the vDSO.
type vdsoEvidence uint8

const (
	vdsoNamed vdsoEvidence = 1 << iota // it has a name that the vDSO's functions have, too
	vdsoSure                           // it has one that nothing else has
	vdsoWay                            // it looks where the vDSO is to be found
)

// findsVDSO reports that native code other than the C library's finds the vDSO: then
// calls that the vDSO falls back to are not among its own, as they are where the library
// asks it. It asks for its address, or walks to it over the auxiliary vector, or looks
// for it among the objects or the mappings of the process, and names it.
func (a *analysis) findsVDSO() bool {
	static := a.static() // then the C library's own code is not told apart
	found, lost := a.askAll(a.auxiliaryValues())
	for _, by := range found[sysinfo] {
		a.entersByVDSO(by.fn, by.addr)
	}
	if found[sysinfoEHDR] != nil || len(lost) > 0 && !static {
		return true
	}
	evidence, sure, walks := map[*image.Module]vdsoEvidence{}, false, false
	for fn := range a.prog.Funcs {
		m := a.prog.Module(fn)
		if m == nil || m.Loader || isLibc(m) || a.prog.IsGo(fn) || !a.reached(fn) {
			continue
		}
		e := a.namesVDSO(fn)
		if e&vdsoSure != 0 {
			if static && a.isLibcs(fn) {
				e &^= vdsoSure | vdsoNamed
			} else {
				sure = true
			}
		}
		evidence[m] |= e
		if !sure && !walks {
			w, versions := a.walksToVDSO(fn)
			walks = w && !(static && versions)
		}
	}
	if sure || walks && static {
		return true
	}
	iterates := a.iterators()
	for m, e := range evidence {
		way := walks || e&vdsoWay != 0 || iterates[m]
		if static || way {
			e |= a.holdsVDSO(m)
		}
		if e&vdsoSure != 0 || way && e&vdsoNamed != 0 {
			return true
		}
	}
	return false
}

// entersByVDSO notes that on 386 function fn gets, at addr, the address of the function by
// which any system call can be made.
func (a *analysis) entersByVDSO(fn int, addr uint64) {
	if a.prog.ABI == abi.I386 {
		a.lost = append(a.lost, lostSite{at: &link{fn: fn, addr: addr}, why: unknown{reason: vsyscallReason, fn: fn, at: addr}})
	}
}

// iterators returns the modules that refer to what goes over the objects of the process.
func (a *analysis) iterators() map[*image.Module]bool {
	out := map[*image.Module]bool{}
	for _, s := range a.lookup("dl_iterate_phdr") {
		for addr, slot := range a.prog.Slots {
			if slot.Target == s.Addr {
				out[a.prog.ModuleAt(addr)] = true
			}
		}
	}
	return out
}

// holdsVDSO returns what the texts say to which data of module m points, if that is not Go's.
func (a *analysis) holdsVDSO(m *image.Module) (e vdsoEvidence) {
	if !a.prog.Foreign() && m == a.prog.Modules[0] {
		return 0
	}
	for k := a.firstPointer(m.Range.Start); k < len(a.pointers) && a.pointers[k].Addr < m.Range.End; k++ {
		e |= a.textOfVDSO(a.pointers[k].Value)
	}
	return e
}

// isLibcs reports that function fn of a static program, which names functions of the vDSO,
// is the C library's: that of glibc does so once, at start, those of musl have another walk
// there for them.
func (a *analysis) isLibcs(fn int) bool {
	return a.refersTo(fn, a.address([]byte(pathText))) ||
		slices.ContainsFunc(a.survey.calls[a.survey.callAt[fn]:a.survey.callAt[fn+1]], func(callee uint32) bool {
			walks, versions := a.walksToVDSO(int(callee))
			return walks && versions
		})
}

// auxiliaryValues are the demands for what getauxval is asked for. Where it is linked
// with a stripped program, it is a function that compares its argument with the first
// of two words, and reads the second.
func (a *analysis) auxiliaryValues() (out []demand) {
	for _, s := range a.lookup("getauxval") {
		if fn, ok := a.entryOf(s.Addr); ok && a.reached(fn) {
			out = append(out, demand{demandKey{fn, a.argument(0)}, &link{fn: fn, addr: s.Addr}})
		}
	}
	if !a.static() || a.prog.ABI == abi.I386 {
		return out
	}
	arg := argumentRegisters[a.prog.ABI][0]
	is := func(o *image.Operand) bool { return o.Kind == image.OperandReg && o.Reg == arg }
	for fn := range a.prog.Funcs {
		if f := a.prog.Funcs[fn]; f.End-f.Entry > refineCode || a.prog.IsGo(fn) || !a.reached(fn) {
			continue
		}
		insts := a.instructions(fn)
		for i := range insts {
			in := &insts[i]
			if in.Op != image.OpCmp || !is(&in.Dst) && !is(&in.Src) {
				continue
			}
			other := in.Dst
			if is(&in.Dst) {
				other = in.Src
			}
			if tag, ok := tagOf(insts, i, other); ok && slices.ContainsFunc(insts, func(x image.Inst) bool { return a.readsPair(&x, &tag) }) {
				out = append(out, demand{demandKey{fn, a.argument(0)}, &link{fn: fn, addr: a.entry(fn)}})
				break
			}
		}
	}
	return out
}

// namesVDSO returns what the texts say of which function fn takes the address.
func (a *analysis) namesVDSO(fn int) (e vdsoEvidence) {
	s := a.survey
	for _, r := range s.refs[s.refAt[fn]:s.refAt[fn+1]] {
		if addr, kind := s.ref(r); kind == refTaken {
			e |= a.textOfVDSO(addr)
			if a.prog.ABI == abi.I386 {
				if text, ok := a.textBytes(addr); ok && string(text) == vsyscallName {
					a.entersByVDSO(fn, a.entry(fn))
				}
			}
		}
	}
	return e
}

// textOfVDSO returns what the text at addr says.
func (a *analysis) textOfVDSO(addr uint64) (e vdsoEvidence) {
	if b := a.prog.Bytes(addr); len(b) < minName || !vdsoHeads[string(b[:minName])] {
		return 0
	}
	text, ok := a.textBytes(addr)
	switch {
	case !ok:
	case slices.ContainsFunc(vdsoTexts, func(t []byte) bool { return bytes.HasPrefix(text, t) }):
		return vdsoSure
	case slices.Contains(vdsoNames, string(text)):
		return vdsoNamed
	case slices.Contains(vdsoWays, string(text)):
		return vdsoWay
	}
	return 0
}

// tagOf returns the memory that operand o of instruction i is, or was loaded from before.
func tagOf(insts []image.Inst, i int, o image.Operand) (tag image.Operand, ok bool) {
	for k := i - 1; o.Kind == image.OperandReg && k >= max(0, i-tagDistance); k-- {
		if load := &insts[k]; load.Op == image.OpMov && load.Dst == o && load.Src.Kind == image.OperandMem {
			o = load.Src
		}
	}
	return o, o.Kind == image.OperandMem
}

// tagDistance is how many instructions before it is compared a word is loaded, at most.
const tagDistance = 8

// walksToVDSO reports that function fn looks through pairs of words for one that starts
// with AT_SYSINFO_EHDR: it compares the first with that, and reads the second. With
// versions it looks at those of the names, too, as musl does in a static program.
func (a *analysis) walksToVDSO(fn int) (walks, versions bool) {
	_, code := a.prog.Code(fn)
	if !comparesVDSO(a.prog.ABI, code) {
		return false, false
	}
	insts := a.instructions(fn)
	for i := range insts {
		o, ok := a.comparedWithVDSO(insts, i)
		if !ok {
			continue
		}
		if tag, ok := tagOf(insts, i, o); ok && slices.ContainsFunc(insts, func(x image.Inst) bool { return a.readsPair(&x, &tag) }) {
			return true, versioned(insts)
		}
	}
	return false, false
}

// comparedWithVDSO returns what instruction i compares with AT_SYSINFO_EHDR, if it does.
func (a *analysis) comparedWithVDSO(insts []image.Inst, i int) (o image.Operand, ok bool) {
	in := &insts[i]
	switch {
	case in.Op == image.OpCmp && uint64(in.Size) == a.prog.WordSize() && in.Src.Kind == image.OperandImm:
		return in.Dst, in.Src.Imm == sysinfoEHDR
	case in.Op == image.OpJcc && a.prog.ABI == abi.RISCV64: // it compares registers
		is := func(o image.Operand) bool {
			return o.Kind == image.OperandReg && slices.ContainsFunc(insts, func(x image.Inst) bool {
				return x.Op == image.OpMov && x.Dst == o && x.Src.Kind == image.OperandImm && x.Src.Imm == sysinfoEHDR
			})
		}
		if is(in.Src) {
			return in.Dst, true
		}
		return in.Src, is(in.Dst)
	}
	return o, false
}

// readsPair reports that x reads the word behind the one that tag names, or goes on to
// the next two.
func (a *analysis) readsPair(x *image.Inst, tag *image.Operand) bool {
	word := int64(a.prog.WordSize())
	reads := x.Src.Kind == image.OperandMem && x.Src.Base == tag.Base && x.Src.Index == tag.Index && x.Src.Disp == tag.Disp+word
	steps := (x.Op == image.OpAdd || x.Op == image.OpSub) && x.Dst.Kind == image.OperandReg && x.Dst.Reg == tag.Base && x.Src.Kind == image.OperandImm && (x.Src.Imm == 2*word || x.Src.Imm == -2*word)
	return reads || steps
}

// comparesVDSO reports that code may compare a word with AT_SYSINFO_EHDR: it holds the
// bytes of CMP $33, r/m of amd64 and 386, SUBS $33 of arm64, CMP $33 of arm, or ADDI $33 of
// riscv64.
func comparesVDSO(on abi.ABI, code []byte) bool {
	switch on { // where its bits are in two bytes
	case abi.ARM64:
		for ; len(code) >= 4; code = code[4:] {
			if code[3] == 0xf1 && code[2] == 0 && code[1]&0xfc == 0x84 && code[0]&0x1f == 0x1f {
				return true
			}
		}
		return false
	case abi.RISCV64:
		for ; len(code) >= 4; code = code[2:] {
			if code[3] == 0x02 && code[2] == 0x10 && code[1]&0xf0 == 0 && code[0]&0x7f == 0x13 {
				return true
			}
		}
		return false
	}
	for at, n := 0, 0; ; at += n + 1 {
		if n = bytes.IndexByte(code[at:], sysinfoEHDR); n < 0 {
			return false
		}
		if holdsCompare(on, code, at+n) {
			return true
		}
	}
}

// holdsCompare is comparesVDSO for the byte i of code, which is AT_SYSINFO_EHDR.
func holdsCompare(on abi.ABI, code []byte, i int) bool {
	switch on {
	case abi.AMD64, abi.I386:
		for k := i - 2; k >= max(0, i-7); k-- { // where the opcode is
			if code[k] == 0x83 && code[k+1]>>3&7 == 7 && (on == abi.I386 || k > 0 && code[k-1]&0xf8 == 0x48) {
				return true
			}
		}
	case abi.ARM:
		return i+1 < len(code) && code[i+1]&0xf8 == 0x28 || i+3 < len(code) && code[i+3]&0xf == 3 && code[i+2]&0xf0 == 0x50
	}
	return false
}

// The dynamic tags DT_VERSYM and DT_VERDEF.
const (
	versym = 0x6ffffff0
	verdef = 0x6ffffffc
)

// versioned reports that instructions compare something with both.
func versioned(insts []image.Inst) bool {
	has := func(n int64) bool {
		return slices.ContainsFunc(insts, func(in image.Inst) bool { return in.Src.Kind == image.OperandImm && in.Src.Imm == n })
	}
	return has(versym) && has(verdef)
}
