package sysgate

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/internal/build"
	"github.com/sysgate/sysgate/internal/proof"
	"github.com/sysgate/sysgate/policy"
)

func TestCompile(t *testing.T) {
	f, err := Compile(parse(t, "{version: 1, default_action: errno(EACCES), syscalls: [{action: allow, names: [read]}, {action: allow, names: [write], when: {kernel: '6.0', caps: [CAP_SYS_ADMIN]}}]}"),
		CompileOptions{Native: abi.S390X, Kernel: "6.1", Caps: []string{"CAP_SYS_ADMIN"}})
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Policy.ABIs) != 1 || f.Policy.ABIs[0].ABI != abi.S390X || f.CompileTime <= 0 || f.ProofTime <= 0 || len(f.Warnings) != 0 {
		t.Errorf("%+v", f)
	}
	for name, want := range map[string]abi.Action{"read": abi.Allow, "write": abi.Allow, "ptrace": abi.Errno.WithData(13)} {
		nr, _ := abi.S390X.Lookup(name)
		c := abi.Call{Arch: abi.S390X.AuditArch(), NR: nr}
		if got := f.Program.Run(c, true).Return; got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}

// TestCompileErrors goes through what is told apart.
func TestCompileErrors(t *testing.T) {
	one := "{version: 1, default_action: allow, syscalls: [{action: errno, names: [raed]}]}"
	two := "{version: 1, abis: [amd64, s390x], default_action: allow, syscalls: [{action: errno, names: [read]}, {action: errno(ENOTHING), names: [read]}]}"
	for _, text := range []string{one, two} {
		p, err := policy.Parse("test.yaml", []byte(text))
		if err == nil {
			_, err = Compile(p, CompileOptions{})
		}
		var problem *policy.Error
		if !errors.As(err, &problem) || problem.Msg == "" {
			t.Errorf("%s: %v", text, err)
		}
	}

	// A policy with several problems: each can be had.
	several := parse(t, "{version: 1, default_action: allow, abis: [amd64], syscalls: [{action: errno, names: [read], when: {caps: [CAP_CHOWN]}}]}")
	several.Rules[0].When.Caps = []string{"CAP_ONE", "CAP_TWO"}
	for name, install := range map[string]func() error{
		"Compile": func() error { _, err := Compile(several, CompileOptions{}); return err },
		"Install": func() error { _, err := Install(several, Options{}); return fmt.Errorf("my server: %w", err) },
	} {
		err := install()
		var first *policy.Error
		var all policy.Errors
		if !errors.As(err, &first) || !errors.As(err, &all) || len(all) != 2 || all[0] != first || !errors.Is(err, all[1]) {
			t.Errorf("%s: %v", name, err)
		}
	}

	if _, err := Compile(parse(t, "{default_action: allow, syscalls: [{action: errno, names: [read]}]}"), CompileOptions{Kernel: "6"}); err == nil || !strings.Contains(err.Error(), `"6"`) {
		t.Errorf("bad release: %v", err)
	}

	for name, install := range map[string]func() error{
		"Compile": func() error { _, err := Compile(nil, CompileOptions{}); return err },
		"Install": func() error { _, err := Install(nil, Options{}); return err },
	} {
		if err := install(); err == nil || !strings.Contains(err.Error(), "no policy") {
			t.Errorf("%s without a policy: %v", name, err)
		}
	}

	var long strings.Builder
	long.WriteString("{version: 1, default_action: allow, syscalls: [")
	for i := range 1300 {
		fmt.Fprintf(&long, "{action: errno(%d), calls: ['nr:%d(%d)']},", i+1, 1000+2*i, i)
	}
	long.WriteString("]}")
	if _, err := Compile(parse(t, long.String()), CompileOptions{Native: abi.AMD64}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("too large a policy: %v", err)
	}

	unproved := problem(&build.UnprovedError{Result: proof.Result{Verdict: proof.Unknown, Reason: "budget of nodes"}})
	if !errors.Is(unproved, ErrUnproved) || !strings.Contains(unproved.Error(), "budget of nodes") {
		t.Errorf("unproved: %v", unproved)
	}
}

// TestUnproved: what is not as Compile returned it is not installed.
func TestUnproved(t *testing.T) {
	f, err := Compile(parse(t, "{default_action: allow, syscalls: [{action: errno, names: [ptrace]}]}"), CompileOptions{Native: abi.AMD64})
	if err != nil {
		t.Fatal(err)
	}
	for i := range f.Program {
		if f.Program[i].Code == bpf.RetK {
			f.Program[i].K = uint32(abi.Allow)
		}
	}
	for name, bad := range map[string]*Filter{
		"altered":   f,
		"hand-made": {Program: bpf.Program{bpf.Stmt(bpf.RetK, uint32(abi.Allow))}, Policy: f.Policy},
		"empty":     {},
		"none":      nil,
	} {
		if in, err := bad.Install(Options{}); !errors.Is(err, ErrUnproved) {
			t.Errorf("%s: %+v, %v", name, in, err)
		}
	}
}

func TestSettle(t *testing.T) {
	foreign := abi.S390X
	if abi.Native() == foreign {
		foreign = abi.AMD64
	}
	allow := "default_action: allow, syscalls: [{action: errno, names: [ptrace]}]"
	tests := []struct {
		name, policy string
		options      Options
		want         Options
		err          string
	}{
		{"nothing said", "{" + allow + "}", Options{}, Options{}, ""},
		{"flags", "{seccomp: {no_new_privs: false, flag: log|tsync, policy: {" + allow + "}}}", Options{}, Options{KeepPrivileges: true, Log: true}, ""},
		{"no_new_privs", "{seccomp: {no_new_privs: true, policy: {" + allow + "}}}", Options{KeepPrivileges: true}, Options{KeepPrivileges: true}, ""},
		{"disabled", "{enabled: false, " + allow + "}", Options{}, Options{}, ErrDisabled.Error()},
		{"foreign", "{version: 1, abis: [" + foreign.String() + "], " + allow + "}", Options{}, Options{}, "does not list"},
		{"no listener", "{" + allow + "}", Options{WaitKillable: true}, Options{}, "WaitKillable needs Listener"},
	}
	for _, tt := range tests {
		f, err := Compile(parse(t, tt.policy), CompileOptions{})
		if err != nil {
			t.Fatal(err)
		}
		got, err := f.settle(tt.options)
		switch {
		case tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)):
			t.Errorf("%s: %v, want %s", tt.name, err, tt.err)
		case tt.err == "" && (err != nil || got.KeepPrivileges != tt.want.KeepPrivileges || got.Log != tt.want.Log):
			t.Errorf("%s: %+v, %v; want %+v", tt.name, got, err, tt.want)
		}
	}
	if _, err := Install(parse(t, "{enabled: false, "+allow+"}"), Options{}); !errors.Is(err, ErrDisabled) {
		t.Errorf("Install of a disabled policy: %v", err)
	}
}

// A policy that says that it lacks calls is not compiled, and so not installed.
func TestCompileIncomplete(t *testing.T) {
	p, err := policy.Parse("part.yaml", []byte("version: 1\ncomplete: false\ndefault_action: errno(EPERM)\nsyscalls: []\n"))
	if err != nil {
		t.Fatal(err)
	}
	var bad *policy.Error
	if _, err := Compile(p, CompileOptions{}); !errors.As(err, &bad) || bad.Pos.File != "part.yaml" || bad.Hint == "" {
		t.Errorf("%v", err)
	}
	p.Incomplete = false
	if _, err := Compile(p, CompileOptions{}); err != nil {
		t.Error(err)
	}
}
