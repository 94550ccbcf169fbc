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

// buildFor builds a command of the Go distribution for another machine.
func buildFor(t testing.TB, pkg string, env ...string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), filepath.Base(pkg))
	cmd := exec.Command("go", "build", "-o", out, pkg)
	cmd.Env = append(append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux"), env...)
	if msg, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build %s: %v\n%s", pkg, err, msg)
	}
	return out
}

// objdumpOf compares what a decoder says of a whole Go program with the objdump
// of its machine; what differs returns complaints.
func objdumpOf(t *testing.T, objdump string, env []string, decode func([]byte, uint64) Inst, differs func(l listing, in *Inst) string) {
	t.Helper()
	if _, err := exec.LookPath(objdump); err != nil {
		t.Skip("no " + objdump + ": the binutils of that machine are not installed")
	}
	pkg, want := "cmd/gofmt", 300_000
	if os.Getenv("SYSGATE_LONG") != "" {
		pkg, want = "cmd/go", 1_500_000
	}
	count, failures := 0, 0
	disassemble(t, objdump, buildFor(t, pkg, env...), func(l listing) {
		if len(l.code) == 0 || l.text == "" || strings.Contains(l.text, "<UNDEFINED>") || strings.Contains(l.text, "<UNPREDICTABLE>") {
			return
		}
		count++
		in := decode(l.code, l.addr)
		complaint := differs(l, &in)
		if int(in.Len) != len(l.code) {
			complaint = fmt.Sprintf("length %d", in.Len)
		}
		if complaint != "" {
			if failures++; failures <= 40 {
				t.Errorf("%x: %x\t%s: %s: %+v", l.addr, l.code, l.text, complaint, in)
			}
		}
	})
	if count < want {
		t.Errorf("compared %d instructions, want %d", count, want)
	}
	t.Logf("%d instructions, %d differences", count, failures)
}

// TestRISCV64Objdump compares lengths, operations, destinations, stores and
// targets with what objdump prints of a Go program.
func TestRISCV64Objdump(t *testing.T) {
	registers := map[string]Reg{}
	for i, n := range strings.Fields("zero ra sp gp tp t0 t1 t2 s0 s1 a0 a1 a2 a3 a4 a5 a6 a7 s2 s3 s4 s5 s6 s7 s8 s9 s10 s11 t3 t4 t5 t6") {
		registers[n] = Reg(i)
	}
	ops := map[string][]Op{
		"ecall": {OpSyscall}, "ebreak": {OpInt3}, "ret": {OpRet}, "j": {OpJmp}, "jal": {OpCall}, "jalr": {OpCallInd, OpJmpInd}, "jr": {OpJmpInd},
		"auipc": {OpPage}, "lui": {OpMov}, "li": {OpMov}, "mv": {OpMov}, "ld": {OpMov}, "sd": {OpMov}, "sb": {OpMov}, "lbu": {OpMovZX}, "lw": {OpMovSX},
		"zext.b": {OpMovZX}, "sext.w": {OpMovSX}, "nop": {OpNop}, "unimp": {OpTrap, OpOther}, "beqz": {OpJcc}, "bltu": {OpJcc}, "add": {OpLea, OpMov},
		"seqz": {OpSetcc}, "sltu": {OpSetcc}, "fence": {OpOther},
	}
	noGeneral := regexp.MustCompile(`^(s[bhwd]|fs[hwdq]|b\w+|j|jal|jr|jalr|ret|fence.*|nop|ecall|ebreak|unimp|c\.nop|f(l[hwd]|add|sub|mul|div|sqrt|m?madd|msub|nmadd|nmsub|sgnj|neg|abs|min|max|mv\.[swd]\.x|mv\.[sd]$|cvt\.[sd]\.).*|csrw\w*|v.*|\.\w+)$`)
	stores := regexp.MustCompile(`^(f?s[bhwd]|amo.*|sc\..*)$`)
	objdumpOf(t, "riscv64-linux-gnu-objdump", []string{"GOARCH=riscv64"}, DecodeRISCV64, func(l listing, in *Inst) string {
		text, _, _ := strings.Cut(l.text, " #")
		text, _, _ = strings.Cut(text, " <")
		name, operands, _ := strings.Cut(strings.TrimSpace(text), "\t")
		list := strings.Split(operands, ",")
		if want := ops[name]; want != nil && !anyOp(want, in.Op) && list[0] != "zero" {
			return "another operation"
		}
		if in.Op == OpBad && !strings.HasPrefix(name, ".") && name != "unimp" {
			return "not decoded"
		}
		r, general := registers[list[0]]
		if general && r != 0 && !noGeneral.MatchString(name) && in.Writes&(1<<r) == 0 {
			return "does not write " + list[0]
		}
		if stores.MatchString(name) && in.Store == 0 {
			return "stores nothing"
		}
		if in.Op == OpJmp || in.Op == OpJcc || in.Op == OpCall {
			if to, err := strconv.ParseUint(list[len(list)-1], 16, 64); err != nil || to != in.Target {
				return "another target"
			}
		}
		if name == "li" || name == "lui" {
			n, err := strconv.ParseInt(list[1], 0, 64)
			if name == "lui" {
				n = int64(int32(n << 12))
			}
			if err != nil || in.Src.Imm != n {
				return "another constant"
			}
		}
		return differsMemory(operands, registers, in)
	})
}

