package convert

import (
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/build"
	"github.com/sysgate/sysgate/internal/proof"
	"github.com/sysgate/sysgate/policy"
)

// Each row is a profile and what becomes of calls: "CALL => ACTION". The name
// says which rule of the runtime it shows.
func TestOCIMeaning(t *testing.T) {
	for _, tt := range []struct {
		name, profile string
		options       OCIOptions
		want          string
		losses        []string
	}{
		{name: "the kernel knows no errno above 4095", profile: `
{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ERRNO", "errnoRet": 12345}]}`, want: `
read() => errno(4095)`, losses: []string{"p.json:2:80: the kernel takes errno 12345 for 4095"}},
		{name: "defaults: errno is EPERM, other architectures and x32 are killed", profile: `
{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW"}]}`, want: `
read() => allow
386:nr:3 => kill_thread
x32:nr:0x40000000 => kill_thread
nr:0xffffffff => errno(1)`},
		{name: "runc: numbers above every one named are ENOSYS", profile: `
{"defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"], "syscalls": [{"names": ["read", "openat2"], "action": "SCMP_ACT_ALLOW"}]}`, want: `
nr:437 => allow
nr:438 => errno(38)
nr:0xbfffffff => errno(38)
nr:400 => errno(1)
386:nr:438 => errno(38)
386:nr:436 => errno(1)
x32:nr:0x400001b6 => errno(38)
x32:nr:0x400001b5 => allow
nr:0xffffffff => errno(38)`},
		{name: "not with a permissive default", profile: `
{"defaultAction": "SCMP_ACT_TRACE", "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW"}]}`, want: `
nr:9999 => trace(1)
nr:0x80000000 => kill_thread`},
		{name: "not where it is switched off", options: OCIOptions{Options: Options{Runtime: Crun}}, profile: `
{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW"}]}`, want: `nr:9999 => errno(1)`},
		{name: "s390x: number 0 carries large numbers", options: OCIOptions{Options: Options{Native: abi.S390X}}, profile: `
{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW"}]}`, want: `
s390x:nr:0 => errno(38)
s390x:nr:2 => errno(1)
s390x:nr:4 => errno(38)`},
		{name: "errnoRet and defaultErrnoRet", profile: `
{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 13, "syscalls": [
 {"names": ["read"], "action": "SCMP_ACT_ERRNO", "errnoRet": 0}, {"names": ["statx"], "action": "SCMP_ACT_TRACE", "errnoRet": 5},
 {"names": ["write"], "action": "SCMP_ACT_TRAP", "errnoRet": 5}]}`, want: `
open() => errno(13)
read() => errno(0)
write() => trap(0)
statx() => trace(5)`},
		{name: "Podman: errno by name or decimal text wins", profile: `
{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1, "defaultErrno": "ENOSYS", "syscalls": [
 {"names": ["read"], "action": "SCMP_ACT_ERRNO", "errnoRet": 3, "errno": "11"}]}`, want: `
open() => errno(38)
read() => errno(11)`},
		{name: "different indices: AND", profile: `
{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [
 {"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}, {"index": 1, "value": 2, "op": "SCMP_CMP_EQ"}]}]}`, want: `
socket(1, 2) => allow
socket(1, 3) => errno(1)
socket(0, 2) => errno(1)`},
		{name: "a repeated index makes every condition an OR", profile: `
{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [
 {"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}, {"index": 0, "value": 2, "op": "SCMP_CMP_EQ"}, {"index": 1, "value": 9, "op": "SCMP_CMP_EQ"}]}]}`, want: `
socket(1) => allow
socket(2) => allow
socket(5, 9) => allow
socket(5) => errno(1)`},
		{name: "all 64 bits are compared", profile: `
{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}]}]}`, want: `
socket(1) => allow
socket(0x100000001) => errno(1)`},
		{name: "a mask is value, the datum valueTwo; datum bits outside are cleared", profile: `
{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["clone"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 240, "valueTwo": 255, "op": "SCMP_CMP_MASKED_EQ"}]}]}`, want: `
clone(0xf3) => allow
clone(0xe3) => errno(1)`},
		{name: "unsigned order", profile: `
{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["kill"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 0, "op": "SCMP_CMP_GT"}]}]}`, want: `
kill(-1) => allow
kill(0) => errno(1)`},
		{name: "unconditional beats conditional, whatever the order", profile: `
{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
 {"names": ["dup"], "action": "SCMP_ACT_LOG", "args": [{"index": 0, "value": 0, "op": "SCMP_CMP_EQ"}]},
 {"names": ["dup"], "action": "SCMP_ACT_ALLOW"},
 {"names": ["dup"], "action": "SCMP_ACT_TRAP", "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}]}]}`, want: `
dup(0) => allow
dup(1) => allow`},
		{name: "of two unconditional rules the first counts", profile: `
{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["dup"], "action": "SCMP_ACT_LOG"}, {"names": ["dup"], "action": "SCMP_ACT_ALLOW"}]}`, want: `dup(0) => log`},
		{name: "a rule with the default action is left out", profile: `
{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["dup"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1}, {"names": ["dup"], "action": "SCMP_ACT_ALLOW"}]}`, want: `dup(0) => allow`},
		{name: "overlapping conditions: equality before order, not the file's order", losses: []string{"dup has several actions"}, profile: `
{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
 {"names": ["dup"], "action": "SCMP_ACT_TRAP", "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_GE"}]},
 {"names": ["dup"], "action": "SCMP_ACT_KILL", "args": [{"index": 0, "value": 2, "op": "SCMP_CMP_EQ"}]},
 {"names": ["dup"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 3, "op": "SCMP_CMP_NE"}]}]}`, want: `
dup(2) => allow
dup(0) => allow
dup(3) => trap(0)`},
		{name: "386: a socket rule has a companion without its arguments", options: OCIOptions{Options: Options{Native: abi.I386}}, profile: `
{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}]}]}`, want: `
386:socket(1) => allow
386:socket(2) => errno(1)
386:socketcall(1) => allow
386:socketcall(2) => errno(1)`},
		{name: "386: values are cut to 32 bits", options: OCIOptions{Options: Options{Native: abi.I386}}, profile: `
{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["personality"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 4294967297, "op": "SCMP_CMP_EQ"}]}]}`, want: `
386:personality(1) => allow
386:personality(0x500000001) => allow`},
		{
			name: "unknown names and fields are dropped, as runtimes do, and reported", profile: `
{"defaultAction": "SCMP_ACT_ERRNO", "oops": 1, "syscalls": [{"names": ["read", "no_such_call", "setuid32", "opneat"], "action": "SCMP_ACT_ALLOW"}]}`, want: `read() => allow`,
			losses: []string{`field "oops"`, "dropped, as container runtimes do: no_such_call is no call that the tables know", "dropped, as container runtimes do: setuid32 is a call of none of the architectures", "dropped, as container runtimes do: opneat is no call that the tables know; did you mean openat?"},
		},
		{name: "Docker: archMap, includes, excludes", options: OCIOptions{Options: Options{Caps: []string{"CAP_SYS_ADMIN"}, Kernel: abi.Kernel{Major: 4, Minor: 7}}}, profile: `
{"defaultAction": "SCMP_ACT_ERRNO", "archMap": [
  {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]},
  {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]}],
 "syscalls": [
  {"names": ["mount"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
  {"names": ["reboot"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN", "CAP_SYS_BOOT"]}},
  {"names": ["ptrace"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "4.8"}},
  {"names": ["clone"], "action": "SCMP_ACT_ALLOW", "excludes": {"caps": ["CAP_SYS_ADMIN"]}},
  {"names": ["dup"], "action": "SCMP_ACT_ALLOW", "excludes": {"arches": ["s390x"]}},
  {"names": ["dup2"], "action": "SCMP_ACT_ALLOW", "excludes": {"arches": ["amd64"]}},
  {"name": "arch_prctl", "names": [], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["amd64", "x32"]}},
  {"names": ["read", "openat2"], "action": "SCMP_ACT_ALLOW", "comment": "x"}]}`, want: `
mount() => allow
reboot() => errno(1)
ptrace() => errno(1)
clone() => errno(1)
dup() => allow
dup2() => errno(1)
arch_prctl() => allow
386:read() => allow`},
		{name: "within a whole specification", profile: `
{"ociVersion": "1.2.0", "linux": {"seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["read"], "action": "SCMP_ACT_KILL_PROCESS"}]}}}`, want: `
read() => kill_process
write() => allow`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.options.Native == abi.None {
				tt.options.Native = abi.AMD64
			}
			p, losses, err := OCI("p.json", []byte(tt.profile), tt.options)
			if err != nil {
				t.Fatal(err)
			}
			if len(losses) != len(tt.losses) {
				t.Errorf("losses %v, want %d", losses, len(tt.losses))
			}
			for i, want := range tt.losses {
				if i < len(losses) && !strings.Contains(losses[i].String(), want) {
					t.Errorf("loss %q, want %q", losses[i], want)
				}
			}
			r := resolve(t, p, tt.options.Native)
			for line := range strings.Lines(strings.TrimSpace(tt.want)) {
				text, want, _ := strings.Cut(strings.TrimSpace(line), " => ")
				c, err := policy.ParseCall(text, tt.options.Native)
				if err != nil {
					t.Fatal(err)
				}
				if got := r.Eval(c).Action.String(); got != want {
					t.Errorf("%s => %s, want %s", text, got, want)
				}
			}
		})
	}
}

