package abi

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	word = ^uint64(0)
	low  = uint64(0xffffffff)
)

func TestArgs(t *testing.T) {
	for _, tc := range []struct {
		abi  ABI
		name string
		want []Arg
	}{
		{AMD64, "socket", []Arg{{"domain", Flags, true, low}, {"type", Flags, true, low}, {"protocol", Flags, true, low}}},
		{AMD64, "ioctl", []Arg{{"fd", FD, false, low}, {"cmd", Flags, false, low}, {"arg", Integer, false, word}}},
		{AMD64, "fchmod", []Arg{{"fd", FD, false, low}, {"mode", Mode, false, 0xffff}}},
		{AMD64, "getpid", nil},
		{AMD64, "kill", []Arg{{"pid", PID, true, low}, {"sig", Signal, true, low}}},
		{I386, "setuid", []Arg{{"uid", UserID, false, 0xffff}}},
		{I386, "setuid32", []Arg{{"uid", UserID, false, low}}},
		{ARM, "setuid", []Arg{{"uid", UserID, false, 0xffff}}},
		{I386, "mmap", []Arg{{"arg", Pointer, false, low}}},
		{I386, "truncate64", []Arg{{"path", Pointer, false, low}, {"length_lo", Offset, false, low}, {"length_hi", Offset, true, low}}},
		{ARM, "truncate64", []Arg{
			{"path", Pointer, false, low},
			{"unused", Unknown, false, low},
			{"length_lo", Offset, false, low},
			{"length_hi", Offset, true, low},
		}},
		{MIPSLE, "pread64", []Arg{
			{"fd", FD, false, low},
			{"buf", Pointer, false, low},
			{"count", Size, false, low},
			{"unused", Unknown, false, low},
			{"pos_word0", Offset, false, low}, // high on mips, low on mipsle
			{"pos_word1", Offset, false, low},
		}},
		{PPC64, "spu_create", []Arg{{"name", Pointer, false, word}, {"flags", Flags, false, low}, {"mode", Mode, false, 0xffff}, {"fd", FD, true, low}}},
	} {
		nr, _ := tc.abi.Lookup(tc.name)
		got, ok := tc.abi.Args(nr)
		if diff := cmp.Diff(tc.want, got); !ok || diff != "" {
			t.Errorf("%s: %s: known %t: %s", tc.abi, tc.name, ok, diff)
		}
	}
	if _, ok := AMD64.Args(512); ok {
		t.Error("512 has arguments")
	}
}

// TestArgNames has the calls whose arguments architectures pass in another order,
// in other registers or behind a pointer.
func TestArgNames(t *testing.T) {
	for _, tc := range []struct {
		call, want string
		abis       []ABI
	}{
		// CONFIG_CLONE_BACKWARDS, CONFIG_CLONE_BACKWARDS2 (arch/*/Kconfig)
		{"clone", "flags newsp parent_tidptr child_tidptr tls", []ABI{AMD64, X32, LOONG64}},
		{"clone", "flags newsp parent_tidptr tls child_tidptr", []ABI{I386, ARM, ARM64, RISCV64, PPC64, PPC64LE, MIPS, MIPSLE, MIPS64, MIPS64LE}},
		{"clone", "newsp flags parent_tidptr child_tidptr tls", []ABI{S390X}},
		// 64-bit arguments in pairs, which start at an even register on arm and mips
		{"readahead", "fd offset_lo offset_hi count", []ABI{I386}},
		{"readahead", "fd unused offset_lo offset_hi count", []ABI{ARM}},
		{"readahead", "fd unused offset_word0 offset_word1 count", []ABI{MIPS, MIPSLE}},
		{"readahead", "fd offset count", []ABI{AMD64, X32, ARM64, RISCV64, LOONG64, PPC64, S390X, MIPS64}},
		{"fallocate", "fd mode offset_lo offset_hi len_lo len_hi", []ABI{I386, ARM}},
		{"fallocate", "fd mode offset_word0 offset_word1 len_word0 len_word1", []ABI{MIPS, MIPSLE}},
		{"arm_fadvise64_64", "fd advice offset_lo offset_hi len_lo len_hi", []ABI{ARM}},
		{"fanotify_mark", "fanotify_fd flags mask_lo mask_hi dirfd pathname", []ABI{I386, ARM}},
		{"lookup_dcookie", "cookie_word0 cookie_word1 buf len", []ABI{MIPS}},
		{"mmap", "arg", []ABI{I386, S390X}},
		{"mmap", "addr length prot flags fd offset", []ABI{AMD64, X32, ARM64, RISCV64, LOONG64, PPC64, MIPS, MIPS64}},
		{"mmap2", "addr len prot flags fd pgoff", []ABI{I386, ARM, MIPS}},
		{"select", "arg", []ABI{I386}},
		{"sigsuspend", "unused1 unused2 mask", []ABI{I386, ARM, S390X}},
		{"sigsuspend", "uset", []ABI{MIPS}},
		{"ipc", "call first second third ptr fifth", []ABI{I386, PPC64, MIPS}},
		{"ipc", "call first second third ptr", []ABI{S390X}},
	} {
		for _, a := range tc.abis {
			nr, ok := a.Lookup(tc.call)
			args, known := a.Args(nr)
			var names []string
			for _, arg := range args {
				names = append(names, arg.Name)
			}
			if got := strings.Join(names, " "); !ok || !known || got != tc.want {
				t.Errorf("%s: %s(%s), want %s", a, tc.call, got, tc.want)
			}
		}
	}
}

