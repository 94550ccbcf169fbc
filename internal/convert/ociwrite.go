package convert

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"math/bits"
	"slices"
	"strings"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
)

// ociFile is the profile as container engines read it, in the order of fields in
// which they are written.
type ociFile struct {
	DefaultAction   string      `json:"defaultAction"`
	DefaultErrnoRet *uint16     `json:"defaultErrnoRet,omitempty"`
	Architectures   []string    `json:"architectures"`
	Flags           []string    `json:"flags,omitempty"`
	Syscalls        []ociOutput `json:"syscalls"`
}

type ociOutput struct {
	Names    []string  `json:"names"`
	Action   string    `json:"action"`
	ErrnoRet *uint16   `json:"errnoRet,omitempty"`
	Args     []ociTest `json:"args,omitempty"`
}

type ociTest struct {
	Index    uint8  `json:"index"`
	Value    uint64 `json:"value"`
	ValueTwo uint64 `json:"valueTwo,omitempty"`
	Op       string `json:"op"`
}

// maxOCIEntries bounds the entries for one call.
const maxOCIEntries = 1000

// writeOCI writes d as a profile for container engines. An entry's name counts
// on every architecture: where they differ, the machine's own decides.
//
// Conditions are written with SCMP_CMP_EQ, SCMP_CMP_NE and SCMP_CMP_MASKED_EQ: these
// depend least on how a runtime orders and splits comparisons. All conditions of an entry are about different arguments,
// because runtimes take several about one for alternatives.
func writeOCI(d *Decisions, o Options) ([]byte, []Loss, error) {
	w := &ociWriter{}
	file := ociFile{Architectures: []string{}, Syscalls: []ociOutput{}}
	for _, a := range d.ABIs {
		name, ok := scmpArch(a)
		if !ok {
			return nil, nil, fmt.Errorf("libseccomp has no architecture for %s", a)
		}
		file.Architectures = append(file.Architectures, name)
	}
	file.DefaultAction, file.DefaultErrnoRet = w.action(d.Default)
	for _, flag := range d.Policy.Load.Flags {
		file.Flags = append(file.Flags, "SECCOMP_FILTER_FLAG_"+strings.ToUpper(flag))
	}
	w.narrow = slices.ContainsFunc(d.ABIs, func(a abi.ABI) bool { return libseccompWord(a) < 1<<32 })
	if o.Runtime == Runc && answersENOSYS(d.Default) {
		w.newest = make(map[abi.ABI]uint32)
		for _, a := range d.ABIs {
			w.newest[a] = d.newest(a)
		}
	}
	for _, call := range w.deciding(d) {
		w.call(call)
	}
	w.nameNewest(d)
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
	losses []Loss
	out    []ociOutput
	narrow bool // an architecture compares 32 bits
	// newest is the number of each ABI above which runc answers with ENOSYS, and so
	// does the policy; nil where runc does not.
	newest map[abi.ABI]uint32
}

func scmpArch(a abi.ABI) (string, bool) {
	for name, known := range scmpArchs {
		if known == a && a != abi.None {
			return name, true
		}
	}
	return "", false
}

// deciding returns the decisions on calls with names, of each name those of the
// first ABI that has it.
func (w *ociWriter) deciding(d *Decisions) []Decision {
	first := map[string]abi.ABI{}
	for _, a := range slices.Backward(d.ABIs) {
		for _, name := range a.Syscalls() {
			first[name] = a
		}
	}
	var calls []Decision
	for _, call := range d.Calls {
		if call.Name != "" && first[call.Name] == call.ABI && !w.answered(d, call) {
			calls = append(calls, call)
		}
	}
	// The unconditional ones first, then in the order of names.
	slices.SortStableFunc(calls, func(x, y Decision) int {
		return cmp.Or(cmp.Compare(min(len(x.Any), 1), min(len(y.Any), 1)), strings.Compare(x.Name, y.Name))
	})
	return calls
}

