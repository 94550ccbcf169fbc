package profile

import (
	"testing"

	"github.com/sysgate/sysgate/internal/observe"
)

// TestUnreadOnce checks the calls of os.checkPidfd, which every program has and
// only one that handles processes can make.
func TestUnreadOnce(t *testing.T) {
	needStrace(t)
	for _, on := range targets {
		if on.long {
			continue
		}
		for pkg, want := range map[string]observe.Class{
			"./testdata/hello":    observe.Conditional,
			"./testdata/files":    observe.Conditional,
			"./testdata/children": observe.Certain,
		} {
			t.Run(on.name+"/"+pkg, func(t *testing.T) {
				needEmulator(t, on.abi)
				bin := build(t, pkg, on.env, "-buildmode="+on.mode, stripped)
				class := map[string]observe.Class{}
				for _, c := range mustProfile(t, bin).Set.Calls {
					class[c.Name] = c.Class
				}
				for _, name := range []string{"waitid", "pidfd_open", "pidfd_send_signal"} {
					if class[name] != want {
						t.Errorf("%s is %v, want %v", name, class[name], want)
					}
				}
				for name := range trace(t, on.abi, bin) {
					if c, ok := class[name]; !ok || c == observe.Conditional {
						t.Errorf("%s was made, and is %v", name, c)
					}
				}
			})
		}
	}
}
