package launch

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/testkit"
)

// programs are what the test binary can be run as.
var programs = map[string]func() int{
	"exec":  programExec,
	"maps":  programMaps,
	"peek":  programPeek,
	"args":  programArgs,
	"count": programCount,
}

func denyExecve(a abi.Action) filterSpec { return filterSpec{Execve: a, Others: abi.Allow} }

// enosys is what a derived policy answers to a call that it does not list.
var enosys = abi.Errno.WithData(uint16(syscall.ENOSYS))

func TestExitCode(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	sh := func(script string) []string { return []string{"sh", "-c", script} }
	for _, tt := range []struct {
		name string
		args []string
		want int
	}{
		{"success", sh("exit 0"), 0},
		{"code", sh("exit 7"), 7},
		{"like a launcher's", sh("exit 125"), 125},
		{"killed", sh("kill -TERM $$"), 128 + 15},
		{"killed for good", sh("kill -KILL $$"), 128 + 9},
		{"script", []string{file("script", "#!/bin/sh\nexit 3\n", 0o755)}, 3},
		{"not found", []string{"no-such-command-anywhere"}, 127},
		{"path not found", []string{"./no-such-command"}, 127},
		{"interpreter not found", []string{file("interpreter", "#!/no/such/interpreter\n", 0o755)}, 127},
		{"directory", []string{dir}, 126},
		{"not executable", []string{file("plain", "text", 0o644)}, 126},
		{"unknown format", []string{file("format", "no format of any kind", 0o755)}, 126},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, code := run(t, launcher(t, launcherSpec{Args: tt.args, Filter: allowAll}))
			if code != tt.want {
				t.Errorf("exit code %d, want %d", code, tt.want)
			}
		})
	}
}

