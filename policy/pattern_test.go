package policy

import (
	"testing"

	"github.com/sysgate/sysgate/abi"
)

// Each row is a pattern and its canonical form, which reads as itself.
func TestPatternForms(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"read", "read"},
		{"read()", "read"},
		{"read(...)", "read"},
		{"socket(…)", "socket"},
		{"@systemd/io-event", "@systemd/io-event"},
		{"nr:0o17", "nr:15"},
		{"nr:0x40000000-0xffffffff(_)", "nr:0x40000000-0xffffffff"},
		{"x86_64:read", "amd64:read"},
		{"386:nr:5(1)", "386:nr:5(1)"},
		{"socket(AF_ALG, _, 0)", "socket(AF_ALG, _, 0)"},
		{"socket(arg0==AF_ALG,arg2==0)", "socket(AF_ALG, _, 0)"},
		{"socket(_, _, != 0)", "socket(arg2 != 0)"},
		{"socket(_, in {1,2}, not in {3})", "socket(arg1 in {1, 2}, arg2 not in {3})"},
		{"socket(_, & 0xf == SOCK_RAW)", "socket(arg1 & 0xf == SOCK_RAW)"},
		{"socket(AF_UNIX, type & 0xf != SOCK_STREAM, ...)", "socket(arg0 == AF_UNIX, type & 0xf != SOCK_STREAM)"},
		{"mmap(prot & (PROT_READ|PROT_EXEC) != 0)", "mmap(prot & (PROT_READ | PROT_EXEC) != 0)"},
		{"mmap(prot & ~PROT_READ == 0b0)", "mmap(prot & ~PROT_READ == 0)"},
		{"mmap(prot == ~(PROT_READ | PROT_EXEC))", "mmap(prot == ~(PROT_READ | PROT_EXEC))"},
		{"mmap(flags == (MAP_PRIVATE | 1) | (2 | 4))", "mmap(flags == MAP_PRIVATE | 1 | (2 | 4))"},
		{"kill(pid > -2, arg1 <= 0x10)", "kill(pid > -2, arg1 <= 0x10)"},
		{"write(fd:64 == 1, ip >= 0x10, arg2:64 < 5)", "write(fd:64 == 1, ip >= 0x10, arg2:64 < 5)"},
		{"sendto(addr == NULL)", "sendto(addr == NULL)"},
		{"openat(-100)", "openat(-100)"},
	} {
		p, err := ParsePattern(tt.text)
		if err != nil {
			t.Errorf("%s: %v", tt.text, err)
			continue
		}
		if p.String() != tt.want {
			t.Errorf("%s: printed %q, want %q", tt.text, p, tt.want)
		}
		if again, err := ParsePattern(tt.want); err != nil || again.String() != tt.want {
			t.Errorf("%s: printed again %q, %v", tt.want, again, err)
		}
	}
}

// Each row is no pattern, with the place and the message.
func TestPatternErrors(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"", "1:1: want the name of a system call, got the end"},
		{"read(", "1:6: want a number or a constant, got the end"},
		{"read)", `1:5: unexpected ")"`},
		{"read(1 2)", `1:8: want ",", got "2"`},
		{"read(1,)", `1:8: want an argument, got ")"`},
		{"read(..., 1)", `1:9: want ")", got ","`},
		{"read(fd == 1, 2)", "1:15: an argument without a name after one with a name"},
		{"read(1, 2, 3, 4, 5, 6, 7)", "1:24: a call has six arguments"},
		{"read(fd = 1)", `1:9: want an operator, got "="`},
		{"read(fd == )", `1:12: want a number or a constant, got ")"`},
		{"read(fd in {})", `1:13: want a value, got "}"`},
		{"read(fd not 1)", `1:13: want "in" after "not", got "1"`},
		{"read(fd:32 == 1)", `1:9: want 64, the whole word, got "32"`},
		{"read(fd & 1)", `1:12: want == or !=, got ")"`},
		{"read(fd & 1 | 2 == 0)", "1:13: & binds tighter than |"},
		{"read(08)", `1:6: number "08" starts with 0, which some read as octal`},
		{"read(0xg)", `1:6: bad number "0xg"`},
		{"read(0x10000000000000000)", `1:6: number "0x10000000000000000" does not fit in 64 bits`},
		{"read(AF_NOTHING)", `1:6: unknown constant "AF_NOTHING"`},
		{"nr:5-4", "1:6: the range ends before it starts"},
		{"nr:0x100000000", "1:4: a call number has 32 bits"},
		{"vax:read", `1:1: unknown ABI "vax"`},
		{"@systemd/nothing", `1:1: unknown set "@systemd/nothing"`},
		{"@systemd/io-event(1)", "1:18: a set takes no conditions"},
		{"raed", `1:1: unknown system call "raed"`},
		{"read(fd == 1 && fd == 2)", `1:14: want ",", got "&&"`},
		{"read(\x00)", `1:6: want a number or a constant, got "\x00"`},
	} {
		p, err := ParsePattern(tt.text)
		if err == nil {
			t.Errorf("%q: read as %s", tt.text, p)
			continue
		}
		e, ok := err.(*Error)
		if !ok {
			t.Fatalf("%q: %T", tt.text, err)
		}
		if got := e.Pos.String() + ": " + e.Msg; got != tt.want {
			t.Errorf("%q: %s, want %s", tt.text, got, tt.want)
		}
	}
}

