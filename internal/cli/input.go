package cli

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/proof"
	"github.com/sysgate/sysgate/internal/source"
)

// inputFlags are the flags of the commands that read policies and filters.
type inputFlags struct {
	abi     string
	typed   bool
	runtime runtimeFlag
}

func (f *inputFlags) add(cmd *cobra.Command) {
	abiFlag(cmd, &f.abi)
	cmd.Flags().BoolVar(&f.typed, "typed", false, "compare the bits that the kernel reads where a container profile's runtime compares all 64")
	f.runtime.add(cmd)
}

// inputHelp says in the help of a command what its inputs can be.
const inputHelp = `An input is a policy (sysgate's or libbeat's form, or another tool's, with its own
runtime's meaning), a raw filter (bytes of either byte order, a C array, base64,
JSON or assembly, as "sysgate compile" writes them), "-" for standard input, "@set" for
the policy that allows a set, or "pid:N" for the filters of a process together
("pid:N/0" for the newest alone; root only). FORMAT:FILE names the format of a file,
which some need: minijail-c:old.policy.`

// readInputs reads the inputs that files name and says what their authors should
// know. One machine can use all of them.
func (e *env) readInputs(f inputFlags, files ...string) ([]*source.Input, error) {
	native, err := parseABI(f.abi)
	if err != nil {
		return nil, err
	}
	if n := len(slices.DeleteFunc(slices.Clone(files), func(f string) bool { return !source.IsStdin(f) })); n > 1 {
		return nil, usageError(errors.New("standard input can be read once"))
	}
	var all []*source.Input
	for _, file := range files {
		in, err := e.readInput(file, source.Options{Native: native, Typed: f.typed, Runtime: f.runtime.Runtime})
		if err != nil {
			return nil, err
		}
		all = append(all, in)
	}
	return all, source.Together(all...)
}

func (e *env) readInput(file string, o source.Options) (*source.Input, error) {
	o.Stdin = e.stdin
	in, err := source.Read(file, o)
	if err != nil {
		return nil, err
	}
	for _, loss := range in.Losses {
		e.warningf("%v", loss)
	}
	e.incomplete(in)
	for _, w := range in.Warnings {
		e.warningf("%v", w)
		if w.Hint != "" {
			e.hintf("%s", w.Hint)
		}
	}
	return in, nil
}

// incomplete warns of a policy that says complete: false.
func (e *env) incomplete(in *source.Input) {
	if in.Policy != nil && in.Policy.Incomplete {
		e.warningf("%s: incomplete: its program makes calls that it does not list", in.Name)
	}
}

// functions returns what each input does with every call, and the ABIs that any
// of them lists.
func functions(s *proof.Space, inputs ...*source.Input) (all []proof.Function, listed []abi.ABI, err error) {
	lists := map[abi.ABI]bool{}
	for _, in := range inputs {
		f, err := in.Function(s)
		if err != nil {
			return nil, nil, err
		}
		all = append(all, f)
		for _, a := range in.ABIs(s, f) {
			lists[a] = true
		}
	}
	native := inputs[0].Native()
	if lists[native] {
		listed = append(listed, native)
	}
	for _, a := range abi.All() {
		if lists[a] && a != native {
			listed = append(listed, a)
		}
	}
	if err := s.Err(); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", inputs[0].Name, err)
	}
	return all, listed, nil
}
