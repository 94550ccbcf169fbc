package convert

import (
	"strings"
	"testing"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
)

func TestSeccompTools(t *testing.T) {
	const text = `# a comment
A = arch
A == ARCH_X86_64 ? next : dead
A = sys_number
if (A < 0x40000000) goto number
A == x32_read ? ok : dead
number:
if (A == write) goto args else goto names
names: A == read ? ok : next
if (!(A & 8)) goto dead
A == amd64.exit ? ok : dead
args:
A = args[0]
A &= 0xff
X = A
A = args[1] >> 32
mem[3] = A
A = args_h[1]
A ^= X
A = mem[3]
A = -A
A > (-1) ? dead : next
A = args[0]
A >= 3 ? dead : next
ok: return ALLOW
dead: return ERRNO(5)
`
	p, _, err := formatSeccompTools.Filter("p", []byte(text), Options{Native: abi.AMD64})
	if err != nil {
		t.Fatal(err)
	}
	for call, want := range map[[3]uint64]abi.Action{ // number, arguments 0 and 1
		{0, 0, 0}: abi.Allow, {1, 2, 0}: abi.Allow, {1, 3, 0}: abi.Errno.WithData(5), {60, 0, 0}: abi.Allow, {2, 0, 0}: abi.Errno.WithData(5),
		{0x40000000, 0, 0}: abi.Allow, {0x40000001, 0, 0}: abi.Errno.WithData(5),
	} {
		c := abi.Call{Arch: abi.AMD64.AuditArch(), NR: uint32(call[0]), Args: [6]uint64{call[1], call[2]}}
		if got := p.Run(c, false).Return; got != want {
			t.Errorf("%v: %v, want %v", call, got, want)
		}
	}
	// A listing has the program in numbers.
	const listing = ` line  CODE  JT   JF      K
=================================
 0000: 0x20 0x00 0x00 0x00000004  A = arch
 0001: 0x15 0x00 0x01 0xc000003e  if (A != ARCH_X86_64) goto 0003
 0002: 0x06 0x00 0x00 0x7fff0000  return ALLOW
 0003: 0x06 0x00 0x00 0x00000000  return KILL
`
	means(t, readAs(t, "seccomp-tools", listing, Options{}), "read(): allow", "386:read(): kill_thread")
	// What disasm --asm-able writes.
	means(t, readAs(t, "seccomp-tools", " 0000: A = arch\n 0001: if (A != ARCH_X86_64) goto 0003\n 0002: return ALLOW\n 0003: return KILL\n", Options{}),
		"read(): allow", "386:read(): kill_thread")
	for _, text := range []string{text, listing} {
		if f, _ := Detect("p", []byte(text)); f.Name != "seccomp-tools" {
			t.Errorf("taken for %q: %.30s", f.Name, text)
		}
	}
	for _, tt := range [][2]string{
		{"return ALLOW\nA = nothing", "no call"},
		{"A = args[6]\nreturn A", "0 to 5"},
		{"A = arch\nA == 1 ? ok : no\nreturn ALLOW", "no label"},
		{"x1: A = arch\ngoto x1\nreturn ALLOW", "forward"},
		{"A = arch", "not a filter"},
		{"A = args[0] >> 4\nreturn A", "want 32"},
		{"return ALLOW ALLOW", "want a statement"},
		{"if A == 1 goto x", `want "("`},
		{"A = arch\nA == 1 ? 2", `want ":"`},
		{"l: l: return ALLOW", "cannot stand here"},
		{"A = 99999999999999999999\nreturn A", "is no number"},
		{"A @ 5", "unexpected"},
		{"A = data[3]\nreturn A", "not a filter"},
	} {
		_, _, err := formatSeccompTools.Filter("p", []byte(tt[0]), Options{Native: abi.AMD64})
		if err == nil || !strings.Contains(err.Error(), tt[1]) {
			t.Errorf("%q: got %v, want %q", tt[0], err, tt[1])
		}
	}
}

// Every instruction that seccomp admits is written and read back.
func TestSeccompToolsInstructions(t *testing.T) {
	for _, bigEndian := range []bool{false, true} {
		var p bpf.Program
		for offset := uint32(0); offset < bpf.DataSize; offset += 4 {
			p = append(p, bpf.Stmt(bpf.LdAbs, offset))
		}
		for _, code := range []uint16{bpf.LdLen, bpf.LdImm, bpf.LdxImm, bpf.Neg, bpf.Tax, bpf.Txa} {
			p = append(p, bpf.Stmt(code, 0))
		}
		p = append(p, bpf.Stmt(bpf.St, 3), bpf.Stmt(bpf.Stx, 4), bpf.Stmt(bpf.LdMem, 3), bpf.Stmt(bpf.LdxMem, 4))
		for _, code := range toolsALU {
			p = append(p, bpf.Stmt(code, 3), bpf.Stmt(code+withX, 0))
		}
		for _, code := range []uint16{bpf.JeqK, bpf.JgtK, bpf.JgeK, bpf.JsetK} {
			p = append(p, bpf.Jump(code, 7, 1, 0), bpf.Jump(code+withX, 0, 0, 1))
		}
		p = append(p, bpf.Stmt(bpf.Ja, 1), bpf.Stmt(bpf.RetA, 0))
		for _, action := range toolsActions {
			p = append(p, bpf.Stmt(bpf.RetK, uint32(action)), bpf.Stmt(bpf.RetK, uint32(action)|7), bpf.Stmt(bpf.RetK, 0x12345678))
		}
		if err := p.Validate(); err != nil {
			t.Fatal(err)
		}
		text, err := writeSeccompTools(p, bigEndian)
		if err != nil {
			t.Fatal(err)
		}
		back, err := assembleTools(text, abi.AMD64, bigEndian)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if len(back) != len(p) {
			t.Fatalf("%d instructions, want %d\n%s", len(back), len(p), text)
		}
		for i := range p {
			if back[i] != p[i] {
				t.Errorf("%d: %v, want %v", i, back[i], p[i])
			}
		}
	}
}

func TestCrun(t *testing.T) {
	for _, text := range []string{`{"annotations": {"run.oci.seccomp_bpf_data": 5}}`, `{"annotations": {}}`, `{"annotations": {"run.oci.seccomp_bpf_data": "AAAA"}}`} {
		if _, _, err := format(t, "crun").Read("p", []byte(text), Options{Native: abi.AMD64}); err == nil {
			t.Errorf("read: %s", text)
		}
	}
	// The annotation counts, and not the profile.
	p := parse(t, "version: 1\nabis: [amd64]\ndefault_action: errno\nsyscalls: [{action: allow, names: [read]}]")
	e, err := Export(format(t, "crun"), p, Options{})
	if err != nil {
		t.Fatal(err)
	}
	spec := strings.Replace(string(e.Data), "{", `{"linux": {"seccomp": {"defaultAction": "SCMP_ACT_ALLOW"}}, `, 1)
	if f, _ := Detect("config.json", []byte(spec)); f.Name != "crun" {
		t.Errorf("taken for %q", f.Name)
	}
	means(t, readAs(t, "crun", spec, Options{}), "read(): allow", "write(): errno(EPERM)")
}
