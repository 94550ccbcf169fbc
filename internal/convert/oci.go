package convert

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
)

// OCIOptions is what a container engine knows when it applies a profile: the
// container's bounding set for includes and excludes, and for minKernel the
// release, by default 6.18.
type OCIOptions struct {
	Options
	Dialect OCIDialect
}

// An OCIDialect says whose extensions of the specification count; fields of the
// others are ignored, as that engine does, and reported.
type OCIDialect uint8

const (
	AnyEngine OCIDialect = iota // all extensions
	Docker                      // minKernel; not errno and defaultErrno
	Podman                      // errno and defaultErrno; not minKernel
	Operator                    // none; an errnoRet of 0 is none, and there is no defaultErrnoRet
)

// extension returns the fields that only one engine knows, if they count.
func (o OCIOptions) extension(of OCIDialect, names ...string) []string {
	if o.Dialect == AnyEngine || o.Dialect == of {
		return names
	}
	return nil
}

// OCI reads the seccomp object of the OCI runtime specification, alone or within
// a whole specification, with the extensions of Docker and Podman. The policy
// means what runc and libseccomp make of the profile: docs/policy.md lists how
// that differs from what it seems to say. Errors are [*policy.Error], or an
// [policy.Errors] of several.
func OCI(name string, data []byte, o OCIOptions) (*policy.Policy, []Loss, error) {
	o, err := o.complete()
	if err != nil {
		return nil, nil, err
	}
	d := newDocument(name, data)
	root, err := d.parse()
	if err != nil {
		return nil, nil, err
	}
	if spec := root.get("linux").get("seccomp"); spec != nil {
		root = spec
	} else if root.get("linux") != nil {
		return nil, nil, d.errorf(root.off, root.end, "", "the specification has no linux.seccomp")
	}
	return (&ociReader{document: d, options: o}).read(root)
}

// complete fills in what is not said.
func (o OCIOptions) complete() (OCIOptions, error) {
	if o.Native = o.native(); o.Native == abi.None {
		return o, errors.New("a profile means nothing without the machine's ABI: name it")
	}
	if o.Kernel == (abi.Kernel{}) {
		o.Kernel = abi.Kernel{Major: 6, Minor: 18}
	}
	return o, nil
}

// read returns the policy of a profile.
func (r *ociReader) read(root *value) (*policy.Policy, []Loss, error) {
	profile := r.profile(root)
	if len(r.errs) == 0 {
		p := r.lower(profile)
		if len(r.errs) == 0 {
			return p, r.losses, nil
		}
	}
	if len(r.errs) == 1 {
		return nil, nil, r.errs[0]
	}
	return nil, nil, r.errs
}

type ociReader struct {
	*document
	options OCIOptions
	errs    policy.Errors
	losses  []Loss
	// fallback is the default action.
	fallback policy.Action
}

func (r *ociReader) fail(v *value, hint, format string, args ...any) {
	r.errs = append(r.errs, r.errorf(v.off, v.end, hint, format, args...))
}

func (r *ociReader) lose(off int, msg string) {
	r.losses = append(r.losses, Loss{r.pos(off), msg})
}

// A profile is what is left when the entries that do not apply are gone.
type profile struct {
	defaultAction policy.Action
	abis          []abi.ABI // native first
	flags         []string
	entries       []ociEntry
}

// An ociEntry is one entry of syscalls.
type ociEntry struct {
	names  []*value
	action policy.Action
	args   []ociArg
	guard  guard // where it is left open (Options.Symbolic)
	off    int
}

type ociArg struct {
	index    int
	op       string
	value    uint64
	valueTwo uint64
}

// fields checks that v is an object and reports the members that are none of
// known: runtimes ignore them. Names in other letters are an error: some runtimes
// take them for the field, others do not.
func (r *ociReader) fields(v *value, what string, known ...string) bool {
	if v.object == nil {
		r.fail(v, "", "%s: want an object", what)
		return false
	}
	for _, m := range *v.object {
		found := false
		for _, k := range known {
			found = found || k == m.name
		}
		if i := slices.IndexFunc(known, func(k string) bool { return strings.EqualFold(k, m.name) }); !found && i >= 0 {
			r.fail(&value{off: m.off, end: m.off + len(m.name) + 2}, "write "+known[i], "field %q: some runtimes take it for %s, others ignore it", m.name, known[i])
			continue
		}
		if !found {
			r.lose(m.off, "field "+strconv.Quote(m.name)+" is unknown: container runtimes ignore it")
		}
	}
	return true
}

