package profile

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// TestNumberByName profiles a program whose library finds a number by its name,
// and one that finds a number in the same way itself.
func TestNumberByName(t *testing.T) {
	needGCC(t)
	if _, err := os.Stat("/usr/include/seccomp.h"); err != nil {
		t.Skipf("libseccomp's header is not installed (Debian: libseccomp-dev): %v", err)
	}
	const text = `#include <seccomp.h>
int main() { scmp_filter_ctx c = seccomp_init(SCMP_ACT_ALLOW); return c == 0 || seccomp_load(c) < 0; }`
	r, err := File(buildC(t, "gcc", text, "-O2", "-lseccomp"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	requireSound(t, r)
	has := names(r)
	for name, want := range map[string]bool{"seccomp": true, "prctl": true, "ptrace": false, "execve": false, "socket": false} {
		if has[name] != want {
			t.Errorf("%s: %v, want %v", name, has[name], want)
		}
	}
	if !slices.ContainsFunc(r.Set.Assumptions, func(a string) bool { return strings.Contains(a, "looks up by name") }) {
		t.Errorf("assumed: %q", r.Set.Assumptions)
	}

	const other = `#include <seccomp.h>
#include <unistd.h>
int main(int c, char **v) { return syscall(seccomp_syscall_resolve_name(v[0])); }`
	r, err = File(buildC(t, "gcc", other, "-O2", "-lseccomp"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if r.Set.Sound || len(r.Undetermined) != 1 || r.Undetermined[0].Func != "main" {
		t.Errorf("sound %v, undetermined %v", r.Set.Sound, r.Undetermined)
	}
}
