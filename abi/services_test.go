package abi

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestGroup(t *testing.T) {
	for _, tc := range []struct {
		abi  ABI
		name string
		want []string
	}{
		{I386, "setuid", []string{"setuid", "setuid32"}},
		{I386, "stat64", []string{"oldstat", "stat", "stat64"}},
		{I386, "select", []string{"_newselect", "pselect6", "pselect6_time64", "select"}},
		{I386, "futex", []string{"futex", "futex_time64"}},
		{I386, "bind", []string{"bind"}},
		{I386, "socketcall", []string{"socketcall"}},
		{I386, "send", nil},
		{AMD64, "setuid", []string{"setuid"}},
		{AMD64, "newstat", []string{"stat"}},
		{AMD64, "mmap", []string{"mmap"}},
		{AMD64, "umount", []string{"umount2"}},
		{AMD64, "open", []string{"open"}},
		{ARM, "mmap2", []string{"mmap2"}},
		{MIPS, "mmap", []string{"mmap", "mmap2"}},
		{None, "mmap", nil},
	} {
		if diff := cmp.Diff(tc.want, tc.abi.Group(tc.name)); diff != "" {
			t.Errorf("%s: Group(%s): %s", tc.abi, tc.name, diff)
		}
	}
	// A group is the same from each of its members.
	for _, a := range All() {
		for _, name := range a.Syscalls() {
			group := a.Group(name)
			if !slices.Contains(group, name) || !slices.IsSorted(group) {
				t.Errorf("%s: Group(%s) = %v", a, name, group)
			}
			for _, member := range group {
				if diff := cmp.Diff(group, a.Group(member)); diff != "" {
					t.Errorf("%s: groups of %s and %s differ: %s", a, name, member, diff)
				}
			}
		}
	}
}

func TestMultiplexed(t *testing.T) {
	for _, tc := range []struct {
		abi  ABI
		name string
		mux  string
		sub  uint64
	}{
		{I386, "bind", "socketcall", 2},
		{I386, "send", "socketcall", 9},
		{I386, "sendmmsg", "socketcall", 20},
		{I386, "shmctl", "ipc", 24},
		{I386, "semop", "ipc", 1},
		{S390X, "accept4", "socketcall", 18},
		{PPC64LE, "msgget", "ipc", 13},
		{MIPSLE, "socket", "socketcall", 1},
	} {
		want, _ := tc.abi.Lookup(tc.mux)
		mux, sub, ok := tc.abi.Multiplexed(tc.name)
		if !ok || mux != want || sub != tc.sub {
			t.Errorf("%s: Multiplexed(%s) = %d, %d, %t, want %d, %d", tc.abi, tc.name, mux, sub, ok, want, tc.sub)
		}
	}
	for _, a := range []ABI{AMD64, X32, ARM, ARM64, RISCV64, LOONG64, MIPS64, None, 99} {
		if mux, _, ok := a.Multiplexed("socket"); ok {
			t.Errorf("%s: socket in %d", a, mux)
		}
	}
	if _, _, ok := I386.Multiplexed("read"); ok {
		t.Error("386: read is multiplexed")
	}
}
