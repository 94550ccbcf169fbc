package refine

import (
	"strings"
	"testing"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/observe"
	"github.com/sysgate/sysgate/policy"
)

// verdicts asks a policy about calls without arguments, "386:bind".
func verdicts(t *testing.T, p *policy.Policy, native abi.ABI, want map[string]string) {
	t.Helper()
	r, _, err := p.Resolve(policy.Options{Native: native})
	if err != nil {
		t.Fatal(err)
	}
	for text, wantAction := range want {
		a, name := native, text
		if prefix, rest, ok := strings.Cut(text, ":"); ok {
			a, _ = abi.Parse(prefix)
			name = rest
		}
		call := abi.Call{Arch: a.AuditArch()}
		if nr, ok := a.Lookup(name); ok {
			call.NR = nr
		} else if mux, sub, ok := a.Multiplexed(name); ok {
			call.NR, call.Args[0] = mux, sub
		} else {
			t.Fatalf("%v has no %s", a, name)
		}
		if got := a.ActionString(r.Eval(call).Action); got != wantAction {
			t.Errorf("%s: %s, want %s", text, got, wantAction)
		}
	}
}

func list(t *testing.T, text string) []Item {
	t.Helper()
	items, err := ParseList("list", text)
	if err != nil {
		t.Fatal(err)
	}
	return items
}

// A denial holds on every ABI that the machine serves, through sub-calls and
// calls that do the same too.
func TestDenyList(t *testing.T) {
	p, elsewhere := DenyList(list(t, "bind,setuid32,send:kill_process,@systemd/reboot,breakpoint"), list(t, "reboot"), abi.AMD64)
	if len(elsewhere) != 1 || elsewhere[0] != "breakpoint" {
		t.Errorf("elsewhere: %v, want breakpoint", elsewhere)
	}
	verdicts(t, p, abi.AMD64, map[string]string{
		"bind": "errno(EPERM)", "386:bind": "errno(EPERM)", "x32:bind": "errno(EPERM)",
		"setuid": "errno(EPERM)", "386:setuid": "errno(EPERM)", "386:setuid32": "errno(EPERM)", "x32:setuid": "errno(EPERM)",
		"386:send": "kill_process", "kexec_load": "errno(EPERM)", "reboot": "allow",
		"read": "allow", "386:read": "allow", "386:listen": "allow", "x32:listen": "allow",
	})
	r, _, err := p.Resolve(policy.Options{Native: abi.AMD64})
	if err != nil {
		t.Fatal(err)
	}
	bind, _, _ := abi.I386.Multiplexed("bind")
	dirty := abi.Call{NR: bind, Arch: abi.I386.AuditArch(), Args: [6]uint64{0xdead_0000_0000_0002}}
	if got := r.Eval(dirty).Action.Kind(); got != abi.Errno {
		t.Errorf("socketcall(bind) with a dirty high word: %v", got)
	}
	if got := r.Eval(abi.Call{Arch: abi.ARM64.AuditArch()}).Action; got != abi.KillProcess {
		t.Errorf("foreign architecture: %v, want kill_process", got)
	}
}

func TestStricterActionWins(t *testing.T) {
	p, _ := DenyList(list(t, "@systemd/network-io,bind:kill_process,bind:log"), nil, abi.AMD64)
	verdicts(t, p, abi.AMD64, map[string]string{"bind": "kill_process", "listen": "errno(EPERM)"})
}

func hello() *observe.Set {
	return &observe.Set{
		ABI:     abi.AMD64,
		Sources: []string{"hello (Go 1.26.8)"},
		Sound:   true,
		Calls: []observe.Call{
			{NR: 0, Name: "read", Class: observe.Certain, Evidence: "main.main → os.(*File).Read"},
			{NR: 59, Name: "execve", Class: observe.Certain, Evidence: "syscall.forkExec"},
			{NR: 219, Name: "restart_syscall", Class: observe.Implicit, Evidence: "the kernel restarts interrupted sleeps"},
			{NR: 700, Class: observe.Assumed, Evidence: "--assume main.f=700"},
		},
		Assumptions: []string{"main.f calls nr:700"},
	}
}

func TestFromSet(t *testing.T) {
	p, elsewhere := FromSet(hello(), Options{})
	if len(elsewhere) > 0 {
		t.Errorf("elsewhere: %v", elsewhere)
	}
	verdicts(t, p, abi.AMD64, map[string]string{
		"read": "allow", "execve": "allow", "restart_syscall": "allow", "write": "errno(ENOSYS)",
		"386:read": "kill_process", "x32:read": "errno(ENOSYS)",
	})
	for _, want := range []string{"hello (Go 1.26.8)", "Sound: ", "Assumed: main.f calls nr:700"} {
		if !strings.Contains(p.Comment, want) {
			t.Errorf("comment %q lacks %q", p.Comment, want)
		}
	}
	reasons := map[string]string{}
	for _, c := range p.Rules[0].Calls {
		reasons[c.String()] = c.Comment
	}
	for call, want := range map[string]string{
		"read": "main.main → os.(*File).Read", "restart_syscall": "implicit: the kernel restarts", "nr:700": "assumed: --assume main.f=700",
	} {
		if !strings.HasPrefix(reasons[call], want) {
			t.Errorf("reason of %s: %q, want %q", call, reasons[call], want)
		}
	}
}

