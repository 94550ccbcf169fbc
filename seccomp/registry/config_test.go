package registry

import (
	"encoding/json"
	"errors"
	"runtime"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"github.com/sysgate/sysgate"
	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/seccomp"
)

func TestDecode(t *testing.T) {
	kill := seccomp.ActionKillProcess
	clone := seccomp.SyscallGroup{
		Action: seccomp.ActionErrno,
		Names:  []string{"connect"},
		NamesWithCondtions: []seccomp.NameWithConditions{{
			Name: "clone",
			Conditions: seccomp.ArgumentConditions{
				{Argument: 0, Operation: seccomp.BitsSet, Value: 0x10000000},
				{Argument: 1, Operation: seccomp.NotEqual, Value: 0xffffffffffffffff},
				{Argument: 0, Operation: seccomp.Equal, Value: 0},
			},
		}},
	}
	full := &seccomp.Policy{DefaultAction: seccomp.ActionAllow, BadArchAction: &kill, Syscalls: []seccomp.SyscallGroup{
		clone,
		{Action: seccomp.ActionErrno | 38, Names: []string{"execve"}},
	}}
	for _, test := range []struct {
		name   string
		unpack func(any) error
		want   config
	}{
		{"none", nil, config{enabled: true}},
		{"empty", yamlConfig(""), config{enabled: true}},
		{"empty section", yamlConfig("seccomp:\nother: 1"), config{enabled: true}},
		{"empty object", jsonConfig("{}"), config{enabled: true}},
		{"enabled", yamlConfig("enabled: true"), config{enabled: true}},
		{"disabled", yamlConfig("enabled: false"), config{}},
		{"disabled, with what is not looked at", yamlConfig("enabled: false\ndefault_action: allow"), config{}},
		{"required", yamlConfig("seccomp: {required: true}"), config{enabled: true, required: true}},
		{"YAML", yamlConfig(`
output: {console: true}
seccomp:
  default_action: Allow
  bad_arch_action: kill_process
  syscalls:
  - action: errno
    names: [connect]
    names_with_args:
    - name: clone
      arguments:
      - {argument: 0, operation: bitsset, value: 0x10000000}
      - {position: 1, operation: NotEqual, value: 0xffffffffffffffff}
      - {operation: Equal}
  - action: errno(ENOSYS)
    names: [execve]
`), config{enabled: true, policy: full}},
		{"JSON", jsonConfig(`{"enabled": true, "default_action": "allow", "bad_arch_action": "kill_process", "syscalls": [
			{"action": "errno", "names": ["connect"], "names_with_args": [{"name": "clone", "arguments": [
				{"argument": 0, "operation": "BitsSet", "value": 268435456},
				{"position": 1, "operation": "NotEqual", "value": 18446744073709551615},
				{"operation": "Equal"}]}]},
			{"action": "errno(38)", "names": ["execve"]}]}`), config{enabled: true, policy: full}},
	} {
		got, err := decode(test.unpack)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if got.enabled != test.want.enabled || got.required != test.want.required {
			t.Errorf("%s: %+v", test.name, got)
		}
		if (got.policy == nil) != (test.want.policy == nil) || got.policy != nil && !equal(got.policy, test.want.policy) {
			t.Errorf("%s: policy %+v, want %+v", test.name, got.policy, test.want.policy)
		}
	}
}

