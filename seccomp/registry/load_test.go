package registry

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"github.com/sysgate/sysgate"
	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
	"github.com/sysgate/sysgate/seccomp"
)

// yamlConfig is a configuration as programs have it.
func yamlConfig(text string) func(any) error {
	return func(v any) error { return yaml.Unmarshal([]byte(text), v) }
}

func jsonConfig(text string) func(any) error {
	return func(v any) error { return json.Unmarshal([]byte(text), v) }
}

// fakeSystem is a system that answers with errors, and remembers what was
// installed.
func fakeSystem(supported, installs error, installed ...**seccomp.Policy) system {
	return system{
		supported: func() error { return supported },
		install: func(p *seccomp.Policy) (*sysgate.Installed, error) {
			for _, where := range installed {
				*where = p
			}
			if installs != nil {
				return nil, installs
			}
			return &sysgate.Installed{Filter: &sysgate.Filter{}}, nil
		},
	}
}

const execDenied = "default_action: allow\nsyscalls: [{action: errno, names: [execve]}]\n"

func TestLoad(t *testing.T) {
	errKernel := fmt.Errorf("load: %w", sysgate.ErrThread)
	errAction := fmt.Errorf("action log: %w", errors.ErrUnsupported)
	for _, test := range []struct {
		name       string
		config     string // YAML; "": no configuration
		registered *seccomp.Policy
		abi        abi.ABI // if not the native one
		system     system
		outcome    Outcome
		source     Source
		log        string // level and message of the last line
		err        string // if required too
		required   string // error once it is required; "" if there is none
	}{
		{
			name: "default", system: fakeSystem(nil, nil),
			outcome: Installed, source: Default, log: "INFO Syscall filter successfully installed",
		},
		{
			name: "registered before default", registered: allowList("read"), system: fakeSystem(nil, nil),
			outcome: Installed, source: Registered, log: "INFO Syscall filter successfully installed",
		},
		{
			name: "configured before registered", config: execDenied, registered: allowList("read"), system: fakeSystem(nil, nil),
			outcome: Installed, source: Configured, log: "INFO Syscall filter successfully installed",
		},
		{
			name: "enabled and no policy", config: "enabled: true\n", registered: allowList("read"), system: fakeSystem(nil, nil),
			outcome: Installed, source: Registered, log: "INFO Syscall filter successfully installed",
		},
		{
			name: "disabled", config: "enabled: false\n" + execDenied, registered: allowList("read"), system: fakeSystem(nil, nil),
			outcome: Disabled, log: "INFO Syscall filter is disabled by the configuration",
			required: "enabled: false does not go with required: true",
		},
		{
			name: "not Linux", config: execDenied, system: fakeSystem(errNotLinux, nil),
			outcome: Unsupported, source: Configured, log: "DEBUG Syscall filtering is only supported on Linux",
			required: "only supported on Linux",
		},
		{
			name: "no seccomp", registered: allowList("read"), system: fakeSystem(errNoSeccomp, nil),
			outcome: Unsupported, source: Registered,
			log:      "INFO Syscall filter could not be installed because the kernel does not support seccomp",
			required: "the kernel does not support seccomp",
		},
		{
			name: "no such action", registered: allowList("read"), system: fakeSystem(nil, errAction),
			outcome: Unsupported, source: Registered, log: "WARN Syscall filter could not be installed",
			required: "action log",
		},
		{
			name: "failure", registered: allowList("read"), system: fakeSystem(nil, errKernel),
			outcome: Failed, source: Registered, log: "WARN Syscall filter could not be installed",
			required: "a thread could not be given the seccomp filter",
		},
		{
			name: "no policy", abi: abi.RISCV64, system: fakeSystem(nil, nil),
			outcome: NoPolicy, log: "DEBUG No seccomp policy is defined",
			required: "no seccomp policy is defined",
		},
		{
			name: "invalid", config: "default_action: nothing\nsyscalls: [{action: errno, names: [execve]}]\n", system: fakeSystem(nil, nil),
			outcome: Invalid, log: "ERROR Syscall filter configuration is invalid", err: "invalid action: nothing",
			required: "invalid action: nothing",
		},
	} {
		for _, required := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/required=%v", test.name, required), func(t *testing.T) {
				r := newRegistry()
				if test.abi != abi.None {
					r.abi = test.abi
				}
				if r.defaultPolicy() == nil && test.source == Default {
					t.Skipf("no default policy for %v", r.abi)
				}
				if test.registered != nil {
					if err := r.register(test.registered, "test"); err != nil {
						t.Fatal(err)
					}
				}
				text, want := test.config, test.err
				if required {
					text, want = "required: true\n"+text, test.required
				}
				var unpack func(any) error
				if text != "" {
					unpack = yamlConfig(text)
				}
				var b bytes.Buffer
				logger := slog.New(slog.NewTextHandler(&b, &slog.HandlerOptions{Level: slog.LevelDebug}))
				result, err := r.load(unpack, Options{Logger: logger}, test.system)

				if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
					t.Errorf("error %v, want %q", err, want)
				}
				if result == nil {
					t.Fatal("no result")
				}
				outcome, source, log := test.outcome, test.source, test.log
				if required && test.required != "" {
					_, message, _ := strings.Cut(log, " ")
					log = "ERROR " + message
					if outcome == Disabled {
						outcome, log = Invalid, "ERROR Syscall filter configuration is invalid"
					}
				}
				if result.Outcome != outcome || result.Source != source {
					t.Errorf("%s of %s, want %s of %s", result.Outcome, result.Source, outcome, source)
				}
				if good := outcome == Installed || outcome == Disabled; (result.Err == nil) != good {
					t.Errorf("result's error %v", result.Err)
				}
				if (result.Installed != nil) != (outcome == Installed) {
					t.Errorf("installed is %v", result.Installed)
				}
				if (result.Policy != nil) != (source != "") {
					t.Errorf("policy %v", result.Policy)
				}
				lines := strings.Split(strings.TrimSpace(b.String()), "\n")
				level, message, _ := strings.Cut(log, " ")
				last := lines[len(lines)-1]
				if !strings.Contains(last, "level="+level+" ") || !strings.Contains(last, fmt.Sprintf("msg=%q", message)) {
					t.Errorf("logged %s, want %s", last, log)
				}
				if result.Err != nil && !strings.Contains(last, "error=") {
					t.Errorf("logged %s, without the error", last)
				}
			})
		}
	}
}

