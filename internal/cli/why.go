package cli

import (
	"fmt"
	"io"
	"path"
	"slices"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/observe"
	"github.com/sysgate/sysgate/internal/profile"
)

func newWhyCmd(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "why NAME BINARY",
		Short: "Print the shortest path from an entry point to a system call",
		Long: `Print the shortest path from an entry point of a Go program to the instruction
that makes a system call: one function a line, how the one before leads to it,
and where it goes on from there.

The exit code is 3 if the program cannot make the call.`,
		Example: `  sysgate why execve ./server
  sysgate why ptrace "$(go env GOROOT)/bin/go"`,
		Args: usageArgs(cobra.ExactArgs(2)),
		RunE: func(_ *cobra.Command, args []string) error {
			nr, ok := abi.AMD64.Lookup(args[0])
			if !ok {
				return unknownCall(abi.AMD64, args[0])
			}
			name := abi.AMD64.SyscallName(nr)
			r, err := profile.File(args[1], profile.Options{})
			if err != nil {
				return err
			}
			i := slices.IndexFunc(r.Set.Calls, func(c observe.Call) bool { return c.Name == name })
			if i < 0 {
				return notCalled(args[1], name, r)
			}
			return printPath(e.stdout, r.Set.Calls[i], r.Path(name))
		},
	}
}

func notCalled(file, name string, r *profile.Result) error {
	if !r.Set.Sound {
		return findingsError(fmt.Errorf("%s: no call of %s found, but %s unresolved", file, name, count(len(r.Undetermined), "site")))
	}
	return findingsError(fmt.Errorf("%s cannot call %s", file, name))
}

func printPath(w io.Writer, call observe.Call, steps []profile.Step) error {
	if len(steps) == 0 {
		_, err := fmt.Fprintf(w, "%s: %s\n", call.Class, call.Evidence)
		return err
	}
	if steps[0].Edge == profile.EdgeKept {
		fmt.Fprintf(w, "%s, %s\n", steps[0].Func, steps[0].Edge)
	} else {
		fmt.Fprintf(w, "reachable from %s, %s\n", steps[0].Func, count(len(steps)-1, "step"))
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for i, step := range steps {
		how := string(step.Edge)
		if i == len(steps)-1 {
			how = fmt.Sprintf("nr %d", call.NR)
		}
		where := ""
		if step.File != "" {
			dir, file := path.Split(step.File)
			where = fmt.Sprintf("%s:%d", path.Join(path.Base(dir), file), step.Line)
		}
		fmt.Fprintf(table, "  %s\t%s\t%s\n", step.Func, how, where)
	}
	return table.Flush()
}
