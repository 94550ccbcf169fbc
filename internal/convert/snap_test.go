package convert

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/internal/build"
	"github.com/sysgate/sysgate/internal/proof"
)

func TestSnap(t *testing.T) {
	r := readAs(t, "snap", `# a comment
read
write 1 - >=5
socket AF_NETLINK - NETLINK_ROUTE
chown - u:root g:root
setuid -1
fchown 3
mknod - |S_IFIFO -
openat - - 3|1
prctl PR_CAPBSET_READ
dup !5
dup2 <3 >4
close <=7
clone
~clone 268435456|268435456
~ptrace
ioctl - TIOCSTI
~ioctl - - 9
nosuchcall 1
`, Options{})
	means(t, r,
		"read(): allow", "write(1, 0, 5): allow", "write(1, 0, 4): errno(EPERM)", "write("+fullWord+", 0, 5): errno(EPERM)",
		"socket(AF_NETLINK, 5, 0): allow", "socket(AF_NETLINK, 5, 1): errno(EPERM)", "386:socket(AF_NETLINK): allow",
		"chown(0, 0): allow", "chown(0, 0, 1): errno(EPERM)", "setuid(-1): allow", "setuid(arg0 == -1): allow", "setuid(0): errno(EPERM)",
		"fchown(arg0 == 0x100000003): allow", "mknod(0, S_IFIFO): allow", "mknod(0, 0x2000): errno(EPERM)",
		"openat(0, 0, 1): allow", "openat(0, 0, 2): errno(EPERM)", "openat(0, 0, 5): allow", "prctl(PR_CAPBSET_READ): allow",
		"dup(5): errno(EPERM)", "dup(4): allow", "dup2(2, 5): allow", "dup2(3, 5): errno(EPERM)", "close(7): allow", "close(8): errno(EPERM)",
		"clone(0): allow", "clone(CLONE_NEWUSER): errno(EACCES)", "ptrace(): errno(EPERM)",
		"ioctl(0, TIOCSTI, 8): allow", "ioctl(0, TIOCSTI, 9): errno(EACCES)", "ioctl(0, 0, 9): errno(EPERM)",
		"x32:read(): kill_thread", "386:read(): allow", "386:clone(CLONE_NEWUSER): errno(EACCES)", "arm64:read(): kill_thread")
	means(t, readAs(t, "snap", "@complain\nread\n~ptrace\n~read 5\n", Options{}),
		"read(): allow", "read(5): errno(EACCES)", "ptrace(): errno(EACCES)", "write(): log", "arm64:read(): kill_thread")
	means(t, readAs(t, "snap", "read\n@unrestricted\n~ptrace", Options{}), "ptrace(): allow", "386:ptrace(): allow", "arm64:read(): allow")
	for _, tt := range [][2]string{
		{"read 0 1 2 3 4 5 6", "six arguments"},
		{"read -1", "negative"},
		{"read 4294967296", "no decimal number of 32 bits"},
		{"read 0x10", "no constant"},
		{"read O_RDONLY", "no constant"},
		{"setuid >5", "only equality"},
		{"read 1|2|3", "no constant"},
		{"chown - u:no_such!", "no name of a user"},
	} {
		refused(t, "snap", tt[0], tt[1])
	}
	_, losses, err := readSnap("p", []byte("nosuch 1\n~ptrace\n"), Options{Native: abi.AMD64})
	if err != nil || len(losses) != 2 {
		t.Errorf("%v, %v", losses, err)
	}
}

// The binary form means what the text does.
func TestSnapBinary(t *testing.T) {
	const text = "read\nwrite 1\nioctl - 5\n~ioctl - - 9\n"
	want := readAs(t, "snap", text, Options{})
	var parts [2][]byte
	for i, lines := range []string{"read\nwrite 1\nioctl - 5\n", "@complain\n~ioctl - - 9\n"} {
		p, _, err := readSnap("p", []byte(lines), Options{Native: abi.AMD64})
		if err != nil {
			t.Fatal(err)
		}
		if i == 1 { // the filter that denies lets all else through
			p.Default.Kind = abi.Allow
		}
		f, err := build.Build(resolve(t, p, abi.AMD64))
		if err != nil {
			t.Fatal(err)
		}
		parts[i] = f.Program.Bytes(false)
	}
	header := make([]byte, snapHeader)
	copy(header, "SC\x01")
	binary.LittleEndian.PutUint32(header[8:], uint32(len(parts[0])))
	binary.LittleEndian.PutUint32(header[12:], uint32(len(parts[1])))
	data := append(append(header, parts[0]...), parts[1]...)
	if f, _ := Detect("p", data); f.Name != "snap" {
		t.Errorf("taken for %q", f.Name)
	}
	got := readAs(t, "snap", string(data), Options{})
	s := proof.NewSpace(proof.Budget{})
	f, err := s.Policy(want)
	if err != nil {
		t.Fatal(err)
	}
	g, err := s.Policy(got)
	if err != nil {
		t.Fatal(err)
	}
	if c, differ := s.Difference(f, g); differ {
		t.Errorf("%+v: %v, want %v", c, got.Eval(c), want.Eval(c))
	}
	for name, bad := range map[string][]byte{"short": data[:len(data)-8], "no filters": header, "nonsense": append(header[:8:8], make([]byte, snapHeader)...)} {
		if _, _, err := readSnap("p", bad, Options{Native: abi.AMD64}); err == nil {
			t.Errorf("%s: read", name)
		}
	}
	header[3] = 1
	means(t, readAs(t, "snap", string(header), Options{}), "ptrace(): allow")
}

