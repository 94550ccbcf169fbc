package abi

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// A crossTarget is an ABI whose kernel headers Debian has for cross-compiling, in
// linux-libc-dev-PACKAGE-cross. A compiler for amd64 reads them: with the width of
// words and the alignment of 64-bit members of the target, and the macros that a
// compiler for it would define.
type crossTarget struct {
	abi     ABI
	pkg     string
	triplet string
	flags   string
}

var crossTargets = []crossTarget{
	{ARM64, "arm64", "aarch64-linux-gnu", "-m64 -D__aarch64__ -D__AARCH64EL__"},
	{ARM, "armhf", "arm-linux-gnueabihf", "-m32 -malign-double -D__arm__ -D__ARMEL__ -D__ARM_EABI__"},
	{X32, "x32", "x86_64-linux-gnux32", "-mx32 -D__x86_64__ -D__ILP32__"},
	{RISCV64, "riscv64", "riscv64-linux-gnu", "-m64 -D__riscv -D__riscv_xlen=64 -D__LP64__"},
	{PPC64, "ppc64", "powerpc64-linux-gnu", "-m64 -D__powerpc__ -D__powerpc64__ -D__BIG_ENDIAN__ -D_CALL_ELF=1"},
	{PPC64LE, "ppc64el", "powerpc64le-linux-gnu", "-m64 -D__powerpc__ -D__powerpc64__ -D__LITTLE_ENDIAN__ -D_CALL_ELF=2"},
	{S390X, "s390x", "s390x-linux-gnu", "-m64 -D__s390__ -D__s390x__"},
	{MIPS, "mips", "mips-linux-gnu", "-m32 -malign-double -D__mips__ -D__MIPSEB__ -D_MIPS_SIM=1 -D_MIPS_SZLONG=32"},
	{MIPSLE, "mipsel", "mipsel-linux-gnu", "-m32 -malign-double -D__mips__ -D__MIPSEL__ -D_MIPS_SIM=1 -D_MIPS_SZLONG=32"},
	{MIPS64, "mips64", "mips64-linux-gnuabi64", "-m64 -D__mips__ -D__mips64 -D__MIPSEB__ -D_MIPS_SIM=3 -D_MIPS_SZLONG=64"},
	{MIPS64LE, "mips64el", "mips64el-linux-gnuabi64", "-m64 -D__mips__ -D__mips64 -D__MIPSEL__ -D_MIPS_SIM=3 -D_MIPS_SZLONG=64"},
}

// hostMacros are those of the machine's own compiler by which headers tell
// architectures apart.
var hostMacros = strings.Fields("-U__x86_64__ -U__x86_64 -U__amd64__ -U__amd64 -U__i386__ -U__i386 -Ui386 -U__LP64__ -U_LP64 -Ulinux -Uunix -U__ILP32__")

// cc returns the compiler and its flags, or skips the test.
func (c crossTarget) cc(t *testing.T) []string {
	t.Helper()
	if runtime.GOARCH != "amd64" {
		t.Skip("the flags are those of a compiler for amd64")
	}
	dir := filepath.Join("/usr", c.triplet, "include")
	if _, err := os.Stat(filepath.Join(dir, "asm", "unistd.h")); err != nil {
		t.Skipf("the kernel's headers for %v (linux-libc-dev-%s-cross) are not installed", c.abi, c.pkg)
	}
	gcc, err := exec.LookPath("gcc")
	if err != nil {
		t.Skip("gcc is not installed")
	}
	return slices.Concat([]string{gcc, "-nostdinc", "-isystem", dir}, hostMacros, strings.Fields(c.flags))
}

var definedNumber = regexp.MustCompile(`(?m)^#define __NR_(\w+) `)

// TestAgainstCrossHeaders compares numbers, constants and errno values with the
// headers of the kernel, which are of Linux 6.1, for each ABI but those of x86.
func TestAgainstCrossHeaders(t *testing.T) {
	for _, c := range crossTargets {
		t.Run(c.abi.String(), func(t *testing.T) {
			cc := c.cc(t)
			c.numbers(t, cc)
			c.constants(t, cc)
		})
	}
}

func (c crossTarget) numbers(t *testing.T, cc []string) {
	t.Helper()
	const prologue = "#include <asm/unistd.h>\n"
	list := exec.Command(cc[0], append(cc[1:], "-E", "-dM", "-x", "c", "-")...)
	list.Stdin = strings.NewReader(prologue)
	text, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]uint64{}
	for _, m := range definedNumber.FindAllStringSubmatch(string(text), -1) {
		names["__NR_"+m[1]] = 0
	}
	theirs := map[string]uint32{}
	for name, nr := range compileConstants(t, cc, prologue, names) {
		name = strings.TrimPrefix(name, "__NR_")
		switch {
		case notNumber.MatchString(name) || placeholder.MatchString(name):
			continue
		case c.abi == ARM && name == "sync_file_range2":
			continue // a second name of arm_sync_file_range
		}
		theirs[name] = uint32(nr)
	}
	if len(theirs) < 300 {
		t.Fatalf("%d numbers", len(theirs))
	}
	compareNumbers(t, c.abi, theirs)
	t.Logf("%d numbers compared", len(theirs))
}

// notNumber is a name of the headers that is a bound or a base.
var notNumber = regexp.MustCompile(`^(SYSCALL_MASK|Linux|O32_Linux|64_Linux|N32_Linux|Linux_syscalls|O32_Linux_syscalls|64_Linux_syscalls|SYSCALL_BASE|OABI_SYSCALL_BASE|syscalls)$`)

func (c crossTarget) constants(t *testing.T, cc []string) {
	t.Helper()
	// Without the C library's headers, which are of one ABI only.
	prologue := "#include <asm/bitsperlong.h>\ntypedef __SIZE_TYPE__ size_t;\n" // mips's fcntl.h asks without including it
	if c.abi == X32 {
		prologue += "typedef long long time_t;\n"
	} else {
		prologue += "typedef long time_t;\n"
	}
	for _, h := range constantHeaders {
		if _, err := os.Stat(filepath.Join("/usr", c.triplet, "include", h+".h")); err == nil {
			prologue += "#include <" + h + ".h>\n"
		}
	}
	ours, absent := map[string]uint64{}, map[string]uint64{}
	for _, table := range []*valueTable{&constants, &errnos} {
		for i := range table.names.ends {
			name := table.names.at(i)
			if v, ok := table.value(c.abi, name); ok {
				ours[name] = v
			} else {
				absent[name] = 0
			}
		}
	}
	theirs := compileConstants(t, cc, prologue, ours)
	if len(theirs) < 1300 {
		t.Errorf("only %d of %d constants are in the headers", len(theirs), len(ours))
	}
	for name, want := range theirs {
		if got := ours[name]; got != want && uint64(uint32(want)) != got && olderThanHeaders[name] == "" {
			t.Errorf("%s is %#x, in the headers %#x", name, got, want)
		}
	}
	t.Logf("%d of %d constants compared", len(theirs), len(ours))
	for name, v := range compileConstants(t, cc, prologue, absent) {
		if notThere[c.abi.String()+" "+name] == "" {
			t.Errorf("%s is absent, in the headers %#x", name, v)
		}
	}
}

// notThere are constants that headers define on ABIs that do not have them, with
// the reason.
var notThere = map[string]string{
	"x32 F_GETLK64":  "x32 enters the 64-bit fcntl (syscall_64.tbl: common), which does not know it",
	"x32 F_SETLK64":  "likewise",
	"x32 F_SETLKW64": "likewise",
}
