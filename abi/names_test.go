package abi

import (
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for name, want := range map[string]ABI{
		"amd64": AMD64, "x86_64": AMD64, "X86-64": AMD64, "386": I386, "i386": I386, "x86": I386, "x32": X32,
		"arm": ARM, "aarch64": ARM64, "riscv64": RISCV64, "LoongArch64": LOONG64, "ppc64le": PPC64LE,
		"powerpc64le": PPC64LE, "s390x": S390X, "mipsel": MIPSLE, "mips64el": MIPS64LE,
	} {
		if a, ok := Parse(name); !ok || a != want {
			t.Errorf("Parse(%q) = %s, %t, want %s", name, a, ok, want)
		}
	}
	for _, a := range All() {
		if b, ok := Parse(a.String()); !ok || a != b {
			t.Errorf("Parse(%q) = %s, %t", a, b, ok)
		}
	}
	for _, name := range []string{"", "none", "unknown", "amd", "amd64 "} {
		if a, ok := Parse(name); ok {
			t.Errorf("Parse(%q) = %s", name, a)
		}
	}
}

func TestSuggest(t *testing.T) {
	for name, want := range map[string]string{
		"opne": "open", "setsidaccept": "", "SYS_openat": "openat", "__NR_mmap": "mmap", "READ": "read",
		"getpidd": "getpid", "sokcet": "socket", "io_uring_entr": "io_uring_enter", "": "", "zzzzzzzzzz": "",
	} {
		if got := Suggest(name); got != want {
			t.Errorf("Suggest(%q) = %q, want %q", name, got, want)
		}
	}
}

func FuzzNames(f *testing.F) {
	for _, s := range []string{"", "open", "OPEN", "x86_64", "__NR_", strings.Repeat("a", 100), "\x00", "öffnen"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if a, ok := Parse(s); ok == (a == None) {
			t.Errorf("Parse(%q) = %s, %t", s, a, ok)
		}
		if known := Suggest(s); known != "" && !Known(known) {
			t.Errorf("Suggest(%q) = %q, which nobody knows", s, known)
		}
		if Known(s) && len(s) <= 64 && !strings.HasPrefix(s, "sys_") && Suggest(s) != s {
			t.Errorf("Suggest(%q) = %q", s, Suggest(s))
		}
		for _, a := range All() {
			if nr, ok := a.Lookup(s); ok && (!Known(s) || a.SyscallName(nr) == "") {
				t.Errorf("%s: Lookup(%q) = %d", a, s, nr)
			}
		}
	})
}

func TestErrno(t *testing.T) {
	for _, tc := range []struct {
		abi  ABI
		name string
		n    uint16
	}{
		{AMD64, "EPERM", 1},
		{AMD64, "ENOSYS", 38},
		{MIPS, "ENOSYS", 89},
		{MIPS64LE, "EDQUOT", 1133},
		{PPC64, "EDEADLOCK", 58},
		{ARM64, "EAGAIN", 11},
		{X32, "EOPNOTSUPP", 95},
		{MIPS, "EINIT", 141},
	} {
		if n, ok := tc.abi.Errno(tc.name); !ok || n != tc.n {
			t.Errorf("%s: Errno(%s) = %d, %t, want %d", tc.abi, tc.name, n, ok, tc.n)
		}
		if name := tc.abi.ErrnoName(tc.n); name != tc.name {
			t.Errorf("%s: ErrnoName(%d) = %q, want %s", tc.abi, tc.n, name, tc.name)
		}
	}
	if n, ok := AMD64.Errno("EWOULDBLOCK"); !ok || n != 11 {
		t.Errorf("EWOULDBLOCK is %d, %t", n, ok)
	}
	if _, ok := AMD64.Errno("EINIT"); ok {
		t.Error("amd64 has EINIT")
	}
	for _, n := range []uint16{0, 4095, 65535} {
		if name := AMD64.ErrnoName(n); name != "" {
			t.Errorf("ErrnoName(%d) = %q", n, name)
		}
	}
	if s := MIPS.ActionString(Errno.WithData(89)); s != "errno(ENOSYS)" {
		t.Error(s)
	}
	if s := AMD64.ActionString(Errno.WithData(4095)); s != "errno(4095)" {
		t.Error(s)
	}
	if s := AMD64.ActionString(Allow); s != "allow" {
		t.Error(s)
	}
}

