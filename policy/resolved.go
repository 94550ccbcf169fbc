package policy

import "github.com/sysgate/sysgate/abi"

// A Resolved policy has every name, constant, set and `when` replaced by
// numbers, per ABI. It is what [Resolved.Eval], the compiler and the proof work
// from.
type Resolved struct {
	ABIs    []ResolvedABI // not empty, no ABI twice, all of one byte order
	BadArch abi.Action    // for every other audit architecture
	X32     abi.Action    // for x32 calls where amd64 is listed and x32 is not
}

// A ResolvedABI is the part of a policy for one ABI.
type ResolvedABI struct {
	ABI     abi.ABI
	Rules   []ResolvedRule // the first that matches decides
	Known   []NumberRange  // numbers of the policy's kernel; sorted, disjoint, not adjacent
	Default abi.Action     // for known numbers
	Unknown abi.Action     // for all others
}

// A ResolvedRule decides the calls that have one of its numbers and satisfy one
// of its alternatives.
type ResolvedRule struct {
	Numbers []NumberRange // not empty; sorted, disjoint, not adjacent
	Any     []Alternative // OR; none at all means that the rule is unconditional
	Action  abi.Action
	Rule    int // index in Policy.Rules, for reports
}

// A NumberRange is the system-call numbers Lo to Hi, both included, as the
// kernel reports them (with the x32 bit and the MIPS bases).
type NumberRange struct{ Lo, Hi uint32 }

// meets reports whether n and o have a number in common.
func (n NumberRange) meets(o NumberRange) bool { return n.Lo <= o.Hi && o.Lo <= n.Hi }

// An Alternative is conditions that must all hold.
type Alternative []Test

// A Test holds when word & Mask lies in one of the intervals of In. Every
// condition of the policy language has this form: equality and order are
// intervals (two, for signed order around zero), masked equality is an interval
// of one under a mask, "any bit set" is everything but 0.
type Test struct {
	Word uint8 // 0 to 5: that argument; IPWord: the instruction pointer
	Mask uint64
	In   []Interval // sorted, disjoint, not adjacent; may be empty (never) but holds only values within Mask's range
}

// And returns the test that holds where both do; ok is false where t and o are not
// about the same bits of the same word.
func (t Test) And(o Test) (both Test, ok bool) {
	if t.Word != o.Word || t.Mask != o.Mask {
		return Test{}, false
	}
	t.In = common(t.In, o.In)
	return t, true
}

// IPWord is the [Test.Word] of the instruction pointer.
const IPWord = 6

// An Interval is the values Lo to Hi, both included.
type Interval struct{ Lo, Hi uint64 }

// BigEndian reports the byte order of the machine that r is for.
func (r *Resolved) BigEndian() bool { return r.ABIs[0].ABI.BigEndian() }
