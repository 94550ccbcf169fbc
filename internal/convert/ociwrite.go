package convert

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
)

// ociFile is the profile as container engines read it, in the order of fields in
// which they are written.
type ociFile struct {
	DefaultAction   string      `json:"defaultAction"`
	DefaultErrnoRet *uint16     `json:"defaultErrnoRet,omitempty"`
	Architectures   []string    `json:"architectures"`
	Syscalls        []ociOutput `json:"syscalls"`
}

type ociOutput struct {
	Names    []string `json:"names"`
	Action   string   `json:"action"`
	ErrnoRet *uint16  `json:"errnoRet,omitempty"`
}

// WriteOCI writes p as a profile for container engines: names without
// conditions, one entry for each action. A name's first rule decides, as in p.
// The losses say what the format cannot carry. With none, the profile gives each
// known call, up to the highest number that it names, the verdict that p gives;
// runc answers higher numbers with ENOSYS unless the default is permissive. The
// order of the file does not matter to a runtime, so no name stands twice.
func WriteOCI(p *policy.Policy) ([]byte, []Loss, error) {
	w := &ociWriter{native: abi.Native(), entry: make(map[string]int)}
	if len(p.ABIs) > 0 {
		w.native = p.ABIs[0]
	}
	if w.native == abi.None {
		return nil, nil, fmt.Errorf("a profile means nothing without the machine's ABI: list abis in the policy")
	}
	abis := p.ABIs
	if len(abis) == 0 {
		abis = []abi.ABI{w.native}
	}
	file := ociFile{Architectures: []string{}, Syscalls: []ociOutput{}}
	for _, a := range abis {
		name := scmpArch(a)
		file.Architectures = append(file.Architectures, name)
	}
	var err error
	if file.DefaultAction, file.DefaultErrnoRet, err = w.action(p.Default); err != nil {
		return nil, nil, err
	}
	w.policyLosses(p)
	for i := range p.Rules {
		if err := w.rule(&p.Rules[i]); err != nil {
			return nil, nil, err
		}
	}
	for i := range w.out {
		slices.Sort(w.out[i].Names)
	}
	file.Syscalls = append(file.Syscalls, w.out...)
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(file); err != nil {
		return nil, nil, fmt.Errorf("write the profile: %w", err)
	}
	return b.Bytes(), w.losses, nil
}

type ociWriter struct {
	native abi.ABI
	losses []Loss
	out    []ociOutput
	entry  map[string]int // of each name: its place in out
}

func scmpArch(a abi.ABI) string {
	for name, known := range scmpArchs {
		if known == a {
			return name
		}
	}
	return "SCMP_ARCH_NATIVE"
}

func (w *ociWriter) lose(pos policy.Pos, format string, args ...any) {
	w.losses = append(w.losses, Loss{pos, fmt.Sprintf(format, args...)})
}

// policyLosses reports what p says of calls that no rule names and the runtime
// answers in its own way.
func (w *ociWriter) policyLosses(p *policy.Policy) {
	enosys := policy.Action{Kind: abi.Errno, Errno: "ENOSYS"}
	switch {
	case p.Unknown == nil || *p.Unknown == p.Default:
	case *p.Unknown == enosys && p.Default.Kind != abi.Allow && p.Default.Kind != abi.Log && p.Default.Kind != abi.Trace:
		// runc answers numbers above the profile's with ENOSYS by itself.
	default:
		w.lose(policy.Pos{}, "unknown_action %s: the runtime gives unknown calls its own answer", p.Unknown)
	}
	for _, a := range []struct {
		name   string
		action *policy.Action
	}{{"bad_arch_action", p.BadArch}, {"x32_action", p.X32}} {
		if a.action != nil && a.action.Kind != abi.KillThread && a.action.Kind != abi.KillProcess {
			w.lose(policy.Pos{}, "%s %s: the runtime kills the thread", a.name, a.action)
		}
	}
}

// action returns the runtime's word for a, and its return value where it is not
// the default, EPERM.
func (w *ociWriter) action(a policy.Action) (name string, ret *uint16, err error) {
	for _, known := range scmpActions {
		if known.kind != a.Kind || known.name == "SCMP_ACT_KILL" {
			continue
		}
		data := a.Data
		if a.Kind == abi.Errno && a.Errno != "" {
			n, ok := w.native.Errno(a.Errno)
			if !ok {
				return "", nil, fmt.Errorf("%s has no errno %s", w.native, a.Errno)
			}
			data = n
		}
		switch {
		case a.Kind == abi.Trap && data != 0:
			w.lose(policy.Pos{}, "%s: a profile cannot give trap a value", a)
		case (a.Kind == abi.Errno || a.Kind == abi.Trace) && data != 1:
			ret = &data
		}
		return known.name, ret, nil
	}
	return "", nil, fmt.Errorf("unknown action %s", a)
}

func (w *ociWriter) rule(r *policy.Rule) error {
	if len(r.When.Caps) > 0 || len(r.When.NotCaps) > 0 || r.When.MinKernel != (abi.Kernel{}) {
		w.lose(r.Pos, "a rule with when depends on the machine: left out")
		return nil
	}
	action, ret, err := w.action(r.Action)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(w.out, func(o ociOutput) bool { return o.Action == action && equal(o.ErrnoRet, ret) })
	for _, c := range r.Calls {
		if c.Numbers != nil || len(c.Conditions) > 0 || c.ABI != abi.None {
			w.lose(c.Pos, "%s: only names without conditions are written: left out", c)
			continue
		}
		names := []string{c.Name}
		if members, ok := policy.Set(c.Name); ok {
			names = members
		}
		for _, name := range names {
			if _, decided := w.entry[name]; decided {
				continue
			}
			if at < 0 {
				at = len(w.out)
				w.out = append(w.out, ociOutput{nil, action, ret})
			}
			w.entry[name] = at
			w.out[at].Names = append(w.out[at].Names, name)
		}
	}
	return nil
}

func equal(a, b *uint16) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}
