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
	"github.com/sysgate/sysgate/policy"
)

type syscallsFlags struct {
	abi   string
	since string
	set   string
	json  bool
	file  string
}

func newSyscallsCmd(e *env) *cobra.Command {
	var f syscallsFlags
	cmd := &cobra.Command{
		Use:   "syscalls [NAME|NUMBER…]",
		Short: "List the system calls of an ABI, or say all about some",
		Long: `List the system calls of an ABI: number, name and the first kernel release that
serves it ("-" where it is older than the records). --since and --set leave out
the others.

Of those that are named, by name or number, say everything: the arguments with
their kinds and the bits of each that the kernel reads, which is what conditions
see, the numbers on all ABIs, aliases, calls that do the same service, the
multiplexer that carries it, and the sets that hold it.`,
		Example: `  sysgate syscalls --since 6.0
  sysgate syscalls clone3
  sysgate syscalls 56 --abi arm64 --json`,
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return callNames(), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error {
			a, err := parseABI(f.abi)
			if err != nil {
				return err
			}
			if len(args) > 0 {
				if f.since != "" || f.set != "" {
					return usageError(errors.New("--since and --set are for lists: name no call"))
				}
				return e.describeCalls(f, a, args)
			}
			return e.listCalls(f, a)
		},
	}
	abiFlag(cmd, &f.abi)
	outputFlag(cmd, &f.file)
	cmd.Flags().StringVar(&f.since, "since", "", "only calls that came with this `RELEASE`, such as 6.0, or later")
	cmd.Flags().StringVar(&f.set, "set", "", "only members of this `SET`, such as @systemd/network-io")
	cmd.Flags().BoolVar(&f.json, "json", false, "print JSON")
	_ = cmd.RegisterFlagCompletionFunc("set", completeSets) // the only error is an unknown flag
	return cmd
}

