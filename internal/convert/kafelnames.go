package convert

import (
	"strings"

	"github.com/sysgate/sysgate/abi"
)

// kafelHas reports whether kafel's tables for a are known here: it has others for
// MIPS, whose numbers lack the base, and m68k.
func kafelHas(a abi.ABI) bool {
	switch a {
	case abi.AMD64, abi.I386, abi.ARM, abi.ARM64, abi.RISCV64:
		return true
	}
	return false
}

// kafelArch returns the ABI that kafel calls name, None for those without tables
// here.
func kafelArch(name string) (a abi.ABI, ok bool) {
	switch strings.ToLower(name) {
	case "x86_64", "amd64":
		return abi.AMD64, true
	case "x86", "i386":
		return abi.I386, true
	case "arm":
		return abi.ARM, true
	case "aarch64", "arm64":
		return abi.ARM64, true
	case "riscv64", "rv64":
		return abi.RISCV64, true
	case "mips", "mipso32", "mips64", "m68k":
		return abi.None, true
	}
	return abi.None, false
}

// kafel names calls after the functions of the kernel that serve them
// (SYSCALL_DEFINE), which are not always the headers' names. These are the
// headers' for kafel's.
var (
	kafelNames = map[string]string{
		"newstat": "stat", "newfstat": "fstat", "newlstat": "lstat", "newuname": "uname", "umount": "umount2",
		"sysctl": "_sysctl", "llseek": "_llseek",
	}
	kafelNames64 = map[string]string{"sendfile64": "sendfile", "sync_file_range2": "sync_file_range"}
	kafelNames32 = map[string]string{
		"select": "_newselect", "old_select": "select", "mmap_pgoff": "mmap2", "old_mmap": "mmap", "getrlimit": "ugetrlimit",
		"old_getrlimit": "getrlimit", "old_readdir": "readdir", "oldumount": "umount", "uname": "olduname", "olduname": "oldolduname",
		"stat": "oldstat", "fstat": "oldfstat", "lstat": "oldlstat", "sync_file_range2": "arm_sync_file_range",
	}
)

// kafelNumber returns the number of the call that kafel calls name on a.
func kafelNumber(a abi.ABI, name string) (uint32, bool) {
	names := kafelNames64
	if a.Bits() == 32 {
		names = kafelNames32
		// The functions for 16-bit ids end in 16, those for 32 bits have no suffix.
		if short, ok := strings.CutSuffix(name, "16"); ok {
			if _, wide := named(a, short+"32"); wide {
				return named(a, short)
			}
		}
		if nr, ok := named(a, name+"32"); ok {
			return nr, true
		}
	}
	if other, ok := names[name]; ok {
		if nr, ok := named(a, other); ok {
			return nr, true
		}
	}
	if other, ok := kafelNames[name]; ok {
		return named(a, other)
	}
	nr, ok := named(a, name)
	for _, table := range []map[string]string{names, kafelNames} {
		for kafel, header := range table {
			if header == name && kafel != name {
				ok = false // it has another name there
			}
		}
	}
	return nr, ok
}

// kafelName returns kafel's name of a call, "" where a number is safer: on 32-bit
// ABIs, and for calls that its tables of 2026 lack.
func kafelName(a abi.ABI, nr uint32) string {
	name := a.SyscallName(nr)
	since, _ := a.Since(nr)
	switch name {
	case "riscv_hwprobe", "riscv_flush_icache", "pkey_mprotect", "pkey_alloc", "pkey_free", "io_pgetevents":
		if a != abi.AMD64 {
			return ""
		}
	}
	if a.Bits() == 32 || !since.Before(abi.Kernel{Major: 6, Minor: 18}) {
		return ""
	}
	for _, table := range []map[string]string{kafelNames64, kafelNames} {
		for kafel, header := range table {
			if header == name {
				if found, ok := kafelNumber(a, kafel); ok && found == nr {
					return kafel
				}
			}
		}
	}
	if found, ok := kafelNumber(a, name); ok && found == nr {
		return name
	}
	return ""
}
