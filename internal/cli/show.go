package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/internal/proof"
	"github.com/sysgate/sysgate/internal/source"
)

func newShowCmd(e *env) *cobra.Command {
	var flags inputFlags
	var file, format string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "show FILE|PID",
		Short: "Disassemble a filter, and decompile it into a policy",
		Long: `Disassemble a filter, whoever compiled it, and decompile it into a policy that is
proved to give every call what the filter gives it. The disassembly is comments of
the policy, so that the output is a policy. A policy is compiled first. Of a process
with several filters, each is disassembled, and the policy is what they do together.

Where no policy can say what the filter does, the disassembly is printed, and the
reason is an error. A filter that takes more than the proof's budget is one, too:
products of arguments, or many overlapping masks over several of them.

` + inputHelp,
		Example: `  sysgate show libseccomp.bpf
  sysgate show 1234
  sysgate show web.bpf --format policy -o web.yaml
  sysgate compile web.yaml --emit base64 | sysgate show - --format asm`,
		Args: usageArgs(cobra.ExactArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error {
			if format != "both" && format != "asm" && format != "policy" {
				return usageError(fmt.Errorf("unknown form %q: asm, policy or both", format))
			}
			name := args[0]
			if _, err := strconv.ParseUint(name, 10, 31); err == nil {
				if _, err := os.Stat(name); err != nil {
					name = "pid:" + name // there is no such file
				}
			}
			inputs, err := e.readInputs(flags, name)
			if err != nil {
				return err
			}
			sh, err := newShown(inputs[0])
			if err != nil {
				return err
			}
			if err := e.output(file, func(w io.Writer) error { return sh.write(w, format, asJSON) }); err != nil {
				return err
			}
			switch {
			case format == "asm" && !asJSON:
				return nil
			case sh.err != nil:
				return fmt.Errorf("%s: %w", sh.Name, sh.err)
			}
			what := "the filter"
			if n := len(sh.Stack); n > 1 {
				what = fmt.Sprintf("the %d filters together", n)
			}
			e.infof("%s: %s; the policy is proved equal to %s for every call", sh.Name, count(len(sh.program), "instruction"), what)
			if sh.unmeant {
				e.warningf("%s: the filter returns words that the kernel takes for others; the policy says what it does with them", sh.Name)
			}
			return nil
		},
	}
	flags.add(cmd)
	outputFlag(cmd, &file)
	cmd.Flags().StringVar(&format, "format", "both", "`FORM`: asm, policy or both")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// A shown filter is what is known of it.
type shown struct {
	*source.Input
	program bpf.Program
	asm     string
	policy  string
	unmeant bool  // it returns words that the kernel takes for others
	err     error // why there is no policy
}

func newShown(in *source.Input) (*shown, error) {
	if len(in.Stack) > 1 {
		return newShownStack(in)
	}
	program, bigEndian, err := programOf(in)
	if err != nil {
		return nil, err
	}
	sh := &shown{Input: in, program: program}
	var asm strings.Builder
	if err := program.Disassemble(&asm, bigEndian); err != nil {
		return nil, err
	}
	sh.asm = asm.String()
	s := proof.NewSpace(proof.Budget{})
	f, err := s.Program(program, bigEndian)
	if err == nil {
		var text []byte
		text, err = decompiled(s, f, in.Native(), "decompiled from "+in.Name+", proved equal to it for every call")
		sh.policy = string(text)
	}
	switch {
	case err == nil:
		sh.unmeant = s.Effects(f) != f
	case errors.Is(err, proof.ErrUnknown) || errors.Is(err, proof.ErrInexpressible):
		sh.err = err
	default:
		return nil, err
	}
	return sh, nil
}

// newShownStack shows the filters of a process, the newest first, and the policy that
// they are together.
func newShownStack(in *source.Input) (*shown, error) {
	var asm strings.Builder
	sh := &shown{Input: in}
	for i, program := range in.Stack {
		fmt.Fprintf(&asm, "; filter %d of %d\n", i, len(in.Stack))
		if err := program.Disassemble(&asm, in.BigEndian); err != nil {
			return nil, err
		}
		sh.program = append(sh.program, program...)
	}
	sh.asm = asm.String()
	s := proof.NewSpace(proof.Budget{})
	f, err := in.Function(s)
	if err != nil {
		return nil, err
	}
	text, err := decompiled(s, f, in.Native(), fmt.Sprintf("the %d filters of %s together, proved equal to them for every call", len(in.Stack), in.Name))
	sh.policy = string(text)
	return sh, err
}

func (sh *shown) write(w io.Writer, format string, asJSON bool) error {
	if asJSON {
		out := struct {
			Name         string   `json:"name"`
			Instructions []string `json:"instructions"`
			Policy       string   `json:"policy,omitempty"`
			Reason       string   `json:"reason,omitempty"` // why there is no policy
		}{sh.Name, strings.Split(strings.TrimRight(sh.asm, "\n"), "\n"), sh.policy, ""}
		if sh.err != nil {
			out.Reason = sh.err.Error()
		}
		return writeIndented(w, out)
	}
	var err error
	switch format {
	case "asm":
		_, err = io.WriteString(w, sh.asm)
	case "policy":
		_, err = io.WriteString(w, sh.policy)
	default:
		for line := range strings.Lines(sh.asm) {
			fmt.Fprintf(w, "# %s", line)
		}
		_, err = io.WriteString(w, sh.policy)
	}
	return err
}