// callNames returns the names of all calls of all ABIs, sorted.
func callNames() []string {
	var names []string
	for _, a := range abi.All() {
		for _, name := range a.Syscalls() {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// A callInfo is what the tables know of a call.
type callInfo struct {
	ABI     string              `json:"abi"`
	Number  uint32              `json:"number"`
	Name    string              `json:"name"`
	Since   string              `json:"since,omitempty"` // the release; none: older than the records
	Args    []argInfo           `json:"args"`            // null: unknown
	Numbers map[string][]uint32 `json:"numbers,omitempty"`
	Aliases []string            `json:"aliases,omitempty"`
	Service []string            `json:"service,omitempty"` // others that do the same
	Carrier string              `json:"carrier,omitempty"` // the multiplexer's call, as a pattern
	Sets    []string            `json:"sets,omitempty"`
}

type argInfo struct {
	Name   string `json:"name"`
	Kind   string `json:"kind"`
	Signed bool   `json:"signed"`
	Mask   string `json:"mask"` // the bits that the kernel reads
}

// callOf returns what a list says of a call.
func callOf(a abi.ABI, nr uint32) callInfo {
	c := callInfo{ABI: a.String(), Number: nr, Name: a.SyscallName(nr)}
	if k, _ := a.Since(nr); k != (abi.Kernel{}) {
		c.Since = k.String()
	}
	if args, ok := a.Args(nr); ok {
		c.Args = []argInfo{}
		for _, arg := range args {
			c.Args = append(c.Args, argInfo{arg.Name, arg.Kind.String(), arg.Signed, fmt.Sprintf("%#x", arg.Mask)})
		}
	}
	return c
}

// allOf returns everything about a call.
func allOf(a abi.ABI, nr uint32) (callInfo, error) {
	c := callOf(a, nr)
	c.Numbers = map[string][]uint32{}
	for _, other := range abi.All() {
		if numbers := other.Numbers(c.Name); len(numbers) > 0 {
			c.Numbers[other.String()] = numbers
		}
	}
	c.Aliases = a.Aliases(nr)
	c.Service = slices.DeleteFunc(a.Group(c.Name), func(name string) bool { return name == c.Name })
	if mux, sub, ok := a.Multiplexed(c.Name); ok {
		c.Carrier = fmt.Sprintf("%s(%d)", a.SyscallName(mux), sub)
	}
	memberships, err := setsHolding(append(policy.SetNames(), policy.PatternSetNames()...), c.Name)
	for _, m := range memberships {
		if !slices.Contains(c.Sets, m.set) {
			c.Sets = append(c.Sets, m.set)
		}
	}
	slices.Sort(c.Sets)
	return c, err
}

func (e *env) listCalls(f syscallsFlags, a abi.ABI) error {
	var since abi.Kernel
	if f.since != "" {
		var err error
		if since, err = abi.ParseKernel(f.since); err != nil {
			return usageError(fmt.Errorf("--since: %w", err))
		}
		if abi.Latest.Before(since) {
			e.warningf("the tables know Linux up to %v", abi.Latest)
		}
	}
	var members []string
	if f.set != "" {
		var err error
		if members, err = membersOf(f.set); err != nil {
			return err
		}
		for i, m := range members { // a member can have conditions
			members[i], _, _ = strings.Cut(m, "(")
		}
	}
	calls := []callInfo{}
	for nr, name := range a.Syscalls() {
		first, _ := a.Since(nr)
		if first.Before(since) || f.set != "" && !slices.Contains(members, name) {
			continue
		}
		calls = append(calls, callOf(a, nr))
	}
	return e.output(f.file, func(w io.Writer) error {
		if f.json {
			return writeIndented(w, calls)
		}
		for _, c := range calls {
			if _, err := fmt.Fprintf(w, "%d\t%s\t%s\n", c.Number, c.Name, orDash(c.Since)); err != nil {
				return err
			}
		}
		return nil
	})
}

func (e *env) describeCalls(f syscallsFlags, a abi.ABI, args []string) error {
	var calls []callInfo
	for _, arg := range args {
		nr, err := findCall(a, arg)
		if err != nil {
			return err
		}
		c, err := allOf(a, nr)
		if err != nil {
			return err
		}
		calls = append(calls, c)
	}
	return e.output(f.file, func(w io.Writer) error {
		if f.json {
			return writeIndented(w, calls)
		}
		var b strings.Builder
		for i, c := range calls {
			if i > 0 {
				b.WriteByte('\n')
			}
			c.write(&b)
		}
		_, err := io.WriteString(w, b.String())
		return err
	})
}

// findCall returns the number of the call that is named, by name or number.
func findCall(a abi.ABI, arg string) (uint32, error) {
	if n, err := strconv.ParseUint(arg, 0, 32); err == nil {
		switch decimal := strings.TrimLeft(arg, "0"); {
		case len(arg) > 1 && decimal == arg[1:] && strings.Trim(arg, "0123456789") == "":
			return 0, withHint(fmt.Errorf("number %q starts with 0, which some read as octal", arg), "%s, or 0o%s", decimal, decimal)
		case a.SyscallName(uint32(n)) != "":
			return uint32(n), nil
		}
		err := fmt.Errorf("%v has no system call with number %s", a, arg)
		for _, other := range abi.All() {
			if name := other.SyscallName(uint32(n)); name != "" {
				return 0, withHint(err, "%v has: %s (--abi %v)", other, name, other)
			}
		}
		return 0, err
	}
	nr, ok := a.Lookup(arg)
	if !ok {
		return 0, unknownCall(a, arg)
	}
	return nr, nil
}

// write writes c for people, in lines of a word and what it is.
func (c callInfo) write(b *strings.Builder) {
	fmt.Fprintf(b, "%s\t%s %d, Linux %s\n", c.Name, c.ABI, c.Number, orDash(c.Since))
	switch {
	case c.Args == nil:
		b.WriteString("  arguments: unknown; a condition compares whole words\n")
	case len(c.Args) == 0:
		b.WriteString("  no arguments\n")
	}
	for _, arg := range c.Args {
		note := ""
		switch {
		case arg.Kind == abi.Pointer.String():
			note = ": a filter sees the address, not what is there"
		case arg.Signed:
			note = ", signed"
		}
		fmt.Fprintf(b, "  %-12s %s, bits %s%s\n", arg.Name, arg.Kind, arg.Mask, note)
	}
	list := func(what string, words []string) {
		if len(words) > 0 {
			fmt.Fprintf(b, "  %s: %s\n", what, strings.Join(words, " "))
		}
	}
	var numbers []string
	for _, a := range abi.All() {
		for _, nr := range c.Numbers[a.String()] {
			numbers = append(numbers, fmt.Sprintf("%s=%d", a, nr))
		}
	}
	list("numbers", numbers)
	list("aliases", c.Aliases)
	list("same service", c.Service)
	if c.Carrier != "" {
		list("also through", []string{c.Carrier})
	}
	list("in sets", c.Sets)
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func unknownCall(a abi.ABI, name string) error {
	switch near := abi.Suggest(name); {
	case abi.Known(name):
		return fmt.Errorf("%v has no system call %q", a, name)
	case near != "":
		return withHint(fmt.Errorf("unknown system call %q", name), "did you mean %q?", near)
	}
	return fmt.Errorf("unknown system call %q", name)
}

// abiFlag adds --abi to cmd.
func abiFlag(cmd *cobra.Command, name *string) {
	cmd.Flags().StringVar(name, "abi", abi.Native().String(), "the `ABI`: amd64, 386, x32, arm64, …")
	names := make([]string, 0, len(abi.All()))
	for _, a := range abi.All() {
		names = append(names, a.String())
	}
	// The only error is an unknown flag.
	_ = cmd.RegisterFlagCompletionFunc("abi", cobra.FixedCompletions(names, cobra.ShellCompDirectiveNoFileComp))
}

func parseABI(name string) (abi.ABI, error) {
	a, ok := abi.Parse(name)
	if !ok {
		var names []string
		for _, a := range abi.All() {
			names = append(names, a.String())
		}
		return abi.None, usageError(withHint(fmt.Errorf("unknown ABI %q", name), "one of %s", strings.Join(names, ", ")))
	}
	return a, nil
}
