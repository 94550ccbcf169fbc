package registry

import (
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/seccomp"
)

// newRegistry returns one of its own, so that tests do not meet.
func newRegistry() *registry { return &registry{abi: abi.Native()} }

func allowList(names ...string) *seccomp.Policy {
	return &seccomp.Policy{
		DefaultAction: seccomp.ActionErrno,
		Syscalls:      []seccomp.SyscallGroup{{Action: seccomp.ActionAllow, Names: names}},
	}
}

func TestRegister(t *testing.T) {
	killProcess := seccomp.ActionKillProcess
	for _, test := range []struct {
		name          string
		first, second *seccomp.Policy
		err           string // a regular expression; "": the second is no other
	}{
		{"the same", allowList("read", "write"), allowList("read", "write"), ""},
		{"names in another order", allowList("read", "write"), allowList("write", "read"), ""},
		{"an empty list and none", allowList("read"), &seccomp.Policy{
			DefaultAction: seccomp.ActionErrno,
			Syscalls: []seccomp.SyscallGroup{{
				Action: seccomp.ActionAllow, Names: []string{"read"}, NamesWithCondtions: []seccomp.NameWithConditions{},
			}},
		}, ""},
		{"a name more", allowList("read"), allowList("read", "write"), "^a different seccomp policy is already registered: the first by one, another by two; "},
		{"another default", allowList("read"), &seccomp.Policy{
			DefaultAction: seccomp.ActionKillProcess,
			Syscalls:      []seccomp.SyscallGroup{{Action: seccomp.ActionAllow, Names: []string{"read"}}},
		}, "already registered"},
		{"another bad arch action", allowList("read"), &seccomp.Policy{
			DefaultAction: seccomp.ActionErrno,
			BadArchAction: &killProcess,
			Syscalls:      []seccomp.SyscallGroup{{Action: seccomp.ActionAllow, Names: []string{"read"}}},
		}, "already registered"},
		{"no policy", allowList("read"), nil, "^seccomp policy cannot be nil$"},
		{"no such call", allowList("read"), allowList("raed"), "^failed to register seccomp policy: .*raed"},
		{"empty", allowList("read"), &seccomp.Policy{DefaultAction: seccomp.ActionErrno}, "^failed to register seccomp policy: .*syscalls"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newRegistry()
			if err := r.register(test.first, "one"); err != nil {
				t.Fatal(err)
			}
			err := r.register(test.second, "two")
			switch {
			case test.err == "" && err != nil:
				t.Fatal(err)
			case test.err != "" && (err == nil || !regexp.MustCompile(test.err).MatchString(err.Error())):
				t.Fatalf("error %v, want %s", err, test.err)
			}
			if r.registeredBy != "one" || !equal(r.registered, test.first) {
				t.Errorf("registered by %s: %v", r.registeredBy, r.registered)
			}
		})
	}
}

// TestRegisterInvalidFirst: what is refused is not registered.
func TestRegisterInvalidFirst(t *testing.T) {
	r := newRegistry()
	for _, p := range []*seccomp.Policy{nil, {}, allowList("raed")} {
		if err := r.register(p, "one"); err == nil {
			t.Errorf("%v was registered", p)
		}
	}
	if err := r.register(allowList("read"), "two"); err != nil {
		t.Error(err)
	}
}

// TestRegisterCopies: the caller's policy is not the registry's.
func TestRegisterCopies(t *testing.T) {
	r := newRegistry()
	p := allowList("read", "write")
	p.Syscalls[0].NamesWithCondtions = []seccomp.NameWithConditions{{
		Name:       "socket",
		Conditions: seccomp.ArgumentConditions{{Operation: seccomp.Equal, Value: 1}},
	}}
	want := clone(p)
	if err := r.register(p, "one"); err != nil {
		t.Fatal(err)
	}
	p.Syscalls[0].Names[0] = "ptrace"
	p.Syscalls[0].NamesWithCondtions[0].Conditions[0].Value = 2
	p.Syscalls = p.Syscalls[:0]
	if !equal(r.registered, want) {
		t.Errorf("registered is %v, want %v", r.registered, want)
	}
	chosen := r.choose(&config{enabled: true}).Policy
	chosen.Syscalls[0].Names[0] = "ptrace"
	chosen.Syscalls[0].NamesWithCondtions[0].Conditions[0].Value = 2
	if !equal(r.registered, want) {
		t.Errorf("after a result was changed, registered is %v, want %v", r.registered, want)
	}
}

// TestMustRegisterPolicy looks at the panic of a program with two policies: it
// names the two files that register them.
func TestMustRegisterPolicy(t *testing.T) {
	out, err := exec.Command("go", "run", "./testdata/conflict").CombinedOutput()
	if err == nil {
		t.Fatalf("no panic:\n%s", out)
	}
	for _, want := range []string{
		"panic: a different seccomp policy is already registered",
		`the first by main\.init\.0 \(.*conflict/first\.go:9\)`,
		`another by main\.init\.1 \(.*conflict/second\.go:9\)`,
	} {
		if !regexp.MustCompile(want).Match(out) {
			t.Errorf("no %s in\n%s", want, out)
		}
	}
}

