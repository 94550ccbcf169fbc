package profile

import (
	"slices"
	"strings"
	"testing"
)

// TestMakesCode checks that it is said where a program makes memory executable, and
// of no other program.
func TestMakesCode(t *testing.T) {
	for _, on := range targets {
		if on.long {
			continue
		}
		t.Run(on.name, func(t *testing.T) {
			r := mustProfile(t, build(t, "./testdata/adversary", on.env, "-buildmode="+on.mode))
			if len(r.MakesCode) != 1 || !strings.HasPrefix(r.MakesCode[0], "main.main (adversary/main.go:") {
				t.Errorf("in %q", r.MakesCode)
			}
			if !slices.ContainsFunc(r.Set.Assumptions, func(a string) bool {
				return strings.HasPrefix(a, "the machine code that it makes") && strings.HasSuffix(a, r.MakesCode[0])
			}) {
				t.Errorf("assumed: %q", r.Set.Assumptions)
			}
			r = mustProfile(t, build(t, "./testdata/files", on.env, "-buildmode="+on.mode))
			if len(r.MakesCode) > 0 {
				t.Errorf("files: in %q", r.MakesCode)
			}
		})
	}
}
