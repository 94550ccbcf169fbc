package refine

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/observe"
	"github.com/sysgate/sysgate/policy"
)

// violated returns violations of calls, "386:bind".
func violated(t *testing.T, calls ...string) []*observe.Violation {
	t.Helper()
	var all []*observe.Violation
	for _, text := range calls {
		call, err := policy.ParseCall(text, abi.AMD64)
		if err != nil {
			t.Fatal(err)
		}
		v := &observe.Violation{Arch: call.Arch, NR: call.NR, Action: abi.Errno, Exe: "/opt/web", Count: 1}
		v.ABI, v.Name = observe.Identify(v.Arch, v.NR)
		if strings.Contains(text, "(") {
			v.Args = &call.Args
		}
		all = append(all, v)
	}
	return all
}

const web = `version: 1
default_action: errno(EPERM)
unknown_action: errno(ENOSYS)
# what it needs
syscalls:

# files
- action: allow
  names: [read, write, close]
- action: allow
  calls:
  - socket(domain in {AF_UNIX, AF_INET}, type & 0xf == SOCK_STREAM) # no others
- action: errno(EACCES)
  names: [bind]
`

func TestAdmit(t *testing.T) {
	for _, tt := range []struct {
		name, policy string
		seen         []string
		accept       []string
		want         []string // list: call
		rule         string   // patterns of the new rule
	}{
		{"default denies", web, []string{"getpid", "getpid", "openat"}, nil, []string{"admitted: getpid", "admitted: openat"}, "getpid openat"},
		{"allowed already", web, []string{"read", "socket(AF_UNIX, SOCK_STREAM, 0)"}, nil, []string{"already: read", "already: socket"}, ""},
		{"dangerous", web, []string{"ptrace", "execve"}, nil, []string{"apart: execve", "apart: ptrace"}, ""},
		{"accepted", web, []string{"ptrace", "execve"}, []string{"ptrace"}, []string{"admitted: ptrace", "apart: execve"}, "ptrace"},
		{"a rule's own", web, []string{"bind"}, nil, []string{"apart: bind"}, ""},
		{"a rule's own, accepted", web, []string{"bind"}, []string{"bind"}, []string{"admitted: bind"}, "bind"},
		{"arguments unknown", web, []string{"socket"}, nil, []string{"apart: socket"}, ""},
		{"arguments known", web, []string{"socket(AF_INET6, SOCK_STREAM, 0)"}, nil, []string{"admitted: socket"}, "socket(domain == AF_INET6, type == SOCK_STREAM)"},
		{"arguments that do not matter", web, []string{"openat(1, 2)", "openat(3, 4)"}, nil, []string{"admitted: openat"}, "openat"},
		{"several values", web, []string{"socket(AF_INET6, SOCK_STREAM, 0)", "socket(AF_NETLINK, SOCK_RAW, 0)"}, nil, []string{"admitted: socket", "admitted: socket"}, "socket(domain == AF_INET6, type == SOCK_STREAM) socket(domain == AF_NETLINK, type == SOCK_RAW)"},
		{"stray bits that the kernel does not read", web, []string{"socket(0xff0000000a, SOCK_STREAM, 0)"}, nil, []string{"admitted: socket"}, "socket(domain == AF_INET6, type == SOCK_STREAM)"},
		{"another ABI", web, []string{"386:getpid", "x32:getpid"}, nil, []string{"never: 386:getpid", "never: x32:getpid"}, ""},
		{"no table has it", web, []string{"nr:9999"}, nil, []string{"apart: nr:9999"}, ""},
		{"no table has it, accepted", web, []string{"nr:9999"}, []string{"nr:9999"}, []string{"admitted: nr:9999"}, "nr:9999"},
		{"two ABIs", strings.Replace(web, "version: 1\n", "version: 1\nabis: [amd64, 386]\n", 1), []string{"386:getpid"}, nil, []string{"admitted: 386:getpid"}, "386:getpid"},
		{"log mode", "version: 1\ndefault_action: log\nsyscalls: []\n", []string{"getpid"}, nil, []string{"admitted: getpid"}, "getpid"},
		{"libbeat's form", "default_action: errno\nsyscalls:\n- action: allow\n  names:\n  - read\n", []string{"getpid"}, nil, []string{"admitted: getpid"}, "getpid"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, err := policy.Parse("web.yaml", []byte(tt.policy))
			if err != nil {
				t.Fatal(err)
			}
			o := policy.Options{Native: abi.AMD64}
			c, err := Admit(p, o, Gather(violated(t, tt.seen...)), func(call string) bool {
				for _, name := range tt.accept {
					if name == call {
						return true
					}
				}
				return false
			})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, list := range []struct {
				name     string
				verdicts []Verdict
			}{{"admitted", c.Admitted}, {"already", c.Already}, {"apart", c.Apart}, {"never", c.Never}} {
				for _, v := range list.verdicts {
					got = append(got, list.name+": "+v.Call(abi.AMD64))
					if (list.name == "apart" || list.name == "never") && v.Why == "" {
						t.Errorf("%s: no reason", v.Call(abi.AMD64))
					}
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			var rule []string
			if c.Rule != nil {
				for _, p := range c.Rule.Calls {
					rule = append(rule, p.String())
				}
			}
			if strings.Join(rule, " ") != tt.rule {
				t.Errorf("rule %q, want %q", rule, tt.rule)
			}
			text, err := Insert("web.yaml", []byte(tt.policy), c, o)
			if err != nil {
				t.Fatal(err)
			}
			// What was seen and admitted is allowed by what is written.
			written, err := policy.Parse("web.yaml", text)
			if err != nil {
				t.Fatalf("%v\n%s", err, text)
			}
			resolved, _, err := written.Resolve(o)
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range c.Admitted {
				call := abi.Call{Arch: v.ABI.AuditArch(), NR: v.NR}
				if v.Args != nil {
					call.Args = *v.Args
				}
				if got := resolved.Eval(call).Action; got != abi.Allow {
					t.Errorf("%s gets %v", policy.FormatCall(call), got)
				}
			}
		})
	}
}

// A change that is not exactly what it says is found out.
func TestProve(t *testing.T) {
	p, err := policy.Parse("web.yaml", []byte(web))
	if err != nil {
		t.Fatal(err)
	}
	o := policy.Options{Native: abi.AMD64}
	for _, spoil := range []func(*Change){
		func(c *Change) { // admits one more
			c.Policy.Rules[0].Calls = append(c.Policy.Rules[0].Calls, policy.Pattern{Name: "ptrace"})
		},
		func(c *Change) { // does not come first
			r := c.Policy.Rules
			r[0] = policy.Rule{Action: *action(t, "kill_process"), Calls: []policy.Pattern{{Name: "getpid"}}}
		},
		func(c *Change) { c.Policy.Default = *action(t, "errno(ENOENT)") },
	} {
		c, err := Admit(p, o, Gather(violated(t, "getpid")), func(string) bool { return false })
		if err != nil {
			t.Fatal(err)
		}
		old, _, err := p.Resolve(o)
		if err != nil {
			t.Fatal(err)
		}
		a := newAdmission(p, old, nil)
		if a.before, err = a.space.Policy(old); err != nil {
			t.Fatal(err)
		}
		if err := a.prove(c, o); err != nil {
			t.Errorf("the honest change: %v", err)
		}
		spoil(c)
		if err := a.prove(c, o); err == nil {
			t.Errorf("not found out: %s", c.Policy.Format())
		}
	}
}

// The lines of a file stay, and its comments.
func TestInsert(t *testing.T) {
	o := policy.Options{Native: abi.AMD64}
	const rule = "- action: allow\n  names:\n  - getpid # seen once, errno: /opt/web\n"
	for name, tt := range map[string]struct{ file, want string }{
		"at the top":  {web, strings.Replace(web, "\n# files\n", "\n"+rule+"# files\n", 1)},
		"indented":    {"default_action: errno\nsyscalls:\n  - names: [read]\n    action: allow\n", "default_action: errno\nsyscalls:\n" + indented("  ", rule) + "  - names: [read]\n    action: allow\n"},
		"under a key": {"seccomp:\n  default_action: errno\n  syscalls:\n  # a\n  - names: [read]\n    action: allow\n", "seccomp:\n  default_action: errno\n  syscalls:\n" + indented("  ", rule) + "  # a\n  - names: [read]\n    action: allow\n"},
		"CRLF":        {"default_action: errno\r\nsyscalls:\r\n- names: [read]\r\n  action: allow\r\n", "default_action: errno\r\nsyscalls:\r\n" + strings.ReplaceAll(rule, "\n", "\r\n") + "- names: [read]\r\n  action: allow\r\n"},
		"no newline":  {"default_action: errno\nsyscalls:\n- names: [read]\n  action: allow", "default_action: errno\nsyscalls:\n" + rule + "- names: [read]\n  action: allow"},
	} {
		p, err := policy.Parse("f", []byte(tt.file))
		if err != nil {
			t.Fatal(err)
		}
		c, err := Admit(p, o, Gather(violated(t, "getpid")), func(string) bool { return false })
		if err != nil {
			t.Fatal(err)
		}
		got, err := Insert("f", []byte(tt.file), c, o)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.want, string(got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	// Where the rules have no lines of their own, the comments stay all the same.
	const flow = "# ours\ndefault_action: errno\nsyscalls: [{action: allow, names: [read]}]\n"
	p, err := policy.Parse("f", []byte(flow))
	if err != nil {
		t.Fatal(err)
	}
	c, err := Admit(p, o, Gather(violated(t, "getpid")), func(string) bool { return false })
	if err != nil {
		t.Fatal(err)
	}
	got, err := Insert("f", []byte(flow), c, o)
	if err != nil || !strings.Contains(string(got), "# ours") || !strings.Contains(string(got), "getpid") {
		t.Errorf("%v\n%s", err, got)
	}
}

func indented(by, text string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		out.WriteString(by + line)
	}
	return out.String()
}

func TestGather(t *testing.T) {
	all := violated(t, "getpid", "getpid", "386:getpid")
	all[0].Count, all[1].Exe, all[1].Action = 5, "/opt/b\nad", abi.KillProcess
	var got []string
	for _, s := range Gather(all) {
		got = append(got, fmt.Sprint(s.Call(abi.AMD64), " ", s.Evidence()))
	}
	want := []string{"386:getpid seen once, errno: /opt/web", "getpid seen 6 times, errno, kill_process: /opt/b?ad, /opt/web"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Every name and set of the list of dangers exists.
func TestDanger(t *testing.T) {
	for _, d := range dangers {
		for _, name := range d.calls {
			if _, ok := policy.Set(name); !ok && !abi.Known(name) {
				t.Errorf("unknown %q", name)
			}
		}
	}
	for name, dangerous := range map[string]bool{"ptrace": true, "setuid32": true, "chroot": true, "init_module": true, "read": false, "socket": false, "clone": false} {
		if got := Danger(name) != ""; got != dangerous {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// FuzzInsert: whatever the file looks like, what is written is proved to be the
// change, or an error.
func FuzzInsert(f *testing.F) {
	f.Add(web)
	f.Add("default_action: errno\nsyscalls: [{action: allow, names: [read]}]\n")
	f.Add("seccomp:\n  default_action: allow\n  syscalls:\n  # c\n  -   action: errno\n      names: [getpid]\n")
	f.Fuzz(func(t *testing.T, file string) {
		p, err := policy.Parse("f", []byte(file))
		if err != nil {
			return
		}
		o := policy.Options{Native: abi.AMD64}
		c, err := Admit(p, o, Gather(violated(t, "getpid", "ptrace")), func(string) bool { return true })
		if err != nil || c.Rule == nil {
			return
		}
		if _, err := Insert("f", []byte(file), c, o); err != nil {
			t.Errorf("%v\n%s", err, file)
		}
	})
}
