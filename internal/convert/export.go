package convert

import (
	"fmt"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/proof"
	"github.com/sysgate/sysgate/policy"
)

// An Exported is a policy in another format, and how that differs from it.
type Exported struct {
	Data   []byte
	Losses []Loss // what is no difference of verdicts
	// Different are the regions in which the format's runtime (B) gives another
	// verdict than the policy (A), all of them.
	Different []proof.Region
}

// Looser reports whether in some region the format's runtime has a less strict
// kind of action than the policy. Killing a thread instead of the process is not
// counted: the call does not happen, and its thread makes no other; nor is ENOSYS
// for numbers that no call has, which is the kernel's own answer.
func (e *Exported) Looser() bool {
	for _, r := range e.Different {
		a, b := r.A.Kind(), r.B.Kind()
		if enosys, _ := r.ABI.Errno("ENOSYS"); r.ABI != abi.None && r.Name == "" && r.B == abi.Errno.WithData(enosys) {
			continue
		}
		if a != b && proof.Stricter(a, b) == a && b != abi.KillThread {
			return true
		}
	}
	return false
}

// Export writes p in format f, reads the result as f's runtime would, and
// compares the two by proof: with no differences, they are equal for every call.
func Export(f Format, p *policy.Policy, o Options) (*Exported, error) {
	if f.Write == nil {
		return nil, fmt.Errorf("%s cannot be written", f.Title)
	}
	d, err := Decide(p, o)
	if err != nil {
		return nil, err
	}
	o.Native = d.ABIs[0]
	e := &Exported{}
	if e.Data, e.Losses, err = f.Write(d, o); err != nil {
		return nil, err
	}
	if f.Read == nil {
		return e, nil
	}
	read, _, err := f.Read(f.Title, e.Data, o)
	if err != nil {
		return nil, fmt.Errorf("read back: %w", err)
	}
	resolved, _, err := read.Resolve(policy.Options{Native: o.Native, Caps: o.Caps, Kernel: o.Kernel})
	if err != nil {
		return nil, fmt.Errorf("read back: %w", err)
	}
	written, err := d.space.Policy(resolved)
	if err != nil {
		return nil, err
	}
	e.Different, err = d.space.Diff(d.function, written, d.ABIs, nil)
	return e, err
}

// Named returns the regions that are calls with names, through the policy's ABIs:
// what a reader of the policy would miss. The others are numbers that no call
// has, and other architectures.
func (e *Exported) Named() []proof.Region {
	var named []proof.Region
	for _, r := range e.Different {
		if r.Name != "" {
			named = append(named, r)
		}
	}
	return named
}