// resolve resolves p, and holds what it prints to mean the same.
func resolve(t *testing.T, p *policy.Policy, native abi.ABI) *policy.Resolved {
	t.Helper()
	r, _, err := p.Resolve(policy.Options{Native: native})
	if err != nil {
		t.Fatalf("%v\nin\n%s", err, p.Format())
	}
	q, err := policy.Parse("p.yaml", p.Format())
	if err != nil {
		t.Fatalf("%v\nin\n%s", err, p.Format())
	}
	again, _, err := q.Resolve(policy.Options{Native: native})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(r, again); diff != "" {
		t.Fatalf("printed, it means something else:\n%s", diff)
	}
	return r
}

// Each row is a profile that no runtime takes, and what is said.
func TestOCIErrors(t *testing.T) {
	for _, tt := range []struct{ name, profile, want string }{
		{"not JSON", `{"defaultAction": `, "p.json:1:19: not JSON: unexpected end"},
		{"more than one value", `{} {}`, "p.json:1:4: something follows the document"},
		{"a field twice", `{"defaultAction": "SCMP_ACT_ALLOW", "defaultAction": "SCMP_ACT_LOG"}`, `p.json:1:37: field "defaultAction" stands twice`},
		{"no default", `{"syscalls": []}`, "p.json:1:1: missing defaultAction"},
		{"unknown action", `{"defaultAction": "SCMP_ACT_NO"}`, `p.json:1:19: unknown action "SCMP_ACT_NO"`},
		{"NOTIFY as the default", `{"defaultAction": "SCMP_ACT_NOTIFY"}`, "p.json:1:19: SCMP_ACT_NOTIFY cannot be the default action: no runtime takes it"},
		{"NOTIFY on write", `{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["write"], "action": "SCMP_ACT_NOTIFY"}]}`, "p.json:1:61: SCMP_ACT_NOTIFY cannot be used for write: runc hands the descriptor over with it"},
		{"unknown architecture", `{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_VAX"]}`, `p.json:1:55: unknown architecture "SCMP_ARCH_VAX"`},
		{"mixed byte orders", `{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_S390X"]}`, "p.json:1:55: s390x and the native amd64 have different byte orders: libseccomp refuses them in one filter"},
		{"architectures beside archMap", `{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86"], "archMap": [{"architecture": "SCMP_ARCH_X86_64"}]}`, "p.json:1:84: architectures and archMap are both set: write one"},
		{"no action", "{\"defaultAction\": \"SCMP_ACT_ALLOW\", \"syscalls\": [\n {\"names\": [\"read\"]}]}", "p.json:2:2: missing action"},
		{"no names", `{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"action": "SCMP_ACT_LOG"}]}`, "p.json:1:50: the entry names no system calls"},
		{"no operator", `{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["read"], "action": "SCMP_ACT_LOG", "args": [{"index": 0}]}]}`, "p.json:1:105: missing op"},
		{"index out of range", `{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["read"], "action": "SCMP_ACT_LOG", "args": [{"index": 6, "op": "SCMP_CMP_EQ"}]}]}`, "p.json:1:115: index: want a number from 0 to 5"},
		{"an errno that would wrap to success", `{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 65536}`, "p.json:1:56: errno: want a number from 0 to 65535"},
		{"bad minKernel", `{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["read"], "action": "SCMP_ACT_LOG", "includes": {"minKernel": "4"}}]}`, `p.json:1:122: minKernel: kernel release "4": want MAJOR.MINOR, such as 6.12`},
		{"one condition, two actions", `{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
{"names": ["read"], "action": "SCMP_ACT_LOG", "args": [{"index": 0, "op": "SCMP_CMP_EQ"}]},
{"names": ["read"], "action": "SCMP_ACT_TRAP", "args": [{"index": 0, "op": "SCMP_CMP_EQ"}]}]}`, "p.json:3:12: read: the same condition with two actions: libseccomp refuses it"},
		{"two actions of a socketcall's companion", `{"defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86"], "syscalls": [
{"names": ["socket"], "action": "SCMP_ACT_LOG", "args": [{"index": 5, "value": 3, "op": "SCMP_CMP_EQ"}]},
{"names": ["socket"], "action": "SCMP_ACT_ALLOW"}]}`, "p.json:3:12: socket: two actions for one condition of socketcall on 386, which carries it: libseccomp refuses it"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := OCI("p.json", []byte(tt.profile), OCIOptions{Options: Options{Native: abi.AMD64}})
			if err == nil {
				t.Fatal("no error")
			}
			first, _, _ := strings.Cut(err.Error(), "\n")
			if first != tt.want {
				t.Errorf("got  %s\nwant %s", first, tt.want)
			}
		})
	}
}

