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
and where it goes on from there. The name is one of the program's own ABI.

The exit code is 3 if the program cannot make the call.`,
		Example: `  sysgate why execve ./server
  sysgate why ptrace "$(go env GOROOT)/bin/go"`,
		Args: usageArgs(cobra.ExactArgs(2)),
		RunE: func(_ *cobra.Command, args []string) error {
			if !abi.Known(args[0]) {
				return unknownCall(abi.Native(), args[0])
			}
			r, err := profile.File(args[1], profile.Options{})
			if err != nil {
				return err
			}
			on := r.Set.ABI
			name := args[0]
			if nr, ok := on.Lookup(name); ok {
				name = on.SyscallName(nr)
			} else if _, _, ok := on.Multiplexed(name); !ok {
				return unknownCall(on, name)
			}
			i := slices.IndexFunc(r.Set.Calls, func(c observe.Call) bool { return c.Name == name })
			if i < 0 {
				return notCalled(e.stdout, args[1], name, r)
			}
			return printPath(e.stdout, r.Set.Calls[i], r.Path(name))
		},
	}
}

// notCalled says that the program does not make a call of this name, or shows
// the way to the one that does the same.
func notCalled(w io.Writer, file, name string, r *profile.Result) error {
	if mux, _, ok := r.Set.ABI.Multiplexed(name); ok && slices.ContainsFunc(r.Set.Calls, func(c observe.Call) bool { return c.NR == mux }) {
		through := r.Set.ABI.SyscallName(mux)
		if steps := r.Path(name); len(steps) > 0 {
			return printPath(w, observe.Call{NR: mux, Name: through}, steps)
		}
		if !r.OtherSockets {
			return findingsError(fmt.Errorf("%s cannot call %s", file, name))
		}
		return withHint(findingsError(fmt.Errorf("%s does not call %s by its own number, but can do the same through %s", file, name, through)), "sysgate why %s %s", through, file)
	}
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
