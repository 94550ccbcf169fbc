package cli

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"go/format"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/internal/certify"
	"github.com/sysgate/sysgate/internal/proof"
	"github.com/sysgate/sysgate/internal/source"
	"github.com/sysgate/sysgate/internal/testkit"
	"github.com/sysgate/sysgate/policy"
)

var update = flag.Bool("update", false, "rewrite testdata/emit")

// golden is what the forms are tested with: a policy, and a filter of a person's
// hand, so that the compiler may get better without the forms changing.
func golden(t *testing.T) *emission {
	t.Helper()
	p, err := policy.Parse("policy.yaml", []byte(`# as in the documentation
version: 1
abis: [amd64, 386]
flag: log
default_action: errno(EPERM)
syscalls:
- action: allow
  names: [read, write] # 0 and 1
- action: trap(7)
  calls:
  - amd64:socket(domain in {AF_UNIX, AF_INET}, type & 0xf == SOCK_STREAM)
`))
	if err != nil {
		t.Fatal(err)
	}
	r, _, err := p.Resolve(policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	program, err := bpf.Parse(`
	        ld arch
	        jeq #0xc000003e, amd64, +0
	        jeq #0x40000003, i386, foreign
	i386:   ld nr
	        jgt #4, deny, +0
	        jge #3, allow, deny
	amd64:  ld nr
	        jge #0x40000000, high, +0
	        jgt #1, +0, allow
	        jeq #41, socket, deny
	socket: ld args[0].lo
	        jgt #2, deny, +0
	        jeq #0, deny, +0
	        ld args[1].lo
	        and #0xf
	        jeq #1, trap, deny
	high:   jset #0x40000000, +0, deny       ; a large number without bit 30
	        jeq #0xffffffff, deny, x32
	x32:    ret errno(38)
	trap:   ret trap(7)
	allow:  ret allow
	deny:   ret errno(1)
	foreign: ret kill_process
	`, false)
	if err != nil {
		t.Fatal(err)
	}
	if result := proof.Equal(r, program, proof.Budget{}); result.Verdict != proof.Proved {
		t.Fatalf("the golden filter is not its policy: %+v: %s", result, policy.FormatCall(result.Witness))
	}
	return &emission{policy: p, resolved: r, program: program, goPackage: "example"}
}

// emitted returns what form name makes of m.
func emitted(t testing.TB, name string, m *emission) []byte {
	t.Helper()
	i := slices.IndexFunc(forms, func(f form) bool { return f.name == name })
	var out bytes.Buffer
	if err := forms[i].write(&out, m); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestEmit compares every form with its golden file.
func TestEmit(t *testing.T) {
	m := golden(t)
	for _, f := range forms {
		t.Run(f.name, func(t *testing.T) {
			got := emitted(t, f.name, m)
			if again := emitted(t, f.name, m); !bytes.Equal(got, again) {
				t.Error("not the same twice")
			}
			// What depends on the tables of this sysgate is no matter of the form.
			text := strings.ReplaceAll(string(got), abi.Tables, "TABLES")
			text = regexp.MustCompile("Sum: +\"[0-9a-f]{64}\"").ReplaceAllString(text, `Sum: "SUM"`)
			text = regexp.MustCompile("(?s)Certificate: `.*?`").ReplaceAllString(text, "Certificate: `CERTIFICATE`")
			if f.binary {
				text = fmt.Sprintf("%x\n", got)
			}
			if f.name == "certificate" {
				text = fmt.Sprintf("%d bytes\n", len(got))
			}
			file := filepath.Join("testdata", "emit", f.name+".golden")
			if *update {
				if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), text); diff != "" {
				t.Errorf("go test -run TestEmit -update ./internal/cli\n%s", diff)
			}
		})
	}
}

// The forms that filters are read in come back as they were.
func TestEmitReadBack(t *testing.T) {
	m := golden(t)
	for _, name := range []string{"bpf", "base64", "c", "json"} {
		in, err := source.Parse(name, emitted(t, name, m), source.Options{Native: abi.AMD64})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(m.program, in.Program); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	p, err := bpf.Parse(string(emitted(t, "asm", m)), false)
	if diff := cmp.Diff(m.program, p); diff != "" || err != nil {
		t.Errorf("asm: %v %s", err, diff)
	}
	raw, err := base64.StdEncoding.DecodeString(string(emitted(t, "base64", m)))
	if err != nil || !bytes.Equal(raw, emitted(t, "bpf", m)) {
		t.Errorf("base64 is not bpf: %v", err)
	}
	var list []bpf.Instruction
	if err := json.Unmarshal(emitted(t, "json", m), &list); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]bpf.Instruction(m.program), list); diff != "" {
		t.Errorf("json: %s", diff)
	}
}

