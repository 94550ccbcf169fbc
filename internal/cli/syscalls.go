package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/sysgate/sysgate/abi"
)

func newSyscallsCmd(e *env) *cobra.Command {
	var abiName string
	cmd := &cobra.Command{
		Use:   "syscalls [NAME…]",
		Short: "List the system calls of an ABI",
		Long: `List the system calls of an ABI, or the named ones: number, name and the first
kernel release that serves it ("-" where it is older than the records).`,
		Example: `  sysgate syscalls
  sysgate syscalls --abi arm64 openat2 clone3`,
		RunE: func(_ *cobra.Command, args []string) error {
			a, err := parseABI(abiName)
			if err != nil {
				return err
			}
			if len(args) == 0 {
				for nr := range a.Syscalls() {
					if err := printSyscall(e.stdout, a, nr); err != nil {
						return err
					}
				}
				return nil
			}
			for _, name := range args {
				nr, ok := a.Lookup(name)
				if !ok {
					return unknownCall(a, name)
				}
				if err := printSyscall(e.stdout, a, nr); err != nil {
					return err
				}
			}
			return nil
		},
	}
	abiFlag(cmd, &abiName)
	return cmd
}

func printSyscall(w io.Writer, a abi.ABI, nr uint32) error {
	since := "-"
	if k, _ := a.Since(nr); k != (abi.Kernel{}) {
		since = k.String()
	}
	_, err := fmt.Fprintf(w, "%d\t%s\t%s\n", nr, a.SyscallName(nr), since)
	return err
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
		return abi.None, usageError(fmt.Errorf("unknown ABI %q", name))
	}
	return a, nil
}