// TestArgsEverywhere checks what holds for all: no mask beyond the word, none
// without its lowest bits, and every call that today's kernels serve on the ABIs
// that matter most is known.
func TestArgsEverywhere(t *testing.T) {
	for _, a := range All() {
		for nr, name := range a.Syscalls() {
			args, ok := a.Args(nr)
			k, _ := a.Since(nr)
			if !ok && k != (Kernel{}) {
				t.Errorf("%s: arguments of %s are unknown", a, name)
			}
			for i, arg := range args {
				mask := a.ReadMask(nr, i)
				if mask != arg.Mask || mask&^a.WordMask() != 0 || mask&(mask+1) != 0 || mask < 0xffff || arg.Name == "" {
					t.Errorf("%s: %s, argument %d: %+v, read mask %#x", a, name, i, arg, mask)
				}
				if at, ok := a.ArgIndex(nr, arg.Name); !ok || at != i && arg.Name != "unused" {
					t.Errorf("%s: %s: %s is argument %d, %t, not %d", a, name, arg.Name, at, ok, i)
				}
			}
			if mask := a.ReadMask(nr, len(args)); mask != a.WordMask() {
				t.Errorf("%s: %s, no argument %d: read mask %#x", a, name, len(args), mask)
			}
		}
	}
	if mask := AMD64.ReadMask(1<<20, -1); mask != word {
		t.Errorf("%#x", mask)
	}
}

func TestReadMask(t *testing.T) {
	for _, tc := range []struct {
		abi  ABI
		name string
		arg  int
		want uint64
	}{
		{AMD64, "clone", 0, low},
		{ARM64, "clone", 0, low},
		{S390X, "clone", 1, low},
		{S390X, "clone", 0, word},
		{I386, "ipc", 0, 0xffff},
		{S390X, "ipc", 0, low},
		{PPC64, "socketcall", 0, low},
		{AMD64, "personality", 0, low},
		{AMD64, "prctl", 0, low},
		{AMD64, "prctl", 1, word},
		{AMD64, "openat", 3, 0xffff},
		{AMD64, "unshare", 0, word},
		{AMD64, "mprotect", 2, word},
		{AMD64, "mmap", 4, low},
		{AMD64, "mbind", 2, low},
		{AMD64, "readv", 0, low},
		{AMD64, "ptrace", 1, low},
		{I386, "ioctl", 2, low},
		{X32, "ioctl", 1, low},
		{AMD64, "_sysctl", 0, word},
	} {
		nr, ok := tc.abi.Lookup(tc.name)
		if got := tc.abi.ReadMask(nr, tc.arg); !ok || got != tc.want {
			t.Errorf("%s: %s, argument %d: %#x, want %#x", tc.abi, tc.name, tc.arg, got, tc.want)
		}
	}
}

func TestArgIndex(t *testing.T) {
	for _, tc := range []struct {
		abi  ABI
		call string
		name string
		want int
	}{
		{AMD64, "socket", "family", 0},
		{AMD64, "socket", "domain", 0},
		{AMD64, "ioctl", "request", 1},
		{AMD64, "openat", "dfd", 0},
		{AMD64, "openat", "dirfd", 0},
		{AMD64, "clone", "clone_flags", 0},
		{AMD64, "clone", "tls", 4},
		{I386, "clone", "tls", 3},
		{S390X, "clone", "flags", 1},
	} {
		nr, _ := tc.abi.Lookup(tc.call)
		if i, ok := tc.abi.ArgIndex(nr, tc.name); !ok || i != tc.want {
			t.Errorf("%s: %s.%s is argument %d, %t, want %d", tc.abi, tc.call, tc.name, i, ok, tc.want)
		}
	}
	for _, name := range []string{"", "nonsense", "pid"} {
		if i, ok := AMD64.ArgIndex(41, name); ok {
			t.Errorf("socket.%s is argument %d", name, i)
		}
	}
}
