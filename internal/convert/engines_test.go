package convert

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
)

// Each row is a profile in an engine's dialect, and what becomes of calls.
func TestDialects(t *testing.T) {
	const mixed = `{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrno": "ENOSYS", "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]}],
 "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ERRNO", "errno": "EACCES"}, {"names": ["write"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "99.0"}}, {"names": ["openat2"], "action": "SCMP_ACT_ALLOW", "excludes": {"caps": ["CAP_SYS_ADMIN"]}}]}`
	const spo = "apiVersion: security-profiles-operator.x-k8s.io/v1\nkind: SeccompProfile\nmetadata: {name: x}\nspec:\n  defaultAction: SCMP_ACT_ERRNO\n"
	for _, tt := range []struct {
		name, format, text, want string
		caps                     []string
		losses                   []string
	}{
		{name: "Podman takes errors by name and knows no minKernel", format: "podman", text: mixed, want: `
read() => errno(13)
write() => allow
close() => errno(38)
openat2() => allow
386:openat2() => allow`, losses: []string{`p:2:145: field "minKernel" is unknown`}},
		{name: "Docker knows minKernel and no errors by name", format: "docker", text: mixed, want: `
write() => errno(1)
close() => errno(1)
openat2() => allow`, losses: []string{`p:1:37: field "defaultErrno" is unknown`, `field "errno" is unknown`}},
		{name: "capabilities", format: "docker", caps: []string{"SYS_ADMIN"}, text: mixed, want: `
openat2() => errno(1)`, losses: []string{"defaultErrno", "errno"}},
		{name: "SeccompProfile", format: "spo", text: spo + `
  architectures: [SCMP_ARCH_X86]
  flags: [SECCOMP_FILTER_FLAG_LOG]
  syscalls:
  - names: [read, openat2]
    action: SCMP_ACT_ALLOW
  - names: [write]
    action: SCMP_ACT_ERRNO
    errnoRet: 0
  - names: [socket]
    action: SCMP_ACT_ALLOW
    args: [{index: 0, value: 0x1, op: SCMP_CMP_EQ}]
`, want: `
read() => allow
386:read() => allow
write() => errno(1)
socket(1) => allow
socket(2) => errno(1)
nr:9999 => errno(38)`},
		{name: "what a SeccompProfile has not", format: "spo", text: spo + "  defaultErrnoRet: 38\n  baseProfileName: runc-v1.2\n  syscalls:\n  - {names: [read], action: SCMP_ACT_ALLOW, includes: {caps: [x]}}", want: `
read() => allow
write() => errno(1)`, losses: []string{"p:7:20: the calls of the base profile runc-v1.2", `"defaultErrnoRet" is unknown`, `"includes" is unknown`}},
		{name: "a pod whose profile is with it", format: "k8s", text: "apiVersion: v1\nkind: ConfigMap\ndata:\n  x.json: '{\"defaultAction\": \"SCMP_ACT_LOG\"}'\n---\nkind: Pod\nspec:\n  securityContext:\n    seccompProfile: {type: Localhost, localhostProfile: profiles/x.json}\n", want: "read() => log"},
		{name: "an unconfined pod", format: "k8s", text: "spec:\n  securityContext:\n    seccompProfile:\n      type: Unconfined\n", want: "read() => allow\n386:nr:3 => allow"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, losses, err := format(t, tt.format).Read("p", []byte(tt.text), Options{Native: abi.AMD64, Caps: tt.caps})
			if err != nil {
				t.Fatal(err)
			}
			holdsLosses(t, losses, tt.losses)
			holdsTo(t, p, abi.AMD64, tt.want)
		})
	}
}

