package convert

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/proof"
	"github.com/sysgate/sysgate/policy"
)

// A guardedEntry is an entry with what it asks for.
type guardedEntry struct {
	ociSyscall
	Includes map[string]any `json:"includes,omitempty"`
	Excludes map[string]any `json:"excludes,omitempty"`
}

// A profile that is read with its conditions open means, for every container, what
// it means when they are decided as it is read.
func TestSymbolic(t *testing.T) {
	eperm, enosys := uint16(1), uint16(38)
	caps := []string{"CAP_SYS_ADMIN", "CAP_BPF", "cap_syslog", "SYS_PTRACE"}
	releases := []string{"4.8", "5.1", "6.0"}
	containers := []policy.Options{}
	for set := range 1 << len(caps) {
		for _, k := range []abi.Kernel{{Major: 4, Minor: 4}, {Major: 4, Minor: 8}, {Major: 5, Minor: 4}, {Major: 6, Minor: 12}} {
			o := policy.Options{Kernel: k, Native: abi.AMD64}
			for i, c := range caps {
				if set>>i&1 != 0 {
					o.Caps = append(o.Caps, "CAP_"+strings.TrimPrefix(strings.ToUpper(c), "CAP_"))
				}
			}
			containers = append(containers, o)
		}
	}
	s := scope{
		native: abi.AMD64, arches: []string{"SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"}, narrow: true, args: 1,
		names:   strings.Fields("socket connect semctl ioctl clone kill ptrace bpf clone3 mseal io_uring_setup socketcall ipc vhangup newfstatat"),
		ops:     []string{"SCMP_CMP_EQ", "SCMP_CMP_MASKED_EQ"},
		actions: []ociAction{{Action: "SCMP_ACT_ALLOW"}, {Action: "SCMP_ACT_ALLOW"}, {Action: "SCMP_ACT_ERRNO", ErrnoRet: &enosys}, {Action: "SCMP_ACT_ERRNO", ErrnoRet: &eperm}},
	}
	r := rand.New(rand.NewPCG(7, 7))
	read, kept := 0, 0
	for range 60 {
		s := s
		if r.IntN(2) == 0 {
			s.arches = s.arches[:1]
		}
		p := s.random(r)
		var entries []guardedEntry
		for _, e := range p.Syscalls {
			g := guardedEntry{ociSyscall: e}
			ask := func() map[string]any {
				m := map[string]any{}
				if r.IntN(2) == 0 {
					m["caps"] = []string{caps[r.IntN(len(caps))]}
				}
				if r.IntN(4) == 0 {
					m["minKernel"] = releases[r.IntN(len(releases))]
				}
				if r.IntN(8) == 0 {
					m["arches"] = []string{[...]string{"amd64", "arm64"}[r.IntN(2)]}
				}
				return m
			}
			if r.IntN(2) == 0 {
				g.Includes = ask()
			}
			if r.IntN(3) == 0 {
				g.Excludes = ask()
			}
			entries = append(entries, g)
		}
		text, err := json.Marshal(map[string]any{"defaultAction": p.DefaultAction, "defaultErrnoRet": p.DefaultErrnoRet, "architectures": p.Architectures, "syscalls": entries})
		if err != nil {
			t.Fatal(err)
		}
		open, _, err := OCI("p.json", text, OCIOptions{Options: Options{Native: abi.AMD64, Symbolic: true}})
		if err != nil {
			if !strings.Contains(err.Error(), "libseccomp refuses it") {
				t.Fatalf("%v\n%s", err, text)
			}
			continue // somewhere both count
		}
		read++
		again, err := policy.Parse("p.yaml", open.Format())
		if err != nil {
			t.Fatalf("%v\n%s\n%s", err, open.Format(), text)
		}
		for _, o := range containers {
			decided, _, err := OCI("p.json", text, OCIOptions{Options: Options{Native: abi.AMD64, Caps: o.Caps, Kernel: o.Kernel}})
			if err != nil {
				t.Fatalf("%v\n%s", err, text)
			}
			space := proof.NewSpace(proof.Budget{})
			function := func(p *policy.Policy, o policy.Options) proof.Function {
				resolved, _, err := p.Resolve(o)
				if err != nil {
					t.Fatalf("%v\n%s", err, p.Format())
				}
				f, err := space.Policy(resolved)
				if err != nil {
					t.Fatal(err)
				}
				return space.Effects(f)
			}
			want, got := function(decided, policy.Options{Native: abi.AMD64}), function(again, o)
			if want != got {
				regions, err := space.Diff(want, got, []abi.ABI{abi.AMD64, abi.I386, abi.X32}, nil)
				if err != nil || len(regions) == 0 {
					t.Fatal(err)
				}
				x := regions[0]
				t.Fatalf("caps %v, kernel %v: %s is %v decided, %v symbolic\n%s\n%s", o.Caps, o.Kernel, policy.FormatCall(x.Witness), x.A, x.B, text, open.Format())
			}
		}
		for _, rule := range again.Rules {
			if len(rule.When.Caps)+len(rule.When.NotCaps) > 0 || rule.When.MinKernel != (abi.Kernel{}) {
				kept++
				break
			}
		}
	}
	if read < 40 || kept < 30 {
		t.Errorf("%d profiles read, %d with conditions", read, kept)
	}
}

// Conditions on capabilities that lead to the same rules are one, as short as can
// be.
func TestCapCover(t *testing.T) {
	for _, tt := range []struct {
		n    int
		sets []uint32
		want string
	}{
		{0, []uint32{0}, "[{0 0}]"},
		{1, []uint32{1}, "[{1 1}]"},
		{2, []uint32{0, 1, 2, 3}, "[{0 0}]"},
		{2, []uint32{1, 2, 3}, "[{1 1} {2 2}]"},
		{2, []uint32{0, 3}, "[{3 3} {3 0}]"},
		{3, []uint32{1, 3, 5, 7, 4}, "[{1 1} {6 4}]"},
	} {
		if got := fmt.Sprint(capCover(tt.sets, tt.n)); got != tt.want {
			t.Errorf("%d, %v: %s, want %s", tt.n, tt.sets, got, tt.want)
		}
	}
}
