package abi

import (
	"debug/elf"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestAuditArch builds the values as include/uapi/linux/audit.h does: the ELF
// machine, a bit for 64-bit ABIs, a bit for little-endian ones.
func TestAuditArch(t *testing.T) {
	machines := map[ABI]elf.Machine{
		I386: elf.EM_386, AMD64: elf.EM_X86_64, X32: elf.EM_X86_64, ARM: elf.EM_ARM, ARM64: elf.EM_AARCH64,
		RISCV64: elf.EM_RISCV, LOONG64: elf.EM_LOONGARCH, PPC64: elf.EM_PPC64, PPC64LE: elf.EM_PPC64,
		S390X: elf.EM_S390, MIPS: elf.EM_MIPS, MIPSLE: elf.EM_MIPS, MIPS64: elf.EM_MIPS, MIPS64LE: elf.EM_MIPS,
	}
	for _, a := range All() {
		want := uint32(machines[a])
		if a.Bits() == 64 {
			want |= 0x80000000
		}
		if !a.BigEndian() {
			want |= 0x40000000
		}
		if got := a.AuditArch(); got != want {
			t.Errorf("%s: %#x, want %#x", a, got, want)
		}
	}
}

func TestNoABI(t *testing.T) {
	for _, a := range []ABI{None, numABIs, 255} {
		if a.AuditArch() != 0 || a.Bits() != 0 || a.BigEndian() || len(a.Compat()) != 0 {
			t.Errorf("%s is an ABI", a)
		}
		for nr, name := range a.Syscalls() {
			t.Errorf("%s: %d is %s", a, nr, name)
		}
		if _, ok := a.Errno("EPERM"); ok || a.ErrnoName(1) != "" || a.SyscallName(0) != "" {
			t.Errorf("%s has names", a)
		}
		if mask := a.ReadMask(0, 0); mask != ^uint64(0) {
			t.Errorf("%s: %#x", a, mask)
		}
	}
}

func TestCompat(t *testing.T) {
	if diff := cmp.Diff([]ABI{I386, X32}, AMD64.Compat()); diff != "" {
		t.Error(diff)
	}
	AMD64.Compat()[0] = MIPS // a copy
	if diff := cmp.Diff([]ABI{I386, X32}, AMD64.Compat()); diff != "" {
		t.Error(diff)
	}
}

func TestX32Call(t *testing.T) {
	for _, tc := range []struct {
		call Call
		want bool
	}{
		{Call{Arch: AMD64.AuditArch(), NR: X32Bit}, true},
		{Call{Arch: AMD64.AuditArch(), NR: 0}, false},
		{Call{Arch: AMD64.AuditArch(), NR: ^uint32(0)}, false},
		{Call{Arch: I386.AuditArch(), NR: X32Bit}, false},
	} {
		if got := tc.call.IsX32(); got != tc.want {
			t.Errorf("%+v: %t", tc.call, got)
		}
	}
}

func TestActions(t *testing.T) {
	order := []Action{KillProcess, KillThread, Trap, Errno, UserNotify, Trace, Log, Allow}
	for i, a := range order {
		for j, b := range order {
			if got := a.Stricter(b); got != (i < j) {
				t.Errorf("%s stricter than %s: %t", a, b, got)
			}
		}
		if !a.Known() || a.WithData(7).Kind() != a || a.WithData(7).Data() != 7 {
			t.Errorf("%s loses its parts", a)
		}
	}
	for a, want := range map[Action]string{
		Allow: "allow", Errno.WithData(38): "errno(38)", Trap: "trap(0)", KillProcess.WithData(3): "kill_process|3", 0x7ffd0000: "0x7ffd0000",
	} {
		if got := a.String(); got != want {
			t.Errorf("%#x is %q, want %q", uint32(a), got, want)
		}
	}
	if Action(0x7ffd0000).Known() {
		t.Error("0x7ffd0000 is known")
	}
}

func TestKernel(t *testing.T) {
	for text, want := range map[string]Kernel{"6.12": {6, 12}, "4.0": {4, 0}} {
		k, err := ParseKernel(text)
		if err != nil || k != want || k.String() != text {
			t.Errorf("%q: %v, %v", text, k, err)
		}
	}
	for _, text := range []string{"", "6", "6.", "6.12.3", "6.12-rc1", "0.1", "256.1", "v6.1"} {
		if k, err := ParseKernel(text); err == nil {
			t.Errorf("%q: %v", text, k)
		}
	}
	if !(Kernel{5, 19}).Before(Kernel{6, 0}) || (Kernel{6, 2}).Before(Kernel{6, 2}) || !(Kernel{}).Before(Kernel{1, 0}) {
		t.Error("the order of releases")
	}
}
