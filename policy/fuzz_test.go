package policy

import (
	"os"
	"testing"

	"github.com/sysgate/sysgate/abi"
)

// What Parse accepts can be printed, read again and resolved or refused; no
// input makes anything panic.
func FuzzParse(f *testing.F) {
	f.Add([]byte("version: 1\nabis: [amd64, 386]\ndefault_action: errno(EPERM)\nsyscalls:\n- action: allow # c\n  names: [read, \"@systemd/io-event\"]\n"))
	f.Add([]byte("seccomp:\n  default_action: allow\n  syscalls:\n  - action: errno\n    names_with_args: [{name: dup, arguments: [{operation: BitsSet, value: 3}]}]\n"))
	f.Add([]byte(`{"default_action":"allow","syscalls":[{"action":"log","calls":["socket(domain in {1, AF_INET}, & 0xf == 1)"]}]}`))
	f.Add([]byte("version: 1\ndefault_action: allow\nsyscalls:\n- action: errno\n  names: [\"@docker/default\"] # c\n  except: [\"@pledge/stdio\", read, \"ioctl(fd != 1, cmd & 3 == 2)\", \"nr:5-900\"]\n"))
	f.Add([]byte("seccomp: {enabled: false}"))
	f.Add([]byte("a: &x [*x]\n<<: *x\n"))
	if data, err := os.ReadFile("../docs/policy.md"); err == nil {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := Parse("f", data)
		if err != nil {
			if err.Error() == "" {
				t.Error("an error without text")
			}
			return
		}
		text := p.Format()
		q, err := Parse("f", text)
		if err != nil {
			t.Fatalf("%v\nin\n%s", err, text)
		}
		if again := q.Format(); string(again) != string(text) {
			t.Fatalf("formatted\n%s\nthen\n%s", text, again)
		}
		if r, _, err := p.Resolve(Options{Native: abi.AMD64}); err == nil {
			checkResolved(t, r)
			r.Eval(abi.Call{})
		}
	})
}

func FuzzParsePattern(f *testing.F) {
	for _, s := range []string{"socket(domain in {AF_UNIX, AF_INET}, type & 0xf == 1)", "amd64:nr:5-9(_, ~(1|2), ...)", "read(fd:64 not in {-1})", "386:@systemd/io-event", "arch:0x5:nr:1(1, ip == 2)", "errno(ENOSYS)"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		_, _ = ParseAction(s)
		if c, err := ParseCall(s, abi.AMD64); err == nil {
			if again, err := ParseCall(FormatCall(c), abi.None); err != nil || again != c {
				t.Fatalf("%q: printed %s, read again as %+v, %v", s, FormatCall(c), again, err)
			}
		}
		p, err := ParsePattern(s)
		if err != nil {
			if err.Error() == "" {
				t.Error("an error without text")
			}
			return
		}
		again, err := ParsePattern(p.String())
		if err != nil || again.String() != p.String() {
			t.Fatalf("%q: printed %q, again %q, %v", s, p, again, err)
		}
	})
}