// Each row is a file that the format does not take, and what is said.
func TestDialectErrors(t *testing.T) {
	const spo = "kind: SeccompProfile\nspec:\n  defaultAction: SCMP_ACT_ALLOW\n  syscalls:\n  - names: [read]\n    action: SCMP_ACT_LOG\n    args:\n"
	for _, tt := range []struct{ format, text, want string }{
		{"spo", spo + "    - {index: 0, op: SCMP_CMP_EQ, value: 9223372036854775808}", "p:8:42: value: the API server takes numbers below 2^63"},
		{"spo", spo + "    - {index: 7, op: SCMP_CMP_EQ}", "p:8:15: index: want a number from 0 to 5"},
		{"spo", "kind: SeccompProfile", "p: no SeccompProfile with a spec"},
		{"spo", "kind: SeccompProfile\nspec: {defaultAction: SCMP_ACT_ALLOW}\n---\nkind: SeccompProfile\n", "p:4:1: the file has several SeccompProfiles"},
		{"spo", "kind: SeccompProfile\nspec: *x\n", "p:2:7: not YAML"},
		{"spo", "kind: SeccompProfile\nspec: {defaultAction: SCMP_ACT_ALLOW, defaultAction: SCMP_ACT_LOG}\n", "p:2:39: field \"defaultAction\": want a name that stands once"},
		{"k8s", "spec:\n  seccompProfile:\n    type: Localhost\n    localhostProfile: profiles/x.json\n", "p:3:5: the pod refers to the profile profiles/x.json, on its node /var/lib/kubelet/seccomp/profiles/x.json"},
		{"k8s", "spec:\n  seccompProfile:\n    type: RuntimeDefault\n", "p:3:5: the pod refers to RuntimeDefault: the container runtime's own profile"},
		{"k8s", "seccompProfile: {type: Odd}", "p:1:24: unknown type \"Odd\""},
		{"k8s", "a: {seccompProfile: {type: Unconfined}}\nb: {seccompProfile: {type: RuntimeDefault}}", "p:2:21: the manifest refers to two profiles: Unconfined and RuntimeDefault"},
		{"k8s", "a: 1", "p: no seccompProfile in the manifest"},
	} {
		_, _, err := format(t, tt.format).Read("p", []byte(tt.text), Options{Native: abi.AMD64})
		if err == nil {
			t.Errorf("%s: no error", tt.text)
			continue
		}
		if first, _, _ := strings.Cut(err.Error(), "\n"); !strings.HasPrefix(first, tt.want) {
			t.Errorf("got  %s\nwant %s", first, tt.want)
		}
	}
}

func TestDetectEngines(t *testing.T) {
	for text, want := range map[string]string{
		`{"defaultAction": "SCMP_ACT_ALLOW"}`:                                      "oci",
		`{"defaultAction": "SCMP_ACT_ALLOW", "archMap": []}`:                       "docker",
		`{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"includes": {}}]}`:      "docker",
		`{"defaultAction": "SCMP_ACT_ALLOW", "defaultErrno": "EPERM"}`:             "podman",
		`{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"errno": "E"}]}`:        "podman",
		"apiVersion: x\nkind: SeccompProfile\n":                                    "spo",
		"spec:\n  securityContext:\n    seccompProfile:\n      type: Unconfined\n": "k8s",
		"[Service]\nUser=x\n": "systemd",
	} {
		if f, _ := Detect("x", []byte(text)); f.Name != want {
			t.Errorf("%s: %q, want %s", text, f.Name, want)
		}
	}
}

// The benchmark policies survive being written and read as every kind of profile;
// what differs is what the format cannot say.
func TestExportEngines(t *testing.T) {
	files, err := filepath.Glob("../../testdata/policies/P*.json")
	if err != nil || len(files) != 4 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"docker", "podman", "k8s", "spo"} {
			p, _, err := OCI(file, data, OCIOptions{Options: Options{Native: abi.AMD64}})
			if err != nil {
				t.Fatal(err)
			}
			e, err := Export(format(t, name), p, Options{Native: abi.AMD64})
			if err != nil {
				t.Fatalf("%s as %s: %v", file, name, err)
			}
			// It has conditions on all 64 bits of two arguments, which a SeccompProfile
			// cannot say.
			wide := name == "spo" && strings.Contains(file, "P4")
			if (len(e.Different) > 0 || len(e.Losses) > 0) != wide || e.Looser() {
				t.Errorf("%s as %s: %v %+v", file, name, e.Losses, e.Different)
			}
			// Without an error, Podman's and Docker's are the same.
			if f, _ := Detect("x", e.Data); f.Name != name && !(f.Name == "docker" && name == "podman" && !strings.Contains(string(e.Data), "ERRNO")) {
				t.Errorf("%s as %s: taken for %s", file, name, f.Name)
			}
		}
	}
}