// TestLoadSharesNothing: a configured policy takes the place of the others, as a
// whole, and for one call.
func TestLoadSharesNothing(t *testing.T) {
	r := newRegistry()
	registered := allowList("read", "write", "close")
	registered.Syscalls = append(registered.Syscalls, seccomp.SyscallGroup{Action: seccomp.ActionLog, Names: []string{"ptrace"}})
	if err := r.register(registered, "test"); err != nil {
		t.Fatal(err)
	}
	var installed *seccomp.Policy
	s := fakeSystem(nil, nil, &installed)
	result, err := r.load(yamlConfig(execDenied), Options{}, s)
	if err != nil {
		t.Fatal(err)
	}
	want := &seccomp.Policy{
		DefaultAction: seccomp.ActionAllow,
		Syscalls:      []seccomp.SyscallGroup{{Action: seccomp.ActionErrno, Names: []string{"execve"}}},
	}
	if !equal(installed, want) || !equal(result.Policy, want) {
		t.Errorf("installed is %v, result has %v", installed, result.Policy)
	}
	if _, err := r.load(nil, Options{}, s); err != nil {
		t.Fatal(err)
	}
	if !equal(installed, registered) {
		t.Errorf("installed next is %v", installed)
	}
}

// TestLoadWarns: what the author of a policy should know is logged.
func TestLoadWarns(t *testing.T) {
	s := fakeSystem(nil, nil)
	s.install = func(*seccomp.Policy) (*sysgate.Installed, error) {
		return &sysgate.Installed{Filter: &sysgate.Filter{Warnings: []policy.Warning{{Msg: "setuid32 is let through"}}}}, nil
	}
	var b bytes.Buffer
	if _, err := newRegistry().load(yamlConfig(execDenied), Options{Logger: slog.New(slog.NewTextHandler(&b, nil))}, s); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), `level=WARN msg="Syscall filter policy" warning="setuid32 is let through"`) {
		t.Errorf("logged:\n%s", b.String())
	}
}

func TestUnpackFails(t *testing.T) {
	broken := errors.New("broken")
	result, err := newRegistry().load(func(any) error { return broken }, Options{}, fakeSystem(nil, nil))
	if !errors.Is(err, broken) || result.Outcome != Invalid || !errors.Is(result.Err, broken) {
		t.Errorf("%v, %v", result, err)
	}
}
