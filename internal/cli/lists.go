package cli

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sysgate/sysgate/internal/refine"
)

// listFlags are --allow and --deny and the files that hold such lists.
type listFlags struct {
	allow, allowFiles []string
	deny, denyFiles   []string
}

func (f *listFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	// Arrays, not slices: the list's own syntax has the commas.
	flags.StringArrayVar(&f.deny, "deny", nil, "deny the system calls and sets in `LIST`: NAME, @SET or NAME:ACTION, separated by commas")
	flags.StringArrayVar(&f.denyFiles, "deny-file", nil, "deny those listed in `FILE`; # starts a comment")
	flags.StringArrayVar(&f.allow, "allow", nil, "allow the system calls and sets in `LIST`")
	flags.StringArrayVar(&f.allowFiles, "allow-file", nil, "allow those listed in `FILE`")
}

// lists returns what the flags name.
func (f *listFlags) lists() (allow, deny []refine.Item, err error) {
	if allow, err = readLists("--allow", f.allow, f.allowFiles); err != nil {
		return nil, nil, err
	}
	deny, err = readLists("--deny", f.deny, f.denyFiles)
	return allow, deny, err
}

func readLists(flag string, lists, files []string) ([]refine.Item, error) {
	var items []refine.Item
	for _, list := range lists {
		more, err := refine.ParseList(flag, list)
		if err != nil {
			return nil, err
		}
		items = append(items, more...)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("%s-file: %w", flag, err)
		}
		more, err := refine.ParseList(file, string(data))
		if err != nil {
			return nil, err
		}
		items = append(items, more...)
	}
	return items, nil
}

// elsewhere says how many listed names mean nothing here.
func (e *env) elsewhere(names []string) {
	if len(names) == 0 {
		return
	}
	slices.Sort(names)
	e.infof("%s in the lists that other ABIs have, not this machine's", count(len(names), "name"))
	e.detailf("not on this machine: %s", strings.Join(names, ", "))
}

// count returns "1 name", "2 names".
func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}