func TestSnapRoundTrip(t *testing.T) {
	const head = "version: 1\nabis: [amd64, 386]\nbad_arch_action: kill_thread\nx32_action: kill_thread\n"
	for name, rules := range map[string]string{
		"names":  `{action: allow, names: [read, write, socket]}`,
		"values": `{action: allow, calls: ["kill(sig == 9)", "ioctl(cmd in {TCGETS, 5}, fd:64 == 1)", "dup(fildes:64 != 5)", "fchownat(user in {0, 3})", "personality(persona & 0xff == 3)"]}`,
		"orders": `{action: allow, calls: ["dup(fildes:64 <= 19)", "kill(pid:64 >= 7, sig:64 == 1)"]}`,
		"words":  `{action: allow, calls: ["dup(fildes:64 in {2, 12, 13, 40})", "kill(pid:64 <= 44, pid:64 not in {3, 9}, sig:64 != 12)"]}`,
		"ids":    `{action: allow, calls: ["386:setreuid32(0, 0xffffffff)", "386:setresuid32(1, 0, 5)"]}`,
		"denied": `{action: errno(EACCES), calls: ["ioctl(cmd == 5)", "ptrace(_)"]}` + "\n- {action: allow, names: [ioctl, read]}",
	} {
		t.Run(name, func(t *testing.T) {
			carries(t, "snap", head+"default_action: errno(EPERM)\nsyscalls:\n- "+rules)
			carries(t, "snap", head+"default_action: log\nsyscalls:\n- "+rules)
		})
	}
	carries(t, "snap", head+"default_action: allow\nsyscalls:\n- {action: errno(EACCES), names: [ptrace], calls: [\"ioctl(cmd == 5)\"]}")
	carries(t, "snap", "version: 1\nabis: [amd64]\nbad_arch_action: allow\nx32_action: allow\ndefault_action: allow\nsyscalls: []")
	// The 32-bit ABI comes in, whether it is wanted or not.
	e, err := Export(format(t, "snap"), parse(t, "version: 1\nabis: [amd64]\ndefault_action: errno(EPERM)\nsyscalls: [{action: allow, names: [read]}]"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if !e.Looser() {
		t.Error("386 is let through, and nobody says so")
	}
}

// Snap-seccomp's own filters, of random profiles, are what the reader makes of
// the profiles. (2.57 of Debian 12 has neither denials in a filter of their own nor "M|N".)
func TestSnapSeccomp(t *testing.T) {
	const file = "/usr/lib/snapd/snap-seccomp"
	program := filepath.Join(debian(t, "snapd", file), file)
	dir := t.TempDir()
	names := strings.Fields("read write openat ioctl socket connect shmget setuid chown dup prctl kill futex stat64 mmap2 nosuch clone sendto semop")
	arguments := strings.Fields("- - - 0 1 5 4294967295 !1 >3 >=7 <2 <=9 |6 AF_UNIX PR_SET_NAME CLONE_NEWUSER SOCK_STREAM Q_GETINFO S_IFBLK NETLINK_AUDIT PTRACE_ATTACH PRIO_PGRP TIOCSTI PF_INET6 AF_CONN PF_CONN PTRACE_PEEKUSER Q_XGETQUOTA Q_XQUOTARM")
	random := rand.New(rand.NewPCG(1, 2))
	compared, different := 0, 0
	for i := range 80 {
		var b strings.Builder
		lines := 1 + random.IntN(6)
		if i < 20 {
			lines = 1
		}
		for range lines {
			name := names[random.IntN(len(names))]
			// Where a rule is refused, libseccomp 2.5 forgets what earlier ones with
			// conditions said of multiplexers: those stand alone.
			if _, _, multiplexed := abi.I386.Multiplexed(name); multiplexed && lines > 1 {
				fmt.Fprintln(&b, name)
				continue
			}
			b.WriteString(name)
			seen := 0
			for range random.IntN(4) {
				arg := arguments[random.IntN(len(arguments))]
				if name == "setuid" || name == "chown" {
					arg = []string{"-", "-1", "0", "1000"}[random.IntN(4)]
				}
				// Of an order together with other comparisons, libseccomp or calls, makes
				// something else at times: TestLibseccomp has those.
				order := strings.ContainsAny(arg, "<>")
				if seen == 2 || order && (seen > 0 || lines > 1) {
					arg = "-"
				}
				if b.WriteString(" " + arg); order {
					seen = 2
				} else if arg != "-" {
					seen = max(seen, 1)
				}
			}
			b.WriteByte('\n')
		}
		if random.IntN(4) == 0 {
			b.WriteString("@complain\n")
		}
		source, out := filepath.Join(dir, "s"), filepath.Join(dir, "o")
		if err := os.WriteFile(source, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		if text, err := exec.Command(program, "compile", source, out).CombinedOutput(); err != nil {
			t.Fatalf("%v %s\n%s", err, text, b.String())
		}
		data, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		p, err := bpf.FromBytes(data, false)
		if err != nil {
			t.Fatal(err)
		}
		compared++
		if result := proof.Equal(readAs(t, "snap", b.String(), Options{}), p, proof.Budget{}); result.Verdict != proof.Proved {
			different++
			t.Errorf("%+v\n%s", result, b.String())
		}
	}
	t.Logf("%d profiles compared, %d differ", compared, different)
}

func FuzzSnap(f *testing.F) {
	f.Add("read\nwrite 1 - >=5\n~clone 3|1\nchown - u:root -1\n@complain\n")
	f.Add("SC\x01" + fmt.Sprint(strings.Repeat("\x00", 200)))
	fuzzReader(f, "snap")
}
