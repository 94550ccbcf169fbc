package sysgate

import (
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/certify"
	"github.com/sysgate/sysgate/internal/proof"
	"github.com/sysgate/sysgate/policy"
)

// precompiled returns what "compile --emit go" would generate for the text, on
// this machine.
func precompiled(t testing.TB, text string) *Precompiled {
	t.Helper()
	source, err := policy.Parse("policy", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	f, err := Compile(source, CompileOptions{})
	if err != nil {
		t.Fatal(err)
	}
	p := &Precompiled{Policy: string(source.Format()), Load: source.Load, Program: f.Program, Tables: abi.Tables}
	for _, s := range f.Policy.ABIs {
		p.ABIs = append(p.ABIs, s.ABI)
	}
	c, err := proof.Certify(f.Policy, f.Program, proof.Budget{})
	if err != nil {
		t.Fatal(err)
	}
	c.Hashes = certify.HashesOf([]byte(p.Policy), policy.Options{Native: p.ABIs[0]}, f.Program)
	p.Certificate = base64.StdEncoding.EncodeToString(c.Encode())
	p.Sum = p.Hash()
	return p
}

const noHostname = "version: 1\nflag: tsync\ndefault_action: allow\nsyscalls:\n- action: errno(EXDEV)\n  names: [sethostname]\n"

func TestPrecompiled(t *testing.T) {
	p := precompiled(t, noHostname)
	f, err := p.Filter()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(f.Program, p.Program) || f.Policy == nil {
		t.Errorf("%+v", f)
	}
	if err := p.Check(); err != nil {
		t.Error(err)
	}
}

// Whatever is changed after generation is found.
func TestPrecompiledChanged(t *testing.T) {
	no := false
	for name, change := range map[string]func(*Precompiled){
		"policy":         func(p *Precompiled) { p.Policy = strings.Replace(p.Policy, "EXDEV", "EPERM", 1) },
		"comment":        func(p *Precompiled) { p.Policy += "# and more\n" },
		"ABIs":           func(p *Precompiled) { p.ABIs = append(p.ABIs, abi.S390X) },
		"no ABI":         func(p *Precompiled) { p.ABIs = nil; p.Sum = p.Hash() },
		"flags":          func(p *Precompiled) { p.Load.Flags = nil },
		"no_new_privs":   func(p *Precompiled) { p.Load.NoNewPrivs = &no },
		"enabled":        func(p *Precompiled) { p.Load.Disabled = true },
		"one word":       func(p *Precompiled) { p.Program[len(p.Program)-1].K ^= 1 },
		"one jump":       func(p *Precompiled) { p.Program[1].JF++ },
		"length":         func(p *Precompiled) { p.Program = p.Program[:len(p.Program)-1] },
		"no program":     func(p *Precompiled) { p.Program = nil },
		"tables":         func(p *Precompiled) { p.Tables = "6.1-0123456789abcdef"; p.Sum = p.Hash() },
		"sum":            func(p *Precompiled) { p.Sum = strings.ToUpper(p.Sum) },
		"nothing at all": func(p *Precompiled) { *p = Precompiled{} },
	} {
		t.Run(name, func(t *testing.T) {
			p := precompiled(t, noHostname)
			change(p)
			if _, err := p.Filter(); !errors.Is(err, ErrUnproved) {
				t.Errorf("Filter: %v", err)
			}
			for _, o := range []Options{{}, {BestEffort: true}} {
				if _, err := p.Install(o); !errors.Is(err, ErrUnproved) {
					t.Fatalf("Install: %v", err) // and this process has a filter
				}
			}
			if err := p.Check(); !errors.Is(err, ErrUnproved) {
				t.Errorf("Check: %v", err)
			}
		})
	}
}

// Who computes a new hash for what he changed is found by the certificate.
func TestPrecompiledForged(t *testing.T) {
	no := false
	for name, change := range map[string]func(*Precompiled){
		"policy":         func(p *Precompiled) { p.Policy = strings.Replace(p.Policy, "EXDEV", "EPERM", 1) },
		"program":        func(p *Precompiled) { p.Program[len(p.Program)-1].K ^= 1 },
		"no_new_privs":   func(p *Precompiled) { p.Load.NoNewPrivs = &no },
		"enabled":        func(p *Precompiled) { p.Load.Disabled = true },
		"ABIs":           func(p *Precompiled) { p.ABIs = append(p.ABIs, abi.X32) },
		"no certificate": func(p *Precompiled) { p.Certificate = "" },
		"no base64":      func(p *Precompiled) { p.Certificate = "!" + p.Certificate },
		"damaged":        func(p *Precompiled) { p.Certificate = p.Certificate[:len(p.Certificate)-8] },
	} {
		t.Run(name, func(t *testing.T) {
			p := precompiled(t, noHostname)
			change(p)
			p.Sum = p.Hash()
			if err := p.Check(); !errors.Is(err, ErrUnproved) {
				t.Errorf("Check: %v", err)
			}
		})
	}
}

// A filter that is not meant for this program is not installed.
func TestPrecompiledRefused(t *testing.T) {
	off := precompiled(t, strings.Replace(noHostname, "flag: tsync", "enabled: false", 1))
	foreign := abi.S390X
	if abi.Native() == foreign {
		foreign = abi.AMD64
	}
	elsewhere := precompiled(t, strings.Replace(noHostname, "flag: tsync", "abis: ["+foreign.String()+"]", 1))
	for _, o := range []Options{{}, {BestEffort: true}} {
		if _, err := off.Install(o); !errors.Is(err, ErrDisabled) {
			t.Errorf("enabled: false: %v", err)
		}
		if _, err := elsewhere.Install(o); err == nil || !strings.Contains(err.Error(), "does not list") {
			t.Errorf("a filter for %v: %v", foreign, err)
		}
	}
	if err := elsewhere.Check(); err != nil { // which any machine can
		t.Error(err)
	}
}

// libbeatSize is a list as long as those of libbeat.
func libbeatSize() string {
	names, _ := policy.Set("@systemd/known")
	return "version: 1\ndefault_action: errno(EPERM)\nsyscalls:\n- action: allow\n  optional: true\n  names: [" + strings.Join(names[:117], ", ") + "]\n"
}

// BenchmarkPrecompiled is what an application pays at its start for a filter that
// was generated, before the kernel takes it: the hash. BenchmarkCompileLibbeat is
// what it pays otherwise.
func BenchmarkPrecompiled(b *testing.B) {
	p := precompiled(b, libbeatSize())
	b.ReportAllocs()
	for b.Loop() {
		if err := p.proved(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPrecompiledCheck is what the independent check costs.
func BenchmarkPrecompiledCheck(b *testing.B) {
	p := precompiled(b, libbeatSize())
	b.ReportAllocs()
	for b.Loop() {
		if err := p.Check(); err != nil {
			b.Fatal(err)
		}
	}
}
