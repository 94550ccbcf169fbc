package image

import (
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/arch/arm64/arm64asm"
)

// buildARM64 builds a command of the Go distribution for linux/arm64.
func buildARM64(t testing.TB, pkg string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), filepath.Base(pkg))
	cmd := exec.Command("go", "build", "-o", out, pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=arm64")
	if msg, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build %s: %v\n%s", pkg, err, msg)
	}
	return out
}

// TestARM64Asm compares what the decoder says of a whole program with
// golang.org/x/arch: the operation where both name it, and the registers that
// change.
func TestARM64Asm(t *testing.T) {
	path := buildARM64(t, "cmd/gofmt")
	f, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	code, addr := textOf(t, path)
	compared, failures := 0, 0
	for at := 0; at+4 <= len(code); at += 4 {
		theirs, err := arm64asm.Decode(code[at:])
		if err != nil {
			continue
		}
		compared++
		in := DecodeARM64(code[at:], addr+uint64(at))
		if complaint := differsARM64(theirs, &in); complaint != "" {
			if failures++; failures <= 20 {
				t.Errorf("%x: %v: %s: %+v", in.Addr, theirs, complaint, in)
			}
		}
	}
	if compared < 200_000 {
		t.Errorf("only %d instructions compared", compared)
	}
	t.Logf("%d instructions compared", compared)
}

// keepsFirst matches the mnemonics whose first operand is not written.
var keepsFirst = map[string]bool{
	"CMP": true, "CMN": true, "TST": true, "CBZ": true, "CBNZ": true, "TBZ": true, "TBNZ": true, "BR": true, "BLR": true, "RET": true,
	"CCMP": true, "CCMN": true, "PRFM": true, "PRFUM": true, "MSR": true, "DC": true, "SYS": true, "FCMP": true, "FCMPE": true,
}

// armOps are the operations that a mnemonic has to have; several where it
// depends on the operands.
var armOps = map[string][]Op{
	"SVC": {OpSyscall}, "B": {OpJmp, OpJcc}, "BL": {OpCall}, "BLR": {OpCallInd}, "BR": {OpJmpInd}, "RET": {OpRet, OpJmpInd},
	"CBZ": {OpJcc}, "CBNZ": {OpJcc}, "TBZ": {OpJcc}, "TBNZ": {OpJcc}, "NOP": {OpNop}, "BRK": {OpInt3},
	"ADRP": {OpPage}, "ADR": {OpLea}, "CMP": {OpCmp}, "CMN": {OpCmp}, "TST": {OpTest}, "CSEL": {OpSelect}, "CSET": {OpSetcc},
	"STR": {OpMov, OpOther}, "STRB": {OpMov}, "STRH": {OpMov}, "STUR": {OpMov, OpOther}, "STP": {OpStorePair, OpOther},
	"LDR": {OpMov, OpOther}, "LDRB": {OpMovZX, OpOther}, "LDRH": {OpMovZX, OpOther}, "LDRSW": {OpMovSX}, "LDP": {OpLoadPair, OpOther},
	"MOV": {OpMov, OpLea, OpOther}, "UXTB": {OpMovZX}, "UXTH": {OpMovZX}, "SXTW": {OpMovSX}, "SXTB": {OpMovSX}, "SXTH": {OpMovSX},
}

func differsARM64(theirs arm64asm.Inst, in *Inst) string {
	name := theirs.Op.String()
	if want := armOps[name]; want != nil {
		ok := in.Op == OpNop // of the zero register
		for _, op := range want {
			ok = ok || in.Op == op
		}
		if !ok {
			return "another operation"
		}
	}
	store := strings.HasPrefix(name, "ST")
	if store && in.Store == 0 && !in.StoreAny {
		return "stores nothing"
	}
	for i, arg := range theirs.Args {
		if arg == nil || i > 0 && !(i == 1 && name == "LDP") || keepsFirst[name] || store {
			continue
		}
		r, ok := armRegister(arg)
		if ok && in.Writes&(1<<r) == 0 {
			return fmt.Sprintf("does not write %v", arg)
		}
	}
	if complaint := differsValue(theirs, in); complaint != "" {
		return complaint
	}
	for _, arg := range theirs.Args {
		m, ok := arg.(arm64asm.MemImmediate)
		if !ok {
			continue
		}
		base, _ := armRegister(arm64asm.RegSP(m.Base))
		for _, o := range [...]*Operand{&in.Dst, &in.Src} {
			if o.Kind == OperandMem && o.Base != base {
				return fmt.Sprintf("the base is not %v", m.Base)
			}
		}
		writesBack := strings.Contains(arg.String(), "!") || strings.Contains(arg.String(), "],")
		if writesBack && in.Writes&(1<<base) == 0 {
			return "the base is not written"
		}
	}
	return ""
}

// differsValue compares constants, targets and offsets.
func differsValue(theirs arm64asm.Inst, in *Inst) string {
	mask := ^uint64(0)
	if in.Size == 4 {
		mask = 0xFFFFFFFF
	}
	for i, arg := range theirs.Args {
		switch a := arg.(type) {
		case arm64asm.Imm64:
			if i == 1 && in.Op == OpMov && uint64(in.Src.Imm)&mask != a.Imm&mask {
				return "another constant"
			}
			if i == 2 && in.Src.Kind == OperandImm && in.Dst.Kind == OperandReg && uint64(in.Src.Imm)&mask != a.Imm&mask {
				return "another constant"
			}
		case arm64asm.PCRel:
			switch to := in.Addr + uint64(a); {
			case in.Target != 0 && in.Target != to:
				return "another target"
			case in.Op == OpPage && uint64(in.Src.Imm) != in.Addr&^0xFFF+uint64(a):
				return "another page"
			case in.Op == OpLea && uint64(in.Src.Disp) != to:
				return "another address"
			}
		case arm64asm.MemImmediate:
			disp := int64(0)
			text := strings.TrimSuffix(a.String(), "!")
			if _, rest, ok := strings.Cut(text, ",#"); ok && strings.HasSuffix(text, "]") {
				fmt.Sscanf(rest, "%d]", &disp)
			}
			for _, o := range [...]*Operand{&in.Dst, &in.Src} {
				if o.Kind == OperandMem && o.Disp != disp {
					return fmt.Sprintf("offset %d, want %d", o.Disp, disp)
				}
			}
		}
	}
	return ""
}

// armRegister returns the number of a general register that is not zero.
func armRegister(arg arm64asm.Arg) (Reg, bool) {
	name := arg.String()
	switch {
	case name == "SP" || name == "WSP":
		return SP, true
	case strings.HasSuffix(name, "ZR") || strings.ContainsAny(name, ",[ "):
		return 0, false
	}
	var n int
	if k, err := fmt.Sscanf(name[1:], "%d", &n); k != 1 || err != nil || name[0] != 'X' && name[0] != 'W' {
		return 0, false
	}
	return Reg(n), true
}
