package seccomp_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
	"pgregory.net/rapid"

	"github.com/sysgate/sysgate/seccomp"
)

func TestDecodePolicy(t *testing.T) {
	killThread := seccomp.ActionKillThread
	want := seccomp.Policy{
		DefaultAction: seccomp.ActionErrno | 38,
		BadArchAction: &killThread,
		Syscalls: []seccomp.SyscallGroup{
			{Action: seccomp.ActionAllow, Names: []string{"read", "write"}},
			{Action: seccomp.ActionKillThread, NamesWithCondtions: []seccomp.NameWithConditions{
				{Name: "clone", Conditions: seccomp.ArgumentConditions{
					{Argument: 2, Operation: seccomp.BitsSet, Value: 0x10000000},
					{Operation: seccomp.Equal},
				}},
			}},
		},
	}
	for name, text := range map[string]string{
		"position": `{"default_action": "errno(ENOSYS)", "bad_arch_action": "kill_thread", "syscalls": [
			{"action": "allow", "names": ["read", "write"]},
			{"action": "kill_thread", "names_with_args": [{"name": "clone", "arguments": [
				{"position": 2, "operation": "BitsSet", "value": 268435456}, {"operation": "equal"}]}]}]}`,
		"argument": `{"default_action": 327718, "bad_arch_action": 0, "syscalls": [
			{"action": 2147418112, "names": ["read", "write"], "names_with_args": null},
			{"action": "KILL_THREAD", "names": null, "names_with_args": [{"name": "clone", "arguments": [
				{"argument": 2, "operation": "BITSSET", "value": 268435456}, {"argument": 0, "operation": "Equal", "value": 0}]}]}]}`,
	} {
		for codec, unmarshal := range map[string]func([]byte, any) error{
			"json": json.Unmarshal, "yaml": func(data []byte, v any) error { return yaml.Unmarshal(data, v) },
		} {
			got := seccomp.Policy{Syscalls: []seccomp.SyscallGroup{{Names: []string{"stays", "not"}}}}
			if err := unmarshal([]byte(text), &got); err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%s, %s: %+v, %v", name, codec, got, err)
			}
		}
	}
}

// The file that go-seccomp-bpf's sandbox command documents, in YAML without
// go-ucfg.
func TestDecodeYAML(t *testing.T) {
	const text = `
seccomp:
  default_action: allow # the rest
  syscalls:
  - action: errno
    names:
    - connect
    - accept
  - action: errno
    names_with_args:
    - name: clone
      arguments:
      - argument: 0
        operation: BitsNotSet
        value: 0x10000000
`
	var got struct {
		Seccomp seccomp.Policy `yaml:"seccomp"`
	}
	if err := yaml.Unmarshal([]byte(text), &got); err != nil {
		t.Fatal(err)
	}
	want := seccomp.Policy{DefaultAction: seccomp.ActionAllow, Syscalls: []seccomp.SyscallGroup{
		{Action: seccomp.ActionErrno, Names: []string{"connect", "accept"}},
		{Action: seccomp.ActionErrno, NamesWithCondtions: []seccomp.NameWithConditions{
			{Name: "clone", Conditions: seccomp.ArgumentConditions{{Operation: seccomp.BitsNotSet, Value: 0x10000000}}},
		}},
	}}
	if !reflect.DeepEqual(got.Seccomp, want) {
		t.Errorf("%+v", got.Seccomp)
	}
}

// A key that is missing is an error, never zero, which is kill_thread; and so is
// one that nobody reads.
func TestDecodeErrors(t *testing.T) {
	const rest = `"syscalls": [{"action": "allow", "names": ["read"]}]}`
	conditional := func(condition string) string {
		return `{"default_action": "errno", "syscalls": [{"action": "allow", "names_with_args": [{"name": "read", "arguments": [` + condition + `]}]}]}`
	}
	for _, test := range []struct{ text, want string }{
		{`{` + rest, "policy: missing default_action"},
		{`{"default_action": null, ` + rest, "policy: missing default_action"},
		{`{"default_action": "deny", ` + rest, "invalid action: deny"},
		{`{"default_action": 7, ` + rest, "invalid action: 7"},
		{`{"default_action": "allow"}`, "policy: missing syscalls"},
		{`{"default_action": "allow", "syscalls": null}`, "policy: missing syscalls"},
		{`{"default_action": "allow", "unknown_action": "allow", ` + rest, `policy: unknown key "unknown_action"`},
		{`{"default_action": "allow", "syscalls": [{"names": ["read"]}]}`, "group of syscalls: missing action"},
		{`{"default_action": "allow", "syscalls": [{"action": null, "names": ["read"]}]}`, "group of syscalls: missing action"},
		{`{"default_action": "allow", "syscalls": [{"acton": "errno", "names": ["read"]}]}`, `group of syscalls: missing action, unknown key "acton"`},
		{`{"default_action": "allow", "syscalls": [{"action": "errno", "name_with_args": []}]}`, `group of syscalls: unknown key "name_with_args"`},
		{`{"default_action": "allow", "syscalls": [{"action": "errno", "names_with_args": [{"name": "read"}]}]}`, "names_with_args: missing arguments"},
		{`{"default_action": "allow", "syscalls": [{"action": "errno", "names_with_args": [{"arguments": []}]}]}`, "names_with_args: missing name"},
		{conditional(`{"argument": 1, "value": 2}`), "condition: missing operation"},
		{conditional(`{"operation": "Above"}`), "invalid operation: above"},
		{conditional(`{"operation": "Equal", "val": 2}`), `condition: unknown key "val"`},
		{conditional(`{"operation": "Equal", "argument": 1, "position": 1}`), "condition: argument and position say the same: write one"},
		{`[]`, ""},
		{`{"default_action": "allow", "syscalls": {}}`, ""},
	} {
		for codec, unmarshal := range map[string]func([]byte, any) error{
			"json": json.Unmarshal, "yaml": func(data []byte, v any) error { return yaml.Unmarshal(data, v) },
		} {
			before := seccomp.Policy{DefaultAction: seccomp.ActionLog}
			p := before
			err := unmarshal([]byte(test.text), &p)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%s of %s: %v, want %q", codec, test.text, err, test.want)
			}
			if !reflect.DeepEqual(p, before) {
				t.Errorf("%s of %s failed and left %+v", codec, test.text, p)
			}
		}
	}
}

