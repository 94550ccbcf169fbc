package launch

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/sysgate/sysgate/internal/testkit"
)

func TestStatus(t *testing.T) {
	before := filters(t)
	for _, tt := range []struct {
		name string
		spec launcherSpec
		want map[string]string
	}{
		{"default", launcherSpec{}, map[string]string{"NoNewPrivs": "1", "Seccomp": "2", "Seccomp_filters": before}},
		{"privileged", launcherSpec{Keep: true}, map[string]string{"NoNewPrivs": "0", "Seccomp": "2", "Seccomp_filters": before}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.spec.Keep {
				testkit.Need(t, testkit.Root)
			}
			tt.spec.Args = []string{"cat", "/proc/self/status"}
			tt.spec.Filter = denyExecve(enosys)
			out, code := run(t, launcher(t, tt.spec))
			if code != 0 {
				t.Fatalf("exit code %d", code)
			}
			for field, want := range tt.want {
				if got := statusField(out, field); got != want {
					t.Errorf("%s: %s, want %s", field, got, want)
				}
			}
		})
	}
}

// filters returns how many filters a child of this process has under one more.
func filters(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	var n int
	fmt.Sscan(statusField(string(data), "Seccomp_filters"), &n)
	return fmt.Sprint(n + 1)
}

func statusField(status, name string) string {
	m := regexp.MustCompile(`(?m)^` + name + `:\s*(\S+)`).FindStringSubmatch(status)
	if m == nil {
		return "absent"
	}
	return m[1]
}

// Signal masks, ignored signals and limits reach the program as they were.
func TestInheritance(t *testing.T) {
	if _, err := exec.LookPath("env"); err != nil {
		t.Skip("needs env(1) of coreutils")
	}
	spec := launcherSpec{Args: []string{"cat", "/proc/self/status", "/proc/self/limits"}, Filter: allowAll}
	base := launcher(t, spec)
	cmd := exec.Command("sh", "-c", `ulimit -Sn 207; exec env --block-signal=USR2,PIPE --ignore-signal=HUP,INT,TSTP "$0"`, base.Path)
	cmd.Env = base.Env
	out, code := run(t, cmd)
	if code != 0 {
		t.Fatalf("exit code %d", code)
	}
	bit := func(signals ...syscall.Signal) (set uint64) {
		for _, s := range signals {
			set |= 1 << (s - 1)
		}
		return set
	}
	for field, want := range map[string]uint64{
		"SigBlk": bit(syscall.SIGUSR2, syscall.SIGPIPE),
		"SigIgn": bit(syscall.SIGHUP, syscall.SIGINT, syscall.SIGTSTP),
		"SigCgt": 0,
	} {
		got, err := strconv.ParseUint(statusField(out, field), 16, 64)
		if err != nil {
			t.Fatal(err)
		}
		// The C library's own signals: a shell or make may have left them ignored.
		if got &^= bit(32, 33); got != want {
			t.Errorf("%s: %016x, want %016x", field, got, want)
		}
	}
	if !regexp.MustCompile(`(?m)^Max open files +207 `).MatchString(out) {
		t.Errorf("soft limit of descriptors is not 207:\n%s", out)
	}
}

// The program has the descriptors that the launcher was started with, no other.
func TestDescriptors(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	// The shell expands the pattern itself; its own directory descriptor is
	// closed again before test looks.
	list := []string{"sh", "-c", `for fd in /proc/$$/fd/*; do test -e $fd && echo ${fd##*/}; done; echo passed >&4`}
	direct := exec.Command(list[0], list[1:]...)
	direct.ExtraFiles = []*os.File{r, w}
	want, _ := run(t, direct)
	cmd := launcher(t, launcherSpec{Args: list, Filter: allowAll})
	cmd.ExtraFiles = []*os.File{r, w}
	got, code := run(t, cmd)
	if code != 0 {
		t.Fatalf("exit code %d", code)
	}
	if got != want || !strings.Contains(got, "4\n") {
		t.Errorf("descriptors %q, want %q", got, want)
	}
	buf := make([]byte, 16)
	if n, err := r.Read(buf); err != nil || string(buf[:n]) != "passed\npassed\n" {
		t.Errorf("read %q, %v through the inherited pipe", buf[:n], err)
	}
}

func programArgs() int {
	fmt.Printf("%d %q %d %q\n", len(os.Args), os.Args[1:4], len(os.Getenv("LONG")), os.Args[len(os.Args)-1])
	return 0
}

func TestManyArguments(t *testing.T) {
	args := []string{self(t), "", "two words", "ümläut"}
	for len(args) < 3000 {
		args = append(args, "argument")
	}
	args = append(args, "last")
	t.Setenv(programVar, "args")
	t.Setenv("LONG", strings.Repeat("x", 100_000))
	out, _ := run(t, launcher(t, launcherSpec{Args: args, Filter: denyExecve(enosys)}))
	if want := fmt.Sprintf("3001 [%q %q %q] 100000 %q\n", "", "two words", "ümläut", "last"); out != want {
		t.Errorf("got %q, want %q", out, want)
	}
}
