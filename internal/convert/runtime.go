package convert

import (
	"fmt"
	"strings"
)

// A Runtime is who makes the filter of a container profile, by libseccomp all of
// them. They agree but for what they add.
type Runtime uint8

const (
	// Runc answers ENOSYS for numbers above every one that the profile names, where
	// its default denies: C libraries fall back to older calls then. So do Docker,
	// containerd and Kubernetes, by default.
	Runc   Runtime = iota
	Crun           // adds nothing
	Kernel         // nobody: the profile alone, as the kernel would get it
)

var runtimeNames = [...]string{"runc", "crun", "kernel"}

// String returns the name, as --runtime takes it.
func (r Runtime) String() string { return runtimeNames[r] }

// Runtimes returns the names of all runtimes.
func Runtimes() []string { return runtimeNames[:] }

// ParseRuntime returns the runtime with a name.
func ParseRuntime(name string) (Runtime, error) {
	for i, n := range runtimeNames {
		if n == name {
			return Runtime(i), nil
		}
	}
	return 0, fmt.Errorf("unknown runtime %q: %s", name, strings.Join(runtimeNames[:], ", "))
}
