package cli

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/source"
)

// Filters that libseccomp compiled come back as policies: each is printed, read
// again, and differs nowhere from the filter.
func TestShowLibseccomp(t *testing.T) {
	if _, err := exec.LookPath("gcc"); err != nil {
		t.Skip("gcc is not installed")
	}
	if _, err := os.Stat("/usr/include/seccomp.h"); err != nil {
		t.Skip("libseccomp-dev is not installed")
	}
	program := filepath.Join(t.TempDir(), "libseccomp")
	if out, err := exec.Command("gcc", "-o", program, "../convert/testdata/libseccomp.c", "-lseccomp").CombinedOutput(); err != nil {
		t.Fatalf("gcc: %v\n%s", err, out)
	}
	const amd64, i386, x32, arm64, s390x = "c000003e", "40000003", "4000003e", "c00000b7", "80000016"
	const allow, eperm = "7fff0000", "50001"
	names := func(action string, every int) string {
		var b strings.Builder
		i := 0
		for _, name := range abi.AMD64.Syscalls() {
			if i++; i%every == 0 {
				fmt.Fprintf(&b, "rule %s %s 0\n", action, name)
			}
		}
		return b.String()
	}
	for name, rules := range map[string]string{
		"an allowed list":     "init " + eperm + "\narch " + amd64 + "\n" + names(allow, 2),
		"a denied list":       "init " + allow + "\narch " + amd64 + "\n" + names(eperm, 7),
		"three architectures": "init " + eperm + "\narch " + amd64 + "\narch " + i386 + "\narch " + x32 + "\n" + names(allow, 3),
		"arm64":               "init 80000000\narch " + arm64 + "\n" + names(allow, 3),
		"s390x":               "init " + eperm + "\narch " + s390x + "\n" + names(allow, 5),
		"conditions": "init " + eperm + "\narch " + amd64 + "\n" +
			"rule " + allow + " socket 1 0 4 1 0\n" + // domain == 1
			"rule " + allow + " clone 1 0 7 7e020000 0\n" + // no namespaces
			"rule " + allow + " ioctl 1 1 1 5412 0\n" + // not TIOCSTI
			"rule " + allow + " kill 2 0 6 10 0 1 2 9 0\n" + // pid > 16, sig < 9
			"rule " + allow + " fcntl 1 1 3 4 0\n" + // cmd <= 4
			"rule 50026 personality 1 0 5 8 0\n", // persona >= 8: ENOSYS
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command(program)
			cmd.Stdin = strings.NewReader(rules + "export\n")
			cmd.Stderr = os.Stderr
			out, err := cmd.Output()
			if err != nil {
				t.Fatal(err)
			}
			in, err := source.Parse(name, exported(t, out), source.Options{Native: abi.AMD64})
			if err != nil {
				t.Fatal(err)
			}
			sh, err := newShown(in)
			if err != nil || sh.err != nil {
				t.Fatal(err, sh.err)
			}
			again, err := source.Parse("policy", []byte(sh.policy), source.Options{Native: abi.AMD64})
			if err != nil {
				t.Fatalf("%v\n%s", err, sh.policy)
			}
			d, err := compare(in, again, diffOptions{})
			if err != nil || d.count() > 0 {
				t.Errorf("%v, %d differences\n%s", err, d.count(), sh.policy)
			}
			t.Logf("%d instructions, %d lines", len(in.Program), strings.Count(sh.policy, "\n"))
		})
	}
}

// exported returns the filter among the answers of libseccomp.
func exported(t *testing.T, out []byte) []byte {
	t.Helper()
	r := bufio.NewReader(strings.NewReader(string(out)))
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatalf("no filter: %v", err)
		}
		var rc, n int
		if _, err := fmt.Sscanf(line, "rule %x", &rc); err == nil && rc != 0 {
			t.Logf("%s", line)
		}
		if _, err := fmt.Sscanf(line, "filter %x", &n); err != nil {
			continue
		}
		filter := make([]byte, n)
		if _, err := io.ReadFull(r, filter); err != nil {
			t.Fatal(err)
		}
		return filter
	}
}
