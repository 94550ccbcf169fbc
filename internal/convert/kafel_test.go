package convert

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sysgate/sysgate/abi"
)

func TestKafel(t *testing.T) {
	r := readAs(t, "kafel", `
#define PROT_EXEC 4
#define strange 500
POLICY base {
  ALLOW { read, write { fd == 1 }, mmap { (prot & PROT_EXEC) == 0 }, SYSCALL[5000], io_uring_setup ON x86_64,
          newuname, newstat, stat64 ON arm, umount ON { AMD64, arm } },
  ERRNO(1) { socket(domain, t, p) { domain == 16 || t == 3 }, // first match wins
             openat { dfd == 0xffffff9c && !(flags <= 2, flags == 8) },
             kill { -1 == pid }, strange, clone { (clone_flags | 1) == 3 }, getpid {}, dup { 1 > 2 }, dup2 { 2 > 1 } }
}
/* and what
   is left */
POLICY more { USE base, LOG { write, socket }, TRAP(7) { socket, exit { ((error_code)) >= 010 } } }
USE more, USE base DEFAULT ERRNO(38)
TRACE(3) { prctl(a, b) { (a & 0xf | 0x10) < 0x13 } }
USER_NOTIF { accept4 { 5 < flags } }
`, Options{})
	means(t, r,
		"read(0): allow", "write(1): allow", "write("+fullWord+"): allow", // an int: 32 bits
		"write(2): log", "mmap(0, 0, 3): allow", "mmap(0, 0, 4): errno(ENOSYS)", "nr:5000(): allow", "nr:500(): errno(EPERM)",
		"io_uring_setup(): allow", "uname(): allow", "stat(): allow", "umount2(): allow",
		"socket(16): errno(EPERM)", "socket(0, 3): errno(EPERM)", "socket(arg0 == 0x100000010): log", "socket(1, 1): log",
		"openat(-100, 0, 3): errno(EPERM)", "openat(-100, 0, 2): errno(ENOSYS)", "openat(-100, 0, 8): errno(ENOSYS)", "openat(0, 0, 3): errno(ENOSYS)",
		"kill(-1): errno(EPERM)", "kill(arg0 == 0xffffffff): errno(ENOSYS)", // -1 has 64 bits, and so has the comparison
		"clone(2): errno(EPERM)", "clone(3): errno(EPERM)", "clone(arg0 == 0x100000002): errno(ENOSYS)", "clone(1): errno(ENOSYS)",
		"getpid(): errno(EPERM)", "dup(1): errno(ENOSYS)", "dup2(1): errno(EPERM)", "exit(8): trap(7)", "exit(7): errno(ENOSYS)",
		"prctl(2): trace(3)", "prctl(0x22): trace(3)", "prctl(3): errno(ENOSYS)", "accept4(0, 0, 0, 6): user_notify", "accept4(0, 0, 0, 5): errno(ENOSYS)",
		"x32:read(): errno(ENOSYS)", "386:read(): kill_thread")
	// What changes nothing is dropped, with the 64 bits that it has.
	means(t, readAs(t, "kafel", "ALLOW { read { (fd & -1 | 5) == 7 }, write { (fd & 0x100000003) == 3 }, dup { (fildes & 0) == 0 } }", Options{}),
		"read(arg0 == 0x100000002): allow", "read(1): kill_thread", "write(arg0 == 0x100000003): kill_thread", "write(arg0 == 3): allow", "dup(9): allow")
	means(t, readAs(t, "kafel", "ALLOW { SYSCALL[0x40000001], read }", Options{}), "x32:write(): allow", "read(): allow", "write(): kill_thread", "x32:read(): kill_thread")
	means(t, readAs(t, "kafel", "DEFAULT ALLOW", Options{}), "read(): allow", "386:read(): kill_thread")
	means(t, readAs(t, "kafel", "ALLOW { chown, chown16 { user == 3 }, old_mmap, select, newfstat, write(fd) { fd == 1 }, umount }", Options{Native: abi.I386}),
		"chown32(): allow", "chown(0, 3): allow", "chown(0, 4): kill_thread", "mmap(): allow", "mmap2(): kill_thread", "_newselect(): allow", "select(): kill_thread",
		"fstat(): allow", "write(1): allow", "write(2): kill_thread", "umount2(): allow", "umount(): kill_thread")

	for _, tt := range [][2]string{
		{"ALLOW { reed }", "did you mean read"},
		{"ALLOW { stat }", "kafel has no call"},
		{"ALLOW { read { count == fd } }", "two arguments"},
		{"ALLOW { read { (count & fd) == 1 } }", "two arguments"},
		{"ALLOW { read { nothing == 1 } }", "no argument or constant"},
		{"ALLOW { read(a) { fd == 1 } }", "no argument or constant"},
		{"ALLOW { SYSCALL[0] { fd == 1 } }", "no argument or constant"},
		{"ALLOW { read(a, a) }", "stands twice"},
		{"ALLOW { read(a, b, c, d, e, f, g) }", "six arguments"},
		{"ALLOW { read { (fd == 1 } }", `want ")"`},
		{"ALLOW { read { fd } }", "want a comparison"},
		{"ALLOW { read { fd == 1 == 2 } }", `want "}"`},
		{"ALLOW { read { fd == 09 } }", "is no number"},
		{"ALLOW { read { fd == 0x10000000000000000 } }", "is no number"},
		{"ALLOW { read ON vax }", "no architecture"},
		{"ALLOW { read ", `want "}"`},
		{"ALLOW { read } /* never", "no end"},
		{"ERRNO(65536) { read }", "above 65535"},
		{"ERRNO { read }", `want "("`},
		{"USE nothing", "no policy"},
		{"POLICY a { USE a }", "no policy"},
		{"POLICY a { } POLICY a { }", "stands twice"},
		{"DEFAULT KILL DEFAULT KILL", "DEFAULT stands twice"},
		{"#define a 1\n#define a 2\nDEFAULT KILL", "another value"},
		{"#define KILL 1", "cannot be"},
		{"#include \"/etc/passwd\"\n", "beside the policy"},
		{"#include \"../secret\"\n", "beside the policy"},
		{"#include \"nothing\"\n", "search path"},
		{"#include read\n", "want \"FILE\""},
		{"nonsense", "want an action"},
		{"ALLOW { read { " + strings.Repeat("(", 500) + "fd == 1", "more than"},
	} {
		refused(t, "kafel", tt[0], tt[1])
	}
	if _, _, err := readKafel("p", []byte("ALLOW { read }"), Options{Native: abi.S390X}); err == nil {
		t.Error("kafel is read for s390x, which it does not know")
	}
}

