package source

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/internal/kernel"
	"github.com/sysgate/sysgate/internal/proof"
)

// ErrNoFilter is wrapped by the error for a process that is under no filter, or
// not under that many.
var ErrNoFilter = errors.New("no such filter")

// readProcess returns what the filters of a process do: "pid:1234" all together,
// "pid:1234/0" the newest alone, "/1" the one before it. Several filters become the
// policy that is proved to do what the kernel makes of them.
func readProcess(name string, o Options) (*Input, error) {
	which, one, single := strings.Cut(strings.TrimPrefix(name, "pid:"), "/")
	pid, err := strconv.ParseUint(which, 10, 31)
	if err != nil || pid == 0 {
		return nil, fmt.Errorf("%s: %q is no process ID", name, which)
	}
	filters, err := kernel.Filters(int(pid))
	if err != nil {
		return nil, err
	}
	if single {
		i, err := strconv.ParseUint(one, 10, 31)
		if err != nil || i >= uint64(len(filters)) {
			return nil, fmt.Errorf("%s: %w: it has %d, counted from 0", name, ErrNoFilter, len(filters))
		}
		filters = filters[i : i+1]
	}
	return Stacked(name, filters, o)
}

// Stacked returns what filters of this machine, the newest first, do together. Several
// are taken to kill for an architecture that this machine does not have, whose calls cannot come.
func Stacked(name string, filters []bpf.Program, o Options) (*Input, error) {
	// They are this machine's, whichever another one is asked about.
	in := &Input{Name: name, Stack: filters, BigEndian: abi.Native().BigEndian(), native: o.native()}
	switch len(filters) {
	case 0:
		return nil, fmt.Errorf("%s: %w: it is under none", name, ErrNoFilter)
	case 1:
		in.Program = filters[0]
		return in, nil
	}
	s := proof.NewSpace(proof.Budget{})
	var all proof.Function
	for i := len(filters) - 1; i >= 0; i-- {
		f, err := s.Program(filters[i], in.BigEndian)
		if err != nil {
			return nil, fmt.Errorf("%s/%d: %w", name, i, err)
		}
		if i == len(filters)-1 {
			all = f
		} else {
			all = s.Combine(all, f, proof.Stack)
		}
	}
	served, err := s.Program(servedHere(), in.BigEndian)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	all = s.Combine(all, served, func(a, here abi.Action) abi.Action {
		if here == abi.Allow {
			return a
		}
		return here
	})
	p, err := s.Decompile(all, in.native)
	if err != nil {
		return nil, fmt.Errorf("%s: its %d filters together: %w; %s/0 to %s/%d are each one", name, len(filters), err, name, name, len(filters)-1)
	}
	in.Policy = p
	return in, in.resolve(o)
}

// servedHere returns the filter that allows the architectures of this machine, and
// kills for all others.
func servedHere() bpf.Program {
	p := bpf.Program{{Code: bpf.LdAbs, K: bpf.OffsetArch}}
	native := abi.Native()
	for _, a := range append([]abi.ABI{native}, native.Compat()...) {
		p = append(p, bpf.Instruction{Code: bpf.JeqK, K: a.AuditArch(), JF: 1}, bpf.Instruction{Code: bpf.RetK, K: uint32(abi.Allow)})
	}
	return append(p, bpf.Instruction{Code: bpf.RetK, K: uint32(abi.KillProcess)})
}
