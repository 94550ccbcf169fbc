package convert

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
)

// commentLine matches a line that is a comment.
var commentLine = regexp.MustCompile(`(?m)^#.*\n`)

// Every rule says where it comes from, in every format that is read from lines.
func TestOrigins(t *testing.T) {
	const scmp = `[{"names": [
"read"], "action": "SCMP_ACT_ALLOW"}, {"names": [
"write"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}]}]`
	for name, text := range map[string]string{
		"minijail-c":  "\nread: 1\nwrite: arg0 == 1\n",
		"minijail-py": "\nread: allow\nwrite: arg0 == 1\n",
		"kafel":       "ALLOW {\nread,\nwrite { fd == 1 } }\n",
		"seccompiler": "{\"a\": {\"mismatch_action\": \"trap\", \"match_action\": \"allow\", \"filter\": [\n{\"syscall\": \"read\"},\n{\"syscall\": \"write\", \"args\": [{\"index\": 0, \"type\": \"dword\", \"op\": \"eq\", \"val\": 1}]}]}}",
		"firecracker": "{\"a\": {\"default_action\": \"trap\", \"filter_action\": \"allow\", \"filter\": [\n{\"syscall\": \"read\"},\n{\"syscall\": \"write\", \"args\": [{\"index\": 0, \"type\": \"dword\", \"op\": \"eq\", \"val\": 1}]}]}}",
		"oci":         `{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": ` + scmp + "}",
		"docker":      `{"defaultAction": "SCMP_ACT_ERRNO", "archMap": [], "syscalls": ` + scmp + "}",
		"podman":      `{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrno": "EPERM", "syscalls": ` + scmp + "}",
		"spo":         "{kind: SeccompProfile, spec: {defaultAction: SCMP_ACT_ERRNO, syscalls: [{names: [\nread], action: SCMP_ACT_ALLOW}, {action: SCMP_ACT_ALLOW, names: [\nwrite], args: [{index: 0, value: 1, op: SCMP_CMP_EQ}]}]}}\n",
		"snap":        "# a comment\nread\nwrite 1\n",
		"systemd":     "[Service]\nSystemCallFilter=~read:EACCES\nLockPersonality=yes\n",
		"firejail":    "# a comment\nseccomp.drop read\nprotocol unix\n",
	} {
		p, _, err := format(t, name).Read("dir/x.policy", []byte(text), Options{Native: abi.AMD64})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		lines := make(map[string]bool)
		for _, rule := range WithOrigins(p).Rules {
			for _, c := range rule.Calls {
				lines[c.Name+" "+c.Comment] = true
			}
		}
		conditional := map[string]string{"systemd": "personality", "firejail": "socket"}[name]
		if conditional == "" {
			conditional = "write"
		}
		for _, want := range []string{"read dir/x.policy:2", conditional + " dir/x.policy:3"} {
			if !lines[want] {
				t.Errorf("%s: no %q in %v", name, want, lines)
			}
		}
		written := string(p.Format())
		if again, err := policy.Parse("p", []byte(written)); err != nil || string(again.Format()) != written {
			t.Errorf("%s: %v\n%s", name, err, written)
		}
	}
}

// A set and a pod's ConfigMap are where the calls stand, too.
func TestOriginsOfSets(t *testing.T) {
	for _, tt := range []struct{ format, text, want string }{
		{"systemd", "[Service]\nSystemCallFilter=~read \\\n  @swap\n", "- swapon # @swap, x:3\n"},
		{"firejail", "seccomp.drop read\nseccomp.drop @swap,write\n", ":swapon # @swap, x:2\n"},
		{"docker", "{\"defaultAction\": \"SCMP_ACT_ERRNO\", \"archMap\": [],\n\"syscalls\": [{\"action\": \"SCMP_ACT_ALLOW\", \"names\": [\n\"read\",\n\"write\"]}]}", "# from x:3-4\n- action: allow\n  names: [read, write]\n"},
		{"snap", "read\n\nwrite\n\nclose\n", "- write # x:3\n"},
		{"k8s", `
apiVersion: v1
kind: Pod
spec: {securityContext: {seccompProfile: {type: Localhost, localhostProfile: a.json}}}
---
kind: ConfigMap
data:
  a.json: |
    {"defaultAction": "SCMP_ACT_ERRNO",
     "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW"},
      {"names": ["write"], "action": "SCMP_ACT_ALLOW"}]}
`, "# from x:10-11\n"},
	} {
		f := format(t, tt.format)
		read := f.Read
		if tt.format == "firejail" {
			read = func(name string, data []byte, o Options) (*policy.Policy, []Loss, error) {
				return firejailGroups(func(abi.ABI, string) ([]uint32, error) { return []uint32{167}, nil }).read(name, data, o)
			}
		}
		p, _, err := read("x", []byte(tt.text), Options{Native: abi.AMD64})
		if err != nil {
			t.Fatal(err)
		}
		if got := string(WithOrigins(p).Format()); !strings.Contains(got, tt.want) {
			t.Errorf("%s: no %q\n%s", tt.format, tt.want, got)
		}
	}
}

