package source

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/internal/proof"
	"github.com/sysgate/sysgate/policy"
)

// sample compares with a's architecture, with the number 39, and with the low half
// of an argument.
func sample(a abi.ABI) bpf.Program {
	return bpf.Program{
		bpf.Stmt(bpf.LdAbs, bpf.OffsetArch),
		bpf.Jump(bpf.JeqK, a.AuditArch(), 0, 4),
		bpf.Stmt(bpf.LdAbs, bpf.OffsetNR),
		bpf.Jump(bpf.JeqK, 39, 0, 2),
		bpf.Stmt(bpf.LdAbs, bpf.OffsetArg(0, false, a.BigEndian())),
		bpf.Jump(bpf.JsetK, 1, 1, 0),
		bpf.Stmt(bpf.RetK, uint32(abi.KillProcess)),
		bpf.Stmt(bpf.RetK, uint32(abi.Allow)),
	}
}

func inC(p bpf.Program) string {
	var b strings.Builder
	fmt.Fprintf(&b, "struct sock_filter f[] = {\n")
	for i, in := range p {
		fmt.Fprintf(&b, "\t{ 0x%02x, %d, %d, 0x%08x }, /* %d */\n", in.Code, in.JT, in.JF, in.K, i)
	}
	return b.String() + "};\n"
}

