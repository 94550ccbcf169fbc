package source

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/internal/convert"
	"github.com/sysgate/sysgate/internal/proof"
	"github.com/sysgate/sysgate/policy"
)

// Options is what reading depends on besides the input. The zero value is for
// the running program's own ABI.
type Options struct {
	Native abi.ABI    // of the machine; None: the running program's
	Caps   []string   // for rules that depend on capabilities
	Kernel abi.Kernel // for rules that depend on the release; zero: the policy's own
	Name   string     // of the thread or object whose filter is meant, in a file with several
	Typed  bool       // foreign formats compare the bits that the kernel reads, not those that their own runtime compares
	Stdin  io.Reader  // what "-" reads; nil: os.Stdin
	// Runtime is who makes the filter of a container profile.
	Runtime convert.Runtime
	// Symbolic keeps what a Docker profile asks of capabilities and the release.
	Symbolic bool
}

// native returns the machine's ABI.
func (o Options) native() abi.ABI {
	if o.Native != abi.None {
		return o.Native
	}
	return abi.Native()
}

// An Input is a policy or a filter. Exactly one of Policy and Program is set.
type Input struct {
	Name string // for messages: the file's, or "standard input"
	Data []byte // as read; nil for a set

	Policy   *policy.Policy
	Resolved *policy.Resolved // with Policy
	Warnings []policy.Warning // with Policy: what its author should know
	Losses   []convert.Loss   // with Policy: what of a foreign format is not carried

	Program   bpf.Program // valid
	BigEndian bool        // of the machine that it is for

	Stack []bpf.Program // of a process: its filters, the newest first

	native  abi.ABI
	foreign bool
}

// maxSize bounds what is read: more than any policy, and what a filter of the
// largest size takes in the most verbose form.
const maxSize = 8 << 20

// Read reads the input that file names: one of the forms that package doc lists.
// FORMAT:FILE is FILE in a format that has to be named. Errors about the content of a policy are
// [*policy.Error] or [policy.Errors].
func Read(file string, o Options) (*Input, error) {
	if strings.HasPrefix(file, "@") {
		return readSet(file, o)
	}
	if strings.HasPrefix(file, "pid:") {
		return readProcess(file, o)
	}
	format, file := SplitFormat(file)
	data, name, err := readFile(file, o)
	if err != nil {
		return nil, err
	}
	if format != nil {
		return parseAs(*format, name, data, o)
	}
	return Parse(name, data, o)
}

// SplitFormat returns the format that stands before a colon, and the file behind it:
// nil if there is none, or if a file has this very name.
func SplitFormat(file string) (*convert.Format, string) {
	name, rest, ok := strings.Cut(file, ":")
	f, known := convert.ByName(name)
	if !ok || !known || f.Read == nil {
		return nil, file
	}
	if _, err := os.Lstat(file); err == nil {
		return nil, file
	}
	return &f, rest
}

// IsStdin reports whether Read reads standard input for file.
func IsStdin(file string) bool {
	_, file = SplitFormat(file)
	return file == "-"
}

const stdinName = "standard input"

func readFile(file string, o Options) (data []byte, name string, err error) {
	var r io.Reader = os.Stdin
	name = stdinName
	switch {
	case file != "-":
		f, err := os.Open(file)
		if err != nil {
			return nil, file, err
		}
		defer f.Close()
		r, name = f, file
	case o.Stdin != nil:
		r = o.Stdin
	}
	data, err = io.ReadAll(io.LimitReader(r, maxSize+1))
	if err == nil && len(data) > maxSize {
		err = fmt.Errorf("larger than %d MiB", maxSize>>20)
	}
	if err != nil {
		return nil, name, fmt.Errorf("%s: %w", name, err)
	}
	return data, name, nil
}

// Parse reads an input from data; name is for messages.
func Parse(name string, data []byte, o Options) (*Input, error) {
	if f, ok := convert.Detect(name, data); ok {
		return parseAs(f, name, data, o)
	}
	in := &Input{Name: name, Data: data, native: o.native()}
	var err error
	if in.Policy, err = policy.Parse(name, data); err != nil { // it says what is wrong with it
		if e := suspicion(name, data); e != nil {
			err = e
		}
		return nil, err
	}
	return in, in.resolve(o)
}

