package proof

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/policy"
)

// longestQuestion is what no question may take, whatever it is about, on a machine
// that is busy with other tests. With the default budget the longest takes 5 s.
const longestQuestion = 60 * time.Second

// Whatever a filter or a policy is, every question about it ends, with an answer
// or with an error that says why there is none.
func TestHostileQuestions(t *testing.T) {
	programs := hostilePrograms()
	arg0 := bpf.OffsetArg(0, false, false)
	allow := bpf.Stmt(bpf.RetK, uint32(abi.Allow))
	programs["65536 actions"] = bpf.Program{
		bpf.Stmt(bpf.LdAbs, arg0), bpf.Stmt(bpf.AndK, 0xffff), bpf.Stmt(bpf.OrK, uint32(abi.Trap)), bpf.Stmt(bpf.RetA, 0),
	}
	programs["odd numbers"] = bpf.Program{bpf.Stmt(bpf.LdAbs, bpf.OffsetNR), bpf.Jump(bpf.JsetK, 1, 0, 1), bpf.Stmt(bpf.RetK, 0), allow}
	programs["odd architectures"] = bpf.Program{bpf.Stmt(bpf.LdAbs, bpf.OffsetArch), bpf.Jump(bpf.JsetK, 1, 0, 1), bpf.Stmt(bpf.RetK, 0), allow}
	programs["bits of six arguments"] = repeat(allow, func(i int) []bpf.Instruction {
		return []bpf.Instruction{
			bpf.Stmt(bpf.LdAbs, bpf.OffsetArg(i%6, false, false)), bpf.Jump(bpf.JsetK, 1<<(i%32), 0, 1), bpf.Stmt(bpf.XorK, 1),
			bpf.Jump(bpf.JsetK, 3<<(i%31), 0, 1), bpf.Stmt(bpf.RetK, uint32(abi.Errno)|uint32(i%7)),
		}
	})
	programs["values"] = repeatAfter(arg0, allow, func(i int) []bpf.Instruction {
		return []bpf.Instruction{bpf.Jump(bpf.JeqK, uint32(i)*0x9e3779b9, 0, 1), bpf.Stmt(bpf.RetK, uint32(abi.Errno)|uint32(i%3))}
	})
	programs["ranges"] = repeatAfter(arg0, allow, func(i int) []bpf.Instruction {
		return []bpf.Instruction{bpf.Jump(bpf.JgtK, ^uint32(0)-uint32(i)*0x100001, 0, 1), bpf.Stmt(bpf.RetK, uint32(abi.Errno)|uint32(i%2))}
	})
	functions := map[string]func(*Space) (Function, error){}
	for name, p := range programs {
		functions[name] = func(s *Space) (Function, error) { return s.Program(p, false) }
	}
	for name, r := range map[string]*policy.Resolved{
		"masks over one argument": slidingMasks(50, 1), "masks over two": slidingMasks(100, 2), "masks over six": slidingMasks(2000, 6),
	} {
		functions[name] = func(s *Space) (Function, error) { return s.Policy(r) }
	}
	var slowest struct {
		what string
		took time.Duration
	}
	budget := Budget{Nodes: 1 << 18}
	if os.Getenv("SYSGATE_LONG") != "" {
		budget = Budget{}
	}
	answered, refused := 0, 0
	for name, function := range functions {
		for question, ask := range map[string]func(*Space, Function) error{
			"diff": func(s *Space, f Function) error {
				g, err := s.Policy(allowAll)
				if err == nil {
					_, err = s.Diff(f, g, append(s.Decided(f), abi.AMD64), nil)
				}
				return err
			},
			"decompile": func(s *Space, f Function) error {
				_, err := s.Decompile(f, abi.AMD64)
				return err
			},
			"ask": func(s *Space, f Function) error {
				_, err := s.Ask(f, Assertion{Claim: Denied, Pattern: pattern(t, "socket(domain in {1, 2, 3}, type & 0xf == 1)")}, []abi.ABI{abi.AMD64})
				return err
			},
		} {
			start := time.Now()
			s := NewSpace(budget)
			f, err := function(s)
			if err == nil {
				err = ask(s, f)
			}
			took := time.Since(start)
			if took > slowest.took {
				slowest.what, slowest.took = question+" of "+name, took
			}
			switch {
			case err == nil:
				answered++
			case errors.Is(err, ErrUnknown), errors.Is(err, ErrInexpressible), errors.Is(err, ErrNoCalls):
				refused++
			default:
				t.Errorf("%s of %s: %v", question, name, err)
			}
			t.Logf("%s of %s: %v, %v, %d nodes", question, name, took.Round(time.Millisecond), err, s.Nodes())
			if took > longestQuestion {
				t.Errorf("%s of %s took %v", question, name, took)
			}
		}
	}
	t.Logf("%d answered, %d not; slowest: %s in %v", answered, refused, slowest.what, slowest.took)
	if answered == 0 || refused == 0 {
		t.Errorf("%d answered, %d not", answered, refused)
	}
}