func inJSON(t *testing.T, p bpf.Program) string {
	type instruction struct {
		Code uint16 `json:"code"`
		JT   uint8  `json:"jt"`
		JF   uint8  `json:"jf"`
		K    uint32 `json:"k"`
	}
	var all []instruction
	for _, in := range p {
		all = append(all, instruction(in))
	}
	data, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func disassembly(t *testing.T, p bpf.Program, bigEndian bool) string {
	var b strings.Builder
	if err := p.Disassemble(&b, bigEndian); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// Every form of a filter, for machines of either order, is the same program.
func TestFilterForms(t *testing.T) {
	for _, a := range []abi.ABI{abi.AMD64, abi.S390X} {
		p := sample(a)
		for name, data := range map[string]string{
			"bytes":          string(p.Bytes(a.BigEndian())),
			"base64":         base64.StdEncoding.EncodeToString(p.Bytes(a.BigEndian())),
			"base64 in rows": "  " + base64.StdEncoding.EncodeToString(p.Bytes(a.BigEndian()))[:32] + "\n" + base64.StdEncoding.EncodeToString(p.Bytes(a.BigEndian()))[32:] + "\n",
			"C":              inC(p),
			"C, elements":    strings.NewReplacer("struct sock_filter f[] = {\n", "", "};\n", "", "0x", "0X").Replace(inC(p)),
			"JSON":           inJSON(t, p),
			"assembly":       disassembly(t, p, a.BigEndian()),
			"asm, commented": "; a filter\n\n" + disassembly(t, p, a.BigEndian()),
		} {
			in, err := Parse("f", []byte(data), Options{Native: abi.AMD64})
			if err != nil {
				t.Errorf("%s of %s: %v", name, a, err)
				continue
			}
			if !slices.Equal(in.Program, p) || in.BigEndian != a.BigEndian() || in.Policy != nil || in.Native() != a {
				t.Errorf("%s of %s: %+v", name, a, in)
			}
			s := proof.NewSpace(proof.Budget{})
			f, err := in.Function(s)
			if err != nil || !slices.Equal(in.ABIs(s, f), []abi.ABI{a}) {
				t.Errorf("%s of %s: ABIs %v, %v", name, a, in.ABIs(s, f), err)
			}
			if got := in.Eval(abi.Call{Arch: a.AuditArch(), NR: 39, Args: [6]uint64{1}}); got != abi.Allow {
				t.Errorf("%s of %s: %v", name, a, got)
			}
		}
	}
}

func TestPolicies(t *testing.T) {
	for name, data := range map[string]string{
		"yaml":          "default_action: errno(EPERM)\nsyscalls: [{action: allow, names: [read]}]",
		"json":          `{"default_action": "errno(EPERM)", "syscalls": [{"action": "allow", "names": ["read"]}]}`,
		"libbeat":       "seccomp:\n  default_action: errno\n  syscalls:\n  - action: allow\n    names: [read]\n",
		"like an array": "default_action: errno(EPERM)\nsyscalls: [{action: allow, names: [read], calls: ['socket(domain in {1, 2, 3, 4})']}] # struct sock_filter",
		"OCI":           `{"defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86_64"], "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW"}]}`,
	} {
		in, err := Parse("p", []byte(data), Options{Native: abi.AMD64})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if in.Policy == nil || in.Program != nil || in.Foreign() != (name == "OCI") {
			t.Errorf("%s: %+v", name, in)
		}
		read, write := abi.Call{Arch: abi.AMD64.AuditArch()}, abi.Call{Arch: abi.AMD64.AuditArch(), NR: 1}
		if a, b := in.Eval(read), in.Eval(write); a != abi.Allow || b != abi.Errno.WithData(1) {
			t.Errorf("%s: read %v, write %v", name, a, b)
		}
	}
}

func TestReadSet(t *testing.T) {
	in, err := Read("@systemd/io-event", Options{Native: abi.AMD64})
	if err != nil {
		t.Fatal(err)
	}
	nr, _ := abi.AMD64.Lookup("epoll_wait")
	if got := in.Eval(abi.Call{Arch: abi.AMD64.AuditArch(), NR: nr}); got != abi.Allow {
		t.Errorf("epoll_wait: %v", got)
	}
	if got := in.Eval(abi.Call{Arch: abi.AMD64.AuditArch()}); got != abi.Errno.WithData(1) {
		t.Errorf("read: %v", got)
	}
	if _, err := Read("@nothing", Options{}); err == nil || !strings.Contains(err.Error(), "unknown set") {
		t.Error(err)
	}
}

func TestReadFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "f.bpf")
	p := sample(abi.AMD64)
	if err := os.WriteFile(file, p.Bytes(false), 0o644); err != nil {
		t.Fatal(err)
	}
	in, err := Read(file, Options{})
	if err != nil || !slices.Equal(in.Program, p) || in.Name != file {
		t.Errorf("%+v, %v", in, err)
	}
	in, err = Read("-", Options{Stdin: strings.NewReader(string(p.Bytes(false)))})
	if err != nil || !slices.Equal(in.Program, p) || in.Name != "standard input" {
		t.Errorf("%+v, %v", in, err)
	}
	if _, err := Read(file+"x", Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	if _, err := Read("-", Options{Stdin: strings.NewReader(strings.Repeat(" ", maxSize+1))}); err == nil || !strings.Contains(err.Error(), "larger than 8 MiB") {
		t.Error(err)
	}
}

// A format that cannot be told is named before the file.
func TestReadFormat(t *testing.T) {
	const text = "read: 1\nwrite: arg0 == 1\n"
	dir := t.TempDir()
	t.Chdir(dir)
	for _, file := range []string{"old.policy", "kafel:own"} {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	call := abi.Call{Arch: abi.AMD64.AuditArch(), NR: 1, Args: [6]uint64{1}} // write
	o := Options{Native: abi.AMD64, Stdin: strings.NewReader(text)}
	for _, file := range []string{"minijail-c:old.policy", "minijail-py:old.policy", "minijail-c:-", "minijail-c:kafel:own"} {
		in, err := Read(file, o)
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		if got := in.Eval(call); got != abi.Allow || !in.Foreign() {
			t.Errorf("%s: %v", file, got)
		}
	}
	for file, hint := range map[string]string{
		"old.policy": "name it: minijail-c:old.policy or minijail-py:old.policy",
		"kafel:own":  "name it: minijail-c:kafel:own", // a file of that name comes first
	} {
		var e *policy.Error
		if _, err := Read(file, o); !errors.As(err, &e) || !strings.HasPrefix(e.Hint, hint) {
			t.Errorf("%s: %v, hint %q; want %q", file, err, e.Hint, hint)
		}
	}
	if !IsStdin("-") || !IsStdin("snap:-") || IsStdin("snap-") {
		t.Error("which inputs are standard input")
	}
}

func TestParseRefuses(t *testing.T) {
	long := make(bpf.Program, bpf.MaxLen+1)
	for i := range long {
		long[i] = bpf.Stmt(bpf.RetK, 0)
	}
	for _, c := range []struct{ data, want string }{
		{"\x00\x00\x00", "not a filter: raw filter of 3 bytes"},
		{"\x00\x01\x02\x03\x04\x05\x06\x07", "not a filter: instruction 0"},
		{string(sample(abi.AMD64)[:6].Bytes(false)), "not a filter"},
		{base64.StdEncoding.EncodeToString([]byte("\x00\x01\x02\x03\x04\x05\x06\x07\x08")), "not a filter"},
		{string(long.Bytes(false)), "more than the 4096"},
		{inC(long), "more than the 4096"},
		{"{ 0x20, 0, 0, 0x4 }, huh { 0x06, 0, 0, 0 }", "want an instruction"},
		{"{ 0x20, 300, 0, 0x4 }", "300 does not fit into 8 bits"},
		{"{ 0x20, 0, 0, 4 }", "last instruction is not a return"},
		{"[1]", "want an instruction"},
		{`[{"jt": 1}]`, "the instruction has no code"},
		{`[{"code": 6, "x": 1}]`, "unknown field"},
		{`[{"code": 6}] 5`, "something follows"},
		{`[]`, "program without instructions"},
		{"ld nr\nret nonsense", "p:2:5: not a filter: "},
		{"", "empty"},
		{"default_action: alow\nsyscalls: []", "p:1:17"},
	} {
		if _, err := Parse("p", []byte(c.data), Options{Native: abi.AMD64}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.40q: %v, want %q", c.data, err, c.want)
		}
	}
}

func TestTogether(t *testing.T) {
	a, errA := Parse("a", sample(abi.AMD64).Bytes(false), Options{})
	b, errB := Parse("b", sample(abi.S390X).Bytes(true), Options{})
	if err := errors.Join(errA, errB); err != nil {
		t.Fatal(err)
	}
	if err := Together(a, a); err != nil {
		t.Error(err)
	}
	if err := Together(a, b); !errors.Is(err, ErrDifferentMachines) {
		t.Error(err)
	}
}

// With Typed, a container profile compares the bits that the kernel reads.
func TestTyped(t *testing.T) {
	const oci = `{"defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86_64"], "syscalls": [
		{"names": ["%s"], "action": "SCMP_ACT_ALLOW", "args": [{"index": %d, "op": "SCMP_CMP_%s", "value": %d, "valueTwo": %d}]}]}`
	const high = 1 << 32
	for _, c := range []struct {
		name       string
		index      int
		op         string
		value, two uint64
		pattern    string // what it then says
	}{
		{"socket", 0, "EQ", 38, 0, "socket(domain == 38)"},
		{"socket", 0, "EQ", high | 38, 0, "socket(domain == 38)"},
		{"socket", 0, "NE", 38, 0, "socket(domain != 38)"},
		{"socket", 0, "LT", 5, 0, "socket(domain >= 0, domain < 5)"},
		{"socket", 0, "GE", 0x7ffffff0, 0, "socket(domain >= 0x7ffffff0), socket(domain < 0)"},
		{"clone", 0, "MASKED_EQ", 0x7e020000, 0, "clone(flags & 0x7e020000 == 0)"},
		{"clone", 0, "MASKED_EQ", high | 0x10, 0x10, "clone(flags & 0x10 == 0x10)"},
		{"personality", 0, "EQ", 0xffffffff, 0, "personality(personality == 0xffffffff)"},
		{"chmod", 1, "EQ", 0x10000 | 0o644, 0, "chmod(mode == 0o644)"},
		{"lseek", 1, "EQ", high | 38, 0, "lseek(arg1 == 0x100000026)"},
	} {
		in, err := Parse("p", fmt.Appendf(nil, oci, c.name, c.index, c.op, c.value, c.two), Options{Native: abi.AMD64, Typed: true})
		if err != nil {
			t.Fatal(err)
		}
		s := proof.NewSpace(proof.Budget{})
		f, err := in.Function(s)
		if err != nil {
			t.Fatal(err)
		}
		var want proof.Set
		for _, text := range strings.SplitAfter(c.pattern, "), ") {
			p, err := policy.ParsePattern(strings.TrimSuffix(text, ", "))
			if err != nil {
				t.Fatal(err)
			}
			set, err := s.Calls(abi.AMD64, p)
			if err != nil {
				t.Fatal(err)
			}
			want = s.Union(want, set)
		}
		if got := s.Where(f, func(a abi.Action) bool { return a == abi.Allow }); got != want {
			t.Errorf("%s %s %#x: not %s", c.name, c.op, c.value, c.pattern)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(sample(abi.AMD64).Bytes(false))
	f.Add(sample(abi.S390X).Bytes(true))
	f.Add([]byte(inC(sample(abi.AMD64))))
	f.Add([]byte(base64.StdEncoding.EncodeToString(sample(abi.AMD64).Bytes(false))))
	f.Add([]byte(`[{"code": 6, "jt": 0, "jf": 0, "k": 2147418112}]`))
	f.Add([]byte("default_action: allow\nsyscalls: []"))
	f.Add([]byte("0: ld arch\n1: jeq #0xc000003e, 2, 3\n2: ret allow\n3: ret kill_process\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		in, err := Parse("f", data, Options{Native: abi.AMD64})
		if err != nil {
			return
		}
		if (in.Program == nil) == (in.Policy == nil) || (in.Policy == nil) != (in.Resolved == nil) {
			t.Fatalf("%+v", in)
		}
		if in.Program != nil {
			again, err := Parse("f", in.Program.Bytes(in.BigEndian), Options{Native: abi.AMD64})
			if err != nil || !slices.Equal(again.Program, in.Program) {
				t.Fatalf("%v: %+v, read back %+v", err, in, again)
			}
		}
		in.Eval(abi.Call{Arch: abi.AMD64.AuditArch()})
	})
}
