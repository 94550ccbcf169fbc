// Ucfg has the registry read configurations by way of go-ucfg. It is built by a
// test, in a module of its own.
package main

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"

	"github.com/elastic/go-ucfg"
	"github.com/elastic/go-ucfg/yaml"

	"github.com/sysgate/sysgate/seccomp"
	"github.com/sysgate/sysgate/seccomp/registry"
)

func main() {
	if err := errors.Join(policies(), mistakes()); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("ok")
}

// load has the registry load what text says: nothing at all, because the policy
// is no good or disabled.
func load(text string) (*registry.Result, error) {
	config, err := yaml.NewConfig([]byte(text), ucfg.PathSep("."))
	if err != nil {
		return nil, err
	}
	return registry.LoadFilter(func(to any) error { return config.Unpack(to, ucfg.PathSep(".")) }, registry.Options{})
}

// policies loads filters that let through all that the program does.
func policies() error {
	result, err := load(`
default_action: allow
syscalls:
- action: errno
  names: [ptrace]
  names_with_args:
  - name: socket
    arguments:
    - {argument: 0, operation: equal, value: 0x26}
    - {argument: 1, operation: BitsSet, value: 0xffffffff}
- action: errno
  names: swapon
`)
	if err != nil {
		return err
	}
	if result.Outcome != registry.Installed || result.Source != registry.Configured {
		return fmt.Errorf("%s of %s: %w", result.Outcome, result.Source, result.Err)
	}
	want := &seccomp.Policy{DefaultAction: seccomp.ActionAllow, Syscalls: []seccomp.SyscallGroup{
		{Action: seccomp.ActionErrno, Names: []string{"ptrace"}, NamesWithCondtions: []seccomp.NameWithConditions{{
			Name: "socket",
			Conditions: seccomp.ArgumentConditions{
				{Argument: 0, Operation: seccomp.Equal, Value: 38},
				{Argument: 1, Operation: seccomp.BitsSet, Value: 0xffffffff},
			},
		}}},
		{Action: seccomp.ActionErrno, Names: []string{"swapon"}},
	}}
	if !reflect.DeepEqual(result.Policy, want) {
		return fmt.Errorf("policy %+v, want %+v", result.Policy, want)
	}
	if result, err = load("seccomp.enabled: false\noutput.console: true"); err != nil || result.Outcome != registry.Disabled {
		return fmt.Errorf("seccomp.enabled: false: %v, %w", result.Outcome, err)
	}
	return nil
}

func mistakes() error {
	var all []error
	for text, want := range map[string]string{
		"syscalls: [{action: errno, names: [ptrace]}]":                                              "missing required field accessing 'seccomp.default_action'",
		"default_action: allow\nsyscalls: [{names: [ptrace]}]":                                      "missing required field accessing 'seccomp.syscalls.0.action'",
		"default_action: allow\nsyscalls: [{action: errno, name: [ptrace]}]":                        "unknown key accessing 'seccomp.syscalls.0.name'",
		"default_action: allow\nsyscalls: [{action: nothing, names: [ptrace]}]":                     "invalid action: nothing",
		"default_action: allow\nsyscalls: [{action: errno, names_with_args: [{name: socket}]}]":     "names_with_args.0.arguments",
		"seccomp.default_action: allow\nseccomp.syscalls.0: {action: errno, names: [no_such_call]}": "no_such_call",
		"required: true\nenabled: false":                                                            "enabled: false",
	} {
		result, err := load(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			all = append(all, fmt.Errorf("%s\n%+v, error %v, want %q", text, result, err, want))
		}
	}
	return errors.Join(all...)
}
