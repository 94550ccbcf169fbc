package convert

import (
	"strings"
	"testing"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/internal/proof"
	"github.com/sysgate/sysgate/policy"
)

// filterForms are the formats of filters that can be read.
func filterForms(t testing.TB) []Format {
	var all []Format
	for _, f := range Formats() {
		if f.Filter != nil {
			all = append(all, f)
		}
	}
	if len(all) < 5 {
		t.Fatalf("only %d", len(all))
	}
	return all
}

// A filter in any form is the policy, also for machines of the other order, and is
// told by its content.
func TestFilters(t *testing.T) {
	for _, abis := range []string{"amd64, 386", "s390x", "arm64"} {
		p := parse(t, "version: 1\nabis: ["+abis+"]\ndefault_action: errno(EPERM)\nunknown_action: errno(ENOSYS)\nbad_arch_action: trap(3)\nsyscalls:\n"+
			"- {action: allow, names: [write], calls: [\"fcntl(cmd in {1, 2, 7})\", \"read(count:64 > 0x10000005)\"]}\n- {action: trace(5), calls: [\"dup(fildes == 3)\"]}\n")
		for _, f := range filterForms(t) {
			e, err := Export(f, p, Options{Native: abi.AMD64})
			if err != nil {
				t.Fatalf("%s: %v", f.Name, err)
			}
			if len(e.Different) > 0 || len(e.Losses) > 0 {
				t.Errorf("%s %s: %v %+v", f.Name, abis, e.Losses, e.Different)
			}
			if got, _ := Detect("p", e.Data); got.Name != f.Name {
				t.Errorf("%s is taken for %q\n%.200s", f.Name, got.Name, e.Data)
			}
			program, bigEndian, err := f.Filter("p", e.Data, Options{Native: abi.AMD64})
			if err != nil {
				t.Fatalf("%s: %v", f.Name, err)
			}
			if want := abis == "s390x"; bigEndian != want {
				t.Errorf("%s %s: big-endian %t", f.Name, abis, bigEndian)
			}
			if result := proof.Equal(resolve(t, p, p.ABIs[0]), program, proof.Budget{}); result.Verdict != proof.Proved {
				t.Errorf("%s %s: %+v", f.Name, abis, result)
			}
		}
	}
}

func TestFiltersRefuse(t *testing.T) {
	for name, texts := range map[string][]string{
		"bpf":    {"", "1234567", "\x00\x01\x02\x03\x04\x05\x06\x07"},
		"base64": {"", "!!!!", "AAECAwQFBgc="},
		"c":      {"", "{ 6, 0, 0, 1 }, nonsense { 6, 0, 0, 0 }", "{ 6, 300, 0, 0 }", "{ 0x20, 0, 0, 4 }"},
		"json":   {"", "[1]", `[{"jt": 1}]`, `[{"code": 6}] 5`, "[]"},
		"asm":    {"", "ld nothing", "ld arch", "ret allow\nret"},
	} {
		for _, text := range texts {
			if _, _, err := format(t, name).Read("p", []byte(text), Options{Native: abi.AMD64}); err == nil || !strings.Contains(err.Error(), "p") {
				t.Errorf("%s %q: %v", name, text, err)
			}
		}
	}
}

