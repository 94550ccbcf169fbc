package arch_test

import (
	"runtime"
	"testing"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/seccomp/arch"
)

func TestGetInfo(t *testing.T) {
	for _, test := range []struct {
		names []string
		want  *arch.Info
	}{
		{[]string{"arm", "ARM", "armv7l"}, arch.ARM},
		{[]string{"386", "i386", "I386", "i686"}, arch.I386},
		{[]string{"amd64", "x86_64", "X86_64", "AMD64"}, arch.X86_64},
		{[]string{"x32", "X32"}, arch.X32},
		{[]string{"arm64", "aarch64", "AArch64"}, arch.AARCH64},
		{[]string{"riscv64"}, arch.RISCV64},
		{[]string{"loong64", "loongarch64"}, arch.LOONG64},
		{[]string{"ppc64"}, arch.PPC64},
		{[]string{"ppc64le", "ppc64el"}, arch.PPC64LE},
		{[]string{"s390x"}, arch.S390X},
		{[]string{"mips"}, arch.MIPS},
		{[]string{"mipsle", "mipsel"}, arch.MIPSEL},
		{[]string{"mips64"}, arch.MIPS64},
		{[]string{"mips64le", "mipsel64"}, arch.MIPSEL64},
	} {
		for _, name := range test.names {
			if got, err := arch.GetInfo(name); err != nil || got != test.want {
				t.Errorf("GetInfo(%q) = %v, %v; want %s", name, got, err, test.want.Name)
			}
		}
	}
	native, err := arch.GetInfo("")
	if err != nil || native.ID != arch.AuditArch(abi.Native().AuditArch()) {
		t.Errorf("GetInfo of %s = %v, %v", runtime.GOARCH, native, err)
	}
}

func TestGetInfoUnsupported(t *testing.T) {
	for name, want := range map[string]string{
		"vax":         "unsupported arch: vax",
		"VAX":         "unsupported arch: vax",
		" ":           "unsupported arch:  ",
		"ppc":         "unsupported arch: ppc",
		"s390":        "unsupported arch: s390",
		"mips64n32":   "unsupported arch: mips64n32",
		"mips64p32le": "unsupported arch: mips64p32le",
	} {
		if info, err := arch.GetInfo(name); err == nil || err.Error() != want || info != nil {
			t.Errorf("GetInfo(%q) = %v, %v; want %q", name, info, err, want)
		}
	}
}

// Every architecture has its ABI's calls, both ways.
func TestTables(t *testing.T) {
	seen := 0
	for _, a := range abi.All() {
		info, err := arch.GetInfo(a.String())
		if err != nil {
			t.Error(err)
			continue
		}
		seen++
		numbers := 0
		for nr, name := range a.Syscalls() {
			numbers++
			if got := info.SyscallNumbers[int(nr)&^info.SeccompMask]; got != name {
				t.Errorf("%s: number %d is %q, want %q", info.Name, nr, got, name)
			}
			want, _ := a.Lookup(name)
			if got, ok := info.SyscallNames[name]; !ok || uint32(got|info.SeccompMask) != want {
				t.Errorf("%s: %s is number %d, %v; want %d", info.Name, name, got, ok, want)
			}
		}
		if len(info.SyscallNumbers) != numbers || len(info.SyscallNames) > numbers || numbers < 300 {
			t.Errorf("%s: %d numbers, %d names; want %d", info.Name, len(info.SyscallNumbers), len(info.SyscallNames), numbers)
		}
		if info.ID.String() != info.Name && a != abi.X32 {
			t.Errorf("%s: its ID is called %s", info.Name, info.ID)
		}
	}
	if seen != 14 {
		t.Errorf("%d architectures", seen)
	}
}

func TestNumbers(t *testing.T) {
	for _, test := range []struct {
		info *arch.Info
		name string
		nr   int
	}{
		{arch.X86_64, "execve", 59},
		{arch.X86_64, "read", 0},
		{arch.I386, "execve", 11},
		{arch.ARM, "set_tls", 0xf0005},
		{arch.AARCH64, "execve", 221},
		{arch.X32, "execve", 520},
		{arch.X32, "read", 0},
		{arch.S390X, "execve", 11},
		{arch.MIPS, "execve", 4011},
		{arch.RISCV64, "riscv_hwprobe", 258},
	} {
		if got, ok := test.info.SyscallNames[test.name]; !ok || got != test.nr {
			t.Errorf("%s: %s is %d, %v; want %d", test.info.Name, test.name, got, ok, test.nr)
		}
	}
	if arch.X32.SeccompMask != 0x40000000 || arch.X86_64.SeccompMask != 0 {
		t.Errorf("masks %#x, %#x", arch.X32.SeccompMask, arch.X86_64.SeccompMask)
	}
}
