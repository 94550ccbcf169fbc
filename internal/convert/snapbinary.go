package convert

import (
	"encoding/binary"
	"fmt"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/internal/proof"
	"github.com/sysgate/sysgate/policy"
)

// snapHeader is the size of what stands before the two filters
// (scSeccompFileHeader): "SC", version, unrestricted, 4 bytes of padding, the sizes
// of the filter that allows and of the one that denies, and reserved bytes.
const snapHeader = 128

func isSnapBinary(_ string, data []byte) bool {
	return len(data) >= snapHeader && data[0] == 'S' && data[1] == 'C' && data[2] == 1
}

func readSnapBinary(name string, data []byte, a abi.ABI) (*policy.Policy, []Loss, error) {
	bad := func(format string, args ...any) (*policy.Policy, []Loss, error) {
		return nil, nil, &policy.Error{Pos: policy.Pos{File: name}, Msg: fmt.Sprintf(format, args...)}
	}
	if data[3]&1 != 0 {
		return unrestricted(a), []Loss{{policy.Pos{File: name}, "an unrestricted profile installs no filter"}}, nil
	}
	var order binary.ByteOrder = binary.LittleEndian
	if a.BigEndian() {
		order = binary.BigEndian
	}
	allow, deny := uint64(order.Uint32(data[8:])), uint64(order.Uint32(data[12:]))
	if allow+deny != uint64(len(data)-snapHeader) {
		return bad("the header says that filters of %d and %d bytes follow, but there are %d bytes", allow, deny, len(data)-snapHeader)
	}
	s := proof.NewSpace(proof.Budget{})
	program := func(what string, data []byte) (f proof.Function, err error) {
		p, err := bpf.FromBytes(data, a.BigEndian())
		if err == nil {
			err = p.Validate()
		}
		if err == nil {
			f, err = s.Program(p, a.BigEndian())
		}
		if err != nil {
			err = fmt.Errorf("%s: the filter that %s: %w", name, what, err)
		}
		return f, err
	}
	body := data[snapHeader:]
	f, err := program("allows", body[:allow])
	if err != nil {
		return nil, nil, err
	}
	g, err := program("denies", body[allow:])
	if err != nil {
		return nil, nil, err
	}
	p, err := s.Decompile(s.Combine(g, f, proof.Stack), a)
	return p, nil, err
}