func TestFromSetLists(t *testing.T) {
	o := Options{
		Default: action(t, "kill_process"),
		Allow:   list(t, "setuid32,newstat,read:log,breakpoint"),
		Deny:    list(t, "execve,stat,listen:errno(EACCES)"),
	}
	p, elsewhere := FromSet(hello(), o)
	if len(elsewhere) != 2 { // setuid32 and breakpoint
		t.Errorf("elsewhere: %v", elsewhere)
	}
	verdicts(t, p, abi.AMD64, map[string]string{
		"read": "log", "execve": "kill_process", "stat": "allow", "listen": "errno(EACCES)", "write": "kill_process",
	})
	r, _, err := p.Resolve(policy.Options{Native: abi.AMD64})
	if err != nil {
		t.Fatal(err)
	}
	if got := abi.AMD64.ActionString(r.Eval(abi.Call{NR: 9999, Arch: abi.AMD64.AuditArch()}).Action); got != "errno(ENOSYS)" {
		t.Errorf("unknown number: %s, want errno(ENOSYS)", got)
	}
}

func TestFromSetNotSound(t *testing.T) {
	s := hello()
	s.Sound = false
	p, _ := FromSet(s, Options{})
	if !strings.Contains(p.Comment, "NOT sound") {
		t.Errorf("comment %q does not say that the set is not sound", p.Comment)
	}
}

func TestAmend(t *testing.T) {
	base := &policy.Policy{
		Default: policy.Action{Kind: abi.Errno, Errno: "EACCES"},
		Rules:   []policy.Rule{{Action: allow, Calls: []policy.Pattern{{Name: "read"}, {Name: "bind"}}}},
	}
	p, elsewhere := Amend(base, abi.AMD64, Options{
		Default: action(t, "kill_process"),
		Allow:   list(t, "listen,breakpoint"),
		Deny:    list(t, "bind,listen:log"),
	})
	if len(elsewhere) != 1 {
		t.Errorf("elsewhere: %v", elsewhere)
	}
	verdicts(t, p, abi.AMD64, map[string]string{"read": "allow", "bind": "errno(EPERM)", "listen": "allow", "write": "kill_process"})
	verdicts(t, base, abi.AMD64, map[string]string{"bind": "allow", "write": "errno(EACCES)"})
}

func TestRuntime(t *testing.T) {
	p, _ := FromSet(hello(), Options{Runtime: &runtimes[0], Deny: list(t, "capset")})
	verdicts(t, p, abi.AMD64, map[string]string{"capget": "allow", "read": "allow", "capset": "errno(ENOSYS)", "ptrace": "errno(ENOSYS)"})
	p, _ = FromSet(hello(), Options{})
	verdicts(t, p, abi.AMD64, map[string]string{"capget": "errno(ENOSYS)"})
}

// A policy for programs of two ABIs allows each call where a program needs it,
// says who makes it, and everywhere only if asked to.
func TestFromSets(t *testing.T) {
	server := hello()
	server.Sources = []string{"server"}
	server.Programs = server.Sources
	helper := &observe.Set{ABI: abi.AMD64, Sources: []string{"helper"}, Programs: []string{"helper"}, Sound: true, Calls: []observe.Call{
		{NR: 0, Name: "read", Class: observe.Certain, Evidence: "main"},
		{NR: 1, Name: "write", Class: observe.Certain, Evidence: "main"},
	}}
	old := &observe.Set{ABI: abi.I386, Sources: []string{"old"}, Programs: []string{"old"}, Sound: true, Calls: []observe.Call{
		{NR: 3, Name: "read", Class: observe.Certain, Evidence: "_start"},
		{NR: 5, Name: "open", Class: observe.Certain, Evidence: "_start"},
	}}
	sets, err := observe.MergeABIs(old, server, helper)
	if err != nil {
		t.Fatal(err)
	}
	p, _ := FromSets(sets, Options{})
	verdicts(t, p, abi.AMD64, map[string]string{
		"read": "allow", "386:read": "allow", "write": "allow", "386:write": "errno(ENOSYS)",
		"open": "errno(ENOSYS)", "386:open": "allow", "execve": "allow", "386:execve": "errno(ENOSYS)", "x32:read": "errno(ENOSYS)",
	})
	comments := map[string]string{}
	for _, c := range p.Rules[0].Calls {
		comments[c.String()] = c.Comment
	}
	for call, want := range map[string]string{
		"read": "main.main → os.(*File).Read", "amd64:write": "by helper: main", "386:open": "by old: _start",
		"amd64:execve": "by server: syscall.forkExec", "amd64:nr:700": "by server: assumed: --assume main.f=700",
	} {
		if comments[call] != want {
			t.Errorf("%s: comment %q, want %q (all: %q)", call, comments[call], want, comments)
		}
	}
	if !strings.Contains(p.Comment, "server, helper, old") {
		t.Errorf("comment %q does not name the programs", p.Comment)
	}

	everywhere, _ := FromSets(sets, Options{Everywhere: true})
	verdicts(t, everywhere, abi.AMD64, map[string]string{"386:write": "allow", "open": "allow", "386:execve": "allow", "386:bind": "errno(ENOSYS)"})

	crun, _ := RuntimeByName("crun")
	started, _ := FromSets([]*observe.Set{old}, Options{Runtime: crun, RuntimeABI: abi.AMD64})
	verdicts(t, started, abi.AMD64, map[string]string{"capset": "allow", "386:capset": "errno(ENOSYS)", "386:open": "allow", "open": "errno(ENOSYS)", "read": "allow"})
	for _, c := range started.Rules[0].Calls {
		if c.Name == "capset" && c.Comment != "implicit: crun drops capabilities" {
			t.Errorf("capset: comment %q", c.Comment)
		}
	}
}
