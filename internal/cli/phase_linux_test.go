package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sysgate/sysgate/internal/testkit"
)

// A program that loads its filter at the start of main, and then works, with what its
// constructor left behind.
const ownFilter = `
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>
static void handler(int s) { getsid(0); }
static void bye(void) { getppid(); }
static void *work(void *p) { free(malloc(1 << 20)); return p; }
__attribute__((constructor)) static void init(void) { signal(SIGUSR1, handler); atexit(bye); sethostname("", -1); }
int main(int argc, char **argv) {
	static struct sock_filter code[4096];
	FILE *f = fopen(argv[1], "r");
	struct sock_fprog p = {f ? fread(code, sizeof *code, 4096, f) : 0, code};
	if (!p.len || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &p))
		return 2;
	raise(SIGUSR1);
	pthread_t t;
	pthread_create(&t, 0, work, 0);
	pthread_join(t, 0);
	time_t now = time(0);
	localtime(&now);
	puts(getpwuid(0) ? "root" : "nobody");
	return 0;
}
`

// TestPhaseMainEnforced runs a program under the filter of its own phase main, which it
// loads itself; every other call kills it.
func TestPhaseMainEnforced(t *testing.T) {
	testkit.NeedFilters(t)
	if _, err := exec.LookPath("gcc"); err != nil {
		t.Skip("gcc is not installed")
	}
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	if err := os.WriteFile(at("p.c"), []byte(ownFilter), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, flags := range [][]string{{"-O2"}, {"-O2", "-static", "-s"}} {
		if msg, err := exec.Command("gcc", append(flags, "-o", at("p"), at("p.c"), "-lpthread")...).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, msg)
		}
		if _, stderr, code := runMain(t, "profile", "--phase", "main", "--dlopen", "none", "--default-action", "kill_process", "-o", at("policy.yaml"), at("p")); code != 0 {
			t.Fatalf("exit code %d\n%s", code, stderr)
		}
		policy, err := os.ReadFile(at("policy.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		if text := string(policy); strings.Contains(text, "set_tid_address") || strings.Contains(text, "execve") || !strings.Contains(text, "phase main") {
			t.Errorf("%v: the policy is of another phase:\n%s", flags, text)
		}
		if _, stderr, code := runMain(t, "compile", "--emit", "bpf", "-o", at("filter"), at("policy.yaml")); code != 0 {
			t.Fatalf("exit code %d\n%s", code, stderr)
		}
		if out, err := exec.Command(at("p"), at("filter")).CombinedOutput(); err != nil || string(out) != "root\n" {
			t.Errorf("%v: %v, %s", flags, err, out)
		}
	}
}

// TestPhasesApart checks that profiles of different phases are not compared, and where
// --phase main makes no sense.
func TestPhasesApart(t *testing.T) {
	saved := filepath.Join(t.TempDir(), "main.json")
	if _, stderr, code := runMain(t, "profile", "--phase", "main", "--json", "-o", saved, "/bin/true"); code != 0 {
		t.Fatalf("exit code %d\n%s", code, stderr)
	}
	if _, stderr, code := runMain(t, "gate", saved, "/bin/true"); code != 1 || !strings.Contains(stderr, "cannot be compared") || !strings.Contains(stderr, "hint: --phase main") {
		t.Errorf("exit code %d\n%s", code, stderr)
	}
	if _, stderr, code := runMain(t, "gate", "--phase", "main", saved, "/bin/true"); code != 0 {
		t.Errorf("exit code %d\n%s", code, stderr)
	}
	for _, args := range [][]string{{"--format", "oci"}, {"--runtime", "runc"}, {"--phase", "late"}} {
		if _, stderr, code := runMain(t, append([]string{"profile", "--phase", "main", "/bin/true"}, args...)...); code != 2 {
			t.Errorf("%v: exit code %d\n%s", args, code, stderr)
		}
	}
}
