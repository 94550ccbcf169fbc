package convert

import (
	"testing"

	"github.com/sysgate/sysgate/abi"
)

// What a format writes is told to be in that format, or in none where the format
// has to be named.
func TestDetectWritten(t *testing.T) {
	named := map[string]bool{"sysgate": true, "libbeat": true, "minijail-c": true, "minijail-py": true, "snap": true, "pfc": true}
	// Of these, the formats that they could be are named instead.
	suspected := map[string]string{"minijail-c": "a policy of minijail", "minijail-py": "a policy of minijail", "snap": "a profile for snap-seccomp, or a list of calls", "pfc": "libseccomp's pseudo filter code, which is for people"}
	p := parse(t, "version: 1\nabis: [amd64]\ndefault_action: errno(EPERM)\nsyscalls: [{action: allow, names: [read, write, futex], calls: [ioctl(fd == 3)]}]")
	for _, f := range Formats() {
		if f.Write == nil {
			continue
		}
		e, err := Export(f, p, Options{Native: abi.AMD64})
		if err != nil {
			t.Errorf("%s: %v", f.Name, err)
			continue
		}
		want := f.Name
		if named[f.Name] {
			want = ""
		}
		if got, _ := Detect("p", e.Data); got.Name != want {
			t.Errorf("%s is taken for %q\n%s", f.Name, got.Name, e.Data)
		}
		if what, _ := Suspects(e.Data); want == "" && what != suspected[f.Name] {
			t.Errorf("%s is taken for %q\n%s", f.Name, what, e.Data)
		}
	}
}

// Every format says what it can, has a name of its own, and can be read or
// written.
func TestTable(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range Formats() {
		if seen[f.Name] || f.Name == "" || f.Title == "" || f.Read == nil && f.Write == nil || f.Detect != nil && f.Read == nil {
			t.Errorf("%+v", f)
		}
		seen[f.Name] = true
		if s := f.Says; s.Actions == "" || s.Default == "" || s.Unknown == "" || s.Arguments == "" || s.Order == "" || s.ABIs == "" {
			t.Errorf("%s does not say what it can: %+v", f.Name, s)
		}
	}
}
