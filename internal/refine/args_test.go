package refine

import (
	"strings"
	"testing"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/observe"
	"github.com/sysgate/sysgate/policy"
)

func arg(index int, name string, mask uint64, values ...uint64) observe.Arg {
	a := observe.Arg{Index: index, Name: name, Mask: mask}
	for _, n := range values {
		a.Values = append(a.Values, observe.ArgValue{N: n, Sites: []string{"main.main (m/main.go:1)"}})
	}
	return a
}

func TestArgConditions(t *testing.T) {
	const low = 0xffffffff
	for _, tt := range []struct {
		call string
		args []observe.Arg
		want string // "" where there is no condition
	}{
		{"socket", []observe.Arg{arg(0, "domain", low, 1)}, "socket(domain == AF_UNIX)"},
		{
			"socket",
			[]observe.Arg{arg(0, "domain", low, 1, 10), arg(1, "type", low, 0x80002)},
			"socket(domain in {AF_UNIX, AF_INET6}, type == SOCK_DGRAM | SOCK_CLOEXEC)",
		},
		{"ioctl", []observe.Arg{arg(1, "cmd", low, 0x5401, 0xdeadbeef)}, "ioctl(cmd in {TCGETS, 0xdeadbeef})"},
		{"futex", []observe.Arg{arg(1, "futex_op", low, 0x81, 0xfffffff0)}, "futex(futex_op in {FUTEX_WAKE_PRIVATE, -16})"},
		{"kill", []observe.Arg{arg(1, "sig", low, 0, 9)}, "kill(sig in {0, SIGKILL})"},
		// The kernel looks at more bits than are known.
		{"mprotect", []observe.Arg{arg(2, "prot", low, 0, 1, 3)}, "mprotect(prot & PROT_EXEC == 0)"},
		{"mprotect", []observe.Arg{arg(2, "prot", low, 1, 5)}, ""},
		{"mmap", []observe.Arg{arg(3, "flags", low, 0x22)}, ""},
	} {
		nr, ok := abi.AMD64.Lookup(tt.call)
		if !ok {
			t.Fatal(tt.call)
		}
		s := &observe.Set{ABI: abi.AMD64, Sound: true, Calls: []observe.Call{{NR: nr, Name: tt.call, Class: observe.Certain, Args: tt.args, Evidence: "main.main"}}}
		p, _ := FromSet(s, Options{})
		got := p.Rules[0].Calls[0]
		want := tt.want
		if want == "" {
			want = tt.call
		}
		if got.String() != want {
			t.Errorf("%s, want %s", got, want)
		}
		if (tt.want != "") != strings.Contains(got.Comment, "main.go:1") {
			t.Errorf("%s: comment %q", got, got.Comment)
		}
		if _, warnings, err := p.Resolve(policy.Options{}); err != nil || len(warnings) > 0 {
			t.Errorf("%s: %v %v", got, warnings, err)
		}
	}
}

// TestConditionalCalls checks that what evidence speaks against is kept unless it
// is to be left out, and that a runtime's own need of it counts.
func TestConditionalCalls(t *testing.T) {
	call := func(name string, class observe.Class) observe.Call {
		nr, _ := abi.AMD64.Lookup(name)
		return observe.Call{NR: nr, Name: name, Class: class, Evidence: "why " + name}
	}
	s := &observe.Set{ABI: abi.AMD64, Sound: true, Calls: []observe.Call{
		call("read", observe.Certain), call("ptrace", observe.Conditional), call("setgid", observe.Conditional),
	}}
	for _, tt := range []struct {
		o    Options
		want string // of the three
	}{
		{Options{}, "ptrace read setgid"},
		{Options{DropConditional: true}, "read"},
		{Options{DropConditional: true, Allow: []Item{{Name: "ptrace"}}}, "ptrace read"},
		{Options{DropConditional: true, Runtime: &runtimes[0]}, "read setgid"},
	} {
		p, _ := FromSet(s, tt.o)
		var got []string
		for _, name := range Allowed(p) {
			if name == "read" || name == "ptrace" || name == "setgid" {
				got = append(got, name)
			}
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%v: %v, want %s", tt.o, got, tt.want)
		}
		if dropped := strings.Contains(p.Comment, "Left out, because evidence says that it is not used: ptrace: why ptrace."); dropped != tt.o.DropConditional {
			t.Errorf("%v: header %q", tt.o, p.Comment)
		}
	}
	if len(s.Calls) != 3 {
		t.Error("the set was changed")
	}
}

// TestRuntimeArgs checks that a condition goes where the container's runtime makes
// the call, too.
func TestRuntimeArgs(t *testing.T) {
	nr, _ := abi.AMD64.Lookup("fcntl")
	s := &observe.Set{ABI: abi.AMD64, Sound: true, Calls: []observe.Call{{NR: nr, Name: "fcntl", Class: observe.Certain, Args: []observe.Arg{arg(1, "cmd", 0xffffffff, 3)}}}}
	p, _ := FromSet(s, Options{Runtime: &runtimes[0]})
	for _, c := range p.Rules[0].Calls {
		if c.Name == "fcntl" && len(c.Conditions) > 0 {
			t.Errorf("%s", c)
		}
	}
	if len(s.Calls[0].Args) != 1 {
		t.Error("the set was changed")
	}
}
