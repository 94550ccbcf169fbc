package main

import (
	"fmt"
	"slices"
	"time"

	elastic "github.com/elastic/go-seccomp-bpf"
	"golang.org/x/net/bpf"
	"gvisor.dev/gvisor/pkg/abi/linux"
	"gvisor.dev/gvisor/pkg/seccomp"

	"github.com/sysgate/sysgate/abi"
	own "github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/internal/figures"
)

// fastest runs f again and again and returns the least time.
func fastest(f func() error) (time.Duration, error) {
	least := time.Hour
	for range repetitions {
		start := time.Now()
		if err := f(); err != nil {
			return 0, err
		}
		least = min(least, time.Since(start))
	}
	return least, nil
}

// mask32 is how the policies write a comparison of 32 bits.
const mask32 = 1<<32 - 1

// goSeccompBPF compiles with go-seccomp-bpf: amd64 alone, EPERM as the only errno,
// and 64 bits in every comparison, because it has no others.
func goSeccompBPF(p *figures.Policy, abis ...abi.ABI) (own.Program, time.Duration, error) {
	if len(abis) > 1 {
		return nil, 0, errNotSupported
	}
	action := func(name string) elastic.Action {
		switch name {
		case "SCMP_ACT_ALLOW":
			return elastic.ActionAllow
		case "SCMP_ACT_TRAP":
			return elastic.ActionTrap
		default:
			return elastic.ActionErrno
		}
	}
	policy := elastic.Policy{DefaultAction: action(p.DefaultAction)}
	for _, e := range p.Syscalls {
		at := slices.IndexFunc(policy.Syscalls, func(g elastic.SyscallGroup) bool { return g.Action == action(e.Action) })
		if at < 0 {
			at = len(policy.Syscalls)
			policy.Syscalls = append(policy.Syscalls, elastic.SyscallGroup{Action: action(e.Action)})
		}
		group := &policy.Syscalls[at]
		for _, name := range e.Names {
			if _, ok := abi.AMD64.Lookup(name); !ok {
				continue
			}
			if len(e.Args) == 0 {
				group.Names = append(group.Names, name)
				continue
			}
			var all elastic.ArgumentConditions
			for _, a := range e.Args {
				c := elastic.Condition{Argument: uint32(a.Index), Value: a.Value}
				switch {
				case a.Op == "SCMP_CMP_EQ":
					c.Operation = elastic.Equal
				case a.Op == "SCMP_CMP_LT":
					c.Operation = elastic.LessThan
				case a.Op == "SCMP_CMP_GT":
					c.Operation = elastic.GreaterThan
				case a.Op == "SCMP_CMP_MASKED_EQ" && a.Value == mask32:
					c.Operation, c.Value = elastic.Equal, a.ValueTwo
				case a.Op == "SCMP_CMP_MASKED_EQ" && a.ValueTwo == 0:
					c.Operation = elastic.BitsNotSet
				default:
					return nil, 0, errNotSupported
				}
				all = append(all, c)
			}
			group.NamesWithCondtions = append(group.NamesWithCondtions, elastic.NameWithConditions{Name: name, Conditions: all})
		}
	}
	var instructions []bpf.Instruction
	took, err := fastest(func() (err error) {
		once := policy
		instructions, err = once.Assemble()
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	raw, err := bpf.Assemble(instructions)
	if err != nil {
		return nil, 0, err
	}
	var program own.Program
	for _, i := range raw {
		program = append(program, own.Instruction{Code: i.Op, JT: i.Jt, JF: i.Jf, K: i.K})
	}
	return program, took, nil
}

// gVisor compiles with gVisor's package, for amd64 alone. shares, if there are any,
// give it the policy's eight most frequent calls as its hot list.
func gVisor(shares map[string]float64) func(*figures.Policy, ...abi.ABI) (own.Program, time.Duration, error) {
	return func(p *figures.Policy, abis ...abi.ABI) (own.Program, time.Duration, error) {
		if len(abis) > 1 {
			return nil, 0, errNotSupported
		}
		rules := map[linux.BPFAction]map[uintptr]seccomp.SyscallRule{}
		var hot []string
		for _, e := range p.Syscalls {
			action := gVisorAction(e.Action, e.ErrnoRet)
			for _, name := range e.Names {
				nr, ok := abi.AMD64.Lookup(name)
				if !ok {
					continue
				}
				if shares[name] > 0 {
					hot = append(hot, name)
				}
				if rules[action] == nil {
					rules[action] = map[uintptr]seccomp.SyscallRule{}
				}
				rule, err := gVisorRule(e.Args)
				if err != nil {
					return nil, 0, err
				}
				if one, ok := rules[action][uintptr(nr)]; ok {
					rule = seccomp.Or{one, rule}
				}
				rules[action][uintptr(nr)] = rule
			}
		}
		slices.SortFunc(hot, func(a, b string) int {
			if shares[a] > shares[b] {
				return -1
			}
			return 1
		})
		options := seccomp.DefaultProgramOptions()
		options.DefaultAction = gVisorAction(p.DefaultAction, p.DefaultErrnoRet)
		options.BadArchAction = linux.SECCOMP_RET_KILL_PROCESS
		for _, name := range hot[:min(8, len(hot))] {
			nr, _ := abi.AMD64.Lookup(name)
			options.HotSyscalls = append(options.HotSyscalls, uintptr(nr))
		}
		var program own.Program
		took, err := fastest(func() error {
			var sets []seccomp.RuleSet
			for action, calls := range rules {
				copied := map[uintptr]seccomp.SyscallRule{} // it changes what it is given
				for nr, rule := range calls {
					copied[nr] = rule.Copy()
				}
				sets = append(sets, seccomp.RuleSet{Rules: seccomp.MakeSyscallRules(copied), Action: action})
			}
			slices.SortFunc(sets, func(a, b seccomp.RuleSet) int { return int(int64(a.Action) - int64(b.Action)) })
			instructions, _, err := seccomp.BuildProgram(sets, options)
			program = program[:0]
			for _, i := range instructions {
				program = append(program, own.Instruction{Code: i.OpCode, JT: i.JumpIfTrue, JF: i.JumpIfFalse, K: i.K})
			}
			return err
		})
		return program, took, err
	}
}

func gVisorAction(name string, errno uint16) linux.BPFAction {
	switch name {
	case "SCMP_ACT_ALLOW":
		return linux.SECCOMP_RET_ALLOW
	case "SCMP_ACT_TRAP":
		return linux.SECCOMP_RET_TRAP
	default:
		return linux.SECCOMP_RET_ERRNO.WithReturnCode(errno)
	}
}

func gVisorRule(args []figures.Arg) (seccomp.SyscallRule, error) {
	if len(args) == 0 {
		return seccomp.MatchAll{}, nil
	}
	var all seccomp.PerArg
	for i := range all {
		all[i] = seccomp.AnyValue{}
	}
	for _, a := range args {
		v := uintptr(a.Value)
		switch a.Op {
		case "SCMP_CMP_EQ":
			all[a.Index] = seccomp.EqualTo(v)
		case "SCMP_CMP_LT":
			all[a.Index] = seccomp.LessThan(v)
		case "SCMP_CMP_GT":
			all[a.Index] = seccomp.GreaterThan(v)
		case "SCMP_CMP_MASKED_EQ":
			all[a.Index] = seccomp.MaskedEqual(v, uintptr(a.ValueTwo))
		default:
			return nil, fmt.Errorf("comparison %q", a.Op)
		}
	}
	return all, nil
}