func TestKafelInclude(t *testing.T) {
	dir := t.TempDir()
	for file, text := range map[string]string{"a.policy": "#include \"b.policy\" \"sub/c.policy\";\nUSE b, USE c DEFAULT KILL", "b.policy": "POLICY b { ALLOW { read } }", "c.policy": ""} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "sub/c.policy"), []byte("POLICY c { ALLOW { write } }"), 0o644); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dir, "a.policy"))
	if err != nil {
		t.Fatal(err)
	}
	p, _, err := readKafel(filepath.Join(dir, "a.policy"), data, Options{Native: abi.AMD64})
	if err != nil {
		t.Fatal(err)
	}
	means(t, resolve(t, p, abi.AMD64), "read(): allow", "write(): allow", "open(): kill_thread")
	// A file that includes itself ends.
	loop := filepath.Join(dir, "loop")
	if err := os.WriteFile(loop, []byte("#include \"loop\"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, _, err := readKafel(loop, []byte("#include \"loop\"\n"), Options{Native: abi.AMD64}); err == nil || !strings.Contains(err.Error(), "too large") {
		t.Error(err)
	}
}

func TestKafelDetect(t *testing.T) {
	for _, text := range []string{"DEFAULT KILL", "// x\nPOLICY a { ALLOW { read } }\nUSE a DEFAULT KILL", "#define A 1\nERRNO(1) { read }", "ALLOW { read }"} {
		if f, ok := Detect("p", []byte(text)); !ok || f.Name != "kafel" {
			t.Errorf("%q is taken for %q", text, f.Name)
		}
	}
	for _, text := range []string{"", "{}", "read: 1", "#define A 1\n", "#define A 1\nint main() { }", "default_action: allow", "DEFAULT x", "allow read"} {
		if f, _ := Detect("p", []byte(text)); f.Name == "kafel" {
			t.Errorf("%q is taken for kafel", text)
		}
	}
}

