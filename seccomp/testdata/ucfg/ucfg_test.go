// Package ucfg_test reads configurations into the types of package seccomp with
// go-ucfg, as libbeat does. It is a module of its own, so that go-ucfg is no
// dependency of sysgate; TestUcfg of package seccomp runs it.
package ucfg_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	elastic "github.com/elastic/go-seccomp-bpf"
	"github.com/elastic/go-ucfg/yaml"
	yamlv2 "gopkg.in/yaml.v2"

	"github.com/sysgate/sysgate/seccomp"
)

const documented = `
seccomp:
  default_action: allow
  syscalls:
  - action: errno
    names:
    - connect
    - accept
    names_with_args:
    - name: clone
      arguments:
      - argument: 0
        operation: BitsNotSet
        value: 0x10000000
      - operation: greaterthan
        argument: 2
  - action: KILL_PROCESS
    names: [execve, execveat]
  - action: trace
    names_with_args:
    - {name: ioctl, arguments: [{argument: 1, operation: Equal, value: 21505}]}
`

// unpack reads a document into a struct with the key seccomp.
func unpack[T any](t *testing.T, text string, into T) (T, error) {
	t.Helper()
	c, err := yaml.NewConfig([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	config := struct {
		Seccomp T `config:"seccomp"`
	}{into}
	err = c.Unpack(&config)
	return config.Seccomp, err
}

// A documented configuration unpacks into what the documented types hold.
func TestDocumented(t *testing.T) {
	for name, text := range map[string]string{
		"all":           documented,
		"numbers":       "seccomp: {default_action: errno, syscalls: [{action: log, names_with_args: [{name: read, arguments: [{argument: 5, operation: BITSSET, value: 18446744073709551615}]}]}]}",
		"unknown keys":  "seccomp: {enabled: true, default_action: kill_process, syscalls: [{action: allow, names: [read], comment: no}]}",
		"empty group":   "seccomp: {default_action: allow, syscalls: [{action: trap}]}",
		"kill_thread":   "seccomp: {default_action: kill_thread, syscalls: [{action: kill_thread, names: [read]}]}",
		"scalar as one": "seccomp: {default_action: allow, syscalls: [{action: errno, names: read}]}",
	} {
		got, err := unpack(t, text, seccomp.Policy{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		want, err := unpack(t, text, elastic.Policy{})
		if err != nil {
			t.Fatalf("%s: the documented package: %v", name, err)
		}
		if g, w := toJSON(t, got), toJSON(t, want); g != w {
			t.Errorf("%s: got\n%s\nwant\n%s", name, g, w)
		}
		if name != "empty group" {
			if _, err := got.Assemble(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func toJSON(t *testing.T, v any) string {
	t.Helper()
	data, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// Both packages refuse the same, with the same words.
func TestErrors(t *testing.T) {
	for _, text := range []string{
		"seccomp: {default_action: allow, syscalls: [{names: [read]}]}",
		"seccomp: {default_action: deny, syscalls: [{action: errno, names: [read]}]}",
		"seccomp: {default_action: 327680, syscalls: [{action: errno, names: [read]}]}",
		"seccomp: {default_action: allow, syscalls: [{action: Deny, names: [read]}]}",
		"seccomp: {default_action: allow, syscalls: []}",
		"seccomp: {default_action: allow}",
		"seccomp: {default_action: allow, syscalls: [{action: errno, names_with_args: [{name: read}]}]}",
		"seccomp: {default_action: allow, syscalls: [{action: errno, names_with_args: [{arguments: [{operation: Equal}]}]}]}",
		"seccomp: {default_action: allow, syscalls: [{action: errno, names_with_args: [{name: read, arguments: [{operation: Above}]}]}]}",
		"seccomp: {default_action: allow, syscalls: [{action: errno, names_with_args: [{name: read, arguments: [{operation: Equal, value: -1}]}]}]}",
		"seccomp: {default_action: allow, syscalls: [{action: errno, names_with_args: [{name: read, arguments: [{operation: Equal, argument: x}]}]}]}",
	} {
		_, got := unpack(t, text, seccomp.Policy{})
		_, want := unpack(t, text, elastic.Policy{})
		if want == nil {
			t.Errorf("%s: the documented package takes it", text)
		} else if got == nil || got.Error() != want.Error() {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
	_, err := unpack(t, "seccomp: {default_action: allow, syscalls: [{names: [read]}]}", seccomp.Policy{})
	if want := "missing required field accessing 'seccomp.syscalls.0.action'"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

// A configuration that leaves the default action out is not one that kills.
func TestMissingDefaultAction(t *testing.T) {
	for _, text := range []string{
		"seccomp: {syscalls: [{action: allow, names: [read]}]}",
		"seccomp: {default_action: , syscalls: [{action: allow, names: [read]}]}",
	} {
		if p, err := unpack(t, text, seccomp.Policy{}); err == nil || !strings.Contains(err.Error(), "missing default_action") {
			t.Errorf("%s: %+v, %v", text, p, err)
		}
		if p, err := unpack(t, text, (*seccomp.Policy)(nil)); err == nil || !strings.Contains(err.Error(), "missing default_action") {
			t.Errorf("%s, into a pointer: %+v, %v", text, p, err)
		}
	}
	// One that is there stays, as where a configuration changes a default policy.
	base := seccomp.Policy{DefaultAction: seccomp.ActionErrno, Syscalls: []seccomp.SyscallGroup{{Action: seccomp.ActionAllow, Names: []string{"read"}}}}
	p, err := unpack(t, "seccomp: {syscalls: [{action: log, names: [write]}]}", base)
	if err != nil || p.DefaultAction != seccomp.ActionErrno || p.Syscalls[0].Action != seccomp.ActionLog {
		t.Errorf("%+v, %v", p, err)
	}
	// A document that says nothing of it is as in the documented package.
	_, got := unpack(t, "other: 1", seccomp.Policy{})
	_, want := unpack(t, "other: 1", elastic.Policy{})
	if (got == nil) != (want == nil) {
		t.Errorf("no policy: %v, want %v", got, want)
	}
}

// Nor is a condition without an operation one that always holds or never does:
// the documented package takes it.
func TestMissingOperation(t *testing.T) {
	const text = "seccomp: {default_action: allow, syscalls: [{action: errno, names_with_args: [{name: read, arguments: [{argument: 0}]}]}]}"
	if p, err := unpack(t, text, seccomp.Policy{}); err == nil || !strings.Contains(err.Error(), "read: missing operation") {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestFilter(t *testing.T) {
	kill := seccomp.ActionKillThread
	for text, want := range map[string]seccomp.Filter{
		"seccomp: {no_new_privs: true, flag: 1, policy: {default_action: allow, syscalls: [{action: errno, names: [read]}]}}": {
			NoNewPrivs: true, Flag: seccomp.FilterFlagTSync,
			Policy: seccomp.Policy{DefaultAction: seccomp.ActionAllow, Syscalls: []seccomp.SyscallGroup{{Action: seccomp.ActionErrno, Names: []string{"read"}}}},
		},
		"seccomp: {flag: tsync|log, policy: {default_action: errno(ENOSYS), bad_arch_action: kill_thread, syscalls: [{action: trap(7), names: [read]}]}}": {
			Flag: seccomp.FilterFlagTSync | seccomp.FilterFlagLog,
			Policy: seccomp.Policy{
				DefaultAction: seccomp.ActionErrno | 38, BadArchAction: &kill,
				Syscalls: []seccomp.SyscallGroup{{Action: seccomp.ActionTrap | 7, Names: []string{"read"}}},
			},
		},
	} {
		if got, err := unpack(t, text, seccomp.Filter{}); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v; want %+v", text, got, err, want)
		}
	}
	if f, err := unpack(t, "seccomp: {flag: sync, policy: {default_action: allow, syscalls: [{action: errno, names: [read]}]}}", seccomp.Filter{}); err == nil {
		t.Errorf("flag sync is %v", f.Flag)
	}
}

// The YAML library that go-ucfg uses reads back what it writes, and misses what
// is missing, without go-ucfg too.
func TestYAML(t *testing.T) {
	p, err := unpack(t, documented, seccomp.Policy{})
	if err != nil {
		t.Fatal(err)
	}
	p.Syscalls[0].Action |= 13
	written, err := yamlv2.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	var read seccomp.Policy
	if err := yamlv2.Unmarshal(written, &read); err != nil || toJSON(t, read.Syscalls[0]) != toJSON(t, p.Syscalls[0]) || read.Syscalls[1].Action != p.Syscalls[1].Action {
		t.Errorf("%v\n%s\nread as %+v", err, written, read)
	}
	if err := yamlv2.Unmarshal([]byte("syscalls: [{action: allow, names: [read]}]"), &read); err == nil || !strings.Contains(err.Error(), "missing default_action") {
		t.Error(err)
	}
}
