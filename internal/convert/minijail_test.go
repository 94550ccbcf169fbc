package convert

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
)

// format returns the format called name.
func format(t testing.TB, name string) Format {
	t.Helper()
	f, ok := ByName(name)
	if !ok {
		t.Fatalf("no format %s", name)
	}
	return f
}

// readAs reads text in a format, for amd64 where the options name no ABI.
func readAs(t testing.TB, name, text string, o Options) *policy.Resolved {
	t.Helper()
	if o.Native == abi.None {
		o.Native = abi.AMD64
	}
	p, _, err := format(t, name).Read("p", []byte(text), o)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	r, _, err := p.Resolve(policy.Options{Native: o.Native, Caps: o.Caps, Kernel: o.Kernel})
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, text, p.Format())
	}
	return r
}

// means sees what each call gets: "call: action".
func means(t *testing.T, r *policy.Resolved, verdicts ...string) {
	t.Helper()
	a := r.ABIs[0].ABI
	for _, v := range verdicts {
		text, want, _ := strings.Cut(v, ": ")
		c, err := policy.ParseCall(text, a)
		if err != nil {
			t.Fatal(err)
		}
		if got := a.ActionString(r.Eval(c).Action); got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}

// refused sees that text is no policy of a format, for a reason.
func refused(t *testing.T, name, text, want string) {
	t.Helper()
	_, _, err := format(t, name).Read("p", []byte(text), Options{Native: abi.AMD64})
	var positioned *policy.Error
	if err == nil || errors.As(err, &positioned) && positioned.Pos.Line == 0 {
		t.Errorf("%q: got %v, without a place", text, err)
		return
	}
	message := err.Error()
	if positioned != nil {
		message += positioned.Hint
	}
	if !strings.Contains(message, want) {
		t.Errorf("%q: got %v, want %q", text, message, want)
	}
}

const fullWord = "0x100000001"

func TestMinijailC(t *testing.T) {
	r := readAs(t, "minijail-c", `# a comment
@frequency ./f
read: 1
write: arg0 == 1 && arg2 <= 0x10 || arg0 == 2; return EPERM
open: return ENOENT
mmap: arg2 in ~PROT_EXEC
close: return
ioctl: arg1 == TCGETS || \
  arg1 == FIONREAD|0; return 0x19
prctl: arg0 & 6 && arg1 != -1
fcntl: arg1 in (F_SETFL|F_GETFL)|~0xffff
`, Options{})
	means(t, r,
		"read(0): allow", "write(1, 0, 16): allow", "write(1, 0, 17): errno(EPERM)", "write(2, 0, 99): allow",
		"write("+fullWord+", 0, 1): errno(EPERM)", // whole words are compared
		"open(0): errno(ENOENT)", "mmap(0, 0, 3): allow", "mmap(0, 0, 4): kill_thread", "mmap(0, 0, 0x100000004): kill_thread",
		"close(1): kill_thread", "ioctl(0, TCGETS): allow", "ioctl(0, FIONREAD): allow", "ioctl(0, 1): errno(ENOTTY)",
		"prctl(2, 0): allow", "prctl(1, 0): kill_thread", "prctl(2, -1): kill_thread", "getpid(): kill_thread", "nr:5000(): kill_thread",
		"fcntl(0, 7): allow", "fcntl(0, 8): kill_thread", "fcntl(0, 0x10004): allow",
		"x32:read(0): kill_thread", "386:read(0): kill_thread",
	)
	for _, tt := range [][2]string{
		{"read: 1\nread: 1\n", "stands twice"},
		{"reed: 1\n", "no call"},
		{"stat64: 1\n", "no call"},
		{"read\n", `missing ":"`},
		{"read:\n", "nothing follows"},
		{"read: allow\n", "want an argument, an operator"},
		{"read: arg0==1\n", "want an argument, an operator"},
		{"read: arg6 == 1\n", "none of arg0"},
		{"read: arg0 = 1\n", "unknown operator"},
		{"read: arg0 == 08\n", "is no number"},
		{"read: arg0 == NOSUCH\n", "unknown constant"},
		{"read: arg0 == 1 ||\n", "want an argument, an operator"},
		{"read: arg0 == (1|2\n", "unclosed"},
		{"read: arg0 == 1; retrn 1\n", "want \"return\""},
		{"read: return EFOO\n", "no error"},
		{"read: arg0 == 0x10000000000000000\n", "is no number"},
		{"{read, write}: allow\n", "minijail-py"},
		{"@default kill\n", "unknown statement"},
		{"@include f\n", "./f"},
		{"@include ./nothing-here\n", "working directory"},
		{"@include /dev/zero\n", "no regular file"},
	} {
		refused(t, "minijail-c", tt[0], tt[1])
	}
}

// One line, opposite meanings.
func TestMinijailDialects(t *testing.T) {
	const line = "read: arg0 == 0; return 1\n"
	means(t, readAs(t, "minijail-c", line, Options{}), "read(0): allow", "read(1): errno(EPERM)", "write(): kill_thread")
	means(t, readAs(t, "minijail-py", line, Options{}), "read(0): errno(EPERM)", "read(1): kill_thread", "write(): kill_thread")
	for _, name := range []string{"minijail-c", "minijail-py"} {
		if format(t, name).Detect != nil {
			t.Errorf("%s is guessed", name)
		}
	}
}

func TestMinijailPy(t *testing.T) {
	dir := t.TempDir()
	for file, text := range map[string]string{
		"main.policy":     "@include ./sub/more.policy\n@default kill-process\nread: allow\n",
		"sub/more.policy": "@include ./last.policy\nwrite: 1 # here too\n",
		"sub/last.policy": "getpid: log\n",
	} {
		path := filepath.Join(dir, file)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(filepath.Join(dir, "main.policy"))
	if err != nil {
		t.Fatal(err)
	}
	p, _, err := format(t, "minijail-py").Read(filepath.Join(dir, "main.policy"), data, Options{Native: abi.AMD64})
	if err != nil {
		t.Fatal(err)
	}
	means(t, resolve(t, p, abi.AMD64), "read(): allow", "write(): allow", "getpid(): log", "open(): kill_process", "386:read(): kill_thread")

	means(t, readAs(t, "minijail-py", `@default trap
@frequency ./cat.frequency
{read, write[arch=x86_64], stat64[arch=arm,x86;why=old]}: allow   # several
mmap: arg2 in ~PROT_EXEC || arg2 in ~PROT_WRITE
ioctl: { arg1 == TCGETS; allow, arg0 == 0 && arg1 > 5; log, return EPERM }
ioctl[arch=arm]: kill
kill: { arg1 == 0, \
  arg1 == SIGTERM; user-notify }
kill: trace
socket: arg0 != (AF_UNIX|~0xf0); return 08
`, Options{}),
		"read(): allow", "write(): allow", "mmap(0, 0, 2): allow", "mmap(0, 0, 4): allow", "mmap(0, 0, 6): trap(0)",
		"ioctl(3, TCGETS): allow", "ioctl(0, 6): log", "ioctl(0, 5): errno(EPERM)",
		"kill(1, 0): allow", "kill(1, SIGTERM): user_notify", "kill(1, SIGKILL): trace(0)",
		"socket(0): errno(ENOEXEC)", "socket(arg0 == 0): errno(ENOEXEC)", "getpid(): trap(0)", "nr:5000(): trap(0)", "x32:read(): trap(0)")

	means(t, readAs(t, "minijail-py", "@denylist\nsocket: arg0 == AF_ALG; return EPERM\nptrace: return 1\n", Options{}),
		"socket(38): errno(EPERM)", "socket(2): allow", "ptrace(): errno(EPERM)", "read(): allow", "386:read(): errno(EPERM)")

	// The compiler looks at the last filter first.
	means(t, readAs(t, "minijail-py", "read: { arg0 == 1; return EPERM, allow }\nwrite: { arg0 == 1; return EPERM, log }\n", Options{}),
		"read(1): allow", "read(2): allow", "write(1): errno(EPERM)", "write(2): log")

	for _, tt := range [][2]string{
		{"read: allow\nread: arg0 == 1\n", "nothing can follow"},
		{"read: kill\nread: kill\n", "nothing can follow"},
		{"reed: allow\n", "no call"},
		{"read: !(arg0 == 1)\n", "unexpected"},
		{"read: 2\n", "want an action"},
		{"read: arg0 == 1 extra\n", "unexpected"},
		{"read: { arg0 == 1\n", `want "}"`},
		{"read: arg7 == 1\n", "none of arg0"},
		{"read: arg0 == ~~1\n", "want a constant"},
		{"read: return\n", "want an error"},
		{"@default allow\n", "lets calls through"},
		{"@default\n", "unknown action"},
		{"@include more\n", "wants a path"},
		{"@denylist\nread: allow\n", "return"},
		{"@denylist\nread: arg0 == 1\n", "what error"},
		{"io@libc: allow\n", "group"},
		{"read[arch=arm;arch=x86]: allow\n", "stands twice"},
		{"read\n", `want ":"`},
	} {
		refused(t, "minijail-py", tt[0], tt[1])
	}
}

// roundTrips are policies with the actions that a format for one ABI can have.
// {allow} and so on stand for the rules; the default is denied and killed.
var roundTrips = map[string]string{
	"names":       `{action: allow, names: [read, write]}`,
	"order":       `{action: allow, calls: ["read(count:64 < 1000)", "write(count:64 > 5, fd:64 <= 2)", "dup(fildes:64 >= 3)"]}`,
	"sets":        `{action: allow, calls: ["socket(domain:64 in {AF_UNIX, AF_INET, AF_INET6}, type:64 & 0xf == SOCK_STREAM)", "fcntl(cmd:64 not in {F_SETFL, F_SETOWN})"]}`,
	"read masks":  `{action: allow, calls: ["socket(domain == AF_UNIX)", "ioctl(cmd in {TCGETS, TIOCGWINSZ})", "clone(flags & CLONE_NEWUSER == 0)"]}`,
	"masks":       `{action: allow, calls: ["openat(flags & O_ACCMODE == O_RDONLY)", "mmap(prot & PROT_EXEC == 0)", "personality(persona & 0xff00 == 0x100)"]}`,
	"any bits":    `{action: allow, calls: ["openat(flags & 0x41 != 0)", "mmap(length:64 & 0xf000000000 != 0)"]}`,
	"not equal":   `{action: allow, calls: ["socket(domain:64 != AF_ALG)", "ioctl(fd:64 < 8, cmd:64 != TIOCSTI)"]}`,
	"ranges":      `{action: allow, calls: ["write(fd:64 >= 3, fd:64 <= 6)", "read(fd:64 in {1, 2, 3, 9})"]}`,
	"wide values": `{action: allow, calls: ["read(count:64 == 0x100000001)", "mmap(length:64 in {0x100000000, 5})"]}`,
}

// carries sees that what a format writes of a policy means the policy, for every
// call with a name, and that there is no loss.
func carries(t *testing.T, name, text string) []byte {
	t.Helper()
	p := parse(t, text)
	e, err := Export(format(t, name), p, Options{Native: abi.AMD64})
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if named := e.Named(); len(named) > 0 || len(e.Losses) > 0 {
		t.Errorf("%v %+v\n%s\n%s", e.Losses, named, text, e.Data)
	}
	return e.Data
}

// minijail's tables have ARM's own calls by the names of its headers.
func TestMinijailARM(t *testing.T) {
	for _, name := range []string{"minijail-c", "minijail-py"} {
		o := Options{Native: abi.ARM}
		means(t, readAs(t, name, "ARM_cacheflush: 1\nread: 1\n", o), "cacheflush(): allow", "set_tls(): kill_thread")
		e, err := Export(format(t, name), parse(t, "version: 1\nabis: [arm]\nbad_arch_action: kill_thread\ndefault_action: kill_thread\nsyscalls: [{action: allow, names: [set_tls, read]}]"), o)
		if err != nil || len(e.Named()) > 0 || !bytes.Contains(e.Data, []byte("ARM_set_tls: ")) {
			t.Errorf("%s: %v %+v\n%s", name, err, e.Named(), e.Data)
		}
		for _, call := range []string{"cacheflush", "ARM_read", "ARM_nothing"} {
			if _, _, err := format(t, name).Read("p", []byte(call+": 1\n"), o); err == nil {
				t.Errorf("%s: %s is read", name, call)
			}
		}
		refused(t, name, "ARM_cacheflush: 1\n", "no call")
	}
}

func TestMinijailRoundTrip(t *testing.T) {
	for name, rules := range roundTrips {
		t.Run(name, func(t *testing.T) {
			for _, head := range []string{
				"default_action: kill_thread\nsyscalls:\n- ", "default_action: errno(EPERM)\nsyscalls:\n- ",
			} {
				policy := "version: 1\nkernel: \"7.2\"\nabis: [amd64]\nbad_arch_action: kill_thread\n" + head + rules
				carries(t, "minijail-c", policy)
				carries(t, "minijail-py", policy)
			}
			denied := strings.Replace(rules, "action: allow", "action: errno(ENOSYS)", 1)
			policy := "version: 1\nkernel: \"7.2\"\nabis: [amd64]\nbad_arch_action: kill_thread\ndefault_action: allow\nsyscalls:\n- " + denied
			data := carries(t, "minijail-py", policy)
			if !strings.Contains(string(data), "@denylist") {
				t.Errorf("no @denylist\n%s", data)
			}
			carries(t, "minijail-py", "version: 1\nkernel: \"7.2\"\nabis: [amd64]\nbad_arch_action: kill_thread\ndefault_action: allow\nsyscalls:\n- "+
				denied+"\n- {action: log, names: [bind]}\n- {action: trap, calls: [\"dup3(flags == 5)\"]}")
			carries(t, "minijail-py", "version: 1\nabis: [amd64]\nbad_arch_action: kill_thread\ndefault_action: kill_process\nsyscalls:\n- "+
				denied+"\n- {action: log, names: [read, socket, mmap]}\n- {action: trap, calls: [\"ioctl(cmd == 5)\"]}")
		})
	}
}

// What minijail cannot say is not let through.
func TestMinijailLosses(t *testing.T) {
	e, err := Export(format(t, "minijail-c"), parse(t, `
version: 1
abis: [amd64]
default_action: kill_process
syscalls:
- {action: log, names: [read]}
- {action: trap, calls: ["write(fd:64 == 1)"]}
- {action: allow, names: [write]}
- {action: allow, calls: ["dup(ip == 5)"]}
`), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if e.Looser() {
		t.Errorf("looser: %+v\n%s", e.Different, e.Data)
	}
	differ := map[string]bool{}
	for _, r := range e.Named() {
		differ[r.Name] = true
	}
	for _, name := range []string{"read", "write", "dup"} {
		if !differ[name] {
			t.Errorf("no difference of %s is reported: %+v\n%s", name, e.Named(), e.Data)
		}
	}
}

func FuzzMinijailC(f *testing.F) {
	f.Add("read: 1\nwrite: arg0 == 1 && arg2 <= 0x10 || arg0 & ~(A|2); return EPERM\n@include ./x\n")
	fuzzReader(f, "minijail-c")
}

func FuzzMinijailPy(f *testing.F) {
	f.Add("@default trap\n{read, write[arch=x86_64]}: { arg0 == 1 && arg1 in ~7 || arg2 & PROT_EXEC; log, return EPERM }\n@include ./x\n@denylist\n")
	fuzzReader(f, "minijail-py")
}

// fuzzReader sees that a reader's policies resolve and can be written.
func fuzzReader(f *testing.F, name string) {
	f.Helper()
	form := format(f, name)
	f.Fuzz(func(t *testing.T, text string) {
		p, losses, err := form.Read("f", []byte(text), Options{Native: abi.AMD64})
		for _, l := range losses {
			_ = l.String()
		}
		if err != nil {
			_ = err.Error()
			return
		}
		if _, _, err := p.Resolve(policy.Options{Native: abi.AMD64}); err != nil {
			t.Fatalf("%v\n%s", err, p.Format())
		}
		if _, err := policy.Parse("f", p.Format()); err != nil {
			t.Fatalf("%v\n%s", err, p.Format())
		}
	})
}
