package cli

import (
	"fmt"
	"time"

	"github.com/sysgate/sysgate/internal/build"
)

// describe returns the line that says what a filter is and that it was proved.
func describe(f *build.Filter) string {
	return fmt.Sprintf("filter: %s, proved equal to the policy for every call; compiled in %s, proved in %s",
		count(len(f.Program), "instruction"), took(f.CompileTime), took(f.ProofTime))
}

// took returns d as people read it: "0.4 ms", "1.25 s".
func took(d time.Duration) string {
	if d < time.Second {
		return fmt.Sprintf("%.1f ms", d.Seconds()*1000)
	}
	return fmt.Sprintf("%.2f s", d.Seconds())
}
