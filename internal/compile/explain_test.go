package compile

import (
	"slices"
	"strings"
	"testing"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/figures"
)

// TestExplain sees that an explanation is of the program that Compile makes, has
// every pass, and is the same each time.
func TestExplain(t *testing.T) {
	p, err := figures.Read(policies, "P4")
	if err != nil {
		t.Fatal(err)
	}
	r, err := p.Resolve(false, abi.AMD64, abi.I386)
	if err != nil {
		t.Fatal(err)
	}
	phases, program, err := Explain(r, Options{})
	if err != nil {
		t.Fatal(err)
	}
	want, err := Compile(r, Options{})
	if err != nil || !slices.Equal(program, want) {
		t.Errorf("the explained program is another one (%v)", err)
	}
	again, _, err := Explain(r, Options{})
	if err != nil || !slices.Equal(phases, again) {
		t.Errorf("explained again, it is another text (%v)", err)
	}
	if len(phases) != len(passes) {
		t.Fatalf("%d phases of %d passes", len(phases), len(passes))
	}
	for i, says := range map[string]string{
		"check":    "amd64: default: errno(EPERM), unknown numbers: errno(EPERM)\n",
		"split":    "amd64 72 fcntl                     rule 23, else rule 24",
		"weigh":    "%  rule 23, else rule 24",
		"decide":   "args[1].lo >= 1033 ?",
		"fold":     "386 ",
		"dispatch": "arch == 0xc000003e ?",
		"layout":   "ld args[0].lo",
	} {
		at := slices.IndexFunc(phases, func(p Phase) bool { return p.Name == i })
		if at < 0 || !strings.Contains(phases[at].Text, says) {
			t.Errorf("phase %s does not say %q:\n%s", i, says, phases[max(at, 0)].Text)
		}
		if strings.Contains(phases[max(at, 0)].Text, "%!") {
			t.Errorf("phase %s has a broken format", i)
		}
	}
}
