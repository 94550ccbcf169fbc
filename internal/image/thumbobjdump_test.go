package image

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

var (
	thumbConditions = regexp.MustCompile(`^(cb\w*z|b|bl|blx|bx|it\w*|tb[bh]|svc|nop|[a-z]\w*?)(s?)(eq|ne|cs|cc|mi|pl|vs|vc|hi|ls|ge|lt|gt|le)?(\.\w+)*$`)
	// thumbNoWrite matches what writes no general register first.
	thumbNoWrite = regexp.MustCompile(`^(str\w*|stm\w*|f(ld|st)m\w*|push|cmp|cmn|tst|teq|b|bl|bx|blx|cb\w*|tb\w|svc|nop|udf|bkpt|v\w+|dmb|dsb|isb|ssbb|pssbb|pld\w*|pli|stl?c?\w*|ldc\w*|mcr\w*|cdp\w*|mrc\w*|mrrc\w*|msr|ldm\w*|pop|it\w*|yield|csdb|esb|tsb|sev\w*|wf[ei]|clrex|hlt|hvc|smc|cps\w*|rfe\w*|srs\w*|setend|dbg|dcps\w|aes\w*|sha\w*|le|dls|wls|setpan)`)
	// thumbUnknown matches what is not followed: of other processors, for the kernel
	// alone, and what only data looks like.
	thumbUnknown = regexp.MustCompile(`^(pld\w*|pli|ldc|stc|mcr|mrc|cdp|mcrr|mrrc|rfe|srs|bxj|eret|subs|v\w+|ldm|stm|push|pop|sg|tt|bf|blxns|bxns|cx|le|dls|wls|wlstp|dlstp|csel|csinc|csinv|csneg|lsll|asrl|lsrl|sqrshr|uqrshl|ldr|movs|cinc|cinv|cneg|cset|csetm|urshr|srshr|sqshl|uqshl|setpan|dcps|strexd|pac|aut|bti|vscclrm|lctp|clrm|uqrshll|sqrshrl|uqshll|sqshll|srshrl|urshrl)`)
)

// TestThumbObjdump compares lengths, operations, destinations, stores and targets
// with what objdump prints of the libraries of arm, all of which it takes for Thumb
// code: what is data there must have the same length, too.
func TestThumbObjdump(t *testing.T) {
	const objdump = "arm-linux-gnueabihf-objdump"
	if _, err := exec.LookPath(objdump); err != nil {
		t.Skip(objdump + " is not installed (Debian: binutils-arm-linux-gnueabihf)")
	}
	paths, want := []string{"libc.so.6", "libm.so.6", "libstdc++.so.6"}, 600_000
	if os.Getenv("SYSGATE_LONG") != "" {
		paths, want = append(paths, "libasan.so.8", "libubsan.so.1", "libgomp.so.1", "libgcc_s.so.1", "ld-linux-armhf.so.3"), 1_000_000
	}
	ops := map[string][]Op{
		"svc": {OpSyscall}, "b": {OpJmp, OpJcc}, "bl": {OpCall}, "blx": {OpCallInd, OpCall}, "bx": {OpRet, OpJmpInd, OpJmp}, "mov": {OpMov, OpRet, OpJmpInd, OpOther, OpShl, OpShr, OpSar, OpLea},
		"movw": {OpMov}, "movt": {OpMovTop}, "cmp": {OpCmp}, "cmn": {OpCmp}, "tst": {OpTest}, "str": {OpMov, OpOther}, "cbz": {OpJcc}, "cbnz": {OpJcc},
		"uxtb": {OpMovZX, OpOther}, "push": {OpStoreMany, OpMov, OpOther}, "pop": {OpRet, OpLoadMany, OpMov}, "tbb": {OpJmpInd}, "tbh": {OpJmpInd}, "nop": {OpNop}, "udf": {OpTrap, OpInt3},
		"ldrd": {OpLoadPair, OpOther}, "strd": {OpStorePair, OpOther}, "adr": {OpLea}, "addw": {OpLea}, "subw": {OpLea}, "it": {OpNop}, "bkpt": {OpInt3},
	}
	count, failures := 0, 0
	for _, name := range paths {
		path := filepath.Join("/usr/arm-linux-gnueabihf/lib", name)
		if !exists(path) {
			t.Skip(path + " is not installed (Debian: libc6-armhf-cross, libstdc++6-armhf-cross)")
		}
		disassemble(t, objdump, path, func(l listing) {
			if strings.Contains(l.text, "<UNDEFINED>") || strings.Contains(l.text, "<UNPREDICTABLE>") || strings.HasPrefix(l.text, ".") || strings.Contains(l.text, "<illegal") || len(l.code) == 0 {
				return
			}
			count++
			in := DecodeThumb(l.code, l.addr, always)
			complaint := differsThumb(l, &in, ops)
			if int(in.Len) != len(l.code) {
				complaint = fmt.Sprintf("length %d", in.Len)
			}
			if complaint != "" {
				if failures++; failures <= 40 {
					t.Errorf("%x: %x\t%s: %s: %+v", l.addr, l.code, l.text, complaint, in)
				}
			}
		}, "-M", "force-thumb")
	}
	if count < want {
		t.Errorf("compared %d instructions, want %d", count, want)
	}
	t.Logf("%d instructions, %d differences", count, failures)
}

// differsThumb says what of an instruction is not as objdump prints it.
func differsThumb(l listing, in *Inst, ops map[string][]Op) string {
	mnemonic, operands := armInstruction(l.text)
	m := thumbConditions.FindStringSubmatch(mnemonic)
	if m == nil {
		return ""
	}
	name := m[1]
	list := strings.Split(operands, ", ")
	if want := ops[name]; want != nil && !anyOp(want, in.Op) && in.Op != OpBad && list[0] != "pc" {
		return "another operation"
	}
	r, general := armRegisters[list[0]]
	if in.Op == OpBad {
		if !thumbUnknown.MatchString(mnemonic) && !strings.Contains(operands, "pc") && !(general && r >= 13) {
			return "not decoded"
		}
		return ""
	}
	if in.Op == OpJmp && in.Len > 0 && name == "b" || in.Op == OpJcc || in.Op == OpCall {
		at, _, _ := strings.Cut(list[len(list)-1], " ")
		if to, err := strconv.ParseUint(at, 16, 64); err != nil || to != in.Target {
			return "another target"
		}
	}
	switch name {
	case "movw", "movt":
		if n, err := strconv.ParseInt(strings.TrimPrefix(list[1], "#"), 10, 64); err != nil || n != in.Src.Imm {
			return "another constant"
		}
	case "mov", "mvn":
		n, err := strconv.ParseInt(strings.TrimPrefix(list[1], "#"), 10, 64)
		if strings.HasPrefix(list[1], "#") && (err != nil || in.Op != OpMov || uint32(n) != uint32(in.Src.Imm) && uint32(n) != ^uint32(in.Src.Imm)) {
			return "another constant"
		}
	}
	return differsARM(in, mnemonic, name, operands, thumbNoWrite)
}
