package convert

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
)

// writeSystemd writes d as a drop-in: it sets each directive that it uses anew. A
// list names calls, so that one with conditions is let through only where a
// directive has these conditions, and else takes the default. Where ABIs differ,
// the machine's own decides. What has no such action gets a stricter one.
func writeSystemd(d *Decisions, _ Options) ([]byte, []Loss, error) {
	w := &systemdWriter{d: d, native: d.ABIs[0], version: systemd255().cached()}
	if err := w.architectures(); err != nil {
		return nil, nil, err
	}
	w.decide()
	if err := w.directives(); err != nil {
		return nil, nil, err
	}
	w.lists()
	if on := d.Policy.Load.NoNewPrivs; on != nil && *on {
		w.line("NoNewPrivileges", "yes")
	}
	for _, flag := range d.Policy.Load.Flags {
		w.losses = append(w.losses, Loss{Msg: "flag " + flag + " is about loading the filter, which systemd does in its own way"})
	}
	var b bytes.Buffer
	b.WriteString("# A drop-in: /etc/systemd/system/NAME.service.d/50-system-calls.conf\n[Service]\n")
	for _, l := range w.out {
		if l.from != "" {
			fmt.Fprintln(&b, "#", l.from)
		}
		if l.reset {
			fmt.Fprintf(&b, "%s=\n", l.key)
		}
		for _, line := range wrap(l.key+"="+l.prefix, l.words) {
			b.WriteString(line + "\n")
		}
	}
	return b.Bytes(), w.losses, nil
}

type systemdWriter struct {
	d       *Decisions
	native  abi.ABI
	version systemdVersion
	losses  []Loss
	out     []systemdLine

	names map[string]systemdVerdict // of every call that a listed ABI has
}

// A systemdLine is words of one directive.
type systemdLine struct {
	key    string
	reset  bool
	prefix string // "~"
	words  []string
	from   string // where the rules stand
}

func (w *systemdWriter) line(key string, words ...string) {
	w.out = append(w.out, systemdLine{key: key, words: words})
}

