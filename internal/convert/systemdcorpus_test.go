package convert

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
)

// The units that Debian ships survive being read and written, as drop-ins for every
// call and as container profiles for every call that has a name.
func TestInstalledUnits(t *testing.T) {
	files, err := filepath.Glob("/lib/systemd/system/*.service")
	if err != nil || len(files) == 0 {
		t.Skip("no units are installed")
	}
	units, equal, oci := 0, 0, 0
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			continue // a link to nothing
		}
		p, _, err := readSystemd(file, data, Options{Native: abi.AMD64})
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		if len(p.Rules) == 0 && p.Default.Kind == abi.Allow {
			continue // says nothing about system calls
		}
		units++
		e, err := Export(format(t, "systemd"), p, Options{Native: abi.AMD64})
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, r := range e.Different {
			t.Errorf("%s: %s: %v became %v\n%s", file, policy.FormatCall(r.Witness), r.A, r.B, e.Data)
		}
		if len(e.Different) == 0 {
			equal++
		}
		if strings.Count(string(e.Data), "\n") > 40 {
			t.Errorf("%s is written as\n%s", file, e.Data)
		}
		if e, err = Export(format(t, "oci"), p, Options{Native: abi.AMD64}); err != nil {
			t.Errorf("%s: %v", file, err)
		} else if len(e.Named()) == 0 {
			oci++
		}
	}
	if units == 0 {
		t.Skip("no installed unit says anything about system calls")
	}
	t.Logf("%d units with filters: %d equal as drop-ins, %d equal as container profiles for every call with a name", units, equal, oci)
}
