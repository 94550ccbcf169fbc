package convert

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
)

func formatOCI(t testing.TB) Format {
	f, ok := ByName("oci")
	if !ok {
		t.Fatal("no format oci")
	}
	return f
}

func parse(t testing.TB, text string) *policy.Policy {
	t.Helper()
	p, err := policy.Parse("p.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Each of these once was left out or changed.
func TestWriteOCIWhole(t *testing.T) {
	const head = "version: 1\nabis: [amd64]\nbad_arch_action: kill_thread\nx32_action: kill_thread\nsyscalls:\n"
	for name, p := range map[string]string{
		"two arguments that differ from a value": head + `- {action: errno(EPERM), calls: [socket(domain:64 == 40), "socket(domain:64 == 16, protocol:64 == 9)"]}` + "\n- {action: allow, names: [socket]}\ndefault_action: errno(ENOSYS)\n",
		"no call at all":                         "version: 1\nabis: [amd64]\nbad_arch_action: kill_thread\nx32_action: kill_thread\nsyscalls: []\ndefault_action: errno(EPERM)\n",
	} {
		e, err := Export(formatOCI(t), parse(t, p), Options{})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range e.Different {
			if r.Name != "" || policy.FormatCall(r.Witness) == "amd64:nr:472" {
				t.Errorf("%s: %s: %v became %v\n%s", name, policy.FormatCall(r.Witness), r.A, r.B, e.Data)
			}
		}
	}
}

func TestWriteOCI(t *testing.T) {
	p := parse(t, `
version: 1
abis: [amd64, 386]
default_action: errno
unknown_action: errno(ENOSYS)
syscalls:
- {action: allow, names: [write, read]}
- {action: errno(ENOSYS), names: [clone3, read]}
- {action: allow, calls: ["kill(sig in {0, SIGCHLD})", "dup(_)", "ioctl(cmd != TCGETS)"]}
- {action: trap, calls: [ioctl(fd == 3)]}
`)
	e, err := Export(formatOCI(t), p, Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := `{
  "defaultAction": "SCMP_ACT_ERRNO",
  "architectures": [
    "SCMP_ARCH_X86_64",
    "SCMP_ARCH_X86"
  ],
  "syscalls": [
    {
      "names": [
        "clone3"
      ],
      "action": "SCMP_ACT_ERRNO",
      "errnoRet": 38
    },
    {
      "names": [
        "dup",
        "read",
        "write"
      ],
      "action": "SCMP_ACT_ALLOW"
    },
`
	if got, _, _ := strings.Cut(string(e.Data), `    {
      "names": [
        "ioctl"`); got != want {
		t.Error(cmp.Diff(want, got))
	}
	if named := e.Named(); len(named) > 0 {
		t.Errorf("%+v\n%s", named, e.Data)
	}
}

// exportable are policies that the OCI form can carry, but for numbers that no
// call has and for other architectures.
var exportable = map[string]string{
	"order":          `{action: allow, calls: ["read(count < 1000)", "write(count > 5, fd <= 2)", "dup(fildes >= 3)"]}`,
	"signed order":   `{action: allow, calls: ["kill(pid > 0)", "setpriority(niceval < -3)"]}`,
	"sets":           `{action: allow, calls: ["socket(domain in {AF_UNIX, AF_INET, AF_INET6}, type & 0xf == SOCK_STREAM)", "fcntl(cmd not in {F_SETFL, F_SETOWN})"]}`,
	"masks":          `{action: allow, calls: ["openat(flags & O_ACCMODE == O_RDONLY)", "mmap(prot & PROT_EXEC == 0)", "clone(flags & CLONE_NEWUSER != 0)", "personality(persona & 0xff00 == 0x100)"]}`,
	"not equal":      `{action: allow, calls: ["socket(domain != AF_ALG)", "ioctl(fd < 8, cmd != TIOCSTI)"]}`,
	"several rules":  `{action: trap, calls: ["ioctl(cmd == TIOCSTI)"]}` + "\n- " + `{action: allow, calls: ["ioctl(fd < 3)"]}` + "\n- {action: log, names: [ioctl]}",
	"whole words":    `{action: allow, calls: ["read(count:64 == 0x100000001)", "mmap(length:64 in {0x100000000, 5})"]}`,
	"a range":        `{action: allow, calls: ["write(fd >= 3, fd <= 6)"]}`,
	"names":          `{action: allow, names: [read, "@systemd/io-event"]}`,
	"nothing at all": `{action: errno, names: [read]}`,
}

// What is exported means the same, to the reader of profiles as to libseccomp.
func TestExportOCI(t *testing.T) {
	l := newLibseccomp(t)
	for name, rules := range exportable {
		t.Run(name, func(t *testing.T) {
			p, err := policy.Parse("p.yaml", []byte("version: 1\nabis: [amd64]\ndefault_action: errno\nunknown_action: errno(ENOSYS)\nsyscalls:\n- "+rules+"\n"))
			if err != nil {
				t.Fatal(err)
			}
			e, err := Export(formatOCI(t), p, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if named := e.Named(); len(named) > 0 || len(e.Losses) > 0 {
				t.Errorf("%v %+v\n%s", e.Losses, named, e.Data)
			}
			l.confirm(t, e.Data, abi.AMD64)
		})
	}
}

// The benchmark policies survive being read and written.
func TestExportOCIProfiles(t *testing.T) {
	l := newLibseccomp(t)
	files, err := filepath.Glob("../../testdata/policies/P*.json")
	if err != nil || len(files) != 4 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, arches := range []string{`"SCMP_ARCH_X86_64"`, `"SCMP_ARCH_X86_64", "SCMP_ARCH_X86"`, `"SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"`} {
			text := strings.Replace(string(data), `"SCMP_ARCH_X86_64"`, arches, 1)
			if !strings.Contains(text, arches) {
				t.Fatalf("%s names no architecture", file)
			}
			p, _, err := OCI(file, []byte(text), OCIOptions{Options: Options{Native: abi.AMD64}})
			if err != nil {
				t.Fatal(err)
			}
			e, err := Export(formatOCI(t), p, Options{Native: abi.AMD64})
			if err != nil {
				t.Fatal(err)
			}
			if len(e.Different) > 0 || len(e.Losses) > 0 {
				t.Errorf("%s for %s: %v %+v", file, arches, e.Losses, e.Different)
			}
			if !strings.Contains(arches, "X32") { // where libseccomp has fewer calls
				l.confirm(t, e.Data, abi.AMD64)
			}
		}
	}
}

// Each row is a policy that a profile cannot carry whole.
func TestExportOCIDifferences(t *testing.T) {
	for _, tt := range []struct {
		name, policy string
		looser       bool
		want         string // "call: policy, profile" of the first region
	}{
		{"unknown_action", "default_action: errno\nunknown_action: trap\nsyscalls: []", true, ""},
		{"bad_arch_action", "default_action: allow\nbad_arch_action: log\nsyscalls: []", false, ""},
		{"trap with a value", "default_action: errno\nsyscalls: [{action: trap(5), names: [read]}]", false, "read: trap(5), trap(0)"},
		{"too many entries", `default_action: errno
syscalls: [{action: allow, calls: ["ioctl(fd != 5, cmd != TIOCSTI)"]}]`, false, "ioctl: allow, errno(1)"},
		{"the instruction pointer", "default_action: errno\nsyscalls: [{action: allow, calls: [read(ip == 5)]}]", false, "read: allow, errno(1)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e, err := Export(formatOCI(t), parse(t, "version: 1\nabis: [amd64]\n"+tt.policy), Options{})
			if err != nil {
				t.Fatal(err)
			}
			if len(e.Different) == 0 || e.Looser() != tt.looser {
				t.Errorf("looser %t: %+v", e.Looser(), e.Different)
			}
			got := ""
			if named := e.Named(); len(named) > 0 {
				got = named[0].Name + ": " + named[0].A.String() + ", " + named[0].B.String()
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
