package proof

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/policy"
)

var allowAll = &policy.Resolved{
	BadArch: abi.Allow,
	X32:     abi.Allow,
	ABIs:    []policy.ResolvedABI{{ABI: abi.AMD64, Default: abi.Allow, Unknown: abi.Allow}},
}

// slidingMasks returns a policy of n rules, each of which compares eight bits of
// each of some arguments; the bits move on from rule to rule.
func slidingMasks(n, args int) *policy.Resolved {
	var rules []policy.ResolvedRule
	for i := range n {
		var tests policy.Alternative
		for arg := range args {
			shift := (i*7 + arg*13) % 56
			value := uint64(i*37%256) << shift
			tests = append(tests, policy.Test{Word: uint8(arg), Mask: 0xff << shift, In: []policy.Interval{{Lo: value, Hi: value}}})
		}
		rules = append(rules, policy.ResolvedRule{
			Numbers: []policy.NumberRange{{Lo: 16, Hi: 16}},
			Any:     []policy.Alternative{tests},
			Action:  abi.Errno.WithData(uint16(i)),
			Rule:    i,
		})
	}
	return &policy.Resolved{ABIs: []policy.ResolvedABI{{ABI: abi.AMD64, Rules: rules}}}
}

// repeat returns a program of what step gives, until it is as long as the kernel
// allows.
func repeat(last bpf.Instruction, step func(i int) []bpf.Instruction) bpf.Program {
	return extend(nil, last, step)
}

// repeatAfter is repeat behind a load of the word at offset.
func repeatAfter(offset uint32, last bpf.Instruction, step func(i int) []bpf.Instruction) bpf.Program {
	return extend(bpf.Program{bpf.Stmt(bpf.LdAbs, offset)}, last, step)
}

func extend(p bpf.Program, last bpf.Instruction, step func(i int) []bpf.Instruction) bpf.Program {
	for i := 0; ; i++ {
		s := step(i)
		if len(p)+len(s) >= bpf.MaxLen {
			return append(p, last)
		}
		p = append(p, s...)
	}
}

// Programs of the largest size that are made to cost as much as they can.
func hostilePrograms() map[string]bpf.Program {
	allow := bpf.Stmt(bpf.RetK, uint32(abi.Allow))
	retA := bpf.Stmt(bpf.RetA, 0)
	arg := func(i int) uint32 { return bpf.OffsetArg(i%6, i%12 >= 6, false) }
	return map[string]bpf.Program{
		"compare": repeat(allow, func(i int) []bpf.Instruction {
			return []bpf.Instruction{bpf.Stmt(bpf.LdAbs, arg(i)), bpf.Jump(bpf.JeqK, uint32(i), 0, 1), bpf.Stmt(bpf.RetK, uint32(i))}
		}),
		"masks": repeat(allow, func(i int) []bpf.Instruction {
			return []bpf.Instruction{bpf.Stmt(bpf.LdAbs, arg(i)), bpf.Stmt(bpf.AndK, 0xff<<(i%24)), bpf.Jump(bpf.JeqK, uint32(i%256)<<(i%24), 0, 1), bpf.Stmt(bpf.RetK, uint32(i))}
		}),
		"bits": repeat(allow, func(i int) []bpf.Instruction {
			return []bpf.Instruction{bpf.Stmt(bpf.LdAbs, arg(i)), bpf.Jump(bpf.JsetK, 0x10001<<(i%16), 0, 1), bpf.Stmt(bpf.AddK, 1)}
		}),
		"products": repeatAfter(arg(5), retA, func(i int) []bpf.Instruction {
			return []bpf.Instruction{bpf.Stmt(bpf.Tax, 0), bpf.Stmt(bpf.LdAbs, arg(i)), bpf.Stmt(bpf.MulX, 0)}
		}),
		"quotients": repeatAfter(arg(5), retA, func(i int) []bpf.Instruction {
			return []bpf.Instruction{bpf.Stmt(bpf.Tax, 0), bpf.Stmt(bpf.LdAbs, arg(i)), bpf.Stmt(bpf.DivX, 0)}
		}),
		"sums": repeatAfter(arg(5), retA, func(i int) []bpf.Instruction {
			return []bpf.Instruction{bpf.Stmt(bpf.Tax, 0), bpf.Stmt(bpf.LdAbs, arg(i)), bpf.Stmt(bpf.AddX, 0)}
		}),
		"squares": repeatAfter(arg(0), retA, func(int) []bpf.Instruction {
			return []bpf.Instruction{bpf.Stmt(bpf.Tax, 0), bpf.Stmt(bpf.MulX, 0), bpf.Stmt(bpf.AddK, 1)}
		}),
		"shifts": repeat(retA, func(i int) []bpf.Instruction {
			return []bpf.Instruction{bpf.Stmt(bpf.LdxImm, 1), bpf.Stmt(bpf.LdAbs, arg(i)), bpf.Stmt(bpf.Tax, 0), bpf.Stmt(bpf.LdAbs, arg(i+1)), bpf.Stmt(bpf.LshX, 0), bpf.Stmt(bpf.XorX, 0)}
		}),
		// Each comparison adds another constant to X, or not: 2^n states.
		"states": repeat(retA, func(i int) []bpf.Instruction {
			return []bpf.Instruction{
				bpf.Stmt(bpf.LdAbs, arg(i)), bpf.Jump(bpf.JsetK, 1<<(i%32), 0, 3),
				bpf.Stmt(bpf.Txa, 0), bpf.Stmt(bpf.AddK, uint32(i*i+1)), bpf.Stmt(bpf.Tax, 0),
			}
		}),
		// And then there is much arithmetic to do in each of these states.
		"constant products": extend(repeat(retA, func(i int) []bpf.Instruction {
			return []bpf.Instruction{
				bpf.Stmt(bpf.LdAbs, arg(i)), bpf.Jump(bpf.JsetK, 1<<(i%32), 0, 3),
				bpf.Stmt(bpf.Txa, 0), bpf.Stmt(bpf.AddK, uint32(i*i+1)), bpf.Stmt(bpf.Tax, 0),
			}
		})[:100], retA, func(i int) []bpf.Instruction {
			return []bpf.Instruction{bpf.Stmt(bpf.Txa, 0), bpf.Stmt(bpf.MulX, 0), bpf.Stmt(bpf.AddK, 3), bpf.Stmt(bpf.DivK, 5), bpf.Stmt(bpf.Tax, 0)}
		}),
		"chain on the number": repeat(allow, func(i int) []bpf.Instruction {
			return []bpf.Instruction{bpf.Stmt(bpf.LdAbs, bpf.OffsetNR), bpf.Jump(bpf.JeqK, uint32(i*7), 0, 1), bpf.Stmt(bpf.RetK, uint32(i))}
		}),
		"constants": repeat(retA, func(i int) []bpf.Instruction {
			return []bpf.Instruction{bpf.Stmt(bpf.AddK, uint32(i)*0x9e3779b9), bpf.Stmt(bpf.Tax, 0), bpf.Stmt(bpf.DivX, 0), bpf.Stmt(bpf.AddK, uint32(i)*0x85ebca6b), bpf.Stmt(bpf.MulX, 0)}
		}),
		"words by words": repeat(allow, func(i int) []bpf.Instruction {
			return []bpf.Instruction{bpf.Stmt(bpf.LdAbs, arg(i)), bpf.Stmt(bpf.Tax, 0), bpf.Stmt(bpf.LdAbs, arg(i+1+i/12)), bpf.Jump(bpf.JgtX, 0, 0, 1), bpf.Stmt(bpf.RetK, uint32(i))}
		}),
	}
}

