package proc

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const id = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func TestParseCgroup(t *testing.T) {
	root := t.TempDir()
	if err := os.MkdirAll(root+"/run/runc/web", 0o755); err != nil {
		t.Fatal(err)
	}
	const uid = "8dbc5577-d0e2-4706-8787-57d52c03ddf2"
	under := strings.ReplaceAll(uid, "-", "_")
	for _, tt := range []struct {
		text string
		want Place
	}{
		{"", Place{}},
		{"0::/\n", Place{}},
		{"nonsense\n1:2", Place{}},
		{"0::/system.slice/nginx.service\n", Place{Cgroup: "/system.slice/nginx.service", Unit: "nginx.service"}},
		{"0::/system.slice/nginx.service/payload\n", Place{Cgroup: "/system.slice/nginx.service/payload", Unit: "nginx.service"}},
		{
			"0::/user.slice/user-1000.slice/user@1000.service/app.slice/app-a\\x2db.service\n",
			Place{Cgroup: "/user.slice/user-1000.slice/user@1000.service/app.slice/app-a\\x2db.service", Unit: "app-a-b.service"},
		},
		{"0::/system.slice/docker-" + id + ".scope\n", Place{Cgroup: "/system.slice/docker-" + id + ".scope", Container: id, Runtime: "docker", Unit: "docker-" + id + ".scope"}},
		{"12:pids:/docker/" + id + "\n1:name=systemd:/docker/" + id + "\n0::/\n", Place{Cgroup: "/docker/" + id, Container: id, Runtime: "docker"}},
		{"0::/machine.slice/libpod-" + id + ".scope/container\n", Place{Cgroup: "/machine.slice/libpod-" + id + ".scope/container", Container: id, Runtime: "podman", Unit: "libpod-" + id + ".scope"}},
		{"0::/machine.slice/libpod-conmon-" + id + ".scope\n", Place{Cgroup: "/machine.slice/libpod-conmon-" + id + ".scope", Unit: "libpod-conmon-" + id + ".scope"}},
		{"0::/libpod_parent/libpod-" + id + "\n", Place{Cgroup: "/libpod_parent/libpod-" + id, Container: id, Runtime: "podman"}},
		{
			"0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + under + ".slice/cri-containerd-" + id + ".scope\n",
			Place{
				Cgroup:    "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + under + ".slice/cri-containerd-" + id + ".scope",
				Container: id, Runtime: "containerd", Pod: uid, Unit: "cri-containerd-" + id + ".scope",
			},
		},
		{"0::/kubepods/besteffort/pod" + uid + "/" + id + "\n", Place{Cgroup: "/kubepods/besteffort/pod" + uid + "/" + id, Container: id, Pod: uid}},
		{"0::/kubepods.slice/crio-" + id + ".scope\n", Place{Cgroup: "/kubepods.slice/crio-" + id + ".scope", Container: id, Runtime: "cri-o", Unit: "crio-" + id + ".scope"}},
		{"0::/lxc.payload.db/system.slice/x.service\n", Place{Cgroup: "/lxc.payload.db/system.slice/x.service", Container: "db", Runtime: "lxc", Unit: "x.service"}},
		{"0::/lxc/db\n", Place{Cgroup: "/lxc/db", Container: "db", Runtime: "lxc"}},
		{"0::/machine.slice/machine-deb\\x2d12.scope/payload\n", Place{Cgroup: "/machine.slice/machine-deb\\x2d12.scope/payload", Container: "deb-12", Runtime: "nspawn", Unit: "machine-deb-12.scope"}},
		{"9:pids:/web\n0::/\n", Place{Cgroup: "/web", Container: "web", Runtime: "runc"}},
		{"9:pids:/webb\n", Place{Cgroup: "/webb"}},
		{"0::/system.slice/a.service (deleted)\n", Place{Cgroup: "/system.slice/a.service", Unit: "a.service"}},
	} {
		if diff := cmp.Diff(tt.want, parseCgroup(tt.text, root)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", tt.text, diff)
		}
	}
}

func FuzzParseCgroup(f *testing.F) {
	f.Add("12:pids:/docker/" + id + "\n0::/a\\x2d.service\n")
	f.Fuzz(func(t *testing.T, text string) {
		if p := parseCgroup(text, t.Name()); p.Container != "" && p.Cgroup == "" {
			t.Errorf("%q: %+v", text, p)
		}
	})
}

const status = "Name:\tnc\\040\\134\nState:\tS (sleeping)\nPPid:\t7\nUid:\t1000\t0\t0\t0\nGid:\t100\t0\t0\t0\nThreads:\t1\nNoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t3\n"

