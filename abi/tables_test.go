package abi

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// TestTables checks what every table must be: ascending, reversible, and in the
// range of numbers that its ABI reports.
func TestTables(t *testing.T) {
	ranges := map[ABI][2]uint32{
		X32: {X32Bit, X32Bit + 1023}, ARM: {0, 0xf0006}, ARM64: {0, 999}, MIPS: {4000, 4999},
		MIPSLE: {4000, 4999}, MIPS64: {5000, 5999}, MIPS64LE: {5000, 5999},
	}
	for _, a := range All() {
		limits, ok := ranges[a]
		if !ok {
			limits = [2]uint32{0, 999}
		}
		last, count := int64(-1), 0
		for nr, name := range a.Syscalls() {
			count++
			if int64(nr) <= last {
				t.Errorf("%s: %d follows %d", a, nr, last)
			}
			last = int64(nr)
			if nr < limits[0] || nr > limits[1] {
				t.Errorf("%s: %s is %d, outside %d", a, name, nr, limits)
			}
			if got := a.SyscallName(nr); got != name {
				t.Errorf("%s: SyscallName(%d) = %q, not %q", a, nr, got, name)
			}
			numbers := a.Numbers(name)
			if !slices.Contains(numbers, nr) {
				t.Errorf("%s: Numbers(%s) = %d lack %d", a, name, numbers, nr)
			}
			if got, ok := a.Lookup(name); !ok || got != numbers[len(numbers)-1] {
				t.Errorf("%s: Lookup(%s) = %d, %t, not the last of %d", a, name, got, ok, numbers)
			}
			if len(numbers) != 1 && a != X32 {
				t.Errorf("%s: %s has numbers %d", a, name, numbers)
			}
			if k, ok := a.Since(nr); !ok || Latest.Before(k) {
				t.Errorf("%s: %s since %v, %t", a, name, k, ok)
			}
		}
		if count < 320 {
			t.Errorf("%s has %d calls", a, count)
		}
	}
}

func TestLookup(t *testing.T) {
	for _, tc := range []struct {
		abi  ABI
		name string
		nr   uint32
	}{
		{AMD64, "read", 0},
		{AMD64, "uretprobe", 335},
		{AMD64, "uprobe", 336},
		{AMD64, "listns", 470},
		{AMD64, "rseq_slice_yield", 471},
		{AMD64, "file_getattr", 468},
		{I386, "bind", 361},
		{X32, "ioctl", X32Bit | 514},
		{X32, "read", X32Bit},
		{X32, "pwritev2", X32Bit | 547},
		{ARM, "set_tls", 0xf0005},
		{ARM, "breakpoint", 0xf0001},
		{ARM, "cacheflush", 0xf0002},
		{MIPS, "read", 4003},
		{MIPS64LE, "read", 5000},
		{ARM64, "clone3", 435},
		{S390X, "mseal", 462},
	} {
		if nr, ok := tc.abi.Lookup(tc.name); !ok || nr != tc.nr {
			t.Errorf("%s: Lookup(%s) = %d, %t, want %d", tc.abi, tc.name, nr, ok, tc.nr)
		}
	}
	for _, tc := range []struct {
		abi  ABI
		name string
	}{{AMD64, "socketcall"}, {ARM64, "open"}, {I386, "send"}, {AMD64, ""}, {None, "read"}, {99, "read"}} {
		if nr, ok := tc.abi.Lookup(tc.name); ok {
			t.Errorf("%s: Lookup(%q) = %d", tc.abi, tc.name, nr)
		}
	}
	if name := X32.SyscallName(X32Bit | 16); name != "ioctl" {
		t.Errorf("the other number of x32's ioctl is %q", name)
	}
	for _, nr := range []uint32{^uint32(0), 512, 4003} {
		if name := AMD64.SyscallName(nr); name != "" {
			t.Errorf("SyscallName(%d) = %q", nr, name)
		}
	}
}

