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
// denies by default, else seccomp.drop; for 386, if the policy lists it, always
// seccomp.32.drop, since Firejail takes seccomp.32.keep for amd64. A list names
// calls, so that one with conditions takes the default. Other architectures, and
// 386 where nothing gets through, get seccomp.block-secondary.
func writeFirejail(d *Decisions, _ Options) ([]byte, []Loss, error) {
	both := slices.Equal(d.ABIs, []abi.ABI{abi.AMD64, abi.I386})
	if !both && !slices.Equal(d.ABIs, []abi.ABI{abi.AMD64}) {
		return nil, nil, fmt.Errorf("a profile is written for amd64, alone or with 386, not for %v", d.ABIs)
	}
	verdicts := firejailVerdicts(d, abi.AMD64)
	secondary := map[string]abi.Action{}
	if both {
		secondary = firejailVerdicts(d, abi.I386)
	}
	block := !both && !lets(d.Resolved.BadArch)
	if both && !slices.ContainsFunc(slices.Collect(maps.Values(secondary)), lets) {
		block, secondary = true, nil
	}
	denial := firejailDenial(d.Default, verdicts, secondary)
	options, err := firejailOptionsFor(d, verdicts, secondary)
	if err != nil {
		return nil, nil, err
	}
	w := &firejailWriter{rest: d.Default, denial: denial}
	list := w.list(verdicts)
	w.rest = abi.Allow
	list32 := w.list(secondary)
	var b bytes.Buffer
	above := func(a abi.ABI, words []string) {
		var names []string
		for _, word := range words {
			name, _, _ := strings.Cut(strings.TrimPrefix(word, "!"), ":")
			names = append(names, name)
		}
		if from := d.fromAll(a, names); from != "" {
			fmt.Fprintln(&b, "#", from)
		}
	}
	if !lets(denial) {
		fmt.Fprintf(&b, "seccomp-error-action %s\n", firejailWord(denial))
	}
	key := "seccomp.keep"
	if lets(d.Default) {
		key = "seccomp.drop"
	}
	switch {
	case len(list) > 0:
	case !lets(d.Default):
		list = firejailKeep
	case len(list32) > 0: // without a list for amd64 Firejail does not read the other
		list = []string{"!exit"}
	}
	if len(list) > 0 {
		above(abi.AMD64, list)
		fmt.Fprintf(&b, "%s %s\n", key, strings.Join(list, ","))
	}
	if len(list32) > 0 {
		above(abi.I386, list32)
		fmt.Fprintf(&b, "seccomp.32.drop %s\n", strings.Join(list32, ","))
	}
	for _, option := range options {
		b.WriteString(option + "\n")
	}
	if block && (len(list) > 0 || both) {
		b.WriteString("seccomp.block-secondary\n")
	}
	return b.Bytes(), w.losses, nil
}

// firejailVerdicts returns what the calls of an ABI get, by name: the default for
// those that conditions decide.
func firejailVerdicts(d *Decisions, a abi.ABI) map[string]abi.Action {
	verdicts := make(map[string]abi.Action)
	for nr, name := range a.Syscalls() {
		verdicts[name] = d.Default
		for _, c := range d.Calls {
			if c.ABI == a && len(c.Any) == 0 && !c.Vague && slices.ContainsFunc(c.Numbers, func(r policy.NumberRange) bool { return r.Lo <= nr && nr <= r.Hi }) {
				verdicts[name] = c.Action
			}
		}
	}
	return verdicts
}

// firejailDenial returns what most denied calls get, and by default all others.
func firejailDenial(rest abi.Action, verdicts ...map[string]abi.Action) abi.Action {
	if !lets(rest) {
		return rest
	}
	count := make(map[abi.Action]int)
	for _, calls := range verdicts {
		for _, action := range calls {
			if !lets(action) {
				count[action]++
			}
		}
	}
	denial := rest
	for _, action := range slices.Sorted(maps.Keys(count)) {
		if lets(denial) || count[action] > count[denial] {
			denial = action
		}
	}
	return denial
}

type firejailWriter struct {
	rest   abi.Action // of calls that the list does not name
	denial abi.Action
	losses []Loss
}

// list returns the members of a list that gives calls their verdicts.
func (w *firejailWriter) list(verdicts map[string]abi.Action) []string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(verdicts)) {
		action, kept := verdicts[name], slices.Contains(firejailKeep, name)
		switch {
		case kept && !lets(action) && name != "execveat":
			if loss := (Loss{Msg: name + " is let through: Firejail needs it to start the program"}); !slices.Contains(w.losses, loss) {
				w.losses = append(w.losses, loss)
			}
		case lets(w.rest) && lets(action), !lets(w.rest) && action == w.rest && !kept:
		case kept && lets(action):
		case lets(action):
			list = append(list, name)
		case kept && !lets(w.rest):
			list = append(list, "!"+name)
		case firejailWord(action) == firejailWord(w.denial):
			list = append(list, name)
		default:
			list = append(list, name+":"+firejailWord(action))
		}
	}
	return list
}

// firejailOptionsFor returns the options that decide calls with conditions as the
// policy does, and has the list let these through.
func firejailOptionsFor(d *Decisions, lists ...map[string]abi.Action) ([]string, error) {
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
		r := &firejailReader{document: newDocument("", nil), at: make(map[string]place), lists: make(map[string]*word), denial: policy.Action{Kind: abi.Errno, Errno: "EPERM"}}
		r.line(option, 0)
		names, ok, err := c.choose(r.stack(), r.lower())
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		if from := d.fromAll(abi.AMD64, names); from != "" {
			options = append(options, "# "+from)
		}
		options = append(options, option)
		for _, verdicts := range lists {
			for _, name := range names {
				if _, known := verdicts[name]; known {
					verdicts[name] = abi.Allow
				}
			}
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