// A SeccompProfile has no other default error than EPERM, and no large values.
func TestWriteSPO(t *testing.T) {
	p := parse(t, "version: 1\nabis: [amd64]\ndefault_action: errno(ENOSYS)\nsyscalls:\n- {action: allow, names: [read]}\n- {action: allow, calls: [\"mmap(length:64 == 0x8000000000000000)\"]}\n")
	e, err := Export(format(t, "spo"), p, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(e.Losses) != 1 || !strings.Contains(e.Losses[0].Msg, "mmap: a value of 2^63") || len(e.Named()) == 0 || e.Looser() {
		t.Errorf("%v, looser %t, %+v", e.Losses, e.Looser(), e.Named())
	}
	p.ABIs = []abi.ABI{abi.LOONG64}
	p.Rules = nil
	if _, err := Export(format(t, "spo"), p, Options{}); err == nil || !strings.Contains(err.Error(), "loong64") {
		t.Error(err)
	}
}

// A condition on all bits of one argument is written with comparisons of order, and
// libseccomp makes of them what the reader does.
func TestWriteSPOOrder(t *testing.T) {
	p := parse(t, "version: 1\nabis: [amd64]\ndefault_action: errno(EPERM)\nunknown_action: errno(ENOSYS)\nbad_arch_action: kill_thread\nx32_action: kill_thread\nsyscalls:\n- {action: allow, calls: [\"socket(domain:64 not in {AF_ALG, AF_VSOCK})\"]}\n")
	e, err := Export(format(t, "spo"), p, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(e.Losses) > 0 || len(e.Named()) > 0 || strings.Count(string(e.Data), "SCMP_CMP_") != 3 {
		t.Errorf("%v %+v\n%s", e.Losses, e.Named(), e.Data)
	}
	newLibseccomp(t).confirm(t, []byte(`{"defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86_64"], "syscalls": [
		{"names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 37, "op": "SCMP_CMP_LE"}]},
		{"names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 39, "op": "SCMP_CMP_EQ"}]},
		{"names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 41, "op": "SCMP_CMP_GE"}]}]}`), abi.AMD64)
}

func FuzzManifests(f *testing.F) {
	f.Add("kind: SeccompProfile\nspec:\n  defaultAction: SCMP_ACT_ERRNO\n  syscalls:\n  - names: [read]\n    action: SCMP_ACT_ALLOW\n    args: [{index: 0, op: SCMP_CMP_EQ, value: 1}]\n")
	f.Add("kind: ConfigMap\ndata: {x.json: '{\"defaultAction\": \"SCMP_ACT_LOG\"}'}\n---\nseccompProfile: {type: Localhost, localhostProfile: a/x.json}\n")
	f.Fuzz(func(t *testing.T, text string) {
		for _, name := range []string{"spo", "k8s"} {
			p, _, err := format(t, name).Read("p", []byte(text), Options{Native: abi.AMD64})
			if err != nil {
				continue
			}
			if _, _, err := p.Resolve(policy.Options{Native: abi.AMD64}); err != nil {
				t.Fatalf("%v\n%s", err, p.Format())
			}
		}
	})
}

func FuzzDialects(f *testing.F) {
	f.Add(`{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrno": "ENOSYS", "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]}], "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ERRNO", "errno": "EACCES", "includes": {"minKernel": "4.8", "caps": ["CAP_SYS_ADMIN"]}}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		for _, name := range []string{"docker", "podman"} {
			for _, symbolic := range []bool{false, true} {
				p, _, err := format(t, name).Read("p", []byte(text), Options{Native: abi.AMD64, Symbolic: symbolic})
				if err != nil {
					continue
				}
				if _, _, err := p.Resolve(policy.Options{Native: abi.AMD64}); err != nil {
					t.Fatalf("%v\n%s", err, p.Format())
				}
			}
		}
	})
}
