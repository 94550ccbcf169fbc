package cli

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/internal/build"
	"github.com/sysgate/sysgate/policy"
)

// emitters write a filter in a form.
var emitters = map[string]func(w io.Writer, p bpf.Program, bigEndian bool) error{
	"asm":    func(w io.Writer, p bpf.Program, big bool) error { return p.Disassemble(w, big) },
	"bpf":    func(w io.Writer, p bpf.Program, big bool) error { _, err := w.Write(p.Bytes(big)); return err },
	"base64": emitBase64,
	"c":      emitC,
	"json":   emitJSON,
}

func newCompileCmd(e *env) *cobra.Command {
	var abiName, emit, file string
	var optimize optimizeFlags
	cmd := &cobra.Command{
		Use:   "compile POLICY",
		Short: "Compile a policy into a proved filter",
		Long: `Compile a policy into a filter, prove it equal to the policy, and print it.

  asm     one instruction a line, with names
  bpf     struct sock_filter[], in the byte order of the ABI
  base64  the same in base64
  c       a C array of struct sock_filter
  json    an array of {"code", "jt", "jf", "k"}

The same policy gives the same bytes on every machine. --abi is the machine's
ABI: the one of a policy that lists none.`,
		Example: `  sysgate compile web.yaml
  sysgate compile web.yaml --emit bpf -o web.bpf
  sysgate compile web.yaml --abi arm64 --emit c -o filter.h`,
		Args: usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			write, ok := emitters[emit]
			if !ok {
				return usageError(fmt.Errorf("unknown form %q: %s", emit, strings.Join(slices.Sorted(maps.Keys(emitters)), ", ")))
			}
			if emit == "bpf" && isTerminal(e.stdout) && !cmd.Flags().Changed("output") {
				return withHint(errors.New("bpf is binary, and standard output is a terminal"), "-o FILE, or -o - to print it anyway")
			}
			options, err := optimize.options()
			if err != nil {
				return err
			}
			filter, _, err := e.buildFile(args[0], abiName, options)
			if err != nil {
				return err
			}
			e.infof("%s: %s", args[0], describe(filter))
			return e.output(file, func(w io.Writer) error {
				buffered := bufio.NewWriter(w)
				if err := write(buffered, filter.Program, filter.Policy.BigEndian()); err != nil {
					return err
				}
				return buffered.Flush()
			})
		},
	}
	cmd.Flags().StringVar(&emit, "emit", "asm", "`FORM`: asm, bpf, base64, c or json")
	optimize.register(cmd)
	abiFlag(cmd, &abiName)
	outputFlag(cmd, &file)
	return cmd
}

// buildFile reads a policy and builds its filter for a machine of an ABI.
func (e *env) buildFile(file, abiName string, optimize build.Options) (*build.Filter, []policy.Warning, error) {
	native, err := parseABI(abiName)
	if err != nil {
		return nil, nil, err
	}
	options := policy.Options{Native: native}
	p, err := e.readPolicy(file, options)
	if err != nil {
		return nil, nil, err
	}
	r, warnings, err := e.resolve(p, options)
	if err != nil {
		return nil, warnings, err
	}
	filter, err := build.BuildFor(r, optimize)
	if err != nil {
		return nil, warnings, fmt.Errorf("%s: %w", file, err)
	}
	return filter, warnings, nil
}

func emitBase64(w io.Writer, p bpf.Program, bigEndian bool) error {
	_, err := fmt.Fprintln(w, base64.StdEncoding.EncodeToString(p.Bytes(bigEndian)))
	return err
}

func emitC(w io.Writer, p bpf.Program, _ bool) error {
	fmt.Fprintf(w, "#include <linux/filter.h>\n\nstatic struct sock_filter sysgate_filter[%d] = {\n", len(p))
	for _, in := range p {
		fmt.Fprintf(w, "\t{ 0x%02x, %d, %d, 0x%08x },\n", in.Code, in.JT, in.JF, in.K)
	}
	_, err := fmt.Fprint(w, "};\n\nstatic struct sock_fprog sysgate_program = {\n"+
		"\t.len = sizeof(sysgate_filter) / sizeof(sysgate_filter[0]),\n\t.filter = sysgate_filter,\n};\n")
	return err
}

func emitJSON(w io.Writer, p bpf.Program, _ bool) error {
	type instruction struct {
		Code uint16 `json:"code"`
		JT   uint8  `json:"jt"`
		JF   uint8  `json:"jf"`
		K    uint32 `json:"k"`
	}
	list := make([]instruction, len(p))
	for i, in := range p {
		list[i] = instruction(in)
	}
	return json.NewEncoder(w).Encode(list)
}
