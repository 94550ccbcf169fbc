package cli

import (
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// TestDocs holds the help of every command to the house's form.
func TestDocs(t *testing.T) {
	root := newRootCmd(&env{stdin: strings.NewReader(""), stdout: io.Discard, stderr: io.Discard})
	short := regexp.MustCompile(`^[A-Z][a-z]+ .*[^.]$`)
	walk(root, func(cmd *cobra.Command) {
		if cmd.Name() == "help" || cmd.HasParent() && cmd.Parent().Name() == "completion" {
			return // cobra's own
		}
		if !short.MatchString(cmd.Short) {
			t.Errorf("%s: short help %q is not a capital verb and what it does, without a period", cmd.CommandPath(), cmd.Short)
		}
		if !strings.Contains(cmd.Example, cmd.CommandPath()) {
			t.Errorf("%s: example %q does not show the command", cmd.CommandPath(), cmd.Example)
		}
		if cmd.Name() != "completion" && cmd.Args == nil && cmd.ValidArgsFunction == nil && !strings.Contains(cmd.Use, "…]") {
			t.Errorf("%s: takes any arguments, and does not say so", cmd.CommandPath())
		}
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			name, usage := pflag.UnquoteUsage(f)
			if f.Name == "help" {
				return
			}
			if usage == "" || strings.HasSuffix(usage, ".") {
				t.Errorf("%s --%s: usage %q", cmd.CommandPath(), f.Name, f.Usage)
			}
			if f.Value.Type() != "bool" && !regexp.MustCompile(`^[A-Z]+$`).MatchString(name) && !strings.Contains(name, "=") {
				t.Errorf("%s --%s: its value has no name: %q", cmd.CommandPath(), f.Name, name)
			}
		})
	})
	for _, code := range []string{"0", "1", "2", "3", "125", "126", "127", "128 + n"} {
		if !strings.Contains(root.Long, code) {
			t.Errorf("the help does not document exit code %s", code)
		}
	}
}

func walk(cmd *cobra.Command, visit func(*cobra.Command)) {
	visit(cmd)
	for _, sub := range cmd.Commands() {
		walk(sub, visit)
	}
}