func (r *ociReader) profile(v *value) *profile {
	p := &profile{}
	known := []string{"defaultAction", "architectures", "flags", "listenerPath", "listenerMetadata", "syscalls"}
	if r.options.Dialect == Operator {
		known = append(known, "baseProfileName", "disabled")
	} else {
		known = append(known, "defaultErrnoRet", "archMap", "comment", "$schema")
	}
	if !r.fields(v, "the profile", append(known, r.options.extension(Podman, "defaultErrno")...)...) {
		return nil
	}
	action := v.get("defaultAction")
	if action == nil {
		r.fail(v, `add "defaultAction": what calls get that no entry names`, "missing defaultAction")
	} else {
		ret := v.get("defaultErrnoRet")
		if r.options.Dialect == Operator {
			ret = nil
		}
		p.defaultAction = r.action(action, ret, v.get("defaultErrno"))
		if p.defaultAction.Kind == abi.UserNotify {
			r.fail(action, "", "SCMP_ACT_NOTIFY cannot be the default action: no runtime takes it")
		}
	}
	r.fallback = p.defaultAction
	p.abis = r.architectures(v)
	for _, flag := range r.list(v.get("flags"), "flags") {
		switch r.text(flag, "flags") {
		case "SECCOMP_FILTER_FLAG_TSYNC":
			p.flags = append(p.flags, "tsync")
		case "SECCOMP_FILTER_FLAG_LOG":
			p.flags = append(p.flags, "log")
		default:
			r.lose(flag.off, "flag "+r.text(flag, "flags")+" is about loading the filter")
		}
	}
	for _, key := range []string{"listenerPath", "listenerMetadata"} {
		if l := v.get(key); l != nil && r.text(l, key) != "" {
			r.lose(l.off, key+" is about loading the filter")
		}
	}
	for _, entry := range r.list(v.get("syscalls"), "syscalls") {
		r.entry(p, entry)
	}
	return p
}

func (r *ociReader) list(v *value, what string) []*value {
	if v == nil {
		return nil
	}
	if v.list == nil {
		r.fail(v, "", "%s: want a list", what)
		return nil
	}
	return *v.list
}

func (r *ociReader) text(v *value, what string) string {
	if v.text == nil {
		r.fail(v, "", "%s: want text", what)
		return ""
	}
	return *v.text
}

// number returns the unsigned number in v, 0 if v is nil.
func (r *ociReader) number(v *value, what string, limit uint64) uint64 {
	if v == nil {
		return 0
	}
	if v.number != nil {
		n, err := strconv.ParseUint(v.number.String(), 10, 64)
		if err == nil && n <= limit {
			return n
		}
	}
	hint := ""
	if v.number != nil && strings.HasPrefix(v.number.String(), "-") {
		hint = "arguments are compared without a sign: -1 is 18446744073709551615, of 32 bits 4294967295"
		if limit < math.MaxUint64 {
			hint = "no container runtime takes a negative one"
		}
	}
	r.fail(v, hint, "%s: want a number from 0 to %d", what, limit)
	return 0
}

var scmpActions = []struct {
	name string
	kind abi.Action
}{
	{"SCMP_ACT_ALLOW", abi.Allow},
	{"SCMP_ACT_ERRNO", abi.Errno},
	{"SCMP_ACT_KILL", abi.KillThread},
	{"SCMP_ACT_KILL_PROCESS", abi.KillProcess},
	{"SCMP_ACT_KILL_THREAD", abi.KillThread},
	{"SCMP_ACT_LOG", abi.Log},
	{"SCMP_ACT_NOTIFY", abi.UserNotify},
	{"SCMP_ACT_TRACE", abi.Trace},
	{"SCMP_ACT_TRAP", abi.Trap},
}

// action reads an action with its return value: a number (ret), or Podman's name
// or decimal text (name), which wins. Without either, errno and trace carry
// EPERM; the other actions carry nothing.
func (r *ociReader) action(v, ret, name *value) policy.Action {
	for _, a := range scmpActions {
		if v.text == nil || *v.text != a.name {
			continue
		}
		if a.kind != abi.Errno && a.kind != abi.Trace {
			return policy.Action{Kind: a.kind}
		}
		const limit = 0xffff // of the kernel's word
		action := policy.Action{Kind: a.kind, Data: 1}
		if ret != nil {
			action.Data = uint16(r.number(ret, "errno", limit))
		}
		if r.options.Dialect == Operator && action.Data == 0 {
			action.Data = 1
		}
		if name != nil && r.options.Dialect != Docker && r.options.Dialect != Operator {
			action.Data = r.errno(name, limit)
		}
		if a.kind == abi.Errno && action.Data > abi.MaxErrno {
			r.lose(v.off, fmt.Sprintf("the kernel takes errno %d for %d", action.Data, abi.MaxErrno))
			action.Data = abi.MaxErrno
		}
		if a.kind == abi.Errno && action.Data != 0 {
			if n := r.options.Native.ErrnoName(action.Data); n != "" {
				action.Errno, action.Data = n, 0
			}
		}
		return action
	}
	text := r.text(v, "action")
	if text == "" {
		return policy.Action{}
	}
	var names []string
	for _, a := range scmpActions {
		names = append(names, a.name)
	}
	r.fail(v, hintOf(text, names, "the actions are "), "unknown action %q", text)
	return policy.Action{}
}

