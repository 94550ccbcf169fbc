package convert

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sysgate/sysgate/abi"
)

const goSource = `//go:build linux && amd64

package include

import (
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/sysgate/sysgate/seccomp"
)

const deny = seccomp.ActionErrno | seccomp.Action(syscall.ENOSYS)

var names = []string{"dup", "dup2"}

func init() {
	bad := seccomp.ActionKillThread
	register(&seccomp.Policy{
		DefaultAction: deny,
		BadArchAction: &bad,
		Syscalls: []seccomp.SyscallGroup{
			{Action: seccomp.ActionAllow, Names: []string{"read", "wri" + "te"}},
			{Action: seccomp.ActionTrap | (1 << 2), Names: names},
			{Action: seccomp.ActionErrno, NamesWithCondtions: []seccomp.NameWithConditions{
				{Name: "socket", Conditions: []seccomp.Condition{{Argument: 0, Operation: seccomp.Equal, Value: unix.AF_ALG}}},
				{Name: "mmap", Conditions: []seccomp.Condition{{Argument: 2, Operation: "BitsSet", Value: 0x4}, {Argument: 1, Operation: seccomp.GreaterThan, Value: 5}}},
			}},
		},
	})
}
`

func TestGoSource(t *testing.T) {
	text := strings.Replace(goSource, `"wri" + "te"`, `"write"`, 1)
	for _, native := range []abi.ABI{abi.AMD64, abi.ARM64} { // the file says for which it is
		means(t, readAs(t, "go-source", text, Options{Native: native}),
			"amd64:read(): allow", "amd64:dup2(): trap(4)", "amd64:socket(AF_ALG): errno(EPERM)", "amd64:socket(AF_UNIX): errno(ENOSYS)",
			"amd64:mmap(0, 6, 4): errno(EPERM)", "amd64:mmap(0, 5, 4): errno(ENOSYS)", "amd64:mmap(0, 6, 3): errno(ENOSYS)",
			"x32:read(): errno(ENOSYS)", "386:read(): kill_thread")
	}
	elastic := strings.NewReplacer("github.com/sysgate/sysgate/seccomp", "github.com/elastic/go-seccomp-bpf", "BadArchAction: &bad,", "").Replace(text)
	means(t, readAs(t, "go-source", elastic, Options{}), "read(): allow", "386:read(): errno(ENOSYS)") // the default action
	if f, _ := Detect("x.go", []byte(text)); f.Name != "go-source" {
		t.Errorf("taken for %q", f.Name)
	}
	for _, tt := range [][2]string{
		{goSource, "want a constant"}, // "wri" + "te"
		{strings.Replace(text, "DefaultAction: deny", "DefaultAction: f()", 1), "not run"},
		{strings.Replace(text, "DefaultAction: deny,", "", 1), "missing DefaultAction"},
		{strings.Replace(text, `"read"`, `"reed"`, 1), "did you mean read"},
		{strings.Replace(text, "0x4}", "0x4, More: 1}", 1), "unknown field"},
		{strings.Replace(text, "Argument: 2", "Argument: 7", 1), "0 to 5"},
		{strings.Replace(text, `"BitsSet"`, `"Bits"`, 1), "unknown operation"},
		{strings.Replace(text, "seccomp.ActionTrap | (1 << 2)", "5", 1), "no action"},
		{strings.Replace(text, "func init() {", "var other = seccomp.Policy{}\nfunc init() {", 1), "several literals"},
		{strings.Replace(text, "&seccomp.Policy{", "&other.Policy{", 1), "no literal"},
		{strings.Replace(text, "github.com/sysgate/sysgate/seccomp", "example.com/x", 1), "imports no package"},
		{strings.Replace(text, "linux && amd64", "windows", 1), "none of the architectures"},
		{strings.Replace(text, "names = []string", "names = names, []string", 1), "not run"},
	} {
		refused(t, "go-source", tt[0], tt[1])
	}
	if _, _, err := readGoSource("p", []byte("package"), Options{Native: abi.AMD64}); err == nil || !strings.Contains(err.Error(), "not Go") {
		t.Error(err)
	}
}

// A file that registers a policy with libbeat imports two packages of one name: the
// policy is of one of them, whatever they are called.
func TestGoSourceTwoPackages(t *testing.T) {
	for _, names := range [][2]string{{"", "bpf"}, {"beat", ""}, {"beat", "s"}} {
		register, of := names[0], names[1]
		if register == "" {
			register = "seccomp"
		}
		if of == "" {
			of = "seccomp"
		}
		text := "//go:build amd64\n\npackage p\n\nimport (\n" + names[0] + " \"github.com/elastic/beats/v7/libbeat/common/seccomp\"\n" + names[1] +
			" \"github.com/elastic/go-seccomp-bpf\"\n)\n\nfunc init() {\n" + register + ".MustRegisterPolicy(&" + of + ".Policy{DefaultAction: " + of +
			".ActionErrno, Syscalls: []" + of + ".SyscallGroup{{Action: " + of + ".ActionAllow, Names: []string{\"read\"}}}})\n}\n"
		if !isGoSource("p.go", []byte(text)) {
			t.Error(text)
		}
		means(t, readAs(t, "go-source", text, Options{}), "read(): allow", "write(): errno(EPERM)")
	}
}

func TestGoSourceRoundTrip(t *testing.T) {
	for name, rules := range map[string]string{
		"names":  `{action: allow, names: [read, write]}`,
		"values": `{action: allow, calls: ["socket(domain in {AF_UNIX, AF_INET}, type & 0xf == SOCK_STREAM)", "ioctl(cmd != TIOCSTI)", "write(fd >= 3, fd <= 6)", "mmap(prot & PROT_EXEC == 0)"]}`,
		"mixed":  `{action: trap(7), calls: ["ioctl(cmd == 5)"]}` + "\n- {action: log, names: [ioctl, dup]}\n- {action: trace(3), names: [ptrace]}\n- {action: user_notify, names: [bind]}\n- {action: errno(ENOSYS), names: [clone3]}",
	} {
		t.Run(name, func(t *testing.T) {
			for _, head := range []string{"default_action: errno(EPERM)", "bad_arch_action: errno(ENOSYS)\ndefault_action: kill_process"} {
				carries(t, "go-source", "version: 1\nabis: [amd64]\n"+head+"\nsyscalls:\n- "+rules)
			}
		})
	}
}

// The files of the examples, which sysgate profile wrote, can be read.
func TestGoSourceExamples(t *testing.T) {
	files, err := filepath.Glob("../../examples/beat/include/seccomp_linux_*.go")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		p, _, err := readGoSource(file, data, Options{Native: abi.ARM64})
		if err != nil {
			t.Fatal(err)
		}
		if want := strings.TrimSuffix(strings.Split(filepath.Base(file), "_")[2], ".go"); p.ABIs[0].String() != want {
			t.Errorf("%s is for %s", file, p.ABIs[0])
		}
		means(t, resolve(t, p, p.ABIs[0]), "read(): allow", "reboot(): errno(ENOSYS)")
	}
}

func FuzzGoSource(f *testing.F) {
	f.Add(goSource)
	f.Add(strings.Replace(goSource, `"wri" + "te"`, `"write"`, 1))
	fuzzReader(f, "go-source")
}
