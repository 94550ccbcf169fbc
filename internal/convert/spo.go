package convert

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
)

var formatSPO = Format{
	Name: "spo", Title: "SeccompProfile of the Security Profiles Operator",
	Detect: isSPO,
	Read:   readSPO,
	Write:  writeSPO,
	Says: Says{
		Actions:   "all; trap without data",
		Default:   "one action; of errors, EPERM alone",
		Unknown:   "errno(ENOSYS) above the highest number named, where the default denies (runc)",
		Arguments: "equality, order, masked equality of whole words, with values below 2^63",
		Order:     "libseccomp's: unconditional beats conditional",
		ABIs:      "several, but not loong64; others: kill_thread",
	},
}

// spoKind matches what says what a manifest is, in YAML or JSON, outside of comments.
var spoKind = regexp.MustCompile(`(?m)^(\x{feff}|[^#\n]*[\s{,-])?["']?kind["']?:\s*["']?SeccompProfile["']?\s*([,}#].*)?$`)

func isSPO(_ string, data []byte) bool { return spoKind.Match(data) }

// readSPO reads a SeccompProfile, whose fields are those of an OCI profile: the
// operator writes one of it. A number that the API server would refuse is an
// error.
func readSPO(name string, data []byte, o Options) (*policy.Policy, []Loss, error) {
	options, err := OCIOptions{Options: o, Dialect: Operator}.complete()
	if err != nil {
		return nil, nil, err
	}
	d := newDocument(name, data)
	documents, err := d.manifests()
	if err != nil {
		return nil, nil, err
	}
	r := &ociReader{document: d, options: options}
	found, err := r.chosen(documents)
	if err != nil {
		return nil, nil, err
	}
	spec := found.get("spec")
	if spec == nil {
		return nil, nil, &policy.Error{Pos: policy.Pos{File: name}, Msg: "no SeccompProfile with a spec"}
	}
	if base := spec.get("baseProfileName"); base != nil && r.text(base, "baseProfileName") != "" {
		r.lose(base.off, "the calls of the base profile "+r.text(base, "baseProfileName")+" are not here: read that profile too, and merge --union the two")
	}
	r.signed(spec)
	p, losses, err := r.read(spec)
	if disabled := spec.get("disabled"); err == nil && disabled != nil && disabled.boolean != nil {
		p.Load.Disabled = *disabled.boolean
	}
	return p, losses, err
}

// chosen returns the SeccompProfile that is meant: the only one, or that with the
// name. nil: there is none.
func (r *ociReader) chosen(documents []*value) (*value, error) {
	var found *value
	var names []string
	for _, m := range documents {
		if kind := m.get("kind"); kind == nil || kind.text == nil || *kind.text != "SeccompProfile" {
			continue
		}
		name := ""
		if n := m.get("metadata").get("name"); n != nil && n.text != nil {
			name = *n.text
		}
		names = append(names, name)
		switch {
		case r.options.Name != "" && name != r.options.Name:
		case found != nil && r.options.Name == "":
			return nil, r.errorf(m.off, m.off+1, "--name chooses one", "the file has several SeccompProfiles: %s", strings.Join(names, ", "))
		case found != nil:
			return nil, r.errorf(m.off, m.off+1, "", "a second SeccompProfile %s", name)
		default:
			found = m
		}
	}
	if found == nil && len(names) > 0 {
		return nil, &policy.Error{Pos: policy.Pos{File: r.name}, Msg: fmt.Sprintf("no SeccompProfile %s: there are %s", r.options.Name, strings.Join(names, ", "))}
	}
	return found, nil
}

// signed holds the values of arguments to int64.
func (r *ociReader) signed(spec *value) {
	for _, s := range r.list(spec.get("syscalls"), "syscalls") {
		if s.object == nil {
			continue
		}
		for _, arg := range r.list(s.get("args"), "args") {
			for _, key := range []string{"value", "valueTwo"} {
				v := arg.get(key)
				if v == nil || v.number == nil {
					continue
				}
				if n, err := strconv.ParseUint(v.number.String(), 10, 64); err == nil && n > math.MaxInt64 {
					r.fail(v, "", "%s: the API server takes numbers below 2^63", key)
				}
			}
		}
	}
}

// spoLacks are the architectures that the API does not have.
var spoLacks = []abi.ABI{abi.LOONG64}

