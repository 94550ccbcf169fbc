package cli

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/observe"
	"github.com/sysgate/sysgate/internal/profile"
)

type whyFlags struct {
	libraries      libraryFlags
	image          imageFlags
	all, json, dot bool
	file           string
}

func newWhyCmd(e *env) *cobra.Command {
	var f whyFlags
	cmd := &cobra.Command{
		Use:   "why NAME[,NAME…] BINARY",
		Short: "Print the shortest path from an entry point to a system call",
		Long: `Print the shortest path from an entry point of a program to the instruction that
makes a system call: one function a line, how the one before leads to it, where it
goes on from there, and the module that brought it where that is neither the
program's own nor Go's. The last line says which module brings the call: the one
nearest to it that is not Go's own.

  entry             where the path starts
  call              a direct call or jump
  inlined call      the same, of a function that the compiler put into its caller
  function value    the function's address is taken
  interface method  the table of an interface leads there
  type method       a type whose methods reflection can call
  data              a variable leads there
  passes number     hands the call before the number

--all prints every place that makes the call or hands a wrapper its number, each
with the shortest path there. BINARY can be a profile saved by "sysgate profile
--json", but with --all it has to be the program; or a container image, of whose programs
those that make the call are shown. A name is one of the program's own
ABI, or nr:N for a number.

The exit code is 3 if the program cannot make one of the calls.`,
		Example: `  sysgate why execve ./server
  sysgate why execve,ptrace ./server
  sysgate why --all openat ./server
  sysgate why --dot mount "$(go env GOROOT)/bin/go" | dot -Tsvg > why.svg`,
		Args: usageArgs(cobra.ExactArgs(2)),
		RunE: func(_ *cobra.Command, args []string) error { return e.why(&f, strings.Split(args[0], ","), args[1]) },
		ValidArgsFunction: func(_ *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveDefault
			}
			return completeCalls(toComplete), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
		},
	}
	outputFlag(cmd, &f.file)
	f.libraries.add(cmd)
	f.libraries.addPhase(cmd)
	f.image.add(cmd)
	cmd.Flags().BoolVar(&f.all, "all", false, "every way to the call, not only the shortest")
	cmd.Flags().BoolVar(&f.json, "json", false, "print JSON")
	cmd.Flags().BoolVar(&f.dot, "dot", false, "print a graph for Graphviz")
	return cmd
}

// completeCalls returns the names of calls that end a list with commas.
func completeCalls(list string) []string {
	before := list[:strings.LastIndexByte(list, ',')+1]
	var all []string
	for _, name := range abi.Native().Syscalls() {
		all = append(all, before+name)
	}
	return all
}

// A whyCall is one that was asked about.
type whyCall struct {
	asked  string // as it was written
	call   observe.Call
	made   bool // by the program
	chains [][]profile.Step
	more   bool // chains than there are here
}

func (e *env) why(f *whyFlags, names []string, file string) error {
	if f.json && f.dot {
		return usageError(errors.New("--json and --dot exclude each other"))
	}
	for _, name := range names {
		if _, numbered := numberOf(name); !numbered && !abi.Known(name) {
			return unknownCall(abi.Native(), name)
		}
	}
	o, err := f.libraries.options(profile.Options{})
	if err != nil {
		return err
	}
	if f.all {
		for _, name := range names {
			o.Every = append(o.Every, strings.TrimPrefix(name, "nr:"))
		}
	}
	programs, saved, err := e.openProfiles(file, o, f.image)
	switch {
	case err != nil:
		return err
	case saved && f.all:
		return usageError(withHint(fmt.Errorf("%s is a saved profile: it has one path a call", file), "give the program itself, or leave out --all"))
	}
	answers, err := ask(programs, names, f.all)
	if err != nil {
		return err
	}
	if err := e.output(f.file, func(w io.Writer) error { return f.write(w, answers) }); err != nil {
		return err
	}
	return whyNot(file, answers)
}

// An askedProgram is one with what there is to say of the calls that were asked about.
type askedProgram struct {
	*profile.Result
	calls []whyCall
}

// ask looks the calls of that name up in each program.
func ask(programs []*profile.Result, names []string, all bool) ([]askedProgram, error) {
	answers := make([]askedProgram, len(programs))
	for _, name := range names {
		unknown := 0
		for i, r := range programs {
			x, err := lookUp(r, name)
			if err != nil { // of another ABI's programs, maybe
				if unknown++; unknown == len(programs) {
					return nil, err
				}
				x = whyCall{asked: name}
			} else {
				x.collect(r, all)
			}
			answers[i].Result, answers[i].calls = r, append(answers[i].calls, x)
		}
	}
	return answers, nil
}

