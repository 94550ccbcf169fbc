package cli

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/internal/build"
	"github.com/sysgate/sysgate/internal/source"
	"github.com/sysgate/sysgate/policy"
)

func newEvalCmd(e *env) *cobra.Command {
	var flags inputFlags
	var calls, file string
	var asJSON, trace bool
	cmd := &cobra.Command{
		Use:   "eval POLICY|FILTER CALL…",
		Short: "Tell what happens to calls under a policy or filter",
		Long: `Tell what happens to calls under a policy or filter, one a line, in order: the
call, the action and what decided it. The calls run through the filter, which for a
policy has been compiled and proved.

A call is written as in policies: "socket(AF_UNIX, SOCK_STREAM)", "nr:600",
"386:open". Arguments that are left out are 0. --calls reads them from a file, one a
line, "#" starts a comment. With --trace, the instructions that the filter executes
follow, each with what is in the accumulator before it; with --json, each answer is
an object on a line of its own.

` + inputHelp,
		Example: `  sysgate eval web.yaml openat 'socket(AF_PACKET, SOCK_RAW)' 386:open nr:600
  sysgate eval web.bpf --calls calls.txt --json
  sysgate eval web.yaml --trace 'socket(AF_ALG)'`,
		Args: usageArgs(cobra.MinimumNArgs(1)),
		ValidArgsFunction: func(_ *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
			if len(args) == 0 {
				return nil, cobra.ShellCompDirectiveDefault // a file
			}
			return completeCall(word), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 1 && calls == "" {
				return usageError(withHint(errors.New("which calls?"), "sysgate eval %s read, or --calls FILE", args[0]))
			}
			if args[0] == "-" && calls == "-" {
				return usageError(errors.New("standard input can be read once"))
			}
			inputs, err := e.readInputs(flags, args[0])
			if err != nil {
				return err
			}
			in := inputs[0]
			list, err := e.readCalls(args[1:], calls, in.Native())
			if err != nil {
				return err
			}
			program, bigEndian, err := programOf(in)
			if err != nil {
				return err
			}
			return e.output(file, func(w io.Writer) error {
				buffered := bufio.NewWriter(w)
				for _, c := range list {
					v := evaluated{in, c, program.Run(c.call, bigEndian), nil}
					if trace {
						v.trace = traced(program, c.call, bigEndian)
					}
					write := v.writeText
					if asJSON {
						write = v.writeJSON
					}
					if err := write(buffered); err != nil {
						return err
					}
				}
				return buffered.Flush()
			})
		},
	}
	flags.add(cmd)
	outputFlag(cmd, &file)
	cmd.Flags().StringVar(&calls, "calls", "", "read calls from `FILE`, one a line; - is standard input")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object for each call")
	cmd.Flags().BoolVar(&trace, "trace", false, "print the instructions that are executed")
	return cmd
}

// programOf returns the filter that in is, or the proved one that it compiles to.
func programOf(in *source.Input) (p bpf.Program, bigEndian bool, err error) {
	if in.Program != nil {
		return in.Program, in.BigEndian, nil
	}
	filter, err := build.Build(in.Resolved)
	if err != nil {
		return nil, false, fmt.Errorf("%s: %w", in.Name, err)
	}
	return filter.Program, in.Resolved.BigEndian(), nil
}

// A namedCall is a call as it was written.
type namedCall struct {
	text string
	call abi.Call
}

// readCalls parses the calls of the command line, then those of a file. All
// mistakes come as one error.
func (e *env) readCalls(texts []string, file string, native abi.ABI) ([]namedCall, error) {
	var all []namedCall
	var mistakes policy.Errors
	add := func(text string, place func(*policy.Error)) {
		call, err := policy.ParseCall(text, native)
		var bad *policy.Error
		switch {
		case errors.As(err, &bad):
			place(bad)
			mistakes = append(mistakes, bad)
		default:
			all = append(all, namedCall{text, call})
		}
	}
	for _, text := range texts {
		add(text, func(*policy.Error) {})
	}
	if file != "" {
		data, name, err := e.readFile(file)
		if err != nil {
			return nil, err
		}
		number := 0
		for line := range strings.Lines(string(data)) {
			number++
			line = strings.TrimRight(line, "\r\n")
			code, _, _ := strings.Cut(line, "#")
			text := strings.TrimSpace(code)
			if text == "" {
				continue
			}
			add(text, func(bad *policy.Error) {
				bad.Pos = policy.Pos{File: name, Line: number, Col: strings.Index(line, text) + max(bad.Pos.Col, 1)}
				bad.Source = line
			})
		}
	}
	switch len(mistakes) {
	case 0:
		return all, nil
	case 1:
		return nil, mistakes[0]
	}
	return nil, mistakes
}

// An evaluated call is a call with its answer.
type evaluated struct {
	*source.Input
	namedCall
	result bpf.Result
	trace  []string
}

func (v *evaluated) action() string { return v.Native().ActionString(v.result.Return) }

func (v *evaluated) writeText(w io.Writer) error {
	by := strconv.Itoa(v.result.Steps) + " instructions" // a filter has no rules
	if v.Policy != nil {
		by = v.Policy.RuleName(v.Resolved.Eval(v.call).Rule)
	}
	fmt.Fprintf(w, "%s\t%s\t%s\n", v.text, v.action(), by)
	for _, line := range v.trace {
		fmt.Fprintf(w, "\t%s\n", line)
	}
	return nil // w keeps its errors
}

func (v *evaluated) writeJSON(w io.Writer) error {
	out := struct {
		Call     string   `json:"call"`               // as written
		Full     string   `json:"full"`               // with ABI and all arguments
		Action   string   `json:"action"`             // with data
		By       string   `json:"by,omitempty"`       // rule, default_action, unknown_action, bad_arch_action or x32_action; none of a filter
		Rule     int      `json:"rule,omitempty"`     // from 1
		Position string   `json:"position,omitempty"` // of the rule
		Reason   string   `json:"reason,omitempty"`   // that the rule gives
		Steps    int      `json:"steps"`              // instructions executed
		Trace    []string `json:"trace,omitempty"`
	}{Call: v.text, Full: policy.FormatCall(v.call), Action: v.action(), Steps: v.result.Steps, Trace: v.trace}
	if v.Policy != nil {
		rule := v.Resolved.Eval(v.call).Rule
		out.By = v.Policy.RuleName(rule)
		if rule >= 0 {
			r := v.Policy.Rules[rule]
			out.By, out.Rule, out.Position, out.Reason = "rule", rule+1, r.Pos.String(), r.Reason
		}
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(out)
}

// traced returns the instructions that p executes for c, as the disassembler
// writes them, each with what is in the accumulator before it. What is executed
// shows in that another instruction in its place changes the outcome: jumps go
// forward only, so the order is that of the program.
func traced(p bpf.Program, c abi.Call, bigEndian bool) []string {
	var text strings.Builder
	p.Disassemble(&text, bigEndian) // a Builder has no errors
	lines := strings.Split(text.String(), "\n")
	var all []string
	instead := append(bpf.Program(nil), p...)
	for pc := range p {
		returns := func(code uint16, k uint32) abi.Action {
			instead[pc] = bpf.Stmt(code, k)
			return instead.Run(c, bigEndian).Return
		}
		if returns(bpf.RetK, 1) != returns(bpf.RetK, 2) {
			all = append(all, fmt.Sprintf("%-50s | A = %#x", lines[pc], uint32(returns(bpf.RetA, 0))))
		}
		instead[pc] = p[pc]
	}
	return all
}
