package registry

import (
	"errors"
	"fmt"
	"slices"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/seccomp"
)

// A PolicyChangeType is what [ModifyDefaultPolicy] does with system calls.
type PolicyChangeType uint8

// The changes.
const (
	// AddSyscall lets the calls through, whatever the default policy is: it adds
	// them to an allow-list and takes them out of a deny-list.
	AddSyscall PolicyChangeType = iota + 1
	// DropSyscall denies the calls with EPERM, and with them those that do the same
	// service on this ABI: setuid32 with setuid.
	DropSyscall
)

// A change is a call of [ModifyDefaultPolicy].
type change struct {
	kind  PolicyChangeType
	names []string
}

// ModifyDefaultPolicy changes what the built-in default policy says of the system
// calls named, for a [LoadFilter] that comes after it. Of two changes, the later
// one counts. A registered policy and one of the configuration stay as they are.
// Names of other ABIs have no effect, so that one list serves every architecture.
// A name that no ABI has is an error, and so is a default policy that does not
// exist; nothing is changed then.
func ModifyDefaultPolicy(kind PolicyChangeType, names ...string) error {
	return shared.modify(kind, names)
}

func (r *registry) modify(kind PolicyChangeType, names []string) error {
	if kind != AddSyscall && kind != DropSyscall {
		return fmt.Errorf("unsupported PolicyChangeType value %d", kind)
	}
	if builtin(r.abi) == nil {
		return errors.New("no default policy exists (check the architecture)")
	}
	var unknown []error
	for _, name := range names {
		if !abi.Known(name) {
			err := fmt.Errorf("unknown system call %q", name)
			if near := abi.Suggest(name); near != "" {
				err = fmt.Errorf("%w: did you mean %q?", err, near)
			}
			unknown = append(unknown, err)
		}
	}
	if err := errors.Join(unknown...); err != nil {
		return fmt.Errorf("modify the default policy: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.changes = append(r.changes, change{kind, slices.Clone(names)})
	return nil
}

// defaultPolicy returns the default policy with its changes, nil if there is
// none. The caller owns it.
func (r *registry) defaultPolicy() *seccomp.Policy {
	p := builtin(r.abi)
	if p == nil {
		return nil
	}
	for _, c := range r.changes {
		if group, ok := c.group(r.abi); ok {
			// The first group that has a name decides.
			p.Syscalls = slices.Insert(p.Syscalls, 0, group)
		}
	}
	return p
}

// group returns c as a group of a policy; ok is false if a has none of the calls.
func (c change) group(a abi.ABI) (g seccomp.SyscallGroup, ok bool) {
	g.Action = seccomp.ActionAllow
	if c.kind == DropSyscall {
		g.Action = seccomp.ActionErrno
	}
	for _, name := range c.names {
		switch nr, ok := a.Lookup(name); {
		case !ok:
			// On 386, send is a sub-call of socketcall and nothing else.
			if mux, sub, ok := a.Multiplexed(name); ok {
				g.NamesWithCondtions = append(g.NamesWithCondtions, seccomp.NameWithConditions{
					Name:       a.SyscallName(mux),
					Conditions: seccomp.ArgumentConditions{{Argument: 0, Operation: seccomp.Equal, Value: sub}},
				})
			}
		case c.kind == AddSyscall:
			g.Names = append(g.Names, a.SyscallName(nr))
		default:
			g.Names = append(g.Names, a.Group(name)...)
		}
	}
	slices.Sort(g.Names)
	g.Names = slices.Compact(g.Names)
	return g, len(g.Names) > 0 || len(g.NamesWithCondtions) > 0
}
