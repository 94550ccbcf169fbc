package proof

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/policy"
)

// Decompile's policy, printed and read back, is the function, or Decompile says
// why there is none.
func TestDecompileRandom(t *testing.T) {
	done, refused := 0, 0
	for range (rounds() + 2) / 3 {
		rapid.Check(t, func(rt *rapid.T) {
			r := genPolicy().Draw(rt, "policy")
			s := NewSpace(Budget{})
			f, err := s.Program(linear(t, r), r.BigEndian())
			if err != nil {
				rt.Skip(err)
			}
			p, err := s.Decompile(f, r.ABIs[0].ABI)
			switch {
			case errors.Is(err, ErrInexpressible), errors.Is(err, ErrUnknown):
				refused++
				return
			case err != nil:
				rt.Fatal(err)
			}
			done++
			read, err := policy.Parse("p", p.Format())
			if err != nil {
				rt.Fatalf("%v\n%s", err, p.Format())
			}
			again, _, err := read.Resolve(policy.Options{})
			if err != nil {
				rt.Fatalf("%v\n%s", err, p.Format())
			}
			g, err := s.Policy(again)
			if err != nil {
				rt.Skip(err)
			}
			if g != s.Effects(f) {
				rt.Fatalf("not the same:\n%s", p.Format())
			}
			sampler := newSampler(1, r, nil)
			for range 200 {
				c := sampler.call()
				if want, got := Effect(r.Eval(c).Action), again.Eval(c).Action; got != want {
					rt.Fatalf("%+v gets %v, not %v, from\n%s", c, got, want, p.Format())
				}
			}
		})
	}
	t.Logf("%d decompiled, %d not", done, refused)
	if done < 2*refused {
		t.Errorf("%d decompiled, %d not", done, refused)
	}
}

// What Decompile writes is what a person would.
func TestDecompile(t *testing.T) {
	for _, source := range []string{
		`version: 1
abis: [amd64]
default_action: errno(EPERM)
unknown_action: errno(ENOSYS)
syscalls:
- action: allow
  names: [read, write]
  calls:
  - socket(domain in {AF_UNIX, AF_INET})
  - kill(pid <= -1)
  - openat(flags & O_ACCMODE == 0)
- action: errno(ENOSYS)
  names: [clone3]
`,
		`version: 1
abis: [amd64, 386]
default_action: allow
bad_arch_action: trap
x32_action: kill_thread
syscalls:
- action: errno(EPERM)
  names: [ptrace, ioperm]
  calls:
  - amd64:socket(domain == AF_ALG)
  - "386:nr:359" # socket
`,
		`version: 1
abis: [arm64]
default_action: kill_process
syscalls:
- action: errno(EACCES)
  calls:
  - ioctl(cmd == TIOCSTI)
- action: allow
  names: [ioctl]
`,
		`version: 1
abis: [amd64]
default_action: allow
syscalls:
- action: kill_thread
  names: [ptrace]
  calls:
  - nr:1000-1009
- action: fake_success
  names: [sync]
`,
		`version: 1
abis: [s390x]
default_action: trace(7)
bad_arch_action: log
syscalls: []
`,
	} {
		want := policyOf(t, source)
		r, _, err := want.Resolve(policy.Options{})
		if err != nil {
			t.Fatal(err)
		}
		s := NewSpace(Budget{})
		f, err := s.Policy(r)
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.Decompile(f, want.ABIs[0])
		if err != nil {
			t.Errorf("%v\n%s", err, source)
			continue
		}
		if string(got.Format()) != source {
			t.Errorf("got\n%swant\n%s", got.Format(), source)
		}
	}
}

func policyOf(t *testing.T, source string) *policy.Policy {
	t.Helper()
	p, err := policy.Parse("p", []byte(source))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestDecompileRefuses(t *testing.T) {
	allow, kill := bpf.Stmt(bpf.RetK, uint32(abi.Allow)), bpf.Stmt(bpf.RetK, uint32(abi.KillProcess))
	for name, p := range map[string]bpf.Program{
		"an architecture without an ABI": {bpf.Stmt(bpf.LdAbs, bpf.OffsetArch), bpf.Jump(bpf.JeqK, 5, 0, 1), allow, kill},
		"odd numbers":                    {bpf.Stmt(bpf.LdAbs, bpf.OffsetNR), bpf.Jump(bpf.JsetK, 1, 0, 1), allow, kill},
		"two byte orders": {
			bpf.Stmt(bpf.LdAbs, bpf.OffsetArch), bpf.Jump(bpf.JeqK, abi.AMD64.AuditArch(), 1, 0), bpf.Jump(bpf.JeqK, abi.S390X.AuditArch(), 0, 1), allow, kill,
		},
		"the high half of a 32-bit argument": {
			bpf.Stmt(bpf.LdAbs, bpf.OffsetArch), bpf.Jump(bpf.JeqK, abi.I386.AuditArch(), 0, 3),
			bpf.Stmt(bpf.LdAbs, bpf.OffsetArg(0, true, false)), bpf.Jump(bpf.JeqK, 1, 0, 1), allow, kill,
		},
	} {
		s := NewSpace(Budget{})
		f, err := s.Program(p, false)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Decompile(f, abi.AMD64); !errors.Is(err, ErrInexpressible) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A policy that nobody could read is none: here each of 350 calls would take 3 KB.
func TestDecompileTooLong(t *testing.T) {
	r := &policy.Resolved{BadArch: abi.Allow, ABIs: []policy.ResolvedABI{{ABI: abi.S390X, Default: abi.Allow, Unknown: abi.Allow, Rules: []policy.ResolvedRule{{
		Numbers: []policy.NumberRange{{Lo: 2, Hi: 3}, {Lo: 7, Hi: 0x7fffffff}},
		Any: []policy.Alternative{
			{{Mask: ^uint64(0), In: []policy.Interval{{Lo: 0, Hi: 0}, {Lo: 0x1de, Hi: 0x540100000008}}}},
			{{Mask: 3, In: []policy.Interval{{Lo: 0, Hi: 0}}}},
		},
		Action: abi.Trap,
	}}}}}
	s := NewSpace(Budget{})
	f, err := s.Policy(r)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Decompile(f, abi.S390X); !errors.Is(err, ErrInexpressible) || !strings.Contains(err.Error(), "that can be read") {
		t.Error(err)
	}
}

// Words that the kernel treats alike are one action.
func TestEffect(t *testing.T) {
	for word, want := range map[abi.Action]abi.Action{
		abi.Allow | 7: abi.Allow, abi.KillThread | 1: abi.KillThread, 0x00010000: abi.KillProcess, 0x05000500: abi.KillProcess,
		abi.Errno | 5000: abi.Errno | 4095, abi.Errno: abi.Errno, abi.Trap | 9: abi.Trap | 9, abi.Trace | 9: abi.Trace | 9,
	} {
		if got := Effect(word); got != want {
			t.Errorf("%#x: %v, want %v", uint32(word), got, want)
		}
	}
}
