package convert

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
)

// writeFirejail writes d as lines of a profile: seccomp.keep where the policy
// denies by default, else seccomp.drop. A list names calls, so that one with
// conditions takes the default. Other architectures get seccomp.block-secondary.
func writeFirejail(d *Decisions, _ Options) ([]byte, []Loss, error) {
	if !slices.Equal(d.ABIs, []abi.ABI{abi.AMD64}) {
		return nil, nil, fmt.Errorf("a profile is written for amd64 alone, not for %v", d.ABIs)
	}
	denial := d.Default
	verdicts := make(map[string]abi.Action)
	for _, name := range abi.AMD64.Syscalls() {
		verdicts[name] = d.Default
	}
	count := make(map[abi.Action]int)
	for _, c := range d.Calls {
		if _, known := verdicts[c.Name]; known && len(c.Any) == 0 && !c.Vague {
			verdicts[c.Name] = c.Action
			if count[c.Action]++; !lets(c.Action) && lets(d.Default) && (lets(denial) || count[c.Action] > count[denial]) {
				denial = c.Action
			}
		}
	}
	options, err := firejailOptionsFor(d, verdicts)
	if err != nil {
		return nil, nil, err
	}
	var losses []Loss
	var list []string
	for _, name := range slices.Sorted(maps.Keys(verdicts)) {
		action, kept := verdicts[name], slices.Contains(firejailKeep, name)
		switch {
		case kept && !lets(action) && name != "execveat":
			losses = append(losses, Loss{Msg: name + " is let through: Firejail needs it to start the program"})
		case lets(d.Default) && lets(action), !lets(d.Default) && action == d.Default && !kept:
		case kept && lets(action):
		case lets(action):
			list = append(list, name)
		case kept && !lets(d.Default):
			list = append(list, "!"+name)
		case firejailWord(action) == firejailWord(denial):
			list = append(list, name)
		default:
			list = append(list, name+":"+firejailWord(action))
		}
	}
	var b bytes.Buffer
	if !lets(denial) {
		fmt.Fprintf(&b, "seccomp-error-action %s\n", firejailWord(denial))
	}
	key := "seccomp.keep"
	if lets(d.Default) {
		key = "seccomp.drop"
	}
	if len(list) == 0 && !lets(d.Default) {
		list = firejailKeep
	}
	if len(list) > 0 {
		fmt.Fprintf(&b, "%s %s\n", key, strings.Join(list, ","))
	}
	for _, option := range options {
		b.WriteString(option + "\n")
	}
	if !lets(d.Resolved.BadArch) && len(list) > 0 {
		b.WriteString("seccomp.block-secondary\n")
	}
	return b.Bytes(), losses, nil
}

// firejailOptionsFor returns the options that decide calls with conditions as the
// policy does, and has the list let these through.
func firejailOptionsFor(d *Decisions, verdicts map[string]abi.Action) ([]string, error) {
	conditional := make(map[string]bool)
	for _, c := range d.Calls {
		conditional[c.Name] = conditional[c.Name] || len(c.Any) > 0 || c.Vague
	}
	c := &chooser{d, abi.AMD64, func(name string) bool { return conditional[name] }}
	allowed := func(words map[string]string, call string) (yes, no []string) {
		for _, word := range slices.Sorted(maps.Keys(words)) {
			if c.letsThrough(fmt.Sprintf(call, words[word])) {
				yes = append(yes, word)
			} else {
				no = append(no, word)
			}
		}
		return yes, no
	}
	var candidates []string
	if families, _ := allowed(firejailFamilies, "socket(arg0:64 == %s)"); conditional["socket"] && len(families) > 0 {
		candidates = append(candidates, "protocol "+strings.Join(families, ","))
	}
	if _, denied := allowed(firejailNamespaces, "unshare(arg0:64 == %s)"); conditional["unshare"] && len(denied) > 0 {
		candidates = append(candidates, "restrict-namespaces "+strings.Join(denied, ","))
	}
	candidates = append(candidates, "memory-deny-write-execute")
	var options []string
	for _, option := range candidates {
		r := &firejailReader{document: newDocument("", nil), lists: make(map[string]*word), denial: policy.Action{Kind: abi.Errno, Errno: "EPERM"}}
		r.line(option, 0)
		names, ok, err := c.choose(r.stack(), r.lower())
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		options = append(options, option)
		for _, name := range names {
			verdicts[name] = abi.Allow
		}
	}
	return options, nil
}

// firejailWord returns what Firejail calls the strictest that it has for a denial.
func firejailWord(a abi.Action) string {
	if a.Kind() == abi.Errno {
		if name := abi.AMD64.ErrnoName(a.Data()); name != "" && a.Data() != 0 {
			return name
		}
		return "EPERM"
	}
	return "kill"
}