func TestKafelRoundTrip(t *testing.T) {
	for name, rules := range roundTrips {
		t.Run(name, func(t *testing.T) {
			for _, head := range []string{"kill_thread", "errno(EPERM)", "kill_process", "log"} {
				carries(t, "kafel", "version: 1\nabis: [amd64]\nbad_arch_action: kill_thread\ndefault_action: "+head+"\nsyscalls:\n- "+rules+
					"\n- {action: errno(5), names: [read, mmap, uname]}\n- {action: trap(5), calls: [\"ioctl(cmd == 5)\"]}\n- {action: trace(9), names: [socket, listns]}\n- {action: user_notify, names: [bind]}\n")
			}
		})
	}
	// Many values become several rules: kafel bounds how deep conditions nest.
	var many []string
	for i := range 60 {
		many = append(many, fmt.Sprint(3*i))
	}
	data := carries(t, "kafel", "version: 1\nabis: [amd64]\nbad_arch_action: kill_thread\ndefault_action: errno(1)\nsyscalls: [{action: allow, calls: [\"ioctl(fd == 1, cmd in {"+strings.Join(many, ", ")+"})\"]}]")
	for line := range strings.Lines(string(data)) {
		if n := strings.Count(line, "||"); n > maxKafelTests {
			t.Errorf("%d conditions in one rule", n)
		}
	}
	carries(t, "kafel", "version: 1\nabis: [amd64]\nbad_arch_action: kill_thread\nx32_action: errno(1)\ndefault_action: errno(1)\nsyscalls: []")
	// Numbers that no call has, and x32's.
	for _, text := range []string{"ALLOW { SYSCALL[5000], SYSCALL[-1] { 1 == 1 }, SYSCALL[600](a) { a == 3 } } ERRNO(3) { SYSCALL[0x40000001] }"} {
		p, _, err := readKafel("p", []byte(text), Options{Native: abi.AMD64})
		if err != nil {
			t.Fatal(err)
		}
		e, err := Export(format(t, "kafel"), p, Options{Native: abi.AMD64})
		if err != nil || len(e.Different) > 0 {
			t.Errorf("%v %+v\n%s", err, e.Different, e.Data)
		}
	}
	for _, a := range []string{"386", "arm", "arm64", "riscv64"} {
		p := parse(t, "version: 1\nabis: ["+a+"]\nbad_arch_action: kill_thread\ndefault_action: errno(1)\nsyscalls:\n- {action: allow, names: [\"@systemd/system-service\"], optional: true}\n- {action: log, calls: [\"ioctl(cmd == 5)\"]}")
		e, err := Export(format(t, "kafel"), p, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if len(e.Named()) > 0 || len(e.Losses) > 0 {
			t.Errorf("%s: %v %+v\n%s", a, e.Losses, e.Named(), e.Data)
		}
	}
}

// kafel's names for calls and ours are one to one.
func TestKafelNames(t *testing.T) {
	for _, a := range abi.All() {
		if !kafelHas(a) {
			continue
		}
		for nr, name := range a.Syscalls() {
			if other := kafelName(a, nr); other != "" {
				if back, ok := kafelNumber(a, other); !ok || back != nr {
					t.Errorf("%s: %s is %s for kafel, which is %d", a, name, other, back)
				}
			}
		}
	}
}

func FuzzKafel(f *testing.F) {
	f.Add("#define A 1\nPOLICY p { ALLOW { read { (fd & 3 | A) == 1 && !(count > 5, count == 2) }, SYSCALL[5] ON { arm, amd64 } } } USE p DEFAULT KILL")
	fuzzReader(f, "kafel")
}