// The other byte order is that of the machine, not of this one.
func TestEmitBigEndian(t *testing.T) {
	p, err := policy.Parse("p", []byte("version: 1\nabis: [s390x]\ndefault_action: allow\nbad_arch_action: allow\nsyscalls: []\n"))
	if err != nil {
		t.Fatal(err)
	}
	r, _, err := p.Resolve(policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	m := &emission{policy: p, resolved: r, program: bpf.Program{bpf.Stmt(bpf.RetK, uint32(abi.Allow))}, goPackage: "example"}
	if got, want := emitted(t, "bpf", m), []byte{0, 6, 0, 0, 0x7f, 0xff, 0, 0}; !bytes.Equal(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
	if text := string(emitted(t, "go", m)); !strings.Contains(text, "//go:build linux && s390x") {
		t.Errorf("no build constraint:\n%s", text)
	}
}

// A C compiler takes the C form, and means the filter by it.
func TestEmitCompiledC(t *testing.T) {
	testkit.Need(t, testkit.CC)
	m := golden(t)
	dir := t.TempDir()
	program := filepath.Join(dir, "print")
	source := `#include <stdio.h>
#include "filter.h"
int main(void) {
	for (int i = 0; i < sysgate_program.len; i++) {
		struct sock_filter f = sysgate_program.filter[i];
		printf("%u %u %u %u\n", f.code, f.jt, f.jf, f.k);
	}
	return 0;
}
`
	for name, data := range map[string][]byte{"main.c": []byte(source), "filter.h": emitted(t, "c", m)} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("gcc", "-Wall", "-Wextra", "-Werror", "-o", program, filepath.Join(dir, "main.c")).CombinedOutput(); err != nil {
		t.Fatalf("gcc: %v\n%s", err, out)
	}
	out, err := exec.Command(program).Output()
	if err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	for _, i := range m.program {
		fmt.Fprintf(&want, "%d %d %d %d\n", i.Code, i.JT, i.JF, i.K)
	}
	if diff := cmp.Diff(want.String(), string(out)); diff != "" {
		t.Error(diff)
	}
}

func TestEmitCertificate(t *testing.T) {
	m := golden(t)
	err := certify.Check(m.policy.Format(), policy.Options{Native: abi.AMD64}, m.program, emitted(t, "certificate", m))
	if err != nil {
		t.Error(err)
	}
	// A filter that is not its policy has none, whatever asks for it.
	m.program = slices.Clone(m.program)
	m.program[5].K++
	for _, name := range []string{"certificate", "go"} {
		i := slices.IndexFunc(forms, func(f form) bool { return f.name == name })
		var out bytes.Buffer
		if err := forms[i].write(&out, m); err == nil || out.Len() > 0 {
			t.Errorf("%s: %v, %d bytes", name, err, out.Len())
		}
	}
}

func TestEmitGo(t *testing.T) {
	m := golden(t)
	source := emitted(t, "go", m)
	if formatted, err := format.Source(source); err != nil || !bytes.Equal(formatted, source) {
		t.Errorf("not as gofmt writes it: %v", err)
	}
	// Text that ends a raw string, or that one cannot hold.
	for _, comment := range []string{"a `quote`", "\ttab", `back\slash "quoted"`} {
		q := *m.policy
		q.Comment = comment
		n := *m
		n.policy = &q
		emitted(t, "go", &n)
	}
	var out bytes.Buffer
	for _, name := range []string{"", "a-b", "func", "a b"} {
		m.goPackage = name
		if err := emitGo(&out, m); err == nil || out.Len() > 0 {
			t.Errorf("package %q: %v", name, err)
		}
	}
}

// The benchmark policies have every form, and certificates that are accepted.
func TestEmitBenchmarkPolicies(t *testing.T) {
	run := func(args ...string) (code int, stdout, stderr string) {
		var out, errs bytes.Buffer
		code = Main(args, strings.NewReader(""), &out, &errs)
		return code, out.String(), errs.String()
	}
	for _, name := range []string{"P1", "P2", "P3", "P4"} {
		file, dir := filepath.Join("..", "..", "testdata", "policies", name+".json"), t.TempDir()
		for _, f := range forms {
			if code, _, stderr := run("compile", "-q", "--abi", "amd64", "--emit", f.name, "-o", filepath.Join(dir, f.name), file); code != 0 {
				t.Errorf("%s: %s: exit code %d\n%s", name, f.name, code, stderr)
			}
		}
		for _, filter := range []string{"asm", "bpf", "base64", "c", "json"} {
			code, stdout, stderr := run("verify", "--abi", "amd64", file, filepath.Join(dir, filter), filepath.Join(dir, "certificate"))
			if code != 0 || !strings.HasPrefix(stdout, "accepted: ") {
				t.Errorf("%s: verify %s: exit code %d\n%s%s", name, filter, code, stdout, stderr)
			}
		}
	}
}

// A program that is built with the Go form enforces the policy.
func TestEmitGoRuns(t *testing.T) {
	testkit.NeedFilters(t)
	if abi.Native() != abi.AMD64 {
		t.Skipf("the policy is for amd64, this is %v", abi.Native())
	}
	p, err := policy.Parse("p", []byte("version: 1\nabis: [amd64, 386]\ndefault_action: allow\nsyscalls:\n- action: errno(EXDEV)\n  names: [sethostname]\n"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	policyFile, generated, main := filepath.Join(dir, "p.yaml"), filepath.Join(dir, "seccomp.go"), filepath.Join(dir, "main.go")
	for file, data := range map[string][]byte{policyFile: p.Format(), main: []byte(`package main

import (
	"fmt"
	"syscall"

	"github.com/sysgate/sysgate"
)

func main() {
	check(Seccomp().Check())
	_, err := Seccomp().Filter()
	check(err)
	_, err = Seccomp().Install(sysgate.Options{})
	check(err)
	fmt.Println(syscall.Sethostname([]byte("x")) == syscall.EXDEV)
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
`)} {
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var stderr bytes.Buffer
	if code := Main([]string{"compile", "--emit", "go", "--package", "main", "-o", generated, policyFile}, strings.NewReader(""), &stderr, &stderr); code != 0 {
		t.Fatalf("exit code %d\n%s", code, stderr.String())
	}
	// The files are of this module, and nowhere in it.
	here, err := filepath.Abs("testdata/generated")
	if err != nil {
		t.Fatal(err)
	}
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {
		filepath.Join(here, "main.go"): main, filepath.Join(here, "seccomp.go"): generated,
	}})
	if err != nil {
		t.Fatal(err)
	}
	overlayFile, program := filepath.Join(dir, "overlay.json"), filepath.Join(dir, "program")
	if err := os.WriteFile(overlayFile, overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("go", "build", "-overlay", overlayFile, "-o", program, "./testdata/generated").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	if out, err := exec.Command(program).CombinedOutput(); err != nil || string(out) != "true\n" {
		t.Errorf("%v\n%s", err, out)
	}
}

// The graph has every instruction once, and an edge for every way out of a block.
func TestEmitDotWhole(t *testing.T) {
	m := golden(t)
	text := string(emitted(t, "dot", m))
	for pc := range m.program {
		if n := len(regexp.MustCompile(fmt.Sprintf(`(label="|\\l)%d: `, pc)).FindAllString(text, -1)); n != 1 {
			t.Errorf("instruction %d stands %d times", pc, n)
		}
	}
	edges := 0
	for _, e := range regexp.MustCompile(`n(\d+) -> n(\d+)`).FindAllStringSubmatch(text, -1) {
		edges++
		if !strings.Contains(text, "\tn"+e[2]+" [label=") {
			t.Errorf("edge to n%s, which is no block", e[2])
		}
	}
	if edges != 24 {
		t.Errorf("%d edges", edges)
	}
}
