package convert

import (
	"strings"
	"testing"

	"github.com/sysgate/sysgate/abi"
)

// A text that is too large is refused, and one that is not ends soon, whatever it
// holds.
func TestTooLarge(t *testing.T) {
	for _, unit := range []string{"(", "\n", "a:", "{ ", "x: {", "\\\n", "/*", "~", "read: 1\n", "A = arch\n", "#", "ALLOW {"} {
		for _, size := range []int{maxText - 20, maxText + 1} {
			text := []byte(strings.Repeat(unit, size/len(unit)+1))
			for _, name := range []string{"minijail-c", "minijail-py", "kafel", "snap", "go-source", "seccomp-tools"} {
				f := format(t, name)
				if f.Detect != nil {
					f.Detect("p", text)
				}
				_, _, err := f.Read("p", text, Options{Native: abi.AMD64})
				if err == nil && size > maxText {
					t.Errorf("%s of %d bytes of %q is read", name, len(text), unit)
				}
			}
		}
	}
}