// Whatever the input, Equal comes to an end, and past its budget it says so. The
// rest of the inputs shows that long programs alone are no reason to give up.
func TestHostile(t *testing.T) {
	programs := hostilePrograms()
	wants := map[string]Verdict{
		"compare": Unknown, "masks": Unknown, "products": Unknown, "quotients": Unknown, "sums": Unknown, "squares": Unknown,
		"shifts": Unknown, "states": Unknown, "words by words": Unknown, "constant products": Unknown,
		"bits": Proved, "chain on the number": Different, "constants": Different,
	}
	for name, want := range wants {
		t.Run(name, func(t *testing.T) {
			p := programs[name]
			if err := p.Validate(); err != nil {
				t.Fatal(err)
			}
			expect(t, allowAll, p, want)
		})
	}
	deny := bpf.Program{bpf.Stmt(bpf.RetK, uint32(abi.KillProcess))}
	for _, c := range []struct {
		rules, args int
		want        Verdict
	}{{50, 1, Different}, {100, 2, Unknown}, {100, 6, Unknown}, {2000, 6, Unknown}} {
		t.Run(fmt.Sprintf("%d rules on %d arguments", c.rules, c.args), func(t *testing.T) {
			expect(t, slidingMasks(c.rules, c.args), deny, c.want)
		})
	}
}

// expect fails unless Equal comes to want; Unknown has to be for the budget.
func expect(t *testing.T, r *policy.Resolved, p bpf.Program, want Verdict) {
	t.Helper()
	budget := Budget{Nodes: 1 << 17}
	if os.Getenv("SYSGATE_LONG") != "" {
		budget = Budget{}
	}
	result := Equal(r, p, budget)
	if result.Verdict != want || want == Unknown && !strings.HasPrefix(result.Reason, "budget exhausted") {
		t.Errorf("%v with %d nodes (%s), want %v", result.Verdict, result.Nodes, result.Reason, want)
	}
	if limit := budget.limits().nodes; result.Nodes > limit {
		t.Errorf("%d nodes exceed the budget of %d", result.Nodes, limit)
	}
}