func TestDecodeErrors(t *testing.T) {
	elsewhere := "mmap2" // a call of other ABIs
	if _, ok := abi.Native().Lookup(elsewhere); ok {
		elsewhere = "arch_prctl"
	}
	const rule = "default_action: allow\nsyscalls:\n- action: errno\n  names: [execve]\n"
	for _, test := range []struct {
		yaml string
		want []string
	}{
		{"default_action: allow", []string{"missing required field accessing 'seccomp.syscalls'"}},
		{"default_action: allow\nsyscalls: []", []string{"missing required field accessing 'seccomp.syscalls'"}},
		{"bad_arch_action: allow", []string{"missing required field accessing 'seccomp.default_action'", "'seccomp.syscalls'"}},
		{"syscalls: [{action: errno, names: [execve]}]", []string{"missing required field accessing 'seccomp.default_action'"}},
		{"default_action: allow\nsyscalls: [{names: [execve]}]", []string{"missing required field accessing 'seccomp.syscalls.0.action'"}},
		{rule + "- action: errno", []string{"missing required field accessing 'seccomp.syscalls.1.names'"}},
		{rule + "- action: errno\n  names: []", []string{"missing required field accessing 'seccomp.syscalls.1.names'"}},
		{rule + "- action: deny\n  names: [fork]", []string{"invalid action: deny accessing 'seccomp.syscalls.1.action'"}},
		{rule + "- action: errno(0)\n  names: [fork]", []string{"seccomp.syscalls.1.action"}},
		{rule + "- action: errno(4096)\n  names: [fork]", []string{"seccomp.syscalls.1.action"}},
		{rule + "default_acton: allow\n", []string{"unknown key accessing 'seccomp.default_acton'"}},
		{rule + "  name: [fork]", []string{"unknown key accessing 'seccomp.syscalls.0.name'"}},
		{"requird: true", []string{"unknown key accessing 'seccomp.requird'"}},
		{"enabled: false\nrequird: true", []string{"unknown key accessing 'seccomp.requird'"}},
		{"enabled: false\nrequired: true", []string{"enabled: false does not go with required: true"}},
		{"seccomp: [a]", []string{"registry.section"}}, // of the YAML library
		{rule + "- action: errno\n  names: [exceve]", []string{"exceve"}},
		{rule + "- action: errno\n  names: [fork, fork]", []string{"fork"}},
		{rule + "- action: errno\n  names: [" + elsewhere + "]", []string{elsewhere}},
		{rule + "  names_with_args:\n  - arguments: [{operation: Equal}]", []string{"missing required field accessing 'seccomp.syscalls.0.names_with_args.0.name'"}},
		{rule + "  names_with_args:\n  - name: clone", []string{"missing required field accessing 'seccomp.syscalls.0.names_with_args.0.arguments'"}},
		{rule + "  names_with_args:\n  - name: clone\n    arguments: [{argument: 0, value: 1}]", []string{"missing required field accessing 'seccomp.syscalls.0.names_with_args.0.arguments.0.operation'"}},
		{rule + "  names_with_args:\n  - name: clone\n    arguments: [{argument: 0, operation: Equals}]", []string{"invalid operation: equals accessing"}},
		{rule + "  names_with_args:\n  - name: clone\n    arguments: [{argument: 0, position: 0, operation: Equal}]", []string{"argument and position"}},
		{rule + "  names_with_args:\n  - name: clone\n    arguments: [{argument: 6, operation: Equal}]", []string{"argument must be between 0 and 5 (inclusive), but is 6"}},
		{rule + "  names_with_args:\n  - name: clone\n    arguments: [{arg: 0, operation: Equal, val: 1}]", []string{
			"unknown key accessing 'seccomp.syscalls.0.names_with_args.0.arguments.0.arg'", "arguments.0.val'",
		}},
	} {
		if runtime.GOARCH == "arm64" && strings.Contains(test.yaml, "fork") {
			continue // has no such call
		}
		c, err := decode(yamlConfig(test.yaml))
		if err == nil {
			t.Errorf("%s\ndecodes to %+v", test.yaml, c.policy)
			continue
		}
		for _, want := range test.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s\nerror %v, want %s", test.yaml, err, want)
			}
		}
	}
}

// TestDecodeTwice: the same configuration gives the same policy again, and not a
// longer one.
func TestDecodeTwice(t *testing.T) {
	unpack := yamlConfig(execDenied)
	first, err := decode(unpack)
	if err != nil {
		t.Fatal(err)
	}
	first.policy.Syscalls[0].Names[0] = "ptrace"
	second, err := decode(unpack)
	if err != nil {
		t.Fatal(err)
	}
	if names := second.policy.Syscalls[0].Names; len(names) != 1 || names[0] != "execve" {
		t.Errorf("names are %v", names)
	}
}

// FuzzDecode has no document crash the decoder, and holds what it takes to be one
// to a policy that can be assembled.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(execDenied))
	f.Add([]byte("seccomp: {enabled: false}"))
	f.Add([]byte("seccomp: [1]\n"))
	f.Add([]byte(`{"default_action":"errno(ENOSYS)","syscalls":[{"action":"trace(1)","names_with_args":[{"name":"socket","arguments":[{"operation":"Equal","value":1}]}]}]}`))
	f.Add([]byte("? [a]\n: b\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, unpack := range []func(any) error{
			func(v any) error { return json.Unmarshal(data, v) },
			func(v any) error { return yaml.Unmarshal(data, v) },
		} {
			c, err := decode(unpack)
			if err != nil || c.policy == nil {
				continue
			}
			if !c.enabled {
				t.Error("disabled, and a policy")
			}
			// A large one may be more than a filter holds, and nothing else.
			if _, err := c.policy.Assemble(); err != nil && !errors.Is(err, sysgate.ErrTooLarge) {
				t.Error(err)
			}
		}
	})
}