// answered reports whether runc answers c with ENOSYS like the policy, unless it
// stands in the profile, and no other ABI needs it there.
func (w *ociWriter) answered(d *Decisions, c Decision) bool {
	newest, ok := w.newest[c.ABI]
	if !ok || c.Numbers[0].Lo <= newest {
		return false
	}
	return !slices.ContainsFunc(d.Calls, func(other Decision) bool {
		return other.Name == c.Name && other.Action == c.Action && other.Numbers[0].Lo <= w.newest[other.ABI]
	})
}

// nameNewest has runc's ENOSYS start where the policy's does: runc starts above
// the highest number that the profile names, with whatever action.
func (w *ociWriter) nameNewest(d *Decisions) {
	if len(w.out) == 0 && d.Resolved.ABIs[0].Unknown == d.Default {
		return // without a name, runc has no such rule
	}
	action, ret := w.action(d.Default)
	var names []string
	for _, a := range d.ABIs {
		newest, ok := w.newest[a]
		name := a.SyscallName(newest)
		if ok && !slices.Contains(names, name) && !slices.ContainsFunc(w.out, func(o ociOutput) bool { return slices.Contains(o.Names, name) }) {
			names = append(names, name)
		}
	}
	if len(names) > 0 {
		w.out = append(w.out, ociOutput{names, action, ret, nil})
	}
}

// action returns the runtime's word for a, and its return value where it is not
// the default, EPERM.
func (w *ociWriter) action(a abi.Action) (name string, ret *uint16) {
	for _, known := range scmpActions {
		if known.kind != a.Kind() || known.name == "SCMP_ACT_KILL" {
			continue
		}
		data := a.Data()
		if (known.kind == abi.Errno || known.kind == abi.Trace) && data != 1 {
			ret = &data
		}
		return known.name, ret
	}
	panic("an action without a kind") // Resolve lets none through
}

func (w *ociWriter) call(c Decision) {
	action, ret := w.action(c.Action)
	entries, ok := w.entries(c)
	if !ok {
		w.losses = append(w.losses, Loss{Msg: fmt.Sprintf("%s: its conditions take more than %d entries: left out", c.Name, maxOCIEntries)})
		return
	}
	for _, args := range entries {
		i := slices.IndexFunc(w.out, func(o ociOutput) bool {
			return o.Action == action && equal(o.ErrnoRet, ret) && slices.Equal(o.Args, args)
		})
		if i < 0 {
			i = len(w.out)
			w.out = append(w.out, ociOutput{nil, action, ret, args})
		}
		if !slices.Contains(w.out[i].Names, c.Name) {
			w.out[i].Names = append(w.out[i].Names, c.Name)
		}
	}
}

// entries returns the conditions of c as the args of entries of which one has to
// hold; a single empty one where there are no conditions. ok is false where that
// takes too many.
func (w *ociWriter) entries(c Decision) (entries [][]ociTest, ok bool) {
	if c.Vague {
		return nil, false
	}
	if len(c.Any) == 0 {
		return [][]ociTest{nil}, true
	}
	for _, alternative := range c.Any {
		alternative = oneEach(alternative)
		words, sets, ok := wordCubes(alternative, maxOCIEntries)
		if !ok {
			return nil, false
		}
		all := [][]ociTest{nil}
		for i, set := range sets {
			tests := w.comparisons(c.ABI, words[i], set)
			if test, ok := notEqual(about(alternative, words[i]), c.ABI.WordMask()); ok {
				tests = [][]ociTest{{test}}
			}
			if words[i] == policy.IPWord || len(tests)*len(all) > maxOCIEntries {
				return nil, false
			}
			var next [][]ociTest
			for _, before := range all {
				for _, test := range tests {
					next = append(next, append(slices.Clone(before), test...))
				}
			}
			all = next
		}
		entries = append(entries, all...)
	}
	return entries, len(entries) <= maxOCIEntries
}

