package lint

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/internal/build"
	"github.com/sysgate/sysgate/internal/convert"
	"github.com/sysgate/sysgate/policy"
)

// subject returns what Check looks at for a policy.
func subject(t testing.TB, text string) Subject {
	t.Helper()
	p, err := policy.Parse("p.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	r, warnings, err := p.Resolve(policy.Options{Native: abi.AMD64})
	if err != nil {
		t.Fatal(err)
	}
	filter, err := build.Build(r)
	if err != nil {
		t.Fatal(err)
	}
	return Subject{Name: "p.yaml", Data: []byte(text), Policy: p, Resolved: r, Warnings: warnings, Program: filter.Program}
}

func check(t testing.TB, s Subject) []Finding {
	t.Helper()
	findings, err := Check(s)
	if err != nil {
		t.Fatal(err)
	}
	return findings
}

// What each lint finds, and what it must not find. A finding is written as
// "CODE severity line:col message"; the message may be its start.
func TestFindings(t *testing.T) {
	const head = "default_action: errno(EPERM)\nsyscalls:\n"
	for name, c := range map[string]struct {
		policy string
		code   string
		want   []string
	}{
		"a dead rule": {
			head + "- action: allow\n  names: [read, write]\n- action: allow\n  names: [write]\n", "SG001",
			[]string{"warning 5:3 the rule never decides: p.yaml:3:3 (allow) hides it"},
		},
		"a dead denial": {
			head + "- action: allow\n  names: [read]\n- action: kill_process\n  names: [read, write]\n", "SG001",
			[]string{"error 6:11 read never decides: p.yaml:3:3 (allow) hides it"},
		},
		"a dead denial behind a denial": {
			head + "- action: errno(EACCES)\n  names: [read]\n- action: kill_process\n  names: [read, write]\n", "SG001",
			[]string{"error 6:11 read never decides"},
		},
		"hidden by two": {
			head + "- action: allow\n  calls: [kill(pid > 0)]\n- action: log\n  calls: [kill(pid <= 0)]\n- action: trap\n  names: [kill]\n", "SG001",
			[]string{"error 7:3 the rule never decides: p.yaml:3:3 (allow), p.yaml:5:3 (log) hide it"},
		},
		"twice in one rule": {
			head + "- action: allow\n  names: [read, \"@systemd/io-event\", epoll_wait]\n", "SG001",
			[]string{"warning 4:38 epoll_wait never decides: the same rule has it already"},
		},
		"a member of a set with conditions": {head + "- action: allow\n  names: [select, \"@docker/default\"]\n", "SG001", nil},
		"excepted by its own rule": {
			head + "- action: allow\n  names: [read, write]\n  except: [read]\n", "SG001",
			[]string{"warning 4:11 read never decides: the rule's exceptions take it away"},
		},
		"excepted from a set, then denied": {head + "- action: allow\n  names: [\"@systemd/io-event\"]\n  except: [poll]\n- action: trap\n  names: [poll]\n", "SG001", nil},
		"an exception of what the rule has not": {
			head + "- action: allow\n  names: [read, write]\n  except: [\"@systemd/io-event\"]\n", "SG025",
			[]string{"warning 5:12 the rule has no call of the exception @systemd/io-event: it takes nothing away"},
		},
		"exceptions for everything": {
			head + "- action: allow\n  names: [read, write]\n  except: [write, read]\n", "SG025",
			[]string{"warning 3:3 the exceptions take away every call of the rule"},
		},
		"an exception by value": {
			head + "- action: allow\n  names: [mmap]\n  except: [mmap(prot == PROT_EXEC)]\n", "SG006",
			[]string{"warning 5:17 prot of mmap is a set of bits"},
		},
		"an exception that never holds": {
			head + "- action: allow\n  names: [kill]\n  except: [\"kill(pid > 0, pid < 0)\"]\n", "SG004",
			[]string{"error 5:12 kill(pid > 0, pid < 0): no call satisfies"},
		},
		"alive on one ABI": {"abis: [amd64, 386]\n" + head + "- action: allow\n  calls: [\"amd64:read\"]\n- action: log\n  names: [read]\n", "SG001", nil},
		"partly hidden":    {head + "- action: allow\n  calls: [kill(pid > 0)]\n- action: log\n  names: [kill]\n", "SG001", nil},
		"an inactive rule": {head + "- action: allow\n  names: [read]\n- action: log\n  names: [read]\n  when: {kernel: \"7.1\"}\n", "SG001", nil},

		"a denial before an allowance": {
			head + "- action: kill_process\n  calls: [socket(AF_ALG)]\n- action: allow\n  names: [socket]\n", "SG002",
			[]string{"note 6:11 socket gets allow, but where socket(AF_ALG) decides, kill_process"},
		},
		"conditions that meet": {
			head + "- action: log\n  calls: [kill(pid > 0)]\n- action: allow\n  calls: [kill(sig == 9)]\n", "SG002",
			[]string{"note 6:11 kill gets allow"},
		},
		"conditions that do not": {head + "- action: log\n  calls: [kill(pid > 0)]\n- action: allow\n  calls: [kill(pid == 0)]\n", "SG002", nil},

		"always true":         {head + "- action: allow\n  calls: [clone(flags >= 0)]\n", "SG003", []string{"warning 4:17 clone(flags >= 0): flags >= 0 holds for every call"}},
		"true of unsigned":    {head + "- action: allow\n  calls: [socket(domain >= 0)]\n", "SG003", nil}, // an int
		"true together":       {head + "- action: allow\n  calls: [kill(sig != 1), kill(sig != 2)]\n", "SG003", []string{"warning 4:11 the 2 alternatives of kill hold for every call together"}},
		"not in":              {head + "- action: allow\n  calls: [kill(\"sig not in {1, 2}\")]\n", "", nil},
		"never true":          {head + "- action: allow\n  calls: [clone(flags < 0)]\n", "SG004", []string{"warning 4:17 clone(flags < 0): no call satisfies flags < 0"}},
		"never true, denied":  {"default_action: allow\nsyscalls:\n- action: errno(EPERM)\n  calls: [\"kill(sig == 1, arg1 == 2)\"]\n", "SG004", []string{"error 4:11 kill(sig == 1, arg1 == 2): no call satisfies these conditions together"}},
		"the whole word":      {head + "- action: allow\n  calls: [\"ioctl(cmd:64 == 0x5401)\"]\n", "SG005", []string{"warning 4:18 the kernel reads 0xffffffff of cmd, the condition compares more"}},
		"a denial of it":      {"default_action: allow\nsyscalls:\n- action: errno(EPERM)\n  calls: [\"ioctl(cmd:64 == 0x5412)\"]\n", "SG005", []string{"error 4:18 the kernel reads"}},
		"a word that is read": {head + "- action: allow\n  calls: [\"lseek(offset:64 == 1)\"]\n", "SG005", nil},

		"flags by value":      {"default_action: allow\nsyscalls:\n- action: errno(EPERM)\n  calls: [clone(flags == CLONE_NEWUSER)]\n", "SG006", []string{"warning 4:17 flags of clone is a set of bits"}},
		"socket types":        {"default_action: allow\nsyscalls:\n- action: errno(EPERM)\n  calls: [socket(type == SOCK_RAW)]\n", "SG006", []string{"warning 4:18 type of socket is a set of bits"}},
		"a domain":            {"default_action: allow\nsyscalls:\n- action: errno(EPERM)\n  calls: [socket(AF_ALG)]\n", "SG006", nil},
		"flags by bits":       {"default_action: allow\nsyscalls:\n- action: errno(EPERM)\n  calls: [clone(flags & CLONE_NEWUSER != 0)]\n", "SG006", nil},
		"allowed by value":    {head + "- action: allow\n  calls: [clone(flags == CLONE_VM)]\n", "SG006", nil},
		"no flags at all":     {"default_action: allow\nsyscalls:\n- action: errno(EPERM)\n  calls: [renameat2(flags == 0)]\n", "SG006", nil},
		"part of a group":     {"abis: [386]\ndefault_action: allow\nsyscalls:\n- action: errno(EPERM)\n  names: [setuid]\n", "SG007", []string{"error 5:11 setuid on 386 is restricted, but setuid32 does the same"}},
		"an open ABI":         {"bad_arch_action: allow\n" + head + "- action: allow\n  names: [read]\n", "SG008", []string{"error 1:1 calls through 386, arm"}},
		"open x32":            {"abis: [amd64]\nx32_action: log\n" + head + "- action: allow\n  names: [read]\n", "SG009", []string{"error 2:1 x32 calls are let through"}},
		"closed":              {head + "- action: allow\n  names: [read]\n", "SG008", nil},
		"x32 closed":          {head + "- action: allow\n  names: [read]\n", "SG009", nil},
		"an address":          {"seccomp:\n  default_action: allow\n  syscalls:\n  - action: errno\n    names_with_args:\n    - name: open\n      arguments: [{argument: 0, operation: Equal, value: 5}]\n", "SG011", []string{"warning 7:19 filename of open is a pointer"}},
		"a sibling":           {"default_action: allow\nsyscalls:\n- action: errno(EPERM)\n  names: [execve]\n", "SG012", []string{"warning 4:11 execve is restricted on amd64, but execveat is let through"}},
		"both siblings":       {"default_action: allow\nsyscalls:\n- action: errno(EPERM)\n  names: [execve, execveat]\n", "SG012", nil},
		"a meant sibling":     {"version: 1\ndefault_action: allow\nsyscalls:\n- action: errno(EPERM)\n  names: [execve]\n  only: true\n", "SG012", nil},
		"an allowed list":     {head + "- action: allow\n  names: [openat]\n", "SG012", nil}, // open was not asked for
		"a filtered clone":    {head + "- action: allow\n  names: [clone3]\n  calls: [clone(flags & CLONE_NEWUSER == 0)]\n", "SG012", []string{"warning 5:11 clone is restricted on amd64, but clone3 is let through"}},
		"io_uring":            {head + "- action: allow\n  names: [io_uring_setup]\n", "SG013", []string{"warning 4:11 io_uring_setup is let through"}},
		"no io_uring":         {head + "- action: allow\n  names: [read]\n", "SG013", nil},
		"EPERM":               {head + "- action: allow\n  names: [read]\n", "SG014", []string{"warning 1:1 clone3, openat2", "warning 1:1 calls newer than the policy fail with errno(EPERM)"}},
		"ENOSYS":              {"default_action: errno(ENOSYS)\nsyscalls:\n- action: allow\n  names: [read]\n", "SG014", nil},
		"ENOSYS for newer":    {"default_action: errno(ENOSYS)\nsyscalls:\n- action: errno(EPERM)\n  names: [clone3]\n", "SG014", []string{"warning 4:11 clone3 fails with an error"}},
		"needs":               {head + "- action: allow\n  names: [rt_sigreturn]\n", "SG016", []string{"warning 1:1 any process on amd64 breaks without restart_syscall, exit_group", "note 1:1 a Go program", "note 1:1 a program with glibc", "note 1:1 a program with musl"}},
		"no needs":            {"default_action: allow\nsyscalls:\n- action: errno(EPERM)\n  names: [reboot]\n", "SG016", nil},
		"a probe":             {"default_action: allow\nsyscalls:\n- action: errno(EPERM)\n  names: [uretprobe]\n", "SG017", []string{"note 4:11 no filter stops uretprobe"}},
		"an uncached call":    {head + "- action: allow\n  names: [read]\n  calls: [kill(pid > 0)]\n", "SG019", []string{"note 0:0 1 calls on amd64 run the filter every time, instructions in parentheses: kill ("}},
		"all cached":          {head + "- action: allow\n  names: [read]\n", "SG019", nil},
		"kill_thread":         {"default_action: kill_thread\nsyscalls:\n- action: kill_thread\n  names: [read]\n- action: allow\n  names: [write]\n", "SG020", []string{"warning 1:1 kill_thread", "warning 3:3 kill_thread"}},
		"another ABI's call":  {"version: 1\n" + head + "- action: allow\n  names: [read, setuid32]\n", "SG021", []string{"note 5:17 amd64 has no call setuid32"}},
		"a terminal":          {head + "- action: allow\n  names: [ioctl]\n", "SG022", []string{"note 4:11 ioctl with TIOCSTI and TIOCLINUX is let through"}},
		"a terminal's denial": {head + "- action: errno(EPERM)\n  calls: [\"ioctl(cmd in {TIOCSTI, TIOCLINUX})\"]\n- action: allow\n  names: [ioctl]\n", "SG022", nil},
		"32-bit programs":     {head + "- action: allow\n  names: [read]\n", "SG023", []string{"note 0:0 programs of 386 do not run"}},
	} {
		if c.code == "" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, f := range check(t, subject(t, c.policy)) {
				if f.Code == c.code {
					got = append(got, fmt.Sprintf("%s %d:%d %s", f.Severity, f.Pos.Line, f.Pos.Col, f.Msg))
				}
			}
			ok := len(got) == len(c.want)
			for i := range min(len(got), len(c.want)) {
				ok = ok && strings.HasPrefix(got[i], c.want[i])
			}
			if !ok {
				t.Errorf("%s:\n got %q\nwant %q", c.code, got, c.want)
			}
		})
	}
}

