package cli

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/refine"
	"github.com/sysgate/sysgate/policy"
)

// completions are what shells are told of the flags whose values are few or known, by
// command and flag; "" is every command that has the flag.
func completions() map[string]map[string]cobra.CompletionFunc {
	names := completeList(func() []string { return append(callNames(), policy.SetNames()...) })
	return map[string]map[string]cobra.CompletionFunc{
		"": {
			"allow": names,
			"deny":  names,
			"caps":  completeList(policy.Capabilities),
		},
		"check":   {"format": oneOf("text", "json", "sarif"), "fail-on": oneOf("error", "warning", "note", "never")},
		"show":    {"format": oneOf("asm", "policy", "both")},
		"run":     {"mode": oneOf("enforce", "log", "explain")},
		"profile": {"format": oneOf("policy", "names", "oci", "go"), "runtime": oneOf(append(refine.RuntimeNames(), "none")...)},
		"refine":  {"format": oneOf("policy", "names")},
	}
}

// addCompletions tells shells about the flags of the commands below root.
func addCompletions(root *cobra.Command) {
	all := completions()
	for _, cmd := range root.Commands() {
		for _, key := range []string{"", cmd.Name()} {
			for flag, complete := range all[key] {
				if cmd.Flags().Lookup(flag) != nil {
					_ = cmd.RegisterFlagCompletionFunc(flag, complete) // the only other error is that it has one
				}
			}
		}
	}
}

func oneOf(values ...string) cobra.CompletionFunc {
	return cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)
}

// completeList completes the last item of a list with commas.
func completeList(items func() []string) cobra.CompletionFunc {
	return func(_ *cobra.Command, _ []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
		before := word[:strings.LastIndexByte(word, ',')+1]
		var all []cobra.Completion
		for _, item := range items() {
			if strings.HasPrefix(item, word[len(before):]) {
				all = append(all, before+item)
			}
		}
		return all, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	}
}

// completeCall completes a call in the notation of patterns: its name, then the names
// of arguments and constants within the parentheses.
func completeCall(word string) []cobra.Completion {
	open := strings.IndexByte(word, '(')
	if open < 0 {
		return callNames()
	}
	start := strings.LastIndexAny(word, "(,|&~= {!<>") + 1
	part := word[start:]
	var words []string
	name := word[strings.LastIndexByte(word[:open], ':')+1 : open]
	if nr, ok := abi.Native().Lookup(name); ok {
		args, _ := abi.Native().Args(nr)
		for _, arg := range args {
			words = append(words, arg.Name)
		}
	}
	if part != "" { // there are thousands
		for constant := range abi.Native().Constants() {
			words = append(words, constant)
		}
	}
	slices.Sort(words)
	var all []cobra.Completion
	for _, w := range slices.Compact(words) {
		if strings.HasPrefix(w, part) {
			all = append(all, word[:start]+w)
		}
	}
	return all
}
