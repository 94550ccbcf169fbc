package convert

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
)

var formatFirejail = Format{
	Name: "firejail", Title: "Firejail profile or options",
	Detect: isFirejail,
	Read:   readFirejail,
	Write:  writeFirejail,
	Says: Says{
		Actions:   "allow, errno, kill_thread; log for all denials",
		Default:   "allow, or the action of denials",
		Unknown:   "as the default",
		Arguments: "those of fixed options: families of sockets, kinds of namespaces, executable memory",
		Order:     "exceptions, then the list; of several filters the strictest",
		ABIs:      "the machine's own; on amd64 386 by lists of its own, x32 denied; others: allow",
	},
}

// isFirejail reports whether data is a profile: lines of a word that only Firejail
// has, and nothing that they cannot be.
func isFirejail(name string, data []byte) bool {
	found := false
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSpace(strings.ReplaceAll(line, "\t", " "))
		if line == "" || line[0] == '#' || line[0] == '?' {
			continue
		}
		key, _, _ := strings.Cut(strings.TrimPrefix(line, "--"), " ")
		key, _, _ = strings.Cut(key, "=")
		if strings.ContainsAny(key, ":{[") {
			return false
		}
		found = found || slices.Contains(firejailKeys, key)
	}
	return found || strings.HasSuffix(name, ".profile") && len(data) > 0
}

// firejailGroups says which calls are in a group ("@clock") on amd64 or 386, those
// that are needed after the filter is in place too.
type firejailGroups func(a abi.ABI, group string) ([]uint32, error)

// readFirejail reads the lines of a profile, or options a line each, that decide
// about system calls. Groups are asked of the installed Firejail.
func readFirejail(name string, data []byte, o Options) (*policy.Policy, []Loss, error) {
	return installedFirejailGroups().read(name, data, o)
}

func (g firejailGroups) read(name string, data []byte, o Options) (*policy.Policy, []Loss, error) {
	if o.native() != abi.AMD64 {
		return nil, nil, errors.New("what Firejail does is known for amd64 alone")
	}
	if len(data) > maxLines {
		return nil, nil, &policy.Error{Pos: policy.Pos{File: name}, Msg: fmt.Sprintf("file of %d bytes is too large for a profile: the limit is %d", len(data), maxLines)}
	}
	r := &firejailReader{document: newDocument(name, data), groups: g.cached(), at: make(map[string]place), lists: make(map[string]*word), denial: policy.Action{Kind: abi.Errno, Errno: "EPERM"}}
	off := 0
	for line := range strings.Lines(string(data)) {
		r.line(line, off)
		off += len(line)
	}
	var p *policy.Policy
	if len(r.errs) == 0 {
		p = r.lower()
	}
	switch len(r.errs) {
	case 0:
		return p, r.losses, nil
	case 1:
		return nil, nil, r.errs[0]
	}
	return nil, nil, r.errs
}

type firejailReader struct {
	*document
	groups firejailGroups
	losses []Loss
	errs   policy.Errors

	refused []word // of lists
	ignored []string
	at      map[string]place // of options
	lists   map[string]*word // by option: the last list; nil text for none
	denial  policy.Action    // of seccomp-error-action
	action  bool             // which is set

	blockSecondary, debuggers, mdwe bool
	protocols, namespaces           []word // nil: not restricted
	restrict                        bool   // namespaces are restricted
}

func (r *firejailReader) lose(off int, format string, args ...any) {
	r.losses = append(r.losses, Loss{r.pos(off), fmt.Sprintf(format, args...)})
}

func (r *firejailReader) fail(w word, hint, format string, args ...any) {
	r.errs = append(r.errs, r.errorf(w.off, w.off+len(w.text), hint, format, args...))
}

func (r *firejailReader) line(line string, off int) {
	if off == 0 && strings.HasPrefix(line, byteOrderMark) {
		r.fail(word{byteOrderMark, 0}, "take it out", "the file starts with a byte order mark: Firejail refuses the line")
		return
	}
	text := strings.TrimLeft(strings.ReplaceAll(line, "\t", " "), " ")
	off += len(line) - len(text)
	text, _, _ = strings.Cut(text, "#")
	text = strings.TrimRight(text, " \r\n")
	if text == "" {
		return
	}
	option := text
	if short, ok := strings.CutPrefix(text, "--"); ok {
		option = short
		off += 2
		if key, value, ok := strings.Cut(short, "="); ok { // of the same length
			option = key + " " + value
		}
	}
	if slices.ContainsFunc(r.ignored, func(prefix string) bool { return strings.HasPrefix(option, prefix) }) {
		return
	}
	key, value, _ := strings.Cut(option, " ")
	at := word{strings.TrimSpace(value), off + len(option) - len(strings.TrimLeft(value, " "))}
	switch {
	case strings.HasPrefix(key, "?"):
		r.lose(off, "%s depends on how Firejail is set up: not read", key)
		return
	case key == "ignore":
		r.ignored = append(r.ignored, at.text)
		return
	case key == "include":
		r.lose(off, "the file %s is not read", at.text)
		return
	}
	r.option(key, at, off)
}

