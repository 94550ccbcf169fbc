package convert

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/internal/testkit"
	"github.com/sysgate/sysgate/policy"
)

// starting are the calls that a runtime makes between the filter and the program,
// which each profile of TestRuntimes lets through.
var starting = strings.Fields(`capget capset chdir close close_range dup3 epoll_ctl epoll_pwait execve exit exit_group
	faccessat2 fchown fcntl fstat fstatfs futex getcwd getdents64 getpid getppid gettid lseek mmap mprotect munmap nanosleep
	newfstatat openat pause prctl read rt_sigaction rt_sigprocmask rt_sigreturn setgid setgroups setuid sigaltstack stat statx
	tgkill wait4 write brk sched_yield madvise getrandom access readlink readlinkat poll sendmsg seccomp`)

// TestRuntimes has runc and crun start containers under random profiles, and
// compares the filters of their processes with what the profiles are read as, by
// proof. What libseccomp refuses, they refuse, and so does the reader.
func TestRuntimes(t *testing.T) {
	testkit.Need(t, testkit.Root)
	testkit.NeedFilters(t)
	enosys, eio := uint16(38), uint16(5)
	s := scope{
		native: abi.AMD64, arches: []string{"SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"}, narrow: true, repeat: true, args: 2,
		names:   strings.Fields("socket connect bind accept4 recvfrom shmget semctl msgsnd ioctl clone personality kill dup wait4 clone3 openat2 mkdir io_uring_setup"),
		ops:     []string{"SCMP_CMP_EQ"},
		actions: []ociAction{{Action: "SCMP_ACT_ALLOW"}, {Action: "SCMP_ACT_LOG"}},
	}
	for _, tt := range []struct {
		runtime Runtime
		args    []string // of the command
	}{
		{Runc, []string{"runc"}},
		{Crun, []string{"crun", "--cgroup-manager=disabled"}},
	} {
		t.Run(tt.runtime.String(), func(t *testing.T) {
			if _, err := exec.LookPath(tt.args[0]); err != nil {
				t.Skipf("%s is not installed", tt.args[0])
			}
			r := rand.New(rand.NewPCG(1, 1))
			refused := 0
			for i := range 8 {
				s := s
				if i%2 == 0 { // one architecture, values of 64 bits
					s.arches, s.narrow = s.arches[:1], false
				}
				p := s.random(r)
				p.DefaultErrnoRet = [...]*uint16{&enosys, &eio, nil}[i%3]
				p.Syscalls = append([]ociSyscall{{Names: starting, ociAction: ociAction{Action: "SCMP_ACT_ALLOW"}}}, p.Syscalls...)
				text, err := json.Marshal(p)
				if err != nil {
					t.Fatal(err)
				}
				read, _, readErr := OCI("p.json", text, OCIOptions{Options: Options{Native: abi.AMD64, Runtime: tt.runtime}})
				started, err := startContainer(t, tt.args, text)
				if err != nil {
					if refused++; readErr == nil || !strings.Contains(readErr.Error(), "libseccomp refuses it") {
						t.Errorf("the reader says %v, but %v", readErr, err)
					}
					continue
				}
				if readErr != nil {
					t.Errorf("a container starts, but %v", readErr)
					continue
				}
				if len(started.filters) != 1 {
					t.Fatalf("%d filters", len(started.filters))
				}
				sameAsStack(t, read, started.filters, true, string(text))
				probed(t, read, started.results, text)
			}
			if refused == 0 || refused > 4 {
				t.Errorf("%d of 8 profiles were refused", refused)
			}
		})
	}
}

// probes are calls that do no harm with these arguments.
var probes = []abi.Call{
	probe("socket", 255, 1, 0), probe("connect", 9999), probe("bind", 9999), probe("mkdir", 0), probe("kill", 0x7ffffff0, 0),
	probe("personality", 0xffffffff), probe("semctl", 0xffffffff), probe("io_uring_setup", 0, 0), probe("openat2", 9999),
	{Arch: 0xc000003e, NR: 999},
	{Arch: 0xc000003e, NR: 0xffff},
}

func probe(name string, args ...uint64) abi.Call {
	nr, _ := abi.AMD64.Lookup(name)
	c := abi.Call{Arch: 0xc000003e, NR: nr}
	copy(c.Args[:], args)
	return c
}