func TestParseStatus(t *testing.T) {
	want := Status{Name: `nc \`, PPID: 7, UID: 1000, GID: 100, Threads: 1, Mode: 2, Filters: 3, NoNewPrivs: 1}
	if diff := cmp.Diff(want, parseStatus([]byte(status))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := parseStatus([]byte("State:\tZ\n")); !got.Dead || got.Mode != -1 || got.Filters != -1 || got.NoNewPrivs != -1 {
		t.Errorf("an old kernel's: %+v", got)
	}
}

func FuzzParseStatus(f *testing.F) {
	f.Add([]byte(status))
	f.Fuzz(func(t *testing.T, text []byte) {
		if s := parseStatus(text); s.Threads < 0 || s.PPID < 0 {
			t.Errorf("%q: %+v", text, s)
		}
	})
}

// host makes a /proc of its own.
func host(t testing.TB, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		name = filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// Where proc is not mounted, nobody is known not to be under seccomp.
func TestNoProc(t *testing.T) {
	root := host(t, map[string]string{"version": "1"})
	if all, err := All(root); err == nil || !strings.Contains(err.Error(), "not mounted") {
		t.Errorf("%v %v", all, err)
	}
}

// A process counts if any thread of it is under seccomp.
func TestAllProtected(t *testing.T) {
	state := func(name string, threads, mode, filters int) string {
		return fmt.Sprintf("Name:\t%s\nState:\tS\nThreads:\t%d\nUid:\t0\t0\nGid:\t0\t0\nNoNewPrivs:\t0\nSeccomp:\t%d\nSeccomp_filters:\t%d\n", name, threads, mode, filters)
	}
	root := host(t, map[string]string{
		"1/status": state("init", 1, 0, 0), "1/cmdline": "init\x00",
		"20/status": state("one", 1, 2, 2), "20/cmdline": "one\x00-x\x00a b\x00", "20/cgroup": "0::/system.slice/one.service\n",
		"3/status":  state("strict", 1, 1, 0),
		"40/status": state("part", 2, 0, 0), "40/task/40/status": state("part", 2, 0, 0), "40/task/41/status": state("part", 2, 2, 1),
		"50/status": state("whole", 2, 2, 1), "50/task/50/status": state("whole", 2, 2, 1), "50/task/51/status": state("whole", 2, 2, 1),
		"60/status": state("none", 2, 0, 0), "60/task/60/status": state("none", 2, 0, 0), "60/task/61/status": state("none", 2, 0, 0),
		"70/cmdline": "gone", "self/status": state("self", 1, 2, 2), "meminfo": "",
	})
	got, seen, err := AllProtected(root)
	if err != nil {
		t.Fatal(err)
	}
	var text []string
	for _, p := range got {
		text = append(text, strings.TrimSpace(fmt.Sprintln(p.PID, p.Mode, p.Filters, p.Under, p.Command(), p.Unit)))
	}
	want := []string{"3 1 0 [] [strict]", "20 2 2 [] one -x a b one.service", "40 2 1 [41] [part]", "50 2 1 [] [whole]"}
	if diff := cmp.Diff(want, text); diff != "" || seen != 6 {
		t.Errorf("seen %d (-want +got):\n%s", seen, diff)
	}
}

func TestRead(t *testing.T) {
	p, err := Read("/proc", os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if p.PPID != os.Getppid() || p.Exe != self || int(p.UID) != os.Getuid() || len(p.Args) != len(os.Args) || p.Cwd == "" {
		t.Errorf("%+v", p)
	}
	if _, err := Read("/proc", 1<<30); !errors.Is(err, ErrGone) {
		t.Errorf("no process: %v", err)
	}
}

func TestUsers(t *testing.T) {
	var u Users
	if u.User(0) != "root" || u.Group(0) != "root" || u.User(^uint32(0)) != "" || u.User(4200000000) != "" {
		t.Errorf("%q %q %q %q", u.User(0), u.Group(0), u.User(^uint32(0)), u.User(4200000000))
	}
}

// TestFast holds the reading of a host with 1,000 processes to 100 ms of processor
// time, as the best of several; the time on the clock depends on what else runs.
func TestFast(t *testing.T) {
	files := map[string]string{}
	for i := range 1000 {
		files[fmt.Sprintf("%d/status", i+1)] = status
		files[fmt.Sprintf("%d/cmdline", i+1)] = "nc\x00-l\x00"
		files[fmt.Sprintf("%d/cgroup", i+1)] = "0::/system.slice/nc.service\n"
	}
	root := host(t, files)
	best, wall := time.Hour, time.Hour
	for range 10 {
		start, cpu := time.Now(), cpuTime(t)
		all, _, err := AllProtected(root)
		if err != nil || len(all) != 1000 {
			t.Fatal(len(all), err)
		}
		best, wall = min(best, cpuTime(t)-cpu), min(wall, time.Since(start))
	}
	t.Logf("1,000 processes under seccomp in %v, %v of processor time", wall, best)
	if best > 100*time.Millisecond {
		t.Errorf("%v, want 100 ms at most", best)
	}
}

// cpuTime returns what this process has used.
func cpuTime(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
