package ucfg_test

import (
	"strings"
	"testing"

	elastic "github.com/elastic/go-seccomp-bpf/arch"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/seccomp/arch"
)

// Every call of the documented tables has the same number here, but for those
// that its table of arm64 has and no kernel for arm64 does. x32 is not compared:
// that table has numbers under which x32 kernels do not serve the calls.
func TestTables(t *testing.T) {
	for _, test := range []struct {
		ours   *arch.Info
		theirs *elastic.Info
		abi    abi.ABI
	}{
		{arch.X86_64, elastic.X86_64, abi.AMD64},
		{arch.I386, elastic.I386, abi.I386},
		{arch.ARM, elastic.ARM, abi.ARM},
		{arch.AARCH64, elastic.AARCH64, abi.ARM64},
	} {
		if test.ours.Name != test.theirs.Name || uint32(test.ours.ID) != uint32(test.theirs.ID) || test.ours.SeccompMask != test.theirs.SeccompMask {
			t.Errorf("%s: %#x, %s: %#x", test.ours.Name, uint32(test.ours.ID), test.theirs.Name, uint32(test.theirs.ID))
		}
		for name, want := range test.theirs.SyscallNames {
			if got, ok := test.abi.Lookup(name); (!ok || int(got) != want) && !(test.abi == abi.ARM64 && absent(name)) {
				t.Errorf("%s: %s is number %d, %v; want %d", test.ours.Name, name, got, ok, want)
			}
		}
	}
}

// absent reports whether a name of the documented table of arm64 is none of
// arm64: the 64-bit times of 32-bit architectures, and a place that a header keeps.
func absent(name string) bool {
	return strings.HasSuffix(name, "time64") || name == "arch_specific_syscall"
}
