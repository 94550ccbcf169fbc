package cli

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sysgate/sysgate/internal/launch"
	"github.com/sysgate/sysgate/policy"
)

func TestExitCodes(t *testing.T) {
	plain := errors.New("plain")
	for _, tt := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{plain, 1},
		{usageError(plain), 2},
		{withHint(usageError(plain), "hint"), 2},
		{findingsError(plain), 3},
		{quietError(42), 42},
		{launchError(nil), 0},
		{launchError(plain), 125},
		{launchError(usageError(plain)), 125},
		{launchError(fmt.Errorf("x: %w", launch.ErrNotFound)), 127},
		{launchError(withHint(fmt.Errorf("x: %w", launch.ErrNotExecutable), "hint")), 126},
		{launchError(quietError(7)), 7},
	} {
		if got := exitCode(tt.err); got != tt.want {
			t.Errorf("exitCode(%v) = %d, want %d", tt.err, got, tt.want)
		}
	}
}

func TestHints(t *testing.T) {
	err := errors.Join(
		withHint(withHint(errors.New("a"), "first"), "second"),
		fmt.Errorf("b: %w", &policy.Error{Msg: "c", Hint: "third"}),
	)
	if diff := cmp.Diff([]string{"first", "second", "third"}, hints(err)); diff != "" {
		t.Errorf("hints (-want +got):\n%s", diff)
	}
}
