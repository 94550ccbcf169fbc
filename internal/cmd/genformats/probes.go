package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/convert"
	"github.com/sysgate/sysgate/internal/proof"
	"github.com/sysgate/sysgate/policy"
)

// A feature is something that a policy can say, and a call that shows it.
type feature struct {
	name   string
	policy string // without the version; amd64's where it names no ABI
	call   string
}

type featureTable struct {
	title    string
	features []feature
}

// action returns the feature of a rule's action.
func action(name string) feature {
	return feature{name, "default_action: errno(EPERM)\nsyscalls: [{action: " + name + ", names: [read]}]", "read()"}
}

// fallback returns the feature of the default action.
func fallback(name string) feature {
	rule := "allow"
	if name == "allow" {
		rule = "errno(EPERM)"
	}
	return feature{name, "default_action: " + name + "\nsyscalls: [{action: " + rule + ", names: [read]}]", "getpid()"}
}

// condition returns the feature of a condition under which a call is let through.
func condition(name, pattern string) feature {
	call, _, _ := strings.Cut(pattern, "(")
	return feature{name, "default_action: errno(EPERM)\nsyscalls: [{action: allow, calls: [\"" + pattern + "\"]}]", call + "()"}
}

var tables = []featureTable{
	{"Actions of rules", []feature{
		action("allow"), action("log"), action("errno(ENOSYS)"), action("trap"), action("trap(7)"), action("trace(7)"), action("user_notify"), action("kill_thread"), action("kill_process"),
	}},
	{"The default, for a call with a name", []feature{
		fallback("allow"), fallback("log"), fallback("errno(EPERM)"), fallback("errno(ENOSYS)"), fallback("trap"), fallback("kill_thread"), fallback("kill_process"),
	}},
	{"Arguments", []feature{
		condition("equality of the whole word", "read(count:64 == 5)"),
		condition("equality of the bits that the kernel reads", "socket(domain == AF_UNIX)"),
		condition("order", "read(count < 1000)"),
		condition("a set", "ioctl(cmd in {TCGETS, TIOCGWINSZ, FIONREAD})"),
		condition("inequality", "ioctl(cmd:64 != TIOCSTI)"),
		condition("masked equality", "socket(type:64 & 0xf == SOCK_STREAM)"),
		condition("no bit set", "mmap(prot & PROT_EXEC == 0)"),
		condition("two tests of one argument", "write(fd:64 >= 3, fd:64 <= 6)"),
		condition("the instruction pointer", "read(ip == 0x1000)"),
		{"several actions of one call", "default_action: errno(EPERM)\nsyscalls: [{action: allow, calls: [\"ioctl(cmd:64 == TCGETS)\"]}, {action: errno(ENOSYS), names: [ioctl]}]", "ioctl()"},
	}},
	{"Everything else", []feature{
		{"newer calls get ENOSYS", "default_action: errno(EPERM)\nunknown_action: errno(ENOSYS)\nsyscalls: [{action: allow, names: [read]}]", "nr:900()"},
		{"a second ABI", "abis: [amd64, 386]\ndefault_action: errno(EPERM)\nsyscalls: [{action: allow, names: [read]}]", "386:read()"},
		{"a second ABI with rules of its own", "abis: [amd64, 386]\ndefault_action: errno(EPERM)\nsyscalls: [{action: allow, calls: [\"amd64:read\", \"386:write\"]}]", "386:write()"},
		{"other architectures are killed", "default_action: errno(EPERM)\nsyscalls: [{action: allow, names: [read]}]", "arm64:read()"},
		{"x32 calls are answered with ENOSYS", "default_action: errno(EPERM)\nsyscalls: [{action: allow, names: [read]}]", "x32:read()"},
	}},
}

func (t featureTable) write(w io.Writer) error {
	var names, line []string
	for _, f := range t.features {
		names, line = append(names, f.name), append(line, "---")
	}
	fmt.Fprintf(w, "\n### %s\n\n| format | %s |\n| --- | %s |\n", t.title, strings.Join(names, " | "), strings.Join(line, " | "))
	for _, format := range formats() {
		if format.Write == nil {
			continue
		}
		var cells []string
		for _, f := range t.features {
			cell, err := f.carried(format)
			if err != nil {
				return fmt.Errorf("%s, %s: %w", format.Name, f.name, err)
			}
			cells = append(cells, cell)
		}
		fmt.Fprintf(w, "| `%s` | %s |\n", format.Name, strings.Join(cells, " | "))
	}
	return nil
}

// carried returns how format carries f.
func (f feature) carried(format convert.Format) (string, error) {
	text := f.policy
	if !strings.HasPrefix(text, "abis:") {
		text = "abis: [amd64]\n" + text
	}
	p, err := policy.Parse(f.name, []byte("version: 1\n"+text))
	if err != nil {
		return "", err
	}
	c, err := policy.ParseCall(f.call, abi.AMD64)
	if err != nil {
		return "", err
	}
	e, err := convert.Export(format, p, convert.Options{Native: abi.AMD64})
	switch {
	case err != nil: // the format says why to who converts
		return "–", nil
	case format.Read == nil:
		return "·", nil
	}
	for i := range e.Different {
		r := &e.Different[i]
		if r.ABI == abi.None {
			if slices.ContainsFunc(r.Through, func(in proof.Entry) bool { return in.ABI == owner(c) }) {
				return "*other*", nil
			}
			continue
		}
		for _, n := range r.Numbers {
			if r.ABI == owner(c) && n.Lo <= c.NR && c.NR <= n.Hi {
				return "*other*", nil
			}
		}
	}
	return "**yes**", nil
}

// owner returns the ABI of a call.
func owner(c abi.Call) abi.ABI {
	for _, a := range abi.All() {
		if a.AuditArch() == c.Arch && (a == abi.X32) == c.IsX32() {
			return a
		}
	}
	return abi.None
}
