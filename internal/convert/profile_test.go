package convert

import (
	"strings"
	"testing"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
)

func TestSavedProfile(t *testing.T) {
	const amd64 = `{"schema": "sysgate/profile/1", "file": "a", "abi": "amd64", "sources": ["a"], "sound": true, "calls": [
		{"name": "read", "nr": 0, "class": "certain", "evidence": "main.main"},
		{"name": "restart_syscall", "nr": 219, "class": "implicit", "evidence": "the kernel"},
		{"nr": 900, "class": "certain", "evidence": "main.main"}]}`
	i386 := strings.NewReplacer("amd64", "386", `"sound": true`, `"sound": false`).Replace(amd64)
	for name, test := range map[string]struct {
		text       string
		allow      []string
		deny       []string
		incomplete bool
	}{
		"one":            {"[" + amd64 + "]", []string{"read", "restart_syscall", "nr:900"}, []string{"write", "386:read"}, false},
		"the same twice": {"[" + amd64 + "," + amd64 + "]", []string{"read"}, []string{"write"}, false},
		"of two ABIs":    {amd64 + "\n[" + i386 + "]", []string{"read", "386:restart_syscall", "nr:900", "386:nr:900"}, []string{"386:read", "write"}, true},
	} {
		f, ok := Detect("x.json", []byte(test.text))
		if !ok || f.Name != "profile" {
			t.Errorf("%s: taken for %q", name, f.Name)
			continue
		}
		p, losses, err := f.Read("x.json", []byte(test.text), Options{})
		if err != nil || len(losses) > 0 || p.Incomplete != test.incomplete {
			t.Errorf("%s: %v, losses %v, incomplete %v", name, err, losses, p.Incomplete)
			continue
		}
		text := string(p.Format())
		if !strings.Contains(text, "restart_syscall # implicit: the kernel") && !strings.Contains(text, `restart_syscall" # implicit: the kernel`) {
			t.Errorf("%s: without its reasons:\n%s", name, text)
		}
		r, _, err := p.Resolve(policy.Options{Native: abi.AMD64})
		if err != nil {
			t.Fatal(err)
		}
		for allowed, calls := range map[bool][]string{true: test.allow, false: test.deny} {
			for _, call := range calls {
				// Numbers are not those of amd64 on 386, of which 0 is restart_syscall.
				call = strings.Replace(call, "386:restart_syscall", "386:nr:0", 1)
				c, err := policy.ParseCall(call, abi.AMD64)
				if err != nil {
					t.Fatal(err)
				}
				if got := r.Eval(c).Action; (got == abi.Allow) != allowed {
					t.Errorf("%s: %s gets %v", name, call, got)
				}
			}
		}
	}
	for text, want := range map[string]string{
		"[]":                                    "of no program",
		amd64 + "]":                             "invalid character",
		strings.Replace(amd64, "e/1", "e/9", 1): `schema "sysgate/profile/9"`,
		strings.Replace(amd64, "amd64", "vax", 1):         `ABI "vax"`,
		strings.Replace(amd64, `"nr": 0`, `"nr": "x"`, 1): "cannot unmarshal",
	} {
		if _, _, err := formatProfile.Read("x.json", []byte(text), Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40s: %v, want %q", text, err, want)
		}
	}
}