func (r *firejailReader) option(key string, v word, off int) {
	if old := r.lists[key]; old == nil || v.text != "" {
		r.at[key] = place{pos: r.pos(off)}
	}
	switch key {
	case "seccomp", "seccomp.32", "seccomp.drop", "seccomp.keep", "seccomp.32.drop", "seccomp.32.keep":
		if v.text == "" && strings.Count(key, ".") > 0 && key != "seccomp.32" {
			r.fail(word{key, off}, "", "%s: want a list of system calls", key)
			return
		}
		if old := r.lists[key]; old == nil || v.text != "" {
			r.lists[key] = &v
		}
	case "seccomp.block-secondary":
		r.blockSecondary = true
	case "seccomp-error-action":
		a, ok := firejailAction(v.text, true)
		if !ok {
			r.fail(v, "kill, log or the name of an error", "unknown action %q", v.text)
			return
		}
		r.denial, r.action = a, true
	case "protocol":
		r.protocols = append(r.protocols, r.commas(v)...)
	case "restrict-namespaces":
		r.restrict = true
		r.namespaces = append(r.namespaces, r.commas(v)...)
	case "memory-deny-write-execute":
		r.mdwe = true
	case "allow-debuggers":
		r.debuggers = true
	default:
		if meant := misspelt(key, firejailKeys); meant != "" && len(key) > 3 {
			r.fail(word{key, off}, "did you mean "+meant+"?", "Firejail has no command %q", key)
		}
	}
}

// firejailKeys are the words of options that decide about system calls.
var firejailKeys = []string{
	"seccomp", "seccomp.32", "seccomp.drop", "seccomp.keep", "seccomp.32.drop", "seccomp.32.keep", "seccomp.block-secondary",
	"seccomp-error-action", "protocol", "restrict-namespaces", "memory-deny-write-execute",
}

// commas splits a list, in which there is no space.
func (r *firejailReader) commas(v word) []word {
	var all []word
	off := v.off
	for part := range strings.SplitSeq(v.text, ",") {
		switch {
		case strings.Contains(part, " "):
			if w := (word{part, off}); !slices.Contains(r.refused, w) { // a list is read for several ABIs
				r.refused = append(r.refused, w)
				r.fail(w, "write the list without spaces", "%q is no part of a list: Firejail refuses it", part)
			}
		case part != "":
			all = append(all, word{part, off})
		}
		off += len(part) + 1
	}
	return all
}

// firejailAction reads what a denied call gets; log is only for all of them.
func firejailAction(s string, log bool) (policy.Action, bool) {
	switch {
	case s == "kill":
		return policy.Action{Kind: abi.KillThread}, true
	case s == "log" && log:
		return policy.Action{Kind: abi.Log}, true
	}
	n, ok := abi.AMD64.Errno(strings.ToUpper(s))
	return policy.Action{Kind: abi.Errno, Errno: abi.AMD64.ErrnoName(n)}, ok
}

// lower returns the policy that Firejail's filters amount to.
func (r *firejailReader) lower() *policy.Policy {
	allow := policy.Action{Kind: abi.Allow}
	s := r.stack()
	p := &policy.Policy{Version: 1, ABIs: []abi.ABI{abi.AMD64, abi.I386}, Default: s.rest(abi.AMD64), BadArch: &allow, X32: &allow}
	if r.blockSecondary {
		p.BadArch = &r.denial
	}
	if slices.ContainsFunc(s, func(f *filter) bool { return f.abi == abi.AMD64 }) {
		p.X32 = &r.denial
		p.Rules = append(p.Rules, policy.Rule{Action: r.denial, Reason: "Firejail: numbers from the x32 bit on", Calls: []policy.Pattern{
			{ABI: abi.AMD64, Numbers: &policy.NumberRange{Lo: 0x80000000, Hi: 0xbfffffff}},
			{ABI: abi.AMD64, Numbers: &policy.NumberRange{Lo: 0xffffffff, Hi: 0xffffffff}},
		}})
	}
	p.Rules = append(p.Rules, s.rules(p.ABIs, func(a abi.ABI, _ bool) policy.Action { return s.rest(a) })...)
	if rest := s.rest(abi.I386); rest != p.Default {
		p.Rules = append(p.Rules, policy.Rule{Action: rest, Reason: "Firejail: the default on 386", Calls: []policy.Pattern{
			{ABI: abi.I386, Numbers: &policy.NumberRange{Lo: 0, Hi: 0xffffffff}},
		}})
	}
	return p
}
