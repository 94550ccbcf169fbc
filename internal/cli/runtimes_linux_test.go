package cli

import (
	"bufio"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/sysgate/sysgate/internal/refine"
	"github.com/sysgate/sysgate/internal/testkit"
)

// What this machine's container runtimes call between the installation of the
// filter and the execve of the program is in their tables, with no_new_privs and
// without, as root and as another user. strace sees it.
func TestRuntimes(t *testing.T) {
	testkit.Need(t, testkit.Root)
	testkit.NeedFilters(t)
	if _, err := exec.LookPath("strace"); err != nil {
		t.Skipf("needs strace: %v", err)
	}
	root := containerRoot(t)
	if err := buildPrograms(root); err != nil {
		t.Fatal(err)
	}
	allowAll := json.RawMessage(`{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"], "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO"}]}`)
	for _, name := range refine.RuntimeNames() {
		t.Run(name, func(t *testing.T) {
			if _, err := exec.LookPath(name); err != nil {
				t.Skipf("needs %s: %v", name, err)
			}
			if out, err := startRuntime(t, name, startedContainer{}.bundle(t, root)).CombinedOutput(); err != nil {
				testkit.Unable(t, "%s cannot start a container here, even without a profile: %v\n%s", name, err, out)
			}
			runtime, _ := refine.RuntimeByName(name)
			known := runtime.Calls()
			for _, c := range []startedContainer{{noNewPrivs: true}, {}, {user: 1000}, {noNewPrivs: true, user: 1000}} {
				c.profile = allowAll
				trace := filepath.Join(t.TempDir(), "trace")
				out, err := startRuntime(t, name, c.bundle(t, root), "strace", "-f", "-o", trace).CombinedOutput()
				if err != nil {
					t.Fatalf("%v\n%s", err, out)
				}
				seen := underFilter(t, trace)
				if !seen["execve"] {
					t.Errorf("no_new_privs %v, user %d: the execve was not seen, only %v", c.noNewPrivs, c.user, slices.Sorted(maps.Keys(seen)))
				}
				for call := range seen {
					if !slices.Contains(known, call) {
						t.Errorf("no_new_privs %v, user %d: it calls %s, which is not in the table", c.noNewPrivs, c.user, call)
					}
				}
			}
		})
	}
}

// containerRoot makes a root with the directories that runtimes mount on.
func containerRoot(t *testing.T) string {
	t.Helper()
	root := filepath.Join(t.TempDir(), "rootfs")
	for _, dir := range []string{"proc", "dev", "sys"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

var (
	straceCall    = regexp.MustCompile(`^(\d+) +(\w+)\(`)
	straceResumed = regexp.MustCompile(`^(\d+) +<\.\.\. (\w+) resumed>`)
	straceChild   = regexp.MustCompile(`= (\d+)$`)
	straceFilter  = regexp.MustCompile(`^\d+ +(seccomp\(SECCOMP_SET_MODE_FILTER, .*\{len=|prctl\(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, \{len=)`)
)

// underFilter returns what the output of strace -f says that threads called after
// they, or the thread that made them, had installed a filter, up to their execve.
func underFilter(t *testing.T, trace string) map[string]bool {
	t.Helper()
	f, err := os.Open(trace)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	seen := map[string]bool{}
	under, pending := map[string]bool{}, map[string]string{}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		m := straceCall.FindStringSubmatch(line)
		begins := m != nil
		if !begins {
			if m = straceResumed.FindStringSubmatch(line); m == nil {
				continue
			}
			line = pending[m[1]] + line
		}
		thread, call := m[1], m[2]
		if begins && under[thread] {
			seen[call] = true
		}
		if strings.HasSuffix(line, "<unfinished ...>") {
			pending[thread] = line
			continue
		}
		child := straceChild.FindStringSubmatch(line)
		switch {
		case child == nil:
		case straceFilter.MatchString(line) && child[1] == "0":
			under[thread] = true
		case call == "execve" && child[1] == "0":
			delete(under, thread)
		case slices.Contains([]string{"clone", "clone3", "fork", "vfork"}, call) && under[thread]:
			under[child[1]] = true
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return seen
}