var offsetBase = regexp.MustCompile(`(-?\d+)\((\w+)\)`)

// differsMemory compares offset and base of a memory operand, OFFSET(BASE).
func differsMemory(operands string, registers map[string]Reg, in *Inst) string {
	m := offsetBase.FindStringSubmatch(operands)
	if m == nil || in.Op == OpJmpInd || in.Op == OpCallInd || in.Op == OpRet {
		return ""
	}
	disp, _ := strconv.ParseInt(m[1], 10, 64)
	for _, o := range [...]*Operand{&in.Dst, &in.Src} {
		if o.Kind == OperandMem && (o.Disp != disp || o.Base != registers[m[2]]) {
			return "other memory"
		}
	}
	return ""
}

func anyOp(ops []Op, op Op) bool {
	for _, o := range ops {
		if o == op {
			return true
		}
	}
	return false
}

var (
	armConditions = regexp.MustCompile(`^(\w+?)(s?)(eq|ne|cs|cc|mi|pl|vs|vc|hi|ls|ge|lt|gt|le)?(\.\w+)*$`)
	// armNoWrite matches what writes no general register first.
	armNoWrite = regexp.MustCompile(`^(str\w*|stm\w*|push|cmp|cmn|tst|teq|b|bl|bx|blx|svc|nop|udf|bkpt|v\w+|dmb|dsb|isb|pld\w*|stl?c?\w*|ldc\w*|mcr\w*|cdp\w*|mrc\w*|mrrc\w*|msr|ldm\w*|pop|strex|yield|csdb|sev|wf[ei]|clrex|hlt|hvc|smc|cps\w*|rfe\w*|srs\w*|setend|swp|b\w\w)`)
	// armUnknown matches what is not followed: of other modes and coprocessors,
	// and what only data looks like.
	armUnknown = regexp.MustCompile(`^(svc|blx|bx|bxj|ldc|stc|mcr|mrc|cdp|mcrr|mrrc|rfe|srs|cps|setend|tst|teq|cmp|cmn|eret|hvc|smc|v\w+|ldm|stm|strd|ldrd|dbg|hlt|sg|tt|sfm|lfm|cf)`)
)

// TestARMObjdump does the same for arm. Words that are loaded as constants count:
// both decode them.
func TestARMObjdump(t *testing.T) {
	ops := map[string][]Op{
		"svc": {OpSyscall, OpBad}, "b": {OpJmp, OpJcc}, "bl": {OpCall}, "blx": {OpCallInd, OpCall}, "mov": {OpMov, OpCmov, OpRet, OpJmpInd, OpBad, OpOther},
		"movw": {OpMov, OpCmov}, "cmp": {OpCmp}, "cmn": {OpCmp}, "tst": {OpTest}, "str": {OpMov, OpOther, OpBad}, "ldrb": {OpMovZX, OpOther, OpBad},
		"uxtb": {OpMovZX, OpOther}, "push": {OpMov, OpOther, OpStoreMany}, "pop": {OpRet, OpMov, OpOther, OpLoadMany, OpBad, OpCmov},
	}
	comparison := regexp.MustCompile(`^(tst|teq|cmp|cmn)`)
	objdumpOf(t, "arm-linux-gnueabihf-objdump", []string{"GOARCH=arm"}, DecodeARM, func(l listing, in *Inst) string {
		if l.text == "andeq\tr0, r0, r0" { // padding
			return ""
		}
		mnemonic, operands := armInstruction(l.text)
		m := armConditions.FindStringSubmatch(mnemonic)
		if m == nil {
			return ""
		}
		name := m[1]
		list := strings.Split(operands, ", ")
		// A comparison that keeps no flags is something else.
		kept := len(l.code) == 4 && l.code[2]&0x10 != 0
		if want := ops[name]; want != nil && !anyOp(want, in.Op) && m[2] == "" && (kept || !comparison.MatchString(name)) {
			return "another operation"
		}
		r, general := armRegisters[list[0]]
		toPC := general && r == 15 || strings.Contains(operands, "pc")
		if in.Op == OpBad {
			if !armUnknown.MatchString(mnemonic) && !toPC && !strings.Contains(operands, "^") {
				return "not decoded"
			}
			return ""
		}
		if in.Op == OpJmp || in.Op == OpJcc || in.Op == OpCall {
			at, _, _ := strings.Cut(list[0], " ")
			if to, err := strconv.ParseUint(at, 16, 64); strings.HasPrefix(name, "b") && (err != nil || to != in.Target) {
				return "another target"
			}
		}
		return differsARM(in, mnemonic, name, operands, armNoWrite)
	})
}