// writeSPO writes d as a manifest. What a profile can say and this kind of object
// cannot is left out.
func writeSPO(d *Decisions, o Options) ([]byte, []Loss, error) {
	for _, a := range d.ABIs {
		for _, lacking := range spoLacks {
			if a == lacking {
				return nil, nil, fmt.Errorf("a SeccompProfile has no architecture for %s", a)
			}
		}
	}
	file, losses, err := profileOf(d, o)
	if err != nil {
		return nil, nil, err
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "apiVersion: security-profiles-operator.x-k8s.io/v1\nkind: SeccompProfile\nmetadata:\n  name: %s\nspec:\n", yamlName(cmp.Or(o.Name, "sysgate")))
	fmt.Fprintf(&b, "  defaultAction: %s\n", file.DefaultAction)
	list := func(key string, indent string, words []string) {
		fmt.Fprintf(&b, "%s%s:\n", indent, key)
		for _, word := range words {
			fmt.Fprintf(&b, "%s- %s\n", indent, yamlName(word))
		}
	}
	list("architectures", "  ", file.Architectures)
	if len(file.Flags) > 0 {
		list("flags", "  ", file.Flags)
	}
	if len(file.Syscalls) > 0 {
		b.WriteString("  syscalls:\n")
	}
	for _, e := range withoutWide(d, file.Syscalls) {
		if e.wide() {
			loss := Loss{Msg: fmt.Sprintf("%s: a value of 2^63 and more cannot be said: left out", strings.Join(e.Names, ", "))}
			if !slices.Contains(losses, loss) {
				losses = append(losses, loss)
			}
			continue
		}
		if from := d.fromAll(d.ABIs[0], e.Names); from != "" {
			fmt.Fprintf(&b, "  # %s\n", from)
		}
		fmt.Fprintf(&b, "  - action: %s\n", e.Action)
		if e.ErrnoRet != nil {
			fmt.Fprintf(&b, "    errnoRet: %d\n", *e.ErrnoRet)
		}
		list("names", "    ", e.Names)
		if len(e.Args) > 0 {
			b.WriteString("    args:\n")
		}
		for _, t := range e.Args {
			fmt.Fprintf(&b, "    - index: %d\n      op: %s\n      value: %d\n", t.Index, t.Op, t.Value)
			if t.ValueTwo != 0 {
				fmt.Fprintf(&b, "      valueTwo: %d\n", t.ValueTwo)
			}
		}
	}
	return b.Bytes(), losses, nil
}

// withoutWide replaces entries with values that int64 has not by others, where each
// condition of the call is on one argument and of order or equality.
func withoutWide(d *Decisions, entries []ociOutput) []ociOutput {
	var all []ociOutput
	wide, done := make(map[string]bool), make(map[string]bool)
	for _, e := range entries {
		for _, name := range e.Names {
			wide[name] = wide[name] || e.wide()
		}
	}
	for _, e := range entries {
		var left []string
		for _, name := range e.Names {
			tests, ok := orderTests(d, name)
			switch {
			case !ok || !wide[name]:
				left = append(left, name)
			case !done[name+e.Action]:
				done[name+e.Action] = true
				for _, t := range tests {
					all = append(all, ociOutput{[]string{name}, e.Action, e.ErrnoRet, []ociTest{t}})
				}
			}
		}
		if e.Names = left; len(left) > 0 {
			all = append(all, e)
		}
	}
	return all
}

// orderTests returns the conditions of a call as one comparison each, if the policy
// has one action for all of them.
func orderTests(d *Decisions, name string) (tests []ociTest, ok bool) {
	var decision *Decision
	for i := range d.Calls {
		c := &d.Calls[i]
		if c.Name != name {
			continue
		}
		if decision != nil && (c.ABI == decision.ABI || c.Action != decision.Action) {
			return nil, false
		}
		if decision == nil {
			decision = c
		}
	}
	if decision == nil || decision.Vague || decision.ABI.Bits() != 64 {
		return nil, false
	}
	for _, alternative := range decision.Any {
		if len(alternative) != 1 {
			return nil, false
		}
		one, ok := plainTests(alternative[0], decision.ABI.WordMask(), math.MaxInt64)
		if !ok {
			return nil, false
		}
		tests = append(tests, one...)
	}
	return tests, len(tests) > 0
}

// wide reports whether an entry has a value that int64 has not.
func (e ociOutput) wide() bool {
	for _, t := range e.Args {
		if t.Value > math.MaxInt64 || t.ValueTwo > math.MaxInt64 {
			return true
		}
	}
	return false
}

// yamlName quotes the words that YAML would take for something else.
func yamlName(s string) string {
	switch strings.ToLower(s) {
	case "y", "n", "yes", "no", "on", "off", "true", "false", "null":
		return strconv.Quote(s)
	}
	return s
}