// Each row is a call and its shortest form, which reads as the same call.
func TestCallForms(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"socket(AF_ALG, SOCK_SEQPACKET)", "amd64:socket(38, 5, 0)"},
		{"386:socket(domain == AF_ALG)", "386:socket(38, 0, 0)"},
		{"getpid()", "amd64:getpid()"},
		{"getpid(1)", "amd64:getpid(1)"},
		{"nr:9999(0, 1)", "amd64:nr:9999(0, 1)"},
		{"nr:-1", ""},
		{"read(-1, ip == 5)", "amd64:read(0xffffffffffffffff, 0, 0, ip == 5)"},
		{"386:close(-1)", "386:close(0xffffffff)"},
		{"386:close(0xf00000001)", "386:close(0xf00000001)"},
		{"x32:read()", "x32:read(0, 0, 0)"},
		{"nr:0x40000013", "x32:nr:0x40000013(0, 0, 0)"},
		{"nr:0xffffffff", "amd64:nr:0xffffffff"},
		{"arch:0x1234:nr:5(7)", "arch:0x1234:nr:5(7)"},
		{"arch:0x40000003:nr:1", "386:exit(0)"},
		{"read(fd > 1)", ""},
		{"read(1, arg0 == 1)", ""},
		{"read(nothing == 1)", ""},
		{"nr:1-2", ""},
		{"@systemd/io-event", ""},
		{"arch:0x1234:read", ""},
		{"setuid32()", ""},
	} {
		c, err := ParseCall(tt.text, abi.AMD64)
		switch {
		case err != nil && tt.want != "":
			t.Errorf("%s: %v", tt.text, err)
		case err == nil && tt.want == "":
			t.Errorf("%s: read as %s", tt.text, FormatCall(c))
		case err == nil && FormatCall(c) != tt.want:
			t.Errorf("%s: printed %s, want %s", tt.text, FormatCall(c), tt.want)
		case err == nil:
			if again, err := ParseCall(tt.want, abi.None); err != nil || again != c {
				t.Errorf("%s: read again as %+v, %v", tt.want, again, err)
			}
		}
	}
}

// Each row is an action and its canonical form.
func TestActionForms(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"allow", "allow"},
		{"ALLOW", "allow"},
		{"log", "log"},
		{"trace", "trace"},
		{"trace(5)", "trace(5)"},
		{"user_notify", "user_notify"},
		{"errno", "errno(EPERM)"},
		{"errno(enosys)", "errno(ENOSYS)"},
		{"errno(0x26)", "errno(38)"},
		{"fake_success", "fake_success"},
		{"trap", "trap"},
		{" trap ( 0xffff ) ", "trap(65535)"},
		{"kill_thread", "kill_thread"},
		{"kill_process", "kill_process"},
		{"", ""},
		{"kill", ""},
		{"errno()", ""},
		{"errno(1", ""},
		{"errno(01)", ""},
		{"errno(0)", ""},
		{"errno(4096)", ""},
		{"trap(65536)", ""},
		{"trap(EPERM)", ""},
		{"allow(0)", ""},
		{"allow deny", ""},
	} {
		a, err := ParseAction(tt.text)
		if (err != nil) != (tt.want == "") || err == nil && a.String() != tt.want {
			t.Errorf("%q: %s, %v; want %q", tt.text, a, err, tt.want)
		}
	}
}