func TestAliasesOfNumber(t *testing.T) {
	for _, tc := range []struct {
		abi  ABI
		nr   uint32
		want string
	}{{AMD64, 4, "newstat"}, {AMD64, 0, ""}, {AMD64, 9999, ""}, {None, 0, ""}} {
		if got := strings.Join(tc.abi.Aliases(tc.nr), " "); got != tc.want {
			t.Errorf("%s %d: %q, want %q", tc.abi, tc.nr, got, tc.want)
		}
	}
	for _, a := range All() {
		for nr, name := range a.Syscalls() {
			for _, alias := range a.Aliases(nr) {
				if got, ok := a.Lookup(alias); !ok || got != nr || alias == name {
					t.Errorf("%s: %s is no alias of %s", a, alias, name)
				}
			}
		}
	}
}

// TestConstants: the list is sorted and has what Constant finds, nothing else.
func TestConstants(t *testing.T) {
	for _, a := range All() {
		last, n := "", 0
		for name, v := range a.Constants() {
			if got, ok := a.Constant(name); !ok || got != v || name <= last {
				t.Errorf("%s: %s = %#x after %s: Constant says %#x, %t", a, name, v, last, got, ok)
			}
			last, n = name, n+1
		}
		if n < 1000 {
			t.Errorf("%s: %d constants", a, n)
		}
	}
}

func TestConstant(t *testing.T) {
	for _, tc := range []struct {
		abi   ABI
		name  string
		value uint64
	}{
		{AMD64, "AF_ALG", 38},
		{AMD64, "TCGETS", 0x5401},
		{AMD64, "TIOCSTI", 0x5412},
		{AMD64, "TIOCLINUX", 0x541c},
		{AMD64, "O_LARGEFILE", 0x8000},
		{ARM64, "O_LARGEFILE", 0x20000},
		{I386, "F_GETLK", 5},
		{I386, "F_GETLK64", 12},
		{AMD64, "AT_FDCWD", ^uint64(99)},
		{AMD64, "ADDR_NO_RANDOMIZE", 0x40000},
		{AMD64, "ARCH_SET_FS", 0x1002},
		{AMD64, "CLONE_NEWTIME", 0x80},
		{AMD64, "FUTEX_WAIT", 0},
		{AMD64, "O_TMPFILE", 0x410000},
		{ARM64, "O_TMPFILE", 0x404000},
		{AMD64, "SOCK_CLOEXEC", 0x80000},
		{MIPS, "SOCK_STREAM", 2},
		{I386, "SOCK_STREAM", 1},
		{AMD64, "PR_SET_NO_NEW_PRIVS", 38},
		{AMD64, "SECCOMP_SET_MODE_FILTER", 1},
		{AMD64, "MAP_ANONYMOUS", 0x20},
		{AMD64, "SIGKILL", 9},
		{AMD64, "SOL_SOCKET", 1},
		{AMD64, "BPF_PROG_LOAD", 5},
		{AMD64, "KEYCTL_READ", 11},
		{AMD64, "IPC_RMID", 0},
		{AMD64, "PER_LINUX32", 8},
		{AMD64, "PROT_EXEC", 4},
		{AMD64, "MFD_CLOEXEC", 1},
		{AMD64, "LINUX_REBOOT_CMD_RESTART", 0x1234567},
		{AMD64, "GRND_NONBLOCK", 1},
		{AMD64, "FIONREAD", 0x541b},
		{I386, "FS_IOC_SETFLAGS", 0x40046602},
		{AMD64, "FS_IOC_SETFLAGS", 0x40086602},
	} {
		if v, ok := tc.abi.Constant(tc.name); !ok || v != tc.value {
			t.Errorf("%s: %s = %#x, %t, want %#x", tc.abi, tc.name, v, ok, tc.value)
		}
	}
	for _, tc := range []struct {
		abi  ABI
		name string
	}{{ARM64, "ARCH_SET_FS"}, {AMD64, "F_GETLK64"}, {AMD64, "AF_NONSENSE"}, {AMD64, ""}, {None, "AF_UNIX"}} {
		if v, ok := tc.abi.Constant(tc.name); ok {
			t.Errorf("%s: %q = %#x", tc.abi, tc.name, v)
		}
	}
}