// TestModify looks at the default policies after changes.
func TestModify(t *testing.T) {
	add := func(names ...string) change { return change{AddSyscall, names} }
	drop := func(names ...string) change { return change{DropSyscall, names} }
	const eperm, enosys = abi.Errno | 1, abi.Errno | 38
	for _, test := range []struct {
		abi     abi.ABI
		changes []change
		call    string
		want    abi.Action
	}{
		{abi.AMD64, nil, "io_uring_setup()", enosys},
		{abi.AMD64, []change{add("io_uring_setup")}, "io_uring_setup()", abi.Allow},
		{abi.AMD64, []change{add("io_uring_setup")}, "io_uring_enter()", enosys},
		{abi.AMD64, []change{add("execve")}, "execve()", abi.Allow},
		{abi.AMD64, []change{add("unshare", "clone")}, "clone(0x10000000)", abi.Allow},
		{abi.AMD64, []change{drop("inotify_init1")}, "inotify_init1()", eperm},
		{abi.AMD64, []change{add("execve"), drop("execve")}, "execve()", eperm},
		{abi.AMD64, []change{drop("execve"), add("execve")}, "execve()", abi.Allow},
		{abi.AMD64, []change{add("mmap2", "setuid32")}, "setuid()", eperm}, // names of other ABIs
		{abi.AMD64, []change{add()}, "read()", abi.Allow},
		{abi.ARM64, []change{drop("io_uring_setup")}, "io_uring_setup()", eperm},
		{abi.ARM64, []change{add("ptrace")}, "ptrace()", abi.Allow},
		{abi.ARM64, []change{add("ptrace")}, "execve()", eperm},
		{abi.ARM, []change{drop("getuid")}, "getuid32()", eperm},
		{abi.I386, []change{drop("fcntl")}, "fcntl64()", eperm},
		{abi.I386, []change{drop("socket")}, "socket()", eperm},
		{abi.I386, []change{drop("socket")}, "socketcall(1)", eperm}, // SYS_SOCKET
		{abi.I386, []change{drop("socket")}, "socketcall(2)", abi.Allow},
		{abi.I386, []change{drop("send")}, "socketcall(9)", eperm}, // has no number of its own
		{abi.I386, []change{add("setuid")}, "setuid()", abi.Allow},
	} {
		r := &registry{abi: test.abi}
		for _, c := range test.changes {
			if err := r.modify(c.kind, c.names); err != nil {
				t.Error(err)
			}
		}
		if got := verdict(t, test.abi, r.defaultPolicy(), test.call); got != test.want {
			t.Errorf("%v, after %v: %s gets %v, want %v", test.abi, test.changes, test.call, got, test.want)
		}
	}
}

func TestModifyErrors(t *testing.T) {
	for _, test := range []struct {
		abi  abi.ABI
		c    change
		want []string
	}{
		{abi.AMD64, change{0, []string{"read"}}, []string{"unsupported PolicyChangeType value"}},
		{abi.AMD64, change{9, []string{"read"}}, []string{"unsupported PolicyChangeType value"}},
		{abi.RISCV64, change{AddSyscall, []string{"read"}}, []string{"no default policy exists (check the architecture)"}},
		{abi.AMD64, change{AddSyscall, []string{"read", "raed", "wriet"}}, []string{`"raed"`, `did you mean "read"?`, `"wriet"`, `did you mean "write"?`}},
	} {
		r := &registry{abi: test.abi}
		err := r.modify(test.c.kind, test.c.names)
		for _, want := range test.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v %v: error %v, want %q", test.abi, test.c, err, want)
			}
		}
		if len(r.changes) > 0 {
			t.Errorf("%v %v: the policy was changed", test.abi, test.c)
		}
	}
}

// TestModifyCopies: names are the caller's.
func TestModifyCopies(t *testing.T) {
	r := &registry{abi: abi.AMD64}
	names := []string{"ptrace"}
	if err := r.modify(AddSyscall, names); err != nil {
		t.Fatal(err)
	}
	names[0] = "execve"
	if got := verdict(t, abi.AMD64, r.defaultPolicy(), "execve()"); got == abi.Allow {
		t.Error("execve is allowed")
	}
}

// TestConcurrency uses all of a registry at once, for the race detector.
func TestConcurrency(t *testing.T) {
	r := newRegistry()
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			if err := r.register(allowList("read", "write"), fmt.Sprint(i)); err != nil {
				t.Error(err)
			}
		})
		all.Go(func() {
			if builtin(r.abi) == nil {
				return
			}
			if err := r.modify(AddSyscall, []string{"ptrace"}); err != nil {
				t.Error(err)
			}
		})
		all.Go(func() {
			result, err := r.load(yamlConfig("enabled: true"), Options{}, fakeSystem(nil, nil))
			if err != nil {
				t.Error(err)
				return
			}
			for _, g := range result.Policy.Syscalls {
				clear(g.Names)
			}
		})
	}
	all.Wait()
	if got := r.registered.Syscalls[0].Names; strings.Join(got, " ") != "read write" {
		t.Errorf("registered is %v", got)
	}
}