// The profiles in testdata are read whole, compiled and proved.
func TestProfiles(t *testing.T) {
	for _, file := range []string{"P1", "P2", "P3", "P4"} {
		for _, native := range []abi.ABI{abi.AMD64, abi.I386} {
			data, err := os.ReadFile("../../testdata/policies/" + file + ".json")
			if err != nil {
				t.Fatal(err)
			}
			p, losses, err := OCI(file, data, OCIOptions{Options: Options{Native: native}})
			if err != nil || len(losses) != 0 && native == abi.AMD64 {
				t.Fatalf("%s: %v, %v", file, losses, err)
			}
			r := resolve(t, p, native)
			if _, err := build.Build(r); err != nil { // which proves it
				t.Errorf("%s on %s: %v", file, native, err)
			}
			if native == abi.AMD64 {
				checkPlainReading(t, file, data, r)
			}
		}
	}
}

// checkPlainReading compares the verdicts with those of the file read the simple
// way, which testdata's files allow: an entry without args decides its names,
// several with args are alternatives.
func checkPlainReading(t *testing.T, file string, data []byte, r *policy.Resolved) {
	t.Helper()
	var plain struct {
		DefaultAction string
		Syscalls      []struct {
			Names    []string
			Action   string
			ErrnoRet uint16
			Args     []struct {
				Index           int
				Value, ValueTwo uint64
				Op              string
			}
		}
	}
	if err := json.Unmarshal(data, &plain); err != nil {
		t.Fatal(err)
	}
	kinds := map[string]abi.Action{"SCMP_ACT_ALLOW": abi.Allow, "SCMP_ACT_ERRNO": abi.Errno, "SCMP_ACT_TRAP": abi.Trap}
	verdict := func(name string, args [6]uint64) abi.Action {
		for _, e := range plain.Syscalls {
			holds := slices.Contains(e.Names, name)
			for _, a := range e.Args {
				word := args[a.Index]
				switch a.Op {
				case "SCMP_CMP_EQ":
					holds = holds && word == a.Value
				case "SCMP_CMP_LT":
					holds = holds && word < a.Value
				case "SCMP_CMP_GT":
					holds = holds && word > a.Value
				case "SCMP_CMP_MASKED_EQ":
					holds = holds && word&a.Value == a.ValueTwo
				default:
					t.Fatalf("%s: operator %s", file, a.Op)
				}
			}
			if holds {
				return kinds[e.Action]
			}
		}
		return kinds[plain.DefaultAction]
	}
	words := []uint64{0, 1 << 32}
	for _, e := range plain.Syscalls {
		for _, a := range e.Args {
			words = append(words, a.Value, a.Value+1, a.Value-1, a.ValueTwo, a.ValueTwo|1<<32)
		}
	}
	slices.Sort(words)
	words = slices.Compact(words)
	last := uint32(0)
	for _, e := range plain.Syscalls {
		for _, name := range e.Names {
			nr, ok := abi.AMD64.Lookup(name)
			if !ok {
				t.Fatalf("%s: no call %s", file, name)
			}
			last = max(last, nr)
		}
	}
	for nr, name := range abi.AMD64.Syscalls() {
		for i, first := range words {
			c := abi.Call{NR: nr, Arch: abi.AMD64.AuditArch()}
			for arg := range c.Args {
				c.Args[arg] = words[(i*(1+arg*7)+arg)%len(words)]
			}
			c.Args[0] = first
			want := verdict(name, c.Args)
			if nr > last {
				want = abi.Errno
			}
			if got := r.Eval(c).Action.Kind(); got != want {
				t.Fatalf("%s: %s => %v, want %v", file, policy.FormatCall(c), got, want)
			}
		}
	}
}

func FuzzOCI(f *testing.F) {
	f.Add([]byte(`{"defaultAction":"SCMP_ACT_ERRNO","architectures":["SCMP_ARCH_X86"],"syscalls":[{"names":["socket","read"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":1,"valueTwo":2,"op":"SCMP_CMP_MASKED_EQ"}]}]}`))
	f.Add([]byte(`{"linux":{"seccomp":{"defaultAction":"SCMP_ACT_ALLOW","archMap":[{"architecture":"SCMP_ARCH_X86_64","subArchitectures":null}]}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, _, err := OCI("f", data, OCIOptions{Options: Options{Native: abi.AMD64}})
		if err != nil {
			return
		}
		if len(p.Rules) > 0 || p.Default.Kind != 0 {
			resolve(t, p, abi.AMD64)
		}
		if !p.Load.Disabled {
			if _, err := Export(formatOCI(t), p, Options{Native: abi.AMD64}); err != nil && !errors.Is(err, proof.ErrUnknown) {
				t.Error(err)
			}
		}
	})
}
