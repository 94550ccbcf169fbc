package gate

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/proof"
	"github.com/sysgate/sysgate/policy"
)

// What a comparison with a policy says of each call is what the policy decides: a
// call that is in no list is let through whatever its arguments, one that is denied
// never, and one that is partly there has arguments of both kinds.
func TestRandomPolicy(t *testing.T) {
	calls := []string{"read", "write", "socket", "ioctl", "execve", "fcntl", "mmap", "nr:900"}
	patterns := []string{"", "", "(arg0 == 1)", "(arg0 & 3 == 1)", "(arg1 in {1, 2})", "(arg0 != 1, arg1 == 2)"}
	rapid.Check(t, func(t *rapid.T) {
		var text strings.Builder
		actions := []string{"allow", "errno(EPERM)", "log", "kill_process"}
		fmt.Fprintf(&text, "version: 1\ndefault_action: %s\nsyscalls:\n", rapid.SampledFrom(actions).Draw(t, "default"))
		for range rapid.IntRange(1, 6).Draw(t, "rules") {
			call := rapid.SampledFrom(calls).Draw(t, "call") + rapid.SampledFrom(patterns).Draw(t, "pattern")
			fmt.Fprintf(&text, "- action: %s\n  calls: [%q]\n", rapid.SampledFrom(actions).Draw(t, "action"), call)
		}
		p, err := policy.Parse("random", []byte(text.String()))
		if err != nil {
			t.Skip(err) // a pattern that means nothing for the call
		}
		r, _, err := p.Resolve(policy.Options{Native: abi.AMD64})
		if err != nil {
			t.Skip(err)
		}
		s := proof.NewSpace(proof.Budget{})
		f, err := s.Policy(r)
		if err != nil {
			t.Fatal(err)
		}
		side, err := Policy(s, "random", f, []abi.ABI{abi.AMD64})
		if err != nil {
			t.Fatal(err)
		}
		numbers := []uint32{0, 1, 9, 16, 41, 59, 72, 900}
		var b program
		for _, nr := range numbers {
			b.calls = append(b.calls, call{nr: int(nr)})
		}
		now, err := Programs(s, "program", false, b.profiledBy(t))
		if err != nil {
			t.Fatal(err)
		}
		report, err := Compare(s, side, now, Options{})
		if err != nil {
			t.Fatal(err)
		}
		verdicts := map[uint32]string{}
		for _, f := range report.New {
			verdicts[f.NR] = "denied"
		}
		for _, f := range report.Partly {
			verdicts[f.NR] = "partly"
		}
		for _, nr := range numbers {
			var yes, no int
			for a0 := range uint64(8) {
				for a1 := range uint64(4) {
					c := abi.Call{NR: nr, Arch: abi.AMD64.AuditArch(), Args: [6]uint64{a0, a1}}
					if Lets(r.Eval(c).Action) {
						yes++
					} else {
						no++
					}
				}
			}
			want := "partly"
			switch {
			case no == 0:
				want = ""
			case yes == 0:
				want = "denied"
			}
			if verdicts[nr] != want {
				t.Fatalf("%s\nnumber %d: %q, and Eval lets %d through and stops %d", text.String(), nr, verdicts[nr], yes, no)
			}
		}
	})
}