func TestFilterFindings(t *testing.T) {
	ret := func(word uint32) bpf.Instruction { return bpf.Stmt(bpf.RetK, word) }
	arch := bpf.Stmt(bpf.LdAbs, bpf.OffsetArch)
	for name, c := range map[string]struct {
		program bpf.Program
		want    string
	}{
		"an unknown action":   {bpf.Program{ret(0x00010000)}, "SG015 error instruction 0: the kernel does not know action 0x10000"},
		"a large errno":       {bpf.Program{ret(0x00051388)}, "SG015 error instruction 0: errno 5000 is capped at 4095"},
		"errno 0":             {bpf.Program{ret(0x00050000)}, "SG015 warning instruction 0: errno 0 reports success"},
		"data":                {bpf.Program{ret(0x7fff0001)}, "SG015 note instruction 0: 0x7fff0001 has data that means nothing"},
		"no architecture":     {bpf.Program{bpf.Stmt(bpf.LdAbs, 0), bpf.Jump(bpf.JeqK, 1, 0, 1), ret(0x80000000), ret(0x7fff0000)}, ""},
		"x32 with amd64":      {bpf.Program{arch, bpf.Jump(bpf.JeqK, abi.AMD64.AuditArch(), 1, 0), ret(0x80000000), bpf.Stmt(bpf.LdAbs, 0), bpf.Jump(bpf.JeqK, 101, 0, 1), ret(0x80000000), ret(0x7fff0000)}, "SG009 error x32 calls are let through"},
		"a foreign way":       {bpf.Program{arch, bpf.Jump(bpf.JeqK, abi.AMD64.AuditArch(), 1, 0), ret(0x7fff0000), bpf.Stmt(bpf.LdAbs, 0), bpf.Jump(bpf.JeqK, 101, 0, 1), ret(0x80000000), ret(0x7fff0000)}, "SG008 error calls through 386"},
		"a call's arguments":  {socketcalls(), "SG010 warning socket on 386 depends on its arguments, but socketcall carries it whatever they are"},
		"thousands of checks": {append(slices.Repeat(bpf.Program{arch}, 1500), ret(0x7fff0000)), "SG018 warning 1501 instructions, of at most 4096; a task can have about 21 such filters"},
	} {
		found := false
		for _, f := range check(t, Subject{Name: "f.bpf", Program: c.program}) {
			text := fmt.Sprintf("%s %s %s", f.Code, f.Severity, f.Msg)
			found = found || c.want != "" && strings.HasPrefix(text, c.want)
			if f.Pos != (policy.Pos{File: "f.bpf"}) || f.Source != "" {
				t.Errorf("%s: a filter has no places: %+v", name, f)
			}
		}
		if !found && c.want != "" {
			t.Errorf("%s: no %q in %+v", name, c.want, check(t, Subject{Name: "f.bpf", Program: c.program}))
		}
	}
}