// wrap breaks long lists: lines of one directive add up.
func wrap(start string, words []string) []string {
	const width = 100
	var lines []string
	line := start
	for _, word := range words {
		if len(line) > len(start) && len(line)+1+len(word) > width {
			lines = append(lines, line)
			line = start
		}
		if len(line) > len(start) {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}

func (w *systemdWriter) architectures() error {
	local, _ := systemdLocal(w.native)
	words := []string{"native"}
	for _, a := range w.d.ABIs {
		if !slices.Contains(local, a) {
			return fmt.Errorf("systemd on %s makes no filter for %s", w.native, a)
		}
		if a == w.native {
			continue
		}
		for name, known := range systemdArches {
			if known == a && a != abi.None {
				words = append(words, name)
			}
		}
	}
	if w.d.Resolved.BadArch.Kind() == abi.Allow && len(w.d.ABIs) == len(local) {
		words = nil // nothing is blocked
	}
	w.out = append(w.out, systemdLine{key: "SystemCallArchitectures", reset: len(words) > 0, words: words})
	return nil
}

// A systemdVerdict is what a list says of a call.
type systemdVerdict struct {
	action      abi.Action // one that a list can say; of conditional ones the default
	logged      bool
	conditional bool
}

// lets reports whether an action has the kernel make the call.
func lets(a abi.Action) bool { return a.Kind() == abi.Allow || a.Kind() == abi.Log }

// verdict returns what comes nearest to a without being looser.
func (w *systemdWriter) verdict(a abi.Action) systemdVerdict {
	switch a.Kind() {
	case abi.Allow, abi.Log:
		return systemdVerdict{action: abi.Allow, logged: a.Kind() == abi.Log}
	case abi.Errno:
		return systemdVerdict{action: a}
	case abi.Trace, abi.UserNotify:
		return systemdVerdict{action: abi.Errno.WithData(1)}
	}
	return systemdVerdict{action: abi.KillProcess}
}

// decide finds the verdict on every name.
func (w *systemdWriter) decide() {
	w.names = make(map[string]systemdVerdict)
	owner := make(map[string]abi.ABI)
	for _, a := range slices.Backward(w.d.ABIs) {
		for _, name := range a.Syscalls() {
			owner[name] = a
		}
	}
	for name := range owner {
		w.names[name] = w.verdict(w.d.Default)
	}
	calls := make(map[string][]Decision)
	for _, c := range w.d.Calls {
		if c.Name != "" && owner[c.Name] == c.ABI {
			calls[c.Name] = append(calls[c.Name], c)
		}
	}
	for name, decisions := range calls {
		if c := decisions[0]; len(c.Any) == 0 && !c.Vague {
			w.names[name] = w.verdict(c.Action)
			continue
		}
		v := w.verdict(w.d.Default)
		v.conditional = lets(w.d.Default) || slices.ContainsFunc(decisions, func(c Decision) bool { return lets(c.Action) })
		w.names[name] = v
	}
}

// directives adds those that decide calls with conditions as the policy does, and
// has the lists let these through.
func (w *systemdWriter) directives() error {
	c := w.chooser()
	for _, candidate := range slices.Concat(w.families(), w.namespaces(), [][2]string{
		{"MemoryDenyWriteExecute", "yes"}, {"RestrictRealtime", "yes"}, {"RestrictSUIDSGID", "yes"}, {"LockPersonality", "yes"},
	}) {
		key, value := candidate[0], candidate[1]
		if slices.ContainsFunc(w.out, func(l systemdLine) bool { return l.key == key }) {
			continue // said by an earlier candidate
		}
		r := &systemdReader{document: newDocument("", nil), version: w.version, native: w.native, namespaces: -1, section: "[Service]"}
		r.line(key+"="+value, 0)
		local, _ := systemdLocal(w.native)
		s := r.stack(local)
		names, ok, err := c.choose(s, r.lower())
		if err != nil {
			return err
		}
		if ok {
			for _, name := range names {
				w.names[name] = systemdVerdict{action: abi.Allow}
			}
			w.out = append(w.out, systemdLine{key, key == "RestrictAddressFamilies" || key == "RestrictNamespaces", "", []string{value}, w.d.fromAll(w.native, names)})
			if key == "MemoryDenyWriteExecute" {
				w.losses = append(w.losses, Loss{Msg: "MemoryDenyWriteExecute=yes is the kernel's PR_SET_MDWE instead of a filter from Linux 6.3 and systemd 253 on: then memory that is executable stays so"})
			}
		}
	}
	return nil
}

func (w *systemdWriter) chooser() *chooser {
	return &chooser{w.d, w.native, func(name string) bool { return w.names[name].conditional }}
}

// families returns what RestrictAddressFamilies= could be: the families that are
// denied, if that is all, or those that are let through.
func (w *systemdWriter) families() [][2]string {
	if !w.names["socket"].conditional {
		return nil
	}
	names := make(map[uint64]string)
	for name, value := range w.native.Constants() {
		switch name {
		case "AF_LOCAL", "AF_FILE", "AF_ROUTE", "AF_MAX", "AF_UNSPEC":
			continue
		}
		if strings.HasPrefix(name, "AF_") && names[value] == "" {
			names[value] = name
		}
	}
	var denied, allowed []string
	for _, value := range slices.Sorted(maps.Keys(names)) {
		if w.chooser().letsThrough(fmt.Sprintf("socket(arg0:64 == %d)", value)) {
			allowed = append(allowed, names[value])
		} else {
			denied = append(denied, names[value])
		}
	}
	var all [][2]string
	if len(denied) > 0 {
		all = append(all, [2]string{"RestrictAddressFamilies", "~" + strings.Join(denied, " ")})
	}
	if len(allowed) > 0 {
		all = append(all, [2]string{"RestrictAddressFamilies", strings.Join(allowed, " ")})
	}
	return all
}

// namespaces returns what RestrictNamespaces= could be.
func (w *systemdWriter) namespaces() [][2]string {
	if !w.names["unshare"].conditional && !w.names["clone"].conditional {
		return nil
	}
	call := "unshare(arg0:64 == %s)"
	if !w.names["unshare"].conditional {
		call = "clone(flags:64 == %s)"
	}
	var allowed []string
	for _, n := range systemdNamespaces {
		if w.chooser().letsThrough(fmt.Sprintf(call, n.constant)) {
			allowed = append(allowed, n.name)
		}
	}
	if len(allowed) == 0 {
		return [][2]string{{"RestrictNamespaces", "yes"}}
	}
	return [][2]string{{"RestrictNamespaces", strings.Join(allowed, " ")}}
}

// lists adds SystemCallFilter=, SystemCallErrorNumber= and SystemCallLog=.
func (w *systemdWriter) lists() {
	fallback := w.verdict(w.d.Default)
	denied := fallback.action
	if lets(w.d.Default) {
		denied = w.commonDenial()
	}
	byAction := make(map[abi.Action][]string)
	var logged, plain []string
	for _, name := range slices.Sorted(maps.Keys(w.names)) {
		v := w.names[name]
		switch {
		case v.logged:
			logged = append(logged, name)
		case v.action == abi.Allow:
			plain = append(plain, name)
		}
		byAction[v.action] = append(byAction[v.action], name)
	}
	filter := func(prefix string, words, names []string) {
		if len(words) > 0 {
			first := !slices.ContainsFunc(w.out, func(l systemdLine) bool { return l.key == "SystemCallFilter" })
			w.out = append(w.out, systemdLine{"SystemCallFilter", first, prefix, words, w.d.fromAll(w.native, names)})
		}
	}
	if lets(w.d.Default) {
		filter("~", w.compress(byAction[denied], nil, false), byAction[denied])
	} else {
		allowed := byAction[abi.Allow]
		basics, _ := w.version.set("@default")
		words := w.compress(allowed, basics, true)
		if len(words) == 0 {
			words = []string{"@default"} // which it means anyway
		}
		surplus := w.surplus(words, allowed)
		filter("", words, allowed)
		filter("~", surplus, surplus)
	}
	known, _ := w.version.set("@known")
	enosys, _ := w.native.Errno("ENOSYS")
	for _, action := range slices.Sorted(maps.Keys(byAction)) {
		switch newer := func(name string) bool { return !slices.Contains(known, name) }; {
		case action == abi.Allow, action == denied && lets(w.d.Default):
			continue
		case action == denied: // which newer calls would not get
			if action == abi.Errno.WithData(enosys) {
				continue
			}
			byAction[action] = slices.DeleteFunc(byAction[action], func(name string) bool { return !newer(name) })
		case action == abi.Errno.WithData(enosys) && !lets(w.d.Default): // which newer calls get anyway
			byAction[action] = slices.DeleteFunc(byAction[action], newer)
		}
		words := slices.Clone(byAction[action])
		for i := range words {
			words[i] += ":" + w.errno(action)
		}
		filter("~", words, byAction[action])
	}
	if slices.ContainsFunc(w.out, func(l systemdLine) bool { return l.key == "SystemCallFilter" }) {
		w.line("SystemCallErrorNumber", w.errno(denied))
	}
	switch {
	case !fallback.logged && len(logged) > 0:
		w.out = append(w.out, systemdLine{"SystemCallLog", true, "", w.compress(logged, nil, false), w.d.fromAll(w.native, logged)})
	case fallback.logged:
		// A list of no calls would be none.
		if plain = append(plain, byAction[denied]...); len(plain) > 0 {
			w.out = append(w.out, systemdLine{"SystemCallLog", true, "~", w.compress(plain, nil, false), w.d.fromAll(w.native, plain)})
		}
	}
}

// commonDenial returns the action that most denied calls have.
func (w *systemdWriter) commonDenial() abi.Action {
	count := make(map[abi.Action]int)
	best := abi.KillProcess
	for _, name := range slices.Sorted(maps.Keys(w.names)) {
		if a := w.names[name].action; !lets(a) {
			if count[a]++; count[a] > count[best] {
				best = a
			}
		}
	}
	return best
}

func (w *systemdWriter) errno(a abi.Action) string {
	if a.Kind() == abi.KillProcess {
		return "kill"
	}
	if name := w.native.ErrnoName(a.Data()); name != "" {
		return name
	}
	return strconv.Itoa(int(a.Data()))
}

// present returns the members of a set that a listed ABI has.
func (w *systemdWriter) present(set string) []string {
	all, _ := w.version.set(set)
	return slices.DeleteFunc(slices.Clone(all), func(name string) bool { _, ok := w.names[name]; return !ok })
}

// compress replaces names by sets where that makes the list shorter. given are
// names that need not be said. With surplus, a set may have other members: each
// costs a word.
func (w *systemdWriter) compress(names, given []string, surplus bool) []string {
	left, want := make(map[string]bool), make(map[string]bool)
	for _, name := range names {
		want[name] = true
		left[name] = !slices.Contains(given, name)
	}
	maps.DeleteFunc(left, func(_ string, left bool) bool { return !left })
	extra := make(map[string]bool)
	var words []string
	for {
		best, gain := "", 0
		for _, set := range policy.SetNames() {
			short, ok := strings.CutPrefix(set, "@systemd/")
			if !ok || short == "known" || short == "default" {
				continue
			}
			g := -1
			for _, name := range w.present("@" + short) {
				switch {
				case left[name]:
					g++
				case !want[name] && !surplus:
					g -= len(w.names)
				case !want[name] && !extra[name]:
					g--
				}
			}
			if g > gain {
				best, gain = "@"+short, g
			}
		}
		if best == "" {
			break
		}
		words = append(words, best)
		for _, name := range w.present(best) {
			if delete(left, name); !want[name] {
				extra[name] = true
			}
		}
	}
	slices.Sort(words)
	return append(words, slices.Sorted(maps.Keys(left))...)
}

// surplus returns the names that words, or @default, allow and that must not be.
func (w *systemdWriter) surplus(words, allowed []string) []string {
	found := make(map[string]bool)
	for _, set := range append([]string{"@default"}, words...) {
		if !strings.HasPrefix(set, "@") {
			continue
		}
		for _, name := range w.present(set) {
			if v := w.names[name]; !slices.Contains(allowed, name) && v.action == w.verdict(w.d.Default).action {
				found[name] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}
