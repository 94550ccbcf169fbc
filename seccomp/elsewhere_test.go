package seccomp_test

import (
	"testing"

	"github.com/sysgate/sysgate/internal/testkit"
)

// Off Linux nothing succeeds in silence.
func TestElsewhere(t *testing.T) {
	if out := testkit.RunElsewhere(t, "./testdata/elsewhere"); out != "ok: js, errno(13)\n" {
		t.Error(out)
	}
}