// parseAs reads an input in a format.
func parseAs(f convert.Format, name string, data []byte, o Options) (in *Input, err error) {
	in = &Input{Name: name, Data: data, native: o.native()}
	options := convert.Options{Native: in.native, Caps: o.Caps, Kernel: o.Kernel, Name: o.Name, Runtime: o.Runtime, Symbolic: o.Symbolic}
	if f.Filter != nil {
		in.Program, in.BigEndian, err = f.Filter(name, data, options)
		return in, err
	}
	in.foreign = f.Foreign()
	if in.Policy, in.Losses, err = f.Read(name, data, options); err != nil {
		return nil, err
	}
	return in, in.resolve(o)
}

// suspicion returns an error about data that is no policy but looks like something
// else, nil if it does not.
func suspicion(name string, data []byte) *policy.Error {
	what, formats := convert.Suspects(data)
	if what == "" {
		return nil
	}
	e := &policy.Error{Pos: policy.Pos{File: name}, Msg: "the format cannot be told: it looks like " + what, Hint: "it cannot be read: take the policy or the filter that it was made from"}
	if name == stdinName {
		name = "-"
	}
	for i, f := range formats {
		formats[i] = f + ":" + name
	}
	if len(formats) > 0 {
		e.Hint = "name it: " + strings.Join(formats, " or ")
	}
	return e
}

// resolve fills in what a policy means on the machine.
func (in *Input) resolve(o Options) error {
	r, warnings, err := in.Policy.Resolve(policy.Options{Native: o.Native, Caps: o.Caps, Kernel: o.Kernel})
	in.Resolved, in.Warnings = r, warnings
	if err == nil && o.Typed && in.Foreign() {
		in.Resolved = typed(r)
	}
	return err
}

// Foreign reports whether in is a policy of another tool's format.
func (in *Input) Foreign() bool { return in.foreign }

// readSet returns the policy that allows a set and denies the rest with EPERM.
func readSet(name string, o Options) (*Input, error) {
	calls := []policy.Pattern{{Name: name}}
	if _, ok := policy.Set(name); !ok {
		if calls, ok = policy.SetPatterns(name); !ok {
			return nil, &policy.Error{Msg: fmt.Sprintf("unknown set %q", name), Hint: "sysgate sets lists them"}
		}
	}
	in := &Input{Name: name, native: o.native(), Policy: &policy.Policy{
		Version: 1,
		Default: policy.Action{Kind: abi.Errno, Errno: "EPERM"},
		Rules:   []policy.Rule{{Action: policy.Action{Kind: abi.Allow}, Calls: calls}},
	}}
	return in, in.resolve(o)
}

// Eval returns what happens to c.
func (in *Input) Eval(c abi.Call) abi.Action {
	if in.Program != nil {
		return in.Program.Run(c, in.BigEndian).Return
	}
	return in.Resolved.Eval(c).Action
}

// Function returns what happens to every call.
func (in *Input) Function(s *proof.Space) (f proof.Function, err error) {
	if in.Program != nil {
		f, err = s.Program(in.Program, in.BigEndian)
	} else {
		f, err = s.Policy(in.Resolved)
	}
	if err != nil {
		return f, fmt.Errorf("%s: %w", in.Name, err)
	}
	return f, nil
}

// ABIs returns the ABIs that a policy lists, or those that f, the function of a
// filter, decides call by call.
func (in *Input) ABIs(s *proof.Space, f proof.Function) []abi.ABI {
	if in.Program != nil {
		return s.Decided(f)
	}
	var all []abi.ABI
	for i := range in.Resolved.ABIs {
		all = append(all, in.Resolved.ABIs[i].ABI)
	}
	return all
}

// Native returns the ABI of a call that names none: the machine's, or the first
// of in's where that is not among them.
func (in *Input) Native() abi.ABI {
	var all []abi.ABI
	if in.Program != nil {
		all = convert.Compared(in.Program)
	} else {
		all = in.Policy.ABIs
	}
	for _, a := range all {
		if a == in.native {
			return a
		}
	}
	for _, a := range all {
		if in.Program == nil || a.BigEndian() == in.BigEndian {
			return a
		}
	}
	return in.native
}

// ErrDifferentMachines is wrapped by the error of [Together].
var ErrDifferentMachines = errors.New("no machine has both byte orders")

// Together returns an error unless one machine could use all of the inputs.
func Together(all ...*Input) error {
	for _, in := range all {
		if in.bigEndian() != all[0].bigEndian() {
			return fmt.Errorf("%s and %s: %w", all[0].Name, in.Name, ErrDifferentMachines)
		}
	}
	return nil
}

func (in *Input) bigEndian() bool {
	if in.Program != nil {
		return in.BigEndian
	}
	return in.Resolved.BigEndian()
}