// socketcalls allows 386's socket(AF_UNIX) and socketcall.
func socketcalls() bpf.Program {
	return bpf.Program{
		bpf.Stmt(bpf.LdAbs, bpf.OffsetArch),
		bpf.Jump(bpf.JeqK, abi.I386.AuditArch(), 0, 5),
		bpf.Stmt(bpf.LdAbs, bpf.OffsetNR),
		bpf.Jump(bpf.JeqK, 102, 4, 0),
		bpf.Jump(bpf.JeqK, 359, 0, 2),
		bpf.Stmt(bpf.LdAbs, bpf.OffsetArg(0, false, false)),
		bpf.Jump(bpf.JeqK, 1, 1, 0),
		bpf.Stmt(bpf.RetK, uint32(abi.KillProcess)),
		bpf.Stmt(bpf.RetK, uint32(abi.Allow)),
	}
}

func TestNewerKernel(t *testing.T) {
	const text = "version: 1\nkernel: \"6.1\"\nabis: [amd64]\ndefault_action: errno(EPERM)\nsyscalls:\n- action: allow\n  names: [\"@systemd/file-system\", mseal]\n"
	for _, tt := range []struct {
		kernel abi.Kernel
		want   []string
	}{
		{abi.Kernel{}, nil},
		{abi.Kernel{Major: 6, Minor: 1}, nil},
		{abi.Kernel{Major: 6, Minor: 6}, []string{
			"4:1 no rule is about calls on amd64 that Linux 6.1 has not: cachestat (6.5), map_shadow_stack (6.6)",
			"7:11 @systemd/file-system has calls on amd64 that Linux 6.1 has not: fchmodat2 (6.6)",
		}},
		{abi.Kernel{Major: 6, Minor: 10}, []string{ // mseal is named
			"4:1 no rule is about calls on amd64 that Linux 6.1 has not: cachestat (6.5), futex_requeue (6.7), futex_wait (6.7), futex_wake (6.7), listmount (6.8), lsm_get_self_attr (6.8), lsm_list_modules (6.8), lsm_set_self_attr (6.8), map_shadow_stack (6.6), statmount (6.8)",
			"7:11 @systemd/file-system has calls on amd64 that Linux 6.1 has not: fchmodat2 (6.6)",
		}},
	} {
		s := subject(t, text)
		s.Kernel = tt.kernel
		var got []string
		for _, f := range check(t, s) {
			if f.Code == "SG024" {
				got = append(got, strings.TrimPrefix(f.Pos.String(), s.Name+":")+" "+f.Msg)
			}
		}
		if strings.Join(got, "\n") != strings.Join(tt.want, "\n") {
			t.Errorf("Linux %s:\n%s\nwant\n%s", tt.kernel, strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
		}
	}
}

// Each code has a test of its own above, and its table entry is whole.
func TestCodes(t *testing.T) {
	source, err := os.ReadFile("lint_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range Codes() {
		if want := fmt.Sprintf("SG%03d", i+1); c.ID != want {
			t.Errorf("code %s at place %s", c.ID, want)
		}
		if c.Name == "" || c.What == "" || c.Why == "" || c.Remedy == "" || c.Severity < Note || c.Severity > Error {
			t.Errorf("%+v", c)
		}
		if !strings.Contains(string(source), `"`+c.ID) {
			t.Errorf("no test finds %s", c.ID)
		}
	}
}

func TestFix(t *testing.T) {
	const text = `default_action: errno(EPERM)
syscalls:
# what it does
- action: allow
  names: [read, write, read]
  calls:
  - clone(flags >= 0, flags & 0x10000000 == 0)
  - kill(sig == 1, arg1 == 2)
- action: errno(EACCES)
  names: [write]
- action: kill_process
  names: [ptrace]
`
	const want = `version: 1
default_action: errno(EPERM)
syscalls:
# what it does
- action: allow
  names: [read, write]
  calls:
  - clone(flags & 0x10000000 == 0)
- action: kill_process
  names: [ptrace]
`
	s := subject(t, text)
	p, n, err := Fix(s, policy.Options{Native: abi.AMD64}, check(t, s))
	if err != nil || n != 4 || string(p.Format()) != want {
		t.Errorf("%d, %v:\n%s", n, err, p.Format())
	}
	again := subject(t, want)
	if _, n, err := Fix(again, policy.Options{Native: abi.AMD64}, check(t, again)); n != 0 || err != nil {
		t.Errorf("fixed twice: %d, %v", n, err)
	}
	if string(s.Policy.Format()) == want {
		t.Error("the subject's own policy was changed")
	}
}

// What is found in a container profile is where it names the call, and none of
// what is libseccomp's own way is found in it. The editor's budget: 50 ms.
func TestContainerProfile(t *testing.T) {
	s := container(t)
	findings := check(t, s)
	best := time.Hour
	for range 5 { // the machine may be busy with other tests
		start := time.Now()
		check(t, s)
		best = min(best, time.Since(start))
	}
	t.Logf("%d findings in %v", len(findings), best)
	if best > 50*time.Millisecond {
		t.Errorf("%v is too slow for an editor", best)
	}
	placed := false
	for _, f := range findings {
		placed = placed || f.Code == "SG013" && f.Pos.Line > 0 && strings.HasPrefix(f.Source[f.Pos.Col-1:], "io_uring_")
		if slices.Contains([]string{"SG001", "SG002", "SG005", "SG020"}, f.Code) {
			t.Errorf("%+v", f)
		}
	}
	if !placed {
		t.Error("io_uring is not found where the profile names it")
	}
}

func BenchmarkContainerProfile(b *testing.B) {
	s := container(b)
	for b.Loop() {
		check(b, s)
	}
}

// container is a profile of the size and shape of Docker's, for three ABIs.
func container(t testing.TB) Subject {
	var names []string
	for i, name := range abi.AMD64.Syscalls() {
		if i%8 != 0 && name != "socket" && name != "clone" && name != "personality" {
			names = append(names, `"`+name+`"`)
		}
	}
	profile := `{"defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"], "syscalls": [
		{"names": [` + strings.Join(names, ", ") + `], "action": "SCMP_ACT_ALLOW"},
		{"names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "op": "SCMP_CMP_NE", "value": 40}]},
		{"names": ["clone"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "op": "SCMP_CMP_MASKED_EQ", "value": 2114060288, "valueTwo": 0}]},
		{"names": ["personality"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "op": "SCMP_CMP_EQ", "value": 8}]},
		{"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}]}`
	p, _, err := convert.OCI("p.json", []byte(profile), convert.OCIOptions{Options: convert.Options{Native: abi.AMD64}})
	if err != nil {
		t.Fatal(err)
	}
	r, warnings, err := p.Resolve(policy.Options{Native: abi.AMD64})
	if err != nil {
		t.Fatal(err)
	}
	filter, err := build.Build(r)
	if err != nil {
		t.Fatal(err)
	}
	return Subject{Name: "p.json", Data: []byte(profile), Policy: p, Resolved: r, Warnings: warnings, Foreign: true, Program: filter.Program}
}

func TestWordIn(t *testing.T) {
	for _, c := range []struct {
		line, word string
		want       int
	}{
		{`"clone3", "clone"`, "clone", 11}, {"clone: 1", "clone", 0}, {"xclone clone", "clone", 7}, {"clone_", "clone", -1}, {"", "x", -1}, {"a-b", "b", 2},
	} {
		if got := wordIn(c.line, c.word); got != c.want {
			t.Errorf("%q in %q: %d, want %d", c.word, c.line, got, c.want)
		}
	}
}
