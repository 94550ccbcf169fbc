package profile

import (
	"bytes"
	"slices"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/image"
)

// sysinfoEHDR is AT_SYSINFO_EHDR, by which the auxiliary vector says where the vDSO is
// (getauxval(3)).
const sysinfoEHDR = 33

// vdsoTexts are what the vDSO and its functions are called by (vdso(7)), vdsoNames other
// names of functions that fall back to a call.
var (
	vdsoTexts = [][]byte{[]byte("__vdso_"), []byte("__kernel_clock_get"), []byte("__kernel_gettimeofday"), []byte("linux-vdso"), []byte("linux-gate")}
	vdsoNames = []string{"clock_getres", "clock_gettime", "clock_gettime64", "getrandom", "gettimeofday"}
)

// vdsoHeads are the first bytes of these: most addresses lead to nothing that has them.
var vdsoHeads = func() map[string]bool {
	heads := map[string]bool{}
	for _, text := range vdsoTexts {
		heads[string(text[:minName])] = true
	}
	for _, name := range vdsoNames {
		heads[name[:minName]] = true
	}
	return heads
}()

// findsVDSO reports that native code other than the C library's finds the vDSO: then
// calls that the vDSO falls back to are not among its own, as they are where the library
// asks it. It asks for its address, or walks to it over the auxiliary vector, or names
// it.
func (a *analysis) findsVDSO() bool {
	static := a.static() // then the C library's own code is not told apart
	if found, lost := a.askAll(a.auxiliaryValues()); found[sysinfoEHDR] != nil || len(lost) > 0 && !static {
		return true
	}
	var own []int
	names := false
	for fn := range a.prog.Funcs {
		m := a.prog.Module(fn)
		if m == nil || m.Loader || isLibc(m) || a.prog.IsGo(fn) || !a.reached(fn) {
			continue
		}
		own = append(own, fn)
		named, vdso := a.namesVDSO(fn)
		if vdso && !static {
			return true
		}
		names = names || named
	}
	return names && slices.ContainsFunc(own, func(fn int) bool { return a.walksToVDSO(fn, static) })
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

// namesVDSO reports that function fn takes the address of the name of a function that
// the vDSO has, or of one that nothing else has.
func (a *analysis) namesVDSO(fn int) (named, vdso bool) {
	s := a.survey
	for _, r := range s.refs[s.refAt[fn]:s.refAt[fn+1]] {
		addr, kind := s.ref(r)
		if b := a.prog.Bytes(addr); kind != refTaken || len(b) < minName || !vdsoHeads[string(b[:minName])] {
			continue
		}
		if text, ok := a.textBytes(addr); ok {
			vdso = vdso || slices.ContainsFunc(vdsoTexts, func(t []byte) bool { return bytes.HasPrefix(text, t) })
			named = named || vdso || slices.Contains(vdsoNames, string(text))
		}
	}
	return named, vdso
}

// tagOf returns the memory that operand o of instruction i is, or was loaded from just
// before.
func tagOf(insts []image.Inst, i int, o image.Operand) (tag image.Operand, ok bool) {
	for k := i - 1; o.Kind == image.OperandReg && k >= max(0, i-4); k-- {
		if load := &insts[k]; load.Op == image.OpMov && load.Dst == o && load.Src.Kind == image.OperandMem {
			o = load.Src
		}
	}
	return o, o.Kind == image.OperandMem
}

// walksToVDSO reports that function fn looks through pairs of words for one that starts
// with AT_SYSINFO_EHDR: it compares the first with that, and reads the second. In a
// static program musl does it, too, where it looks at the versions of the names.
func (a *analysis) walksToVDSO(fn int, static bool) bool {
	_, code := a.prog.Code(fn)
	if !comparesVDSO(a.prog.ABI, code) {
		return false
	}
	insts := a.instructions(fn)
	for i := range insts {
		in := &insts[i]
		if in.Op != image.OpCmp || uint64(in.Size) != a.prog.WordSize() || in.Src.Kind != image.OperandImm || in.Src.Imm != sysinfoEHDR {
			continue
		}
		if tag, ok := tagOf(insts, i, in.Dst); ok && slices.ContainsFunc(insts, func(x image.Inst) bool { return a.readsPair(&x, &tag) }) && !(static && versioned(insts)) {
			return true
		}
	}
	return false
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
// bytes of CMP $33, r/m64, or of SUBS $33 of arm64.
func comparesVDSO(on abi.ABI, code []byte) bool {
	for i := range code {
		switch on {
		case abi.AMD64:
			if i > 0 && code[i] == 0x83 && code[i-1]&0xf8 == 0x48 && i+2 < len(code) && code[i+1]>>3&7 == 7 && bytes.IndexByte(code[i+2:min(len(code), i+8)], sysinfoEHDR) >= 0 {
				return true
			}
		case abi.ARM64:
			if i%4 == 3 && code[i] == 0xf1 && code[i-1] == 0 && code[i-2]&0xfc == 0x84 && code[i-3]&0x1f == 0x1f {
				return true
			}
		}
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
