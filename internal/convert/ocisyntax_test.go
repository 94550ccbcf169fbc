package convert

import (
	"errors"
	"strings"
	"testing"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
)

// A profile that is no JSON, or that runtimes read in different ways, is known to be a
// profile, and the mistake has its place and a hint.
func TestBrokenProfiles(t *testing.T) {
	for _, tt := range []struct{ name, text, want, hint string }{
		{"byte order mark", "\ufeff{\"defaultAction\": \"SCMP_ACT_ERRNO\"}", "x:1:1: not JSON", "byte order mark"},
		{"comment", "// mine\n{\"defaultAction\": \"SCMP_ACT_ERRNO\"}", "x:1:1: not JSON", "no comments"},
		{"comma", "{\"defaultAction\": \"SCMP_ACT_ERRNO\",\n\"syscalls\": [{\"names\": [\"read\"], \"action\": \"SCMP_ACT_ALLOW\"},\n]}", "x:3:1: not JSON", "no comma"},
		{"cut off", "{\"defaultAction\": \"SCMP_ACT_ERRNO\",\n\"syscalls\": [", "x:2:14: not JSON: unexpected end", ""},
		{"other letters", "{\"DefaultAction\": \"SCMP_ACT_ERRNO\"}", "x:1:2: field \"DefaultAction\"", "write defaultAction"},
		{"other letters of an entry", "{\"defaultAction\": \"SCMP_ACT_ERRNO\", \"syscalls\": [\n{\"names\": [\"read\"], \"action\": \"SCMP_ACT_ALLOW\",\n\"Args\": [{\"index\": 0, \"value\": 1, \"op\": \"SCMP_CMP_EQ\"}]}]}", "x:3:1: field \"Args\": some runtimes take it for args", "write args"},
		{"twice", "{\"defaultAction\": \"SCMP_ACT_ERRNO\", \"defaultAction\": \"SCMP_ACT_ALLOW\"}", "x:1:37: field \"defaultAction\" stands twice", "take one out"},
		{"negative", "{\"defaultAction\": \"SCMP_ACT_ERRNO\", \"syscalls\": [{\"names\": [\"read\"], \"action\": \"SCMP_ACT_ALLOW\", \"args\": [\n{\"index\": 0, \"value\": -1, \"op\": \"SCMP_CMP_EQ\"}]}]}", "x:2:23: value: want a number", "18446744073709551615"},
		{"operator", "{\"defaultAction\": \"SCMP_ACT_ERRNO\", \"syscalls\": [{\"names\": [\"read\"], \"action\": \"SCMP_ACT_ALLOW\", \"args\": [\n{\"index\": 0, \"value\": 1, \"op\": \"SCMP_CMP_EQL\"}]}]}", "x:2:32: unknown operator", "did you mean SCMP_CMP_EQ?"},
		{"architecture", "{\"defaultAction\": \"SCMP_ACT_ERRNO\", \"architectures\": [\"SCMP_ARCH_X86_46\"]}", "x:1:55: unknown architecture", "did you mean SCMP_ARCH_X86_64?"},
	} {
		f, ok := Detect("x", []byte(tt.text))
		if !ok || f.Name != "oci" {
			if tt.name != "other letters" { // which json takes for the field
				t.Errorf("%s: found to be %q", tt.name, f.Name)
			}
			f = format(t, "oci")
		}
		_, _, err := f.Read("x", []byte(tt.text), Options{Native: abi.AMD64})
		var positioned *policy.Error
		if !errors.As(err, &positioned) {
			var all policy.Errors
			if !errors.As(err, &all) {
				t.Errorf("%s: %v", tt.name, err)
				continue
			}
			positioned = all[0]
		}
		if got := positioned.Pos.String() + ": " + positioned.Msg; !strings.HasPrefix(got, tt.want) || !strings.Contains(positioned.Hint, tt.hint) {
			t.Errorf("%s: %s (%s)", tt.name, got, positioned.Hint)
		}
	}
}