// comparisons returns the cubes of an argument as one comparison each, or none
// for a cube that has all values.
//
// Where a 32-bit architecture takes part, libseccomp cuts masks and values to 32
// bits there, and a cube of high bits only would have all values. If the argument
// may have any value above 32 bits, an order says so, which no 32-bit value
// satisfies.
func (w *ociWriter) comparisons(a abi.ABI, argument uint8, set []cube) [][]ociTest {
	const low = 1<<32 - 1
	word := a.WordMask()
	var tests, high [][]ociTest
	size := uint64(0) // how many values high has
	for _, c := range set {
		test := ociTest{Index: argument, Value: c.mask, ValueTwo: c.value, Op: "SCMP_CMP_MASKED_EQ"}
		switch {
		case c.mask == 0:
			tests = append(tests, nil)
			continue
		case c.mask == word:
			test = ociTest{Index: argument, Value: c.value, Op: "SCMP_CMP_EQ"}
		case c.mask&low == 0:
			high = append(high, []ociTest{test})
			size += 1 << (64 - bits.OnesCount64(c.mask))
			continue
		}
		tests = append(tests, []ociTest{test})
	}
	if w.narrow && size == low<<32 {
		high = [][]ociTest{{{Index: argument, Value: low, Op: "SCMP_CMP_GT"}}}
	}
	return append(tests, high...)
}

// about returns the tests of all that are about a word.
func about(all policy.Alternative, word uint8) policy.Alternative {
	return slices.DeleteFunc(slices.Clone(all), func(t policy.Test) bool { return t.Word != word })
}

// oneEach returns all with one test for those about the same bits of a word.
func oneEach(all policy.Alternative) policy.Alternative {
	var merged policy.Alternative
next:
	for _, t := range all {
		for i, o := range merged {
			if both, ok := o.And(t); ok {
				merged[i] = both
				continue next
			}
		}
		merged = append(merged, t)
	}
	return merged
}

// plainTests returns t, of a whole word, as comparisons with values up to most of
// which one has to hold: values, and orders where an interval has many.
func plainTests(t policy.Test, word, most uint64) (all []ociTest, ok bool) {
	const single = 64 // so many values of an interval are written one by one
	if t.Mask != word || t.Word == policy.IPWord {
		return nil, false
	}
	if test, ok := notEqual(policy.Alternative{t}, word); ok && test.Value <= most {
		return []ociTest{test}, true
	}
	for _, in := range t.In {
		switch {
		case in.Lo == in.Hi && in.Hi <= most:
			all = append(all, ociTest{Index: t.Word, Value: in.Hi, Op: "SCMP_CMP_EQ"})
		case in.Lo == 0 && in.Hi <= most:
			all = append(all, ociTest{Index: t.Word, Value: in.Hi, Op: "SCMP_CMP_LE"})
		case in.Hi == word && in.Lo <= most:
			all = append(all, ociTest{Index: t.Word, Value: in.Lo, Op: "SCMP_CMP_GE"})
		case in.Hi-in.Lo < single && in.Hi <= most:
			for v := in.Lo; v <= in.Hi; v++ {
				all = append(all, ociTest{Index: t.Word, Value: v, Op: "SCMP_CMP_EQ"})
			}
		default:
			return nil, false
		}
	}
	return all, true
}

// notEqual returns a as one comparison of a whole word that must not have a
// value, if it is that.
func notEqual(a policy.Alternative, word uint64) (ociTest, bool) {
	if len(a) != 1 || a[0].Word == policy.IPWord || a[0].Mask != word {
		return ociTest{}, false
	}
	in := a[0].In
	var value uint64
	switch {
	case len(in) == 1 && in[0] == policy.Interval{Lo: 1, Hi: word}:
	case len(in) == 1 && in[0] == policy.Interval{Lo: 0, Hi: word - 1}:
		value = word
	case len(in) == 2 && in[0].Lo == 0 && in[1].Hi == word && in[1].Lo-in[0].Hi == 2:
		value = in[0].Hi + 1
	default:
		return ociTest{}, false
	}
	return ociTest{Index: a[0].Word, Value: value, Op: "SCMP_CMP_NE"}, true
}

func equal(a, b *uint16) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}
