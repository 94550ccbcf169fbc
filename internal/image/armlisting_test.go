package image

import (
	"regexp"
	"strconv"
	"strings"
)

// armRegisters are those of arm by objdump's names.
var armRegisters = func() map[string]Reg {
	names := map[string]Reg{"sl": 10, "fp": 11, "ip": 12, "sp": 13, "lr": 14, "pc": 15}
	for i := range 13 {
		names["r"+strconv.Itoa(i)] = Reg(i)
	}
	return names
}()

// armInstruction returns what objdump prints of an instruction without its comment.
func armInstruction(text string) (mnemonic, operands string) {
	text, _, _ = strings.Cut(text, "\t@")
	text, _, _ = strings.Cut(text, " @")
	mnemonic, operands, _ = strings.Cut(strings.TrimSpace(text), "\t")
	return mnemonic, operands
}

// armMemory matches an operand in memory, with what is added to its base.
var armMemory = regexp.MustCompile(`\B\[(\w+)(?:, #(-?\d+))?\](!|, .*)?`)

// differsARM says what of an instruction is not as objdump prints it that is the same
// for A32 and Thumb code: what it writes first, stores, and has for memory; "" if
// nothing is.
func differsARM(in *Inst, mnemonic, name, operands string, noWrite *regexp.Regexp) string {
	first, _, _ := strings.Cut(operands, ", ")
	if r, general := armRegisters[first]; general && r != 15 && !noWrite.MatchString(mnemonic) && in.Writes&(1<<r) == 0 {
		return "does not write " + first
	}
	if strings.HasPrefix(name, "str") && in.Store == 0 && !in.StoreAny || strings.HasPrefix(name, "stm") && in.Store == 0 {
		return "stores nothing"
	}
	a := armMemory.FindStringSubmatch(operands)
	if a == nil || strings.HasPrefix(name, "tb") {
		return ""
	}
	disp, _ := strconv.ParseInt(a[2], 10, 64)
	for _, o := range [...]*Operand{&in.Dst, &in.Src} {
		if o.Kind == OperandMem && a[1] != "pc" && o.Index == RegNone && (o.Disp != disp || o.Base != armRegisters[a[1]]) {
			return "other memory"
		}
	}
	if a[3] != "" && !strings.HasPrefix(mnemonic, "pl") && in.Writes&(1<<armRegisters[a[1]]) == 0 {
		return "the base is not written"
	}
	return ""
}
