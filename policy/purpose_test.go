//go:build linux

package policy_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sysgate/sysgate/internal/testkit"
	"github.com/sysgate/sysgate/policy"
	"github.com/sysgate/sysgate/policytest"
)

// purposes are the sets @purpose/NAME: others that its program needs, and what the
// sets together never let through.
var purposes = []struct {
	name, with string
	denied     []string
}{
	{"files-read", "", []string{"openat(flags & O_ACCMODE == O_WRONLY)", "openat(flags & O_CREAT != 0)", "unlink", "chmod", "socket", "execve", "fcntl(cmd == F_SETSIG)"}},
	{"files-write", "files-read", []string{"mount", "mknod", "socket", "execve", "chroot"}},
	{"network-client", "", []string{"listen", "accept4", "socket(domain == AF_PACKET)", "socket(domain == AF_INET, type & 0xf == SOCK_RAW)", "socket(domain == AF_ALG)", "execve", "unlink"}},
	{"network-server", "", []string{"connect", "socket(domain == AF_PACKET)", "socket(domain == AF_NETLINK)", "execve", "openat(flags & O_CREAT != 0)"}},
	{"network-local", "", []string{"socket(domain == AF_INET)", "socket(domain == AF_NETLINK)", "execve"}},
	{"exec", "identity", []string{"socket", "ptrace", "openat(flags & O_CREAT != 0)", "setuid"}},
	{"event-loop", "", []string{"socket", "execve", "unlink"}},
	{"timers", "", []string{"clock_settime", "settimeofday", "socket", "execve"}},
	{"signals", "", []string{"ptrace", "socket", "execve"}},
	{"terminal", "", []string{"ioctl(cmd == TIOCSTI)", "ioctl(cmd == TIOCLINUX)", "socket", "execve"}},
	{"identity", "", []string{"setuid", "setgroups", "prlimit64(new_rlim != NULL)", "socket"}},
	{"drop-privileges", "", []string{"unshare", "setns", "socket", "execve"}},
}

// only returns a policy that allows sets and nothing else.
func only(t *testing.T, sets ...string) *policy.Policy {
	t.Helper()
	text := "version: 1\nabis: [amd64]\ndefault_action: errno(EPERM)\nsyscalls:\n- action: allow\n  names: ['" + strings.Join(sets, "', '") + "']\n"
	p, err := policy.Parse("p.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Every set of this kind is tested, and lets nothing dangerous through.
func TestPurposeSets(t *testing.T) {
	tested := map[string]bool{}
	for _, tt := range purposes {
		tested["@purpose/"+tt.name] = true
		sets := []string{"@purpose/" + tt.name}
		if tt.with != "" {
			sets = append(sets, "@purpose/"+tt.with)
		}
		t.Run(tt.name, func(t *testing.T) { policytest.Deny(t, only(t, sets...), tt.denied...) })
	}
	for _, name := range append(policy.SetNames(), policy.PatternSetNames()...) {
		if strings.HasPrefix(name, "@purpose/") && !tested[name] {
			t.Errorf("%s is not tested", name)
		}
	}
}

// Programs run under the set of their purpose and that of their runtime.
func TestPurposes(t *testing.T) {
	testkit.NeedFilters(t)
	goProgram := filepath.Join(t.TempDir(), "purpose")
	cmd := exec.Command("go", "build", "-o", goProgram, "./testdata/purpose")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOARCH=amd64", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, tt := range purposes {
		t.Run("go/"+tt.name, func(t *testing.T) { runPurpose(t, goProgram, "@go", tt.name, tt.with) })
	}
	if _, err := exec.LookPath("gcc"); err != nil {
		t.Skip("gcc is not installed")
	}
	cProgram := filepath.Join(t.TempDir(), "purpose")
	if out, err := exec.Command("gcc", "-O2", "-Wno-format-truncation", "-o", cProgram, "testdata/purpose.c").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, tt := range purposes {
		switch tt.name {
		case "files-read", "files-write", "network-client", "exec", "event-loop", "identity":
			with := tt.with
			if with == "" && tt.name != "files-read" {
				with = "files-read" // it changes its directory
			}
			t.Run("c/"+tt.name, func(t *testing.T) { runPurpose(t, cProgram, "@glibc", tt.name, with) })
		}
	}
}

func runPurpose(t *testing.T, program, runtime, name, with string) {
	if name == "drop-privileges" && os.Getuid() != 0 {
		t.Skip("only root has privileges to drop")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("file", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	sets := []string{runtime, "@purpose/" + name}
	if with != "" {
		sets = append(sets, "@purpose/"+with)
	}
	if name == "exec" {
		sets = append(sets, "@purpose/files-read")
	}
	args := []string{name, dir}
	if name == "network-client" {
		args = append(args, echoes(t, "tcp", "127.0.0.1:0"), echoes(t, "unix", filepath.Join(dir, "echo")))
	}
	cmd := exec.Command(program, args...)
	if name == "network-server" {
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		go connect(out)
	}
	r := policytest.Run(t, only(t, sets...), cmd)
	for _, d := range r.Denials {
		t.Errorf("denied: %v", d)
	}
	if r.ExitCode != 0 {
		t.Errorf("ended with %d\n%s", r.ExitCode, r.Output)
	}
}

// echoes starts a server that sends back what it gets.
func echoes(t *testing.T, network, addr string) string {
	l, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { defer c.Close(); io.Copy(c, c) }()
		}
	}()
	return l.Addr().String()
}

// connect sends four bytes to the address that a server prints.
func connect(out io.Reader) {
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return
	}
	if c, err := net.Dial("tcp", strings.TrimSpace(line)); err == nil {
		defer c.Close()
		fmt.Fprint(c, "ping")
		io.ReadFull(c, make([]byte, 4))
	}
}
