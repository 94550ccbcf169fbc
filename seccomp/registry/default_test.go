package registry

import (
	"slices"
	"testing"

	"github.com/sysgate/sysgate/abi"
)

// TestDeniedList holds the list to whole services: where one call of several
// that do the same is denied, all are.
func TestDeniedList(t *testing.T) {
	for _, a := range []abi.ABI{abi.AMD64, abi.I386, abi.ARM, abi.ARM64} {
		denied := names(deniedList, a)
		if !slices.Contains(denied, "execve") || !slices.Contains(denied, "mount") {
			t.Errorf("%v: denied are %v", a, denied)
		}
		for _, name := range denied {
			for _, same := range a.Group(name) {
				if !slices.Contains(denied, same) {
					t.Errorf("%v: %s is denied, %s does the same", a, name, same)
				}
			}
		}
	}
}

// TestDefaultActions looks at each default policy through the model.
func TestDefaultActions(t *testing.T) {
	const eperm, enosys = abi.Errno | 1, abi.Errno | 38
	for _, a := range []abi.ABI{abi.AMD64, abi.I386, abi.ARM, abi.ARM64} {
		other := abi.Allow
		if a == abi.AMD64 || a == abi.I386 {
			other = enosys
		}
		for _, test := range []struct {
			call string
			want abi.Action
		}{
			{"read()", abi.Allow},
			{"openat()", abi.Allow},
			{"clone(0x3d0f00)", abi.Allow},    // a thread of glibc
			{"clone(0x50f00)", abi.Allow},     // one of the Go runtime
			{"clone(0x10000000)", eperm},      // a user namespace
			{"clone(0x02000000 | 17)", eperm}, // a cgroup namespace
			{"clone3()", enosys},              //
			{"execve()", eperm},               //
			{"ptrace()", eperm},               //
			{"setuid()", eperm},               //
			{"io_uring_setup()", other},       //
			{"nr:4000()", other},              //
		} {
			if got := verdict(t, a, builtin(a), test.call); got != test.want {
				t.Errorf("%v: %s gets %v, want %v", a, test.call, got, test.want)
			}
		}
	}
	for _, a := range abi.All() {
		if p := builtin(a); p == nil && (a == abi.AMD64 || a == abi.I386 || a == abi.ARM || a == abi.ARM64) {
			t.Errorf("%v has no default policy", a)
		}
	}
	if builtin(abi.RISCV64) != nil {
		t.Error("riscv64 has a default policy")
	}
}
