package arch_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/sysgate/sysgate/internal/testkit"
	"github.com/sysgate/sysgate/seccomp/arch"
)

func TestAuditArchString(t *testing.T) {
	for a, want := range map[arch.AuditArch]string{
		arch.X86_64.ID:      "x86_64",
		arch.X32.ID:         "x86_64",
		arch.MIPS64N32.ID:   "mips64n32",
		arch.MIPSEL64N32.ID: "mipsel64n32",
		arch.PPC.ID:         "ppc",
		arch.S390.ID:        "s390",
		0:                   "unknown[0]",
		0xffffffff:          "unknown[4294967295]",
	} {
		if got := a.String(); got != want {
			t.Errorf("%#x is %q, want %q", uint32(a), got, want)
		}
	}
}

// The names and values are those of the kernel's header.
func TestAuditArchHeader(t *testing.T) {
	testkit.Need(t, testkit.CC)
	macros, err := exec.Command("gcc", "-dM", "-E", "-include", "linux/audit.h", "-x", "c", os.DevNull).Output()
	if err != nil {
		t.Skipf("no linux/audit.h: %v", err)
	}
	var source bytes.Buffer
	source.WriteString("#include <stdio.h>\n#include <linux/audit.h>\nint main(void) {\n")
	for _, m := range regexp.MustCompile(`(?m)^#define AUDIT_ARCH_(\w+) `).FindAllSubmatch(macros, -1) {
		fmt.Fprintf(&source, "\tprintf(\"%s %%u\\n\", (unsigned)AUDIT_ARCH_%s);\n", m[1], m[1])
	}
	source.WriteString("}\n")
	dir := t.TempDir()
	file, program := filepath.Join(dir, "a.c"), filepath.Join(dir, "a")
	if err := os.WriteFile(file, source.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("gcc", "-o", program, file).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out, err := exec.Command(program).Output()
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Fields(string(out))
	for i := 0; i+1 < len(lines); i += 2 {
		var value uint32
		if _, err := fmt.Sscan(lines[i+1], &value); err != nil {
			t.Fatal(err)
		}
		if got := arch.AuditArch(value).String(); got != strings.ToLower(lines[i]) {
			t.Errorf("AUDIT_ARCH_%s, %#x, is called %s", lines[i], value, got)
		}
	}
	if len(lines) < 60 {
		t.Errorf("only %d architectures in the header", len(lines)/2)
	}
}
