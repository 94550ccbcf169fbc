package cli

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCapsAfterExec(t *testing.T) {
	sets := map[string]uint64{"Inh": 1 << 21, "Prm": 1<<5 | 1<<21, "Bnd": 1<<5 | 1<<6, "Amb": 1 << 13}
	for _, tt := range []struct {
		name       string
		root, keep bool
		want       []string
	}{
		{"root", true, false, []string{"CAP_KILL", "CAP_SYS_ADMIN"}},
		{"root that keeps privileges", true, true, []string{"CAP_KILL", "CAP_SETGID", "CAP_SYS_ADMIN"}},
		{"others", false, false, []string{"CAP_NET_RAW"}},
		{"others that keep privileges", false, true, []string{"CAP_NET_RAW"}},
	} {
		if diff := cmp.Diff(tt.want, capNames(capsAfterExec(sets, tt.root, tt.keep))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}
