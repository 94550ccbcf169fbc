package sysgate_test

import (
	"strings"
	"testing"

	"github.com/sysgate/sysgate/internal/testkit"
)

// TestElsewhere runs testdata/elsewhere, which asks for filters, on a system that is
// not Linux.
func TestElsewhere(t *testing.T) {
	if out := testkit.RunElsewhere(t, "./testdata/elsewhere"); strings.TrimSpace(out) != "ok: js" {
		t.Error(out)
	}
}