// buildProbe builds a program that makes all probes, writes their results, 8 bytes
// each, and waits.
func buildProbe(t *testing.T, file string) {
	t.Helper()
	var text strings.Builder
	text.WriteString(`static long call(long nr, long a, long b, long c) {
	register long d __asm__("r10") = 0, e __asm__("r8") = 0, f __asm__("r9") = 0;
	long r;
	__asm__ volatile("syscall" : "=a"(r) : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(d), "r"(e), "r"(f) : "rcx", "r11", "memory");
	return r;
}
void _start(void) { static long r[100]; int i = 0;
`)
	for _, c := range probes {
		fmt.Fprintf(&text, "r[i++] = call(%d, %#xl, %#xl, %#xl);\n", c.NR, c.Args[0], c.Args[1], c.Args[2])
	}
	nr, _ := abi.AMD64.Lookup("write")
	pause, _ := abi.AMD64.Lookup("pause")
	fmt.Fprintf(&text, "call(%d, 1, (long)r, 8 * i); for (;;) call(%d, 0, 0, 0); }\n", nr, pause)
	build := exec.Command("gcc", "-static", "-nostdlib", "-O1", "-x", "c", "-o", file, "-")
	build.Stdin = strings.NewReader(text.String())
	if out, err := build.CombinedOutput(); err != nil {
		t.Skipf("gcc is not installed: %v\n%s", err, out)
	}
}

// A started container is the filters of its process and what its probes returned.
type started struct {
	filters []bpf.Program
	results []int64
}

// startContainer has a runtime start the probes under a profile. The error is what
// the runtime says against it.
func startContainer(t *testing.T, runtime []string, profile []byte) (started, error) {
	t.Helper()
	dir := t.TempDir()
	root := filepath.Join(dir, "root")
	for _, d := range []string{"proc", "dev"} {
		if err := os.MkdirAll(filepath.Join(root, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	buildProbe(t, filepath.Join(root, "probe"))
	config := fmt.Sprintf(`{"ociVersion": "1.0.2",
		"process": {"user": {"uid": 0, "gid": 0}, "args": ["/probe"], "env": ["PATH=/"], "cwd": "/", "noNewPrivileges": true},
		"root": {"path": %q, "readonly": true}, "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
		"linux": {"namespaces": [{"type": "pid"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"}], "seccomp": %s}}`, root, profile)
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	// crun refuses hybrid control groups: it sees them without the second version.
	const hide = `umount /sys/fs/cgroup/unified 2>/dev/null; exec "$@"`
	pidFile := filepath.Join(dir, "pid")
	args := append([]string{"--mount", "sh", "-c", hide, "sh"}, runtime...)
	args = append(args, "--root", filepath.Join(dir, "state"), "run", "--bundle", dir, "--pid-file", pidFile, fmt.Sprintf("sysgate-probe-%d-%s", os.Getpid(), filepath.Base(dir)))
	cmd := exec.Command("unshare", args...)
	var log bytes.Buffer
	cmd.Stderr = &log
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Skipf("%s cannot be started: %v", runtime[0], err)
	}
	results := make([]byte, 8*len(probes))
	_, err = io.ReadFull(out, results)
	if err != nil {
		cmd.Process.Kill()
		cmd.Wait()
		return started{}, fmt.Errorf("%s: the probes did not run: %w\n%s\n%s", runtime[0], err, log.String(), profile)
	}
	pid := 0
	for range 200 { // runc writes the file when the container runs
		if text, err := os.ReadFile(pidFile); err == nil {
			if pid, err = strconv.Atoi(strings.TrimSpace(string(text))); err == nil {
				break
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
	if pid == 0 {
		t.Fatalf("%s writes no file with the number of the process\n%s", runtime[0], log.String())
	}
	s := started{filters: seccompFilters(t, pid)}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Error(err)
	}
	cmd.Wait() // it tells of the signal
	for b := results; len(b) > 0; b = b[8:] {
		s.results = append(s.results, int64(binary.LittleEndian.Uint64(b)))
	}
	return s, nil
}

// probed sees that what the probes returned is what p says of them.
func probed(t *testing.T, p *policy.Policy, results []int64, profile []byte) {
	t.Helper()
	resolved := resolve(t, p, abi.AMD64)
	denied := 0
	for i, c := range probes {
		action := resolved.Eval(c).Action
		errno := -results[i]
		if action.Kind() != abi.Errno {
			continue
		}
		denied++
		if errno != int64(action.Data()) {
			t.Errorf("%s: %v by the policy, errno %d in the container\n%s", policy.FormatCall(c), action, errno, profile)
		}
	}
	if denied == 0 {
		t.Errorf("no probe is denied\n%s", profile)
	}
}
