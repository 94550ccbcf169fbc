package proof

import (
	"math/rand/v2"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/policy"
)

// A sampler draws calls near the values on which a policy and a program decide.
type sampler struct {
	*rand.Rand
	arches []uint32
	halves []uint32
}

func newSampler(seed uint64, r *policy.Resolved, p bpf.Program) *sampler {
	s := &sampler{Rand: rand.New(rand.NewPCG(seed, 1)), arches: []uint32{0}}
	near := func(k uint32) { s.halves = append(s.halves, k-1, k, k+1) }
	near(0)
	for i := range r.ABIs {
		section := &r.ABIs[i]
		s.arches = append(s.arches, section.ABI.AuditArch(), section.ABI.AuditArch())
		for _, rule := range section.Rules {
			for _, n := range rule.Numbers {
				near(n.Lo)
				near(n.Hi)
			}
			for _, tests := range rule.Any {
				for _, test := range tests {
					for _, in := range test.In {
						near(uint32(in.Lo))
						near(uint32(in.Lo >> 32))
						near(uint32(in.Hi))
						near(uint32(in.Hi >> 32))
					}
				}
			}
		}
	}
	for _, i := range p {
		if i.Code != bpf.RetK && i.Code != bpf.LdAbs {
			near(i.K)
		}
	}
	return s
}

func (s *sampler) half() uint32 {
	v := s.halves[s.IntN(len(s.halves))]
	switch s.IntN(8) {
	case 0:
		return s.Uint32()
	case 1:
		return v ^ 1<<s.IntN(32)
	case 2:
		return v | s.halves[s.IntN(len(s.halves))]
	}
	return v
}

func (s *sampler) word() uint64 {
	if s.IntN(2) == 0 {
		return uint64(s.half())
	}
	return uint64(s.half())<<32 | uint64(s.half())
}

func (s *sampler) call() abi.Call {
	c := abi.Call{NR: s.half(), Arch: s.arches[s.IntN(len(s.arches))], IP: s.word()}
	for i := range c.Args {
		c.Args[i] = s.word()
	}
	return c
}