// Mistakes in text have their place.
func TestFilterMistakes(t *testing.T) {
	for _, tt := range []struct{ format, text, want string }{
		{"json", "[{\"code\": 6},\n {\"code\": 99999}]", "p:2:11: not a filter: code: want a number of 16 bits"},
		{"json", "[{\"code\": 6, \"x\": 1}]", "p:1:14: not a filter: unknown field"},
		{"json", "[{\"code\": 6, \"code\": 1}]", "p:1:14: not a filter: field \"code\" stands twice"},
		{"json", "[{\"code\": 6},\n]", "p:2:1: not a filter: not JSON"},
		{"json", "[{\"k\": 6}]", "p:1:2: not a filter: the instruction has no code"},
		{"json", "{}", "p:1:1: not a filter: want a list"},
		{"c", "// mine\nstruct sock_filter f[] = {\n\tBPF_STMT(BPF_RET|BPF_K, WHAT) };", "p:3:26: not a filter: an unknown name"},
		{"c", "struct sock_filter f[] = {\n#if X\n{6,0,0,0}\n#endif\n};", "p:2:1: not a filter: conditions of the preprocessor"},
		{"c", "struct sock_filter f[] = { BPF_STMT(BPF_RET|BPF_K) };", "p:1:50: not a filter: want \",\""},
		{"c", "struct sock_filter f[] = { {6,0,0,__NR_nothing} };", "p:1:35: not a filter: amd64 has no call nothing"},
		{"c", "struct sock_filter f[] = { {6,0,0,0} }, g[1];\nstruct sock_filter h[] = { {6,0,0,0} };", "p:2:8: not a filter: a second array"},
		{"c", "#define A(x) {6,0,0,x}\nstruct sock_filter f[] = { A(1, 2) };", "p:2:28: not a filter: A takes 1 arguments, not 2"},
		{"c", "#define A {6,0,0,B}\n#define B A\nstruct sock_filter f[] = { A };", "p:"},
		{"c", "struct sock_filter f[] = { {6,0,0,0x100000000} };", "p:1:35: not a filter: 4294967296 does not fit into 32 bits"},
		{"c", "struct sock_filter f[] = { {6,0,0,0}", "p:1:8: not a filter: the array has no end"},
	} {
		if _, _, err := format(t, tt.format).Read("p", []byte(tt.text), Options{Native: abi.AMD64}); err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%s %q: %v", tt.format, tt.text, err)
		}
	}
	if f, _ := Detect("p", []byte("struct sock_filter f[] = { BPF_STMT(6, 0) };")); f.Name != "c" {
		t.Errorf("macros are taken for %q", f.Name)
	}
}

// What is said of loading a filter is no verdict, and is reported.
func TestLoading(t *testing.T) {
	p := parse(t, "version: 1\nabis: [amd64]\nflag: log\nno_new_privs: false\ndefault_action: errno\nsyscalls: [{action: allow, names: [read]}]")
	for _, name := range []string{"bpf", "json", "c", "asm", "base64", "pfc", "crun", "seccomp-tools", "go-source", "minijail-c", "minijail-py", "kafel", "seccompiler", "firecracker", "snap"} {
		e, err := Export(format(t, name), p, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if len(e.Losses) != 2 || !strings.Contains(e.Losses[0].Msg, "flag log") || !strings.Contains(e.Losses[1].Msg, "no_new_privs") {
			t.Errorf("%s: %v", name, e.Losses)
		}
	}
}

func FuzzFilters(f *testing.F) {
	p := bpf.Program{bpf.Stmt(bpf.LdAbs, 4), bpf.Jump(bpf.JeqK, abi.AMD64.AuditArch(), 0, 1), bpf.Stmt(bpf.RetK, uint32(abi.Allow)), bpf.Stmt(bpf.RetK, 0)}
	f.Add(string(p.Bytes(false)))
	f.Add(string(FilterC(p)))
	f.Add("ld arch\nret allow")
	f.Add("ld [16]\nret a")
	f.Add("ld nr\nand #0xf\nor #0x50000\nret a")
	f.Add(`[{"code": 6, "jt": 0, "jf": 0, "k": 2147418112}]`)
	forms := filterForms(f)
	f.Fuzz(func(t *testing.T, text string) {
		for _, form := range forms {
			form.Detect("f", []byte(text))
			program, bigEndian, err := form.Filter("f", []byte(text), Options{Native: abi.AMD64})
			if err != nil {
				_ = err.Error()
				continue
			}
			if err := program.Validate(); err != nil {
				t.Fatalf("%s: %v", form.Name, err)
			}
			q, _, err := form.Read("f", []byte(text), Options{Native: abi.AMD64})
			if err != nil {
				continue // no policy can say it, or nobody knows
			}
			r, _, err := q.Resolve(policy.Options{Native: abi.AMD64})
			if err != nil {
				t.Fatal(err)
			}
			c := abi.Call{Arch: abi.AMD64.AuditArch(), NR: 3, Args: [6]uint64{1, 2, 3}}
			if got, want := proof.Effect(r.Eval(c).Action), proof.Effect(program.Run(c, bigEndian).Return); got != want {
				t.Fatalf("%s: %v, want %v", form.Name, got, want)
			}
		}
	})
}