// hintOf returns the name that an unknown one could be meant to be, or all of them.
func hintOf(text string, names []string, all string) string {
	if meant := misspelt(text, names); meant != "" {
		return "did you mean " + meant + "?"
	}
	return all + strings.Join(names, ", ")
}

func (r *ociReader) errno(v *value, limit uint64) uint16 {
	text := r.text(v, "errno")
	if n, ok := r.options.Native.Errno(text); ok {
		return n
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n > limit {
		r.fail(v, "a name, such as EPERM, or a number up to 65535", "unknown errno %q", text)
	}
	return uint16(n)
}

// entry reads one entry of syscalls, if it applies.
func (r *ociReader) entry(p *profile, v *value) {
	known := append(r.options.extension(Podman, "errno"), "names", "action", "errnoRet", "args")
	if r.options.Dialect != Operator {
		known = append(known, "name", "comment", "includes", "excludes")
	}
	if !r.fields(v, "syscalls", known...) {
		return
	}
	e := ociEntry{names: r.list(v.get("names"), "names"), off: v.off}
	if name := v.get("name"); name != nil && r.options.Dialect != Operator && r.text(name, "name") != "" {
		if len(e.names) > 0 {
			r.fail(name, "", "name and names are both set: write one")
		}
		e.names = []*value{name}
	}
	for _, name := range e.names {
		r.text(name, "names")
	}
	if len(e.names) == 0 {
		r.fail(v, `add "names"`, "the entry names no system calls")
	}
	if action := v.get("action"); action != nil {
		e.action = r.action(action, v.get("errnoRet"), v.get("errno"))
	} else {
		r.fail(v, `add "action"`, "missing action")
	}
	for _, arg := range r.list(v.get("args"), "args") {
		e.args = append(e.args, r.arg(arg))
	}
	never := false
	if r.options.Dialect != Operator {
		e.guard, never = r.guard(v.get("includes"), v.get("excludes"))
	}
	if !r.options.Symbolic && !never {
		never = !e.guard.holds(r.hasCap, r.options.Kernel)
		e.guard = guard{}
	}
	if !never {
		if e.action.Kind == abi.UserNotify {
			for _, name := range e.names {
				if name.text != nil && *name.text == "write" {
					r.fail(name, "", "SCMP_ACT_NOTIFY cannot be used for write: runc hands the descriptor over with it")
				}
			}
		}
		p.entries = append(p.entries, e)
	}
}

func (r *ociReader) arg(v *value) ociArg {
	var a ociArg
	if !r.fields(v, "args", "index", "value", "valueTwo", "op") {
		return a
	}
	a.index = int(r.number(v.get("index"), "index", 5))
	a.value = r.number(v.get("value"), "value", ^uint64(0))
	a.valueTwo = r.number(v.get("valueTwo"), "valueTwo", ^uint64(0))
	op := v.get("op")
	if op == nil {
		r.fail(v, `add "op", such as SCMP_CMP_EQ`, "missing op")
		return a
	}
	a.op = r.text(op, "op")
	if _, ok := scmpOps[a.op]; !ok {
		r.fail(op, hintOf(a.op, slices.Sorted(maps.Keys(scmpOps)), "the operators are "), "unknown operator %q", a.op)
	}
	return a
}

// isOCI reports whether data is a profile, alone or within a specification.
func isOCI(_ string, data []byte) bool {
	var oci struct {
		DefaultAction *string         `json:"defaultAction"`
		Linux         json.RawMessage `json:"linux"`
	}
	if err := json.Unmarshal(data, &oci); err != nil {
		return profileStart.Match(data) // OCI says where it is no JSON
	}
	return oci.DefaultAction != nil || oci.Linux != nil
}

// profileStart matches a profile, or the text of one.
var profileStart = regexp.MustCompile(`(?i)"defaultAction"\s*:\s*"SCMP_ACT_`)