// policies draws policies whose names mean something on amd64.
func policies() *rapid.Generator[seccomp.Policy] {
	name := rapid.SampledFrom([]string{"read", "write", "openat", "ioctl", "clone", "mmap", "socket", "execve"})
	condition := rapid.Custom(func(t *rapid.T) seccomp.Condition {
		return seccomp.Condition{
			Argument:  rapid.Uint32Range(0, 5).Draw(t, "argument"),
			Operation: rapid.SampledFrom(seccomp.Operations).Draw(t, "operation"),
			Value:     rapid.Uint64().Draw(t, "value"),
		}
	})
	group := rapid.Custom(func(t *rapid.T) seccomp.SyscallGroup {
		g := seccomp.SyscallGroup{Action: actions().Draw(t, "action")}
		g.Names = rapid.SliceOfDistinct(name, rapid.ID).Draw(t, "names")
		for range rapid.IntRange(0, 3).Draw(t, "entries") {
			g.NamesWithCondtions = append(g.NamesWithCondtions, seccomp.NameWithConditions{
				Name:       name.Draw(t, "name"),
				Conditions: rapid.SliceOfN(condition, 1, 3).Draw(t, "conditions"),
			})
		}
		return g
	})
	return rapid.Custom(func(t *rapid.T) seccomp.Policy {
		p := seccomp.Policy{
			DefaultAction: actions().Draw(t, "default"),
			Syscalls:      rapid.SliceOfN(group, 1, 4).Draw(t, "groups"),
		}
		if rapid.Bool().Draw(t, "bad arch") {
			a := actions().Draw(t, "bad arch action")
			p.BadArchAction = &a
		}
		return p
	})
}

// A policy and the filter around it read back as they were written.
func TestPolicyRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := policies().Draw(t, "policy")
		written, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		var read seccomp.Policy
		if err := json.Unmarshal(written, &read); err != nil || !reflect.DeepEqual(read, p) {
			t.Fatalf("JSON %s: read %+v, %v", written, read, err)
		}
		if written, err = yaml.Marshal(p); err != nil {
			t.Fatal(err)
		}
		read = seccomp.Policy{}
		if err := yaml.Unmarshal(written, &read); err != nil || !same(read, p) {
			t.Fatalf("YAML %s: read %+v, %v", written, read, err)
		}
		f := seccomp.Filter{NoNewPrivs: true, Flag: seccomp.FilterFlagTSync, Policy: p}
		if written, err = json.Marshal(f); err != nil {
			t.Fatal(err)
		}
		var readFilter seccomp.Filter
		if err := json.Unmarshal(written, &readFilter); err != nil || !reflect.DeepEqual(readFilter, f) {
			t.Fatalf("JSON %s: read %+v, %v", written, readFilter, err)
		}
	})
}

// same compares policies but for the difference between no list and an empty
// one, which YAML does not write.
func same(a, b seccomp.Policy) bool {
	normal := func(p seccomp.Policy) string {
		for i := range p.Syscalls {
			g := &p.Syscalls[i]
			g.Names = append([]string{}, g.Names...)
			g.NamesWithCondtions = append([]seccomp.NameWithConditions{}, g.NamesWithCondtions...)
		}
		data, _ := json.Marshal(p)
		return string(data)
	}
	return normal(a) == normal(b)
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"default_action": "allow", "syscalls": [{"action": "errno(EACCES)", "names": ["read"], "names_with_args": [{"name": "clone", "arguments": [{"position": 0, "operation": "BitsSet", "value": 1}]}]}]}`))
	f.Add([]byte("default_action: errno\nsyscalls:\n- action: allow\n  names: [read]\n"))
	f.Add([]byte(`{"default_action": 0, "syscalls": [{}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		for codec, unmarshal := range map[string]func([]byte, any) error{
			"json": json.Unmarshal, "yaml": func(data []byte, v any) error { return yaml.Unmarshal(data, v) },
		} {
			var p seccomp.Policy
			if err := unmarshal(data, &p); err != nil {
				continue
			}
			written, err := json.Marshal(p)
			if err != nil {
				t.Fatal(err)
			}
			var again seccomp.Policy
			if err := json.Unmarshal(written, &again); err == nil && !same(again, p) {
				t.Errorf("%s of %q wrote %s, which reads as another policy", codec, data, written)
			}
			if lowered, err := p.Lower(); err == nil && lowered == nil {
				t.Errorf("%s of %q: neither policy nor error", codec, data)
			}
		}
	})
}