// A failed execve is reported although the child can make no call any more.
func TestFailureUnderFilter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "format")
	if err := os.WriteFile(path, []byte("no format of any kind"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, others := range []abi.Action{abi.KillProcess, abi.Errno.WithData(1), abi.Trap} {
		t.Run(others.String(), func(t *testing.T) {
			_, code := run(t, launcher(t, launcherSpec{Args: []string{path}, Filter: filterSpec{Execve: others, Others: others}}))
			if code != 126 {
				t.Errorf("exit code %d, want 126", code)
			}
		})
	}
}

// The filter holds at the program's first instruction: it cannot make one call.
func TestFilterFirst(t *testing.T) {
	_, code := run(t, launcher(t, launcherSpec{Args: []string{"true"}, Filter: filterSpec{Execve: abi.KillProcess, Others: abi.KillProcess}}))
	if want := 128 + int(syscall.SIGSYS); code != want {
		t.Errorf("exit code %d, want %d", code, want)
	}
}

func TestShutOut(t *testing.T) {
	cmd := launcher(t, launcherSpec{Args: []string{"true"}, Filter: filterSpec{Execve: enosys, Others: abi.Allow, Shut: true}})
	out, err := cmd.CombinedOutput()
	if code := cmd.ProcessState.ExitCode(); code != 125 {
		t.Fatalf("exit code %d, want 125: %v", code, err)
	}
	if want := "the launcher's own execve"; !strings.Contains(string(out), want) {
		t.Errorf("error %q, want one that says %q", out, want)
	}
}

func programExec() int {
	err := syscall.Exec("/bin/true", []string{"true"}, nil)
	fmt.Println(err == syscall.ENOSYS)
	return 5
}

// The launcher's execve is let through, the program's is not.
func TestExecveInside(t *testing.T) {
	t.Setenv(programVar, "exec")
	out, code := run(t, launcher(t, launcherSpec{Args: []string{self(t)}, Filter: denyExecve(enosys)}))
	if code != 5 || out != "true\n" {
		t.Errorf("execve inside: exit code %d, ENOSYS %q; want 5, true", code, out)
	}
	_, code = run(t, launcher(t, launcherSpec{Args: []string{self(t)}, Filter: denyExecve(abi.KillProcess)}))
	if want := 128 + int(syscall.SIGSYS); code != want {
		t.Errorf("execve inside: exit code %d, want %d", code, want)
	}
	_, code = run(t, launcher(t, launcherSpec{Args: []string{self(t)}, Filter: allowAll}))
	if code != 0 {
		t.Errorf("execve inside that is allowed: exit code %d, want that of true", code)
	}
}

// programMaps finds out whether anything is mapped at the addresses on its
// standard input.
func programMaps() int {
	var addrs [3]uint64
	if _, err := fmt.Scan(&addrs[0], &addrs[1], &addrs[2]); err != nil {
		return 3
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return 4
	}
	for line := range strings.Lines(string(maps)) {
		var low, high uint64
		if _, err := fmt.Sscanf(line, "%x-%x", &low, &high); err != nil {
			return 5
		}
		for _, addr := range addrs {
			if low <= addr && addr < high {
				return 1
			}
		}
	}
	return 0
}

// Nothing is left of the pages in the program.
func TestPagesGone(t *testing.T) {
	t.Setenv(programVar, "maps")
	cmd := launcher(t, launcherSpec{Args: []string{self(t)}, Filter: denyExecve(enosys), Address: true})
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var args [6]uint64
	if _, err := fmt.Fscanf(out, "[%d %d %d %d %d %d]", &args[0], &args[1], &args[2], &args[3], &args[4], &args[5]); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(in, args[0], args[1], args[2])
	in.Close()
	if err := cmd.Wait(); err != nil {
		t.Errorf("program found a page, or failed: %v", err)
	}
}

func TestAddressesAreIndependent(t *testing.T) {
	seen := map[uint64]bool{}
	pages := map[uint64]bool{}
	offsets := map[uint64]bool{}
	for range 50 {
		p, err := Prepare(Command{Path: "/bin/true", Args: []string{"true"}})
		if err != nil {
			t.Fatal(err)
		}
		call := p.Execve()
		for _, addr := range call.Args[:3] {
			seen[addr] = true
			pages[addr>>12] = true
			offsets[addr&0xfff] = true
		}
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if len(seen) != 150 || len(pages) != 150 || len(offsets) < 75 {
		t.Errorf("150 mappings: %d addresses, %d pages, %d offsets", len(seen), len(pages), len(offsets))
	}
}

// programPeek tries to read its parent's memory, where the addresses are.
func programPeek() int {
	f, err := os.Open(fmt.Sprintf("/proc/%d/mem", os.Getppid()))
	if err == nil {
		f.Close()
		return 1
	}
	if !os.IsPermission(err) {
		return 2
	}
	return 0
}

// Everything works without a privilege.
func TestUnprivileged(t *testing.T) {
	testkit.Need(t, testkit.Root) // to become nobody
	binary := shared(t)
	nobody := &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}

	t.Run("status", func(t *testing.T) {
		cmd := launcher(t, launcherSpec{Args: []string{"cat", "/proc/self/status"}, Filter: denyExecve(enosys)})
		cmd.Path, cmd.SysProcAttr = binary, nobody
		out, code := run(t, cmd)
		if code != 0 {
			t.Fatalf("exit code %d", code)
		}
		for field, want := range map[string]string{"Uid": "65534", "NoNewPrivs": "1", "Seccomp": "2", "CapEff": "0000000000000000"} {
			if got := statusField(out, field); got != want {
				t.Errorf("%s: %s, want %s", field, got, want)
			}
		}
	})
	t.Run("keep privileges", func(t *testing.T) {
		cmd := launcher(t, launcherSpec{Args: []string{"true"}, Filter: allowAll, Keep: true})
		cmd.Path, cmd.SysProcAttr = binary, nobody
		out, _ := cmd.CombinedOutput()
		if code := cmd.ProcessState.ExitCode(); code != 125 || !strings.Contains(string(out), "needs no_new_privs, or CAP_SYS_ADMIN") {
			t.Errorf("exit code %d, want 125: %s", code, out)
		}
	})
	t.Run("memory of the launcher", func(t *testing.T) {
		t.Setenv(programVar, "peek")
		cmd := launcher(t, launcherSpec{Args: []string{binary}, Filter: denyExecve(enosys)})
		cmd.Path, cmd.SysProcAttr = binary, nobody
		if _, code := run(t, cmd); code != 0 {
			t.Errorf("program could open its launcher's memory (or failed): exit code %d", code)
		}
	})
}

// shared returns a copy of the test binary that any user can execute.
func shared(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(self(t))
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "launch")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "test")
	if err := os.WriteFile(path, data, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestRunTwice(t *testing.T) {
	p, err := Prepare(Command{Path: "/bin/true", Args: []string{"true"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	filter, err := allowAll.program(abi.Call{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Run(filter); err == nil {
		t.Error("a closed command ran")
	}
	if err := p.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
}

func TestNULIsRefused(t *testing.T) {
	for _, c := range []Command{
		{},
		{Path: "/bin/true"},
		{Path: "/bin/true\x00", Args: []string{"true"}},
		{Path: "/bin/true", Args: []string{"true", "a\x00b"}},
		{Path: "/bin/true", Args: []string{"true"}, Env: []string{"A=\x00"}},
	} {
		if p, err := Prepare(c); err == nil {
			t.Errorf("Prepare(%+v) succeeded", c)
			p.Close()
		}
	}
}

// The kernel has the log flag, or not, as asked.
func TestLogFlag(t *testing.T) {
	for _, tt := range []struct {
		noLog bool
		want  uint64
	}{{false, unix.SECCOMP_FILTER_FLAG_LOG}, {true, 0}} {
		cmd := launcher(t, launcherSpec{Args: []string{"sh", "-c", "echo $$; exec cat"}, Filter: allowAll, NoLog: tt.noLog})
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		var pid int
		fmt.Fscan(out, &pid)
		flags, err := filterFlags(pid)
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
		if err != nil {
			t.Skipf("cannot read the flags of a filter: %v", err)
		}
		if flags != tt.want {
			t.Errorf("no log %v: flags %d, want %d", tt.noLog, flags, tt.want)
		}
	}
}
