package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/convert"
	"github.com/sysgate/sysgate/policy"
)

func newSetsCmd(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "sets [NAME…]",
		Short: "List the named sets, or the members of some",
		Long: `List the named sets of system calls, or the members of some, one a line.

A set never changes its members under the same version of the policy language.
Members of @pledge, @purpose and @docker sets can have conditions; under names in a policy,
such a set stands for its patterns. Firejail's sets are those of the installed
Firejail, on amd64; a policy cannot name them.`,
		Example: `  sysgate sets
  sysgate sets show @systemd/network-io
  sysgate sets which openat
  sysgate sets diff @systemd/clock @firejail/clock`,
		ValidArgsFunction: completeSets,
		RunE:              func(_ *cobra.Command, args []string) error { return e.sets(args) },
	}
	cmd.AddCommand(
		&cobra.Command{
			Use:     "list",
			Short:   "List the named sets, with what is in them",
			Example: `  sysgate sets list`,
			Args:    usageArgs(cobra.NoArgs),
			RunE:    func(*cobra.Command, []string) error { return e.listSets() },
		},
		&cobra.Command{
			Use:               "show NAME…",
			Short:             "List the members of sets, one a line",
			Example:           `  sysgate sets show @pledge/stdio`,
			Args:              usageArgs(cobra.MinimumNArgs(1)),
			ValidArgsFunction: completeSets,
			RunE:              func(_ *cobra.Command, args []string) error { return e.sets(args) },
		},
		&cobra.Command{
			Use:     "which CALL",
			Short:   "List the sets that hold a system call",
			Example: `  sysgate sets which openat`,
			Args:    usageArgs(cobra.ExactArgs(1)),
			ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
				return callNames(), cobra.ShellCompDirectiveNoFileComp
			},
			RunE: func(_ *cobra.Command, args []string) error { return e.setsWith(args[0]) },
		},
		&cobra.Command{
			Use:   "diff A B",
			Short: "Compare two sets",
			Long: `Compare two sets: members of the first alone start with -, of the second alone
with +. Ends with 3 if there are any.`,
			Example:           `  sysgate sets diff @systemd/clock @firejail/clock`,
			Args:              usageArgs(cobra.ExactArgs(2)),
			ValidArgsFunction: completeSets,
			RunE:              func(_ *cobra.Command, args []string) error { return e.diffSets(args[0], args[1]) },
		},
	)
	return cmd
}

func completeSets(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return allSets(), cobra.ShellCompDirectiveNoFileComp
}

const firejailPrefix = "@firejail/"

// allSets returns the names of all sets, those with conditions and those of an
// installed Firejail too.
func allSets() []string {
	names := append(policy.SetNames(), policy.PatternSetNames()...)
	for _, group := range convert.FirejailGroups() {
		names = append(names, firejailPrefix+group[1:])
	}
	slices.Sort(names)
	return names
}

// membersOf returns the members of a set as they stand in a policy.
func membersOf(name string) ([]string, error) {
	if group, ok := strings.CutPrefix(name, firejailPrefix); ok {
		numbers, err := convert.FirejailGroup(abi.AMD64, "@"+group)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		var members []string
		for _, nr := range numbers {
			members = append(members, abi.AMD64.SyscallName(nr))
		}
		slices.Sort(members)
		return members, nil
	}
	patterns, ok := policy.SetPatterns(name)
	if !ok {
		err := fmt.Errorf("unknown set %q", name)
		if near := similarSets(name); len(near) > 0 {
			return nil, withHint(err, "did you mean %s?", strings.Join(near, " or "))
		}
		return nil, withHint(err, "sysgate sets")
	}
	members := make([]string, len(patterns))
	for i, p := range patterns {
		members[i] = p.String()
	}
	return members, nil
}

// similarSets returns the sets of which a name may be a slip: those with this last
// part, or else those that few letters are between.
func similarSets(name string) []string {
	var same, near []string
	for _, set := range allSets() {
		_, last, _ := strings.Cut(set, "/")
		switch bare := strings.TrimPrefix(name, "@"); {
		case bare == set[1:], bare == last:
			same = append(same, set)
		case abi.Edits(bare, set[1:]) <= 2, len(bare) > 3 && abi.Edits(bare, last) == 1:
			near = append(near, set)
		}
	}
	if len(same) > 0 {
		return same
	}
	return near
}

func (e *env) sets(names []string) error {
	lines := allSets()
	if len(names) > 0 {
		lines = nil
	}
	for _, name := range names {
		members, err := membersOf(name)
		if err != nil {
			return err
		}
		lines = append(lines, members...)
	}
	for _, line := range lines {
		if _, err := fmt.Fprintln(e.stdout, line); err != nil {
			return err
		}
	}
	return nil
}

func (e *env) listSets() error {
	return e.output("-", func(w io.Writer) error {
		for _, name := range allSets() {
			description := policy.SetDescription(name)
			if strings.HasPrefix(name, firejailPrefix) {
				description = "of the installed Firejail"
			}
			if _, err := fmt.Fprintf(w, "%-24s %s\n", name, description); err != nil {
				return err
			}
		}
		return nil
	})
}

// setsWith lists the sets that hold a call, with its conditions where they ask for
// some.
func (e *env) setsWith(call string) error {
	if !abi.Known(call) {
		err := fmt.Errorf("unknown system call %q", call)
		if near := abi.Suggest(call); near != "" {
			return withHint(err, "did you mean %q?", near)
		}
		return err
	}
	memberships, err := setsHolding(allSets(), call)
	if err != nil {
		return err
	}
	for _, m := range memberships {
		line := m.set
		if m.member != call {
			line += "\t" + m.member
		}
		if _, err := fmt.Fprintln(e.stdout, line); err != nil {
			return err
		}
	}
	return nil
}

// A membership is a member of a set: a call, or one with conditions.
type membership struct{ set, member string }

// setsHolding returns the memberships of a call in the sets.
func setsHolding(sets []string, call string) ([]membership, error) {
	var all []membership
	for _, name := range sets {
		members, err := membersOf(name)
		if err != nil {
			return nil, err
		}
		for _, m := range members {
			if bare, _, _ := strings.Cut(m, "("); bare == call {
				all = append(all, membership{name, m})
			}
		}
	}
	return all, nil
}

func (e *env) diffSets(a, b string) error {
	first, err := membersOf(a)
	if err != nil {
		return err
	}
	second, err := membersOf(b)
	if err != nil {
		return err
	}
	var lines []string
	for _, side := range []struct {
		mark           string
		members, other []string
	}{{"-", first, second}, {"+", second, first}} {
		for _, m := range side.members {
			if !slices.Contains(side.other, m) {
				lines = append(lines, side.mark+m)
			}
		}
	}
	for _, line := range lines {
		if _, err := fmt.Fprintln(e.stdout, line); err != nil {
			return err
		}
	}
	if len(lines) > 0 {
		return quietError(exitFindings)
	}
	return nil
}