func TestAliases(t *testing.T) {
	for _, tc := range []struct {
		abi         ABI
		alias, real string
	}{
		{AMD64, "newstat", "stat"},
		{AMD64, "newuname", "uname"},
		{AMD64, "pread", "pread64"},
		{AMD64, "fstatat64", "newfstatat"},
		{I386, "newfstatat", "fstatat64"},
		{AMD64, "umount", "umount2"},
		{ARM, "select", "_newselect"},
		{AMD64, "_newselect", "select"},
		{ARM, "getrlimit", "ugetrlimit"},
		{ARM, "fadvise64_64", "arm_fadvise64_64"},
		{AMD64, "fadvise64_64", "fadvise64"},
		{ARM, "sync_file_range2", "arm_sync_file_range"},
		{ARM64, "fstatat", "newfstatat"},
	} {
		want, ok := tc.abi.Lookup(tc.real)
		if got, found := tc.abi.Lookup(tc.alias); !ok || !found || got != want {
			t.Errorf("%s: %s is %d, %s is %d", tc.abi, tc.alias, got, tc.real, want)
		}
		if name := tc.abi.SyscallName(want); name != tc.real {
			t.Errorf("%s: %d is called %s", tc.abi, want, name)
		}
	}
	// Both are real here, and different.
	for _, pair := range [][2]string{{"umount", "umount2"}, {"select", "_newselect"}, {"getrlimit", "ugetrlimit"}, {"stat", "oldstat"}} {
		a, _ := I386.Lookup(pair[0])
		b, _ := I386.Lookup(pair[1])
		if a == b || I386.SyscallName(a) != pair[0] || I386.SyscallName(b) != pair[1] {
			t.Errorf("386: %s is %d, %s is %d", pair[0], a, pair[1], b)
		}
	}
}

// TestAliasesHideNothing reads the text: no table's real name may be looked up
// as another call.
func TestAliasesHideNothing(t *testing.T) {
	for _, a := range All() {
		data, err := os.ReadFile("tables/syscalls/" + tableFile(a) + ".txt")
		if err != nil {
			t.Fatal(err)
		}
		for l := range strings.Lines(string(data)) {
			f := strings.Fields(l)
			if f[0] == "#" {
				continue
			}
			nr, _ := a.Lookup(f[1])
			if a.SyscallName(nr) != f[1] {
				t.Errorf("%s: %s is looked up as %s", a, f[1], a.SyscallName(nr))
			}
		}
	}
}

// tableFile returns the name of the text file with a's numbers.
func tableFile(a ABI) string {
	switch a {
	case PPC64LE:
		return "ppc64"
	case MIPSLE:
		return "mips"
	case MIPS64LE:
		return "mips64"
	}
	return a.String()
}

func TestSince(t *testing.T) {
	for _, tc := range []struct {
		abi  ABI
		name string
		want Kernel
	}{
		{AMD64, "read", Kernel{}},
		{AMD64, "statx", Kernel{4, 11}},
		{AMD64, "close_range", Kernel{5, 9}},
		{AMD64, "openat2", Kernel{5, 6}},
		{AMD64, "uretprobe", Kernel{6, 11}},
		{AMD64, "uprobe", Kernel{6, 18}},
		{AMD64, "listns", Kernel{6, 19}},
		{AMD64, "rseq_slice_yield", Kernel{7, 0}},
		{I386, "bind", Kernel{4, 3}},
		{I386, "clock_gettime64", Kernel{5, 1}},
		{I386, "map_shadow_stack", Kernel{6, 7}},
		{X32, "openat2", Kernel{5, 6}},
		{X32, "ioctl", Kernel{}},
		{ARM, "futex_time64", Kernel{5, 1}},
		{ARM64, "pkey_alloc", Kernel{5, 7}},
		{ARM64, "map_shadow_stack", Kernel{6, 13}},
		{RISCV64, "seccomp", Kernel{5, 5}},
		{LOONG64, "fchmodat2", Kernel{6, 6}},
		{LOONG64, "fstat", Kernel{6, 11}},
		{S390X, "memfd_secret", Kernel{6, 4}},
		{MIPS, "clone3", Kernel{5, 4}},
		{MIPS, "futex_time64", Kernel{5, 1}},
		{MIPS64LE, "io_uring_setup", Kernel{5, 1}},
	} {
		nr, ok := tc.abi.Lookup(tc.name)
		if !ok {
			t.Errorf("%s has no %s", tc.abi, tc.name)
			continue
		}
		if k, ok := tc.abi.Since(nr); !ok || k != tc.want {
			t.Errorf("%s: %s since %q, %t, want %q", tc.abi, tc.name, k, ok, tc.want)
		}
	}
	if _, ok := AMD64.Since(512); ok {
		t.Error("512 is known")
	}
}