// Every format with comments says of the calls which lines of the policy they come
// from, and still means the same.
func TestWrittenOrigins(t *testing.T) {
	const text = `version: 1
abis: [amd64]
default_action: errno(EPERM)
syscalls:
- action: allow
  names:
  - read
  - "@systemd/swap"
  calls:
  - socket(AF_UNIX) # the log
- action: errno(ENOSYS)
  names: [clone3]
`
	p, err := policy.Parse("web.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]string{
		"minijail-c":    {"# web.yaml:7\nread: 1\n", "# @systemd/swap, web.yaml:8\nswapon: 1\n", "# by default\nwrite: return EPERM\nopen: ", "# the log, web.yaml:10\nsocket: "},
		"minijail-py":   {"read: allow # web.yaml:7\n", "swapon: allow # @systemd/swap, web.yaml:8\n", "\nopen: return EPERM\n"},
		"kafel":         {"    read, // web.yaml:7\n", "socket(a) { (a & 0xffffffff) == 1 }, // the log, web.yaml:10\n", "clone3 // web.yaml:12\n"},
		"snap":          {"# web.yaml:7\nread\n", "# @systemd/swap, web.yaml:8\nswapoff\nswapon\n"},
		"systemd":       {"# web.yaml:7-8, 10\nSystemCallFilter=\nSystemCallFilter=@swap read socket\n", "# web.yaml:12\nSystemCallFilter=~clone3:ENOSYS\n"},
		"firejail":      {"# web.yaml:7-8, 10, 12\nseccomp.keep clone3:ENOSYS,", "# web.yaml:10\nprotocol unix\n"},
		"go-source":     {"\"read\",    // web.yaml:7\n", "// the log, web.yaml:10\n"},
		"libbeat":       {"- read # web.yaml:7\n", "# the log, web.yaml:10\n  - name: socket\n"},
		"seccompiler":   {"\"syscall\": \"read\",\n        \"comment\": \"web.yaml:7\"\n"},
		"firecracker":   {"\"syscall\": \"read\",\n        \"comment\": \"web.yaml:7\"\n"},
		"spo":           {"  # web.yaml:10\n  - action: SCMP_ACT_ALLOW\n    names:\n    - socket\n"},
		"asm":           {"; web.yaml:7-8, 10: allow read, @systemd/swap, socket(AF_UNIX)\n; web.yaml:12: errno(ENOSYS) clone3\n"},
		"seccomp-tools": {"# web.yaml:12: errno(ENOSYS) clone3\n"},
		"pfc":           {"# filter for syscall \"read\" (0), web.yaml:7\n", "(167 to 168), @systemd/swap, web.yaml:8\n"},
	} {
		e, err := Export(format(t, name), p, Options{Native: abi.AMD64})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, want := range want {
			if !strings.Contains(string(e.Data), want) {
				t.Errorf("%s: no %q\n%s", name, want, e.Data)
			}
		}
		if f, ok := Detect("x", e.Data); ok && f.Name != name && f.Foreign() {
			t.Errorf("%s is found to be %s", name, f.Name)
		}
		if slices.Contains([]string{"kafel", "asm", "seccomp-tools"}, name) {
			for _, r := range e.Named() {
				t.Errorf("%s: %s is %v", name, r.Name, r.B)
			}
		}
	}
}

// Whatever a file is called, its name ends no comment.
func TestOriginsOfOddFiles(t *testing.T) {
	const text = "version: 1\nabis: [amd64]\ndefault_action: kill_thread\nsyscalls:\n- action: allow\n  names: [read, write]\n"
	for _, file := range []string{"a\nwrite: 1\n", "a */ b", "a // b \\", "{ 1, 2, 3, 4 }", "@unrestricted", "[Service]", "*/ ALLOW { open } /*", "a\x00b\u2028", "default_action"} {
		p, err := policy.Parse(file, []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range Formats() {
			if f.Read == nil || f.Write == nil {
				continue
			}
			e, err := Export(f, p, Options{Native: abi.AMD64})
			if err != nil {
				t.Errorf("%s of %q: %v", f.Name, file, err)
				continue
			}
			if named := e.Named(); len(named) > 0 && f.Name != "firejail" && f.Name != "systemd" && f.Name != "snap" {
				t.Errorf("%s of %q: %s is %v", f.Name, file, named[0].Name, named[0].B)
			}
		}
	}
}

func TestOriginText(t *testing.T) {
	var many []origin
	for i := range 40 {
		many = append(many, origin{file: "f", line: 1 + 2*i})
	}
	for want, origins := range map[string][]origin{
		"":              nil,
		"f:3":           {{"f", 3, ""}, {"f", 3, ""}},
		"f:1-3, 7; g:2": {{"f", 2, ""}, {"f", 1, ""}, {"g", 2, ""}, {"f", 7, ""}, {"f", 3, ""}},
		"@a, f:1; f:2":  {{"f", 1, "@a"}, {"f", 2, ""}, {"f", 0, "@b"}},
		"line 9":        {{"", 9, ""}},
		"f:1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, …": many,
	} {
		if got := originText(origins); got != want {
			t.Errorf("%v: %q, not %q", origins, got, want)
		}
	}
	if got := originText([]origin{{"a\nb", 1, ""}}); got != "a?b:1" {
		t.Errorf("%q", got)
	}
}