// write writes the answers: of several programs those that make one of the calls, each
// behind its name; as JSON, all of them, one after the other.
func (f *whyFlags) write(w io.Writer, answers []askedProgram) error {
	switch {
	case f.dot:
		var all []whyCall
		for _, a := range answers {
			all = append(all, a.calls...)
		}
		return writeWhyDot(w, all)
	case f.json:
		for _, a := range answers {
			if err := writeWhyJSON(w, a.Result, a.calls); err != nil {
				return err
			}
		}
		return nil
	}
	shown := 0
	for _, a := range answers {
		if len(answers) > 1 {
			if !slices.ContainsFunc(a.calls, func(x whyCall) bool { return x.made }) {
				continue
			}
			if shown++; shown > 1 {
				fmt.Fprintln(w)
			}
			if _, err := fmt.Fprintf(w, "%s:\n", a.File); err != nil {
				return err
			}
		}
		if err := writeWhy(w, a.Result, a.calls); err != nil {
			return err
		}
	}
	return nil
}

// lookUp finds the call of r that a name means: its own name, an alias or a
// number.
func lookUp(r *profile.Result, asked string) (whyCall, error) {
	on := r.Set.ABI
	nr, numbered := numberOf(asked)
	if !numbered {
		var ok bool
		if nr, ok = on.Lookup(asked); !ok {
			mux, _, ok := on.Multiplexed(asked)
			if !ok {
				return whyCall{}, unknownCall(on, asked)
			}
			// The call travels inside another.
			return whyCall{asked: asked, call: observe.Call{NR: mux, Name: asked, Class: observe.Certain}}, nil
		}
	}
	x := whyCall{asked: asked, call: observe.Call{NR: nr, Name: on.SyscallName(nr)}}
	if i := slices.IndexFunc(r.Set.Calls, func(c observe.Call) bool { return c.NR == nr }); i >= 0 {
		x.call, x.made = r.Set.Calls[i], true
	}
	return x, nil
}

// numberOf reads nr:N.
func numberOf(name string) (uint32, bool) {
	digits, ok := strings.CutPrefix(name, "nr:")
	n, err := strconv.ParseUint(digits, 0, 32)
	return uint32(n), ok && err == nil
}

// key is what a profile keeps the call's paths under.
func (x *whyCall) key() string {
	if x.call.Name == "" {
		return strconv.FormatUint(uint64(x.call.NR), 10)
	}
	return x.call.Name
}

// collect takes the paths from r.
func (x *whyCall) collect(r *profile.Result, all bool) {
	if all {
		x.chains, x.more = r.Chains(x.key())
	}
	if steps := r.Path(x.key()); len(x.chains) == 0 && len(steps) > 0 {
		x.chains = [][]profile.Step{steps}
	}
	x.made = x.made || len(x.chains) > 0
}

// whyNot says which of the calls no program makes.
func whyNot(file string, answers []askedProgram) error {
	var missing []error
	for i, x := range answers[0].calls {
		if slices.ContainsFunc(answers, func(a askedProgram) bool { return a.calls[i].made }) {
			continue
		}
		of := answers[0]
		for _, a := range answers {
			if !a.Set.Sound {
				of = a // that may make it
			}
		}
		missing = append(missing, notCalled(of.Result, file, x))
	}
	if len(missing) == 0 {
		return nil
	}
	return findingsError(errors.Join(missing...))
}

// notCalled says that the program does not make a call, or which call of it may
// do the same.
func notCalled(r *profile.Result, file string, x whyCall) error {
	mux, _, ok := r.Set.ABI.Multiplexed(x.asked)
	switch {
	case ok && r.OtherSockets && slices.ContainsFunc(r.Set.Calls, func(c observe.Call) bool { return c.NR == mux }):
		through := r.Set.ABI.SyscallName(mux)
		err := fmt.Errorf("%s does not call %s by its own number, but can do the same through %s", file, x.asked, through)
		return withHint(err, "sysgate why %s %s", through, file)
	case !r.Set.Sound:
		err := fmt.Errorf("%s: no call of %s found, but %s unresolved", file, x.asked, count(len(r.Undetermined), "site"))
		return withHint(err, "sysgate profile %s lists them", file)
	}
	return fmt.Errorf("%s cannot call %s", file, x.asked)
}
