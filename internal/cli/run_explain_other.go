//go:build !linux

package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sysgate/sysgate/internal/launch"
	"github.com/sysgate/sysgate/policy"
)

// newGuardCmd returns a command that is never started: see [env.explain].
func newGuardCmd() *cobra.Command { return &cobra.Command{Use: guardCommand, Hidden: true} }

// explain fails: there is no program to explain.
func (e *env) explain(*runFlags, *policy.Policy, *policy.Resolved, policy.Options, *launch.Prepared) error {
	return fmt.Errorf("--mode explain: %w", errors.ErrUnsupported)
}
