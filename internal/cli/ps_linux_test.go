package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/internal/kernel"
	"github.com/sysgate/sysgate/internal/proc"
	"github.com/sysgate/sysgate/internal/source"
	"github.com/sysgate/sysgate/internal/testkit"
)

// psEnv has a test binary be something that TestPsAgainst looks at.
const psEnv = "SYSGATE_TEST_PS"

// TestPsAgainst compares live processes with declared policies: one that is as
// declared, one under another policy, one under none, one with a thread under none, and one
// that nothing is declared for.
func TestPsAgainst(t *testing.T) {
	switch command := os.Getenv(psEnv); {
	case command == "threads":
		oneThread(t)
	case command != "":
		os.Exit(Main(strings.Fields(command), os.Stdin, os.Stdout, os.Stderr))
	}
	testkit.Need(t, testkit.Root)
	testkit.NeedFilters(t)
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Skipf("needs sleep: %v", err)
	}
	dir := t.TempDir()
	// Programs of their own: others on the machine sleep too.
	name := func(what string) string { return fmt.Sprintf("sgt%d-%s", os.Getpid(), what) }
	program := func(of, what string) string {
		to := filepath.Join(dir, name(what))
		data, err := os.ReadFile(of)
		if err == nil {
			err = os.WriteFile(to, data, 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
		return to
	}
	declare := func(what, text string) {
		if err := os.WriteFile(filepath.Join(dir, "policies", name(what)+".yaml"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "policies"), 0o755); err != nil {
		t.Fatal(err)
	}
	const noBind = "abis: [amd64, 386, x32]\ndefault_action: allow\nsyscalls:\n- {action: errno(EPERM), names: [bind], optional: true}\n"
	if runtime.GOARCH != "amd64" {
		t.Skip("its policies are for amd64")
	}
	for _, what := range []string{"equal", "drifted", "bare", "threads", "absent"} {
		declare(what, noBind)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	start := func(binary, command string) {
		cmd := exec.Command(binary, "-test.run=^TestPsAgainst$")
		cmd.Env = append(os.Environ(), psEnv+"="+command)
		if command == "" {
			cmd = exec.Command(binary, "3600")
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	}
	policy := filepath.Join(dir, "policies", name("equal")+".yaml")
	start(self, "run -q --policy "+policy+" -- "+program(sleep, "equal")+" 3600")
	start(self, "run -q --deny bind,listen -- "+program(sleep, "drifted")+" 3600")
	start(self, "run -q --deny bind -- "+program(sleep, "undeclared")+" 3600")
	start(program(sleep, "bare"), "")
	start(program(self, "threads"), "threads")
	want := map[string]string{"equal": stateEqual, "drifted": stateDrifted, "bare": stateUnprotected, "threads": stateDrifted, "undeclared": stateUndeclared}
	got := map[string]psProcess{}
	code := 0
	for range 300 {
		var out, messages bytes.Buffer
		code = Main([]string{"ps", "--json", "--against", filepath.Join(dir, "policies")}, nil, &out, &messages)
		var all []psProcess
		if err := json.Unmarshal(out.Bytes(), &all); err != nil {
			t.Fatalf("exit code %d: %v\n%s", code, err, messages.String())
		}
		clear(got)
		for _, p := range all {
			for what := range want {
				// The launcher has the program's name among its arguments.
				if strings.HasSuffix(p.Exe, name(what)) {
					got[what] = p
				}
			}
		}
		settled := len(got) == len(want) // each has come so far
		for what, state := range want {
			settled = settled && got[what].State == state
		}
		if settled {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	for what, state := range want {
		if p := got[what]; p.State != state {
			t.Errorf("%s: %q, want %q: %q", what, p.State, state, p.Differences)
		}
	}
	if code != exitFindings {
		t.Errorf("exit code %d", code)
	}
	if d := got["drifted"].Differences; len(d) == 0 || !slices.Contains(d, "amd64:listen: declared allow, live errno(EPERM)") {
		t.Errorf("the drift is %q", d)
	}
	if d := strings.Join(got["threads"].Differences, "; "); !strings.Contains(d, "threads are under no filter") {
		t.Errorf("of the threads it is said: %s", d)
	}
	// Without what is wrong, all is well.
	for _, what := range []string{"drifted", "bare", "threads"} {
		if err := os.Remove(filepath.Join(dir, "policies", name(what)+".yaml")); err != nil {
			t.Fatal(err)
		}
	}
	var out, messages bytes.Buffer
	if code := Main([]string{"ps", "--against", filepath.Join(dir, "policies")}, nil, &out, &messages); code != 0 || !strings.Contains(messages.String(), "1 equal") {
		t.Errorf("exit code %d\n%s%s", code, out.String(), messages.String())
	}
}

// oneThread puts one of several threads under a filter, and waits.
func oneThread(t *testing.T) {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		program := bpf.Program{{Code: bpf.RetK, K: uint32(abi.Allow)}}
		err := kernel.NoNewPrivs()
		if err == nil {
			err = kernel.SetFilter(program, 0)
		}
		done <- err
		for {
			time.Sleep(time.Hour)
		}
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Hour)
}

// TestPsWatch follows a process that starts and ends, and serves metrics meanwhile.
func TestPsWatch(t *testing.T) {
	if os.Getenv(monitorEnv) != "" {
		startCommand(t)
	}
	testkit.Need(t, testkit.Root)
	testkit.NeedFilters(t)
	dir := t.TempDir()
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Skipf("needs sleep: %v", err)
	}
	data, err := os.ReadFile(sleep)
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("sgt%d-watched", os.Getpid())
	if err := os.WriteFile(filepath.Join(dir, name), data, 0o755); err != nil {
		t.Fatal(err)
	}
	policies := filepath.Join(dir, "policies")
	if err := os.Mkdir(policies, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(policies, name+".yaml"), []byte("default_action: allow\nsyscalls:\n- {action: errno(EPERM), names: [bind]}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	w := startCommand(t, "ps", "--watch", "100ms", "--against", policies, "--metrics", "127.0.0.1:0")
	url := regexp.MustCompile(`http://\S+`).FindString(w.messages.has(t, "metrics: http"))
	w.events.has(t, "PID", "STATE")
	cmd := exec.Command(filepath.Join(dir, name), "3600.75")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.events.has(t, "+ ", "unprotected", "3600.75")
	wanted := fmt.Sprintf(`sysgate_declared_processes{policy=%q,state="unprotected"} 1`, name)
	for i := 0; ; i++ {
		response, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(body), wanted) {
			break
		}
		if i == 100 {
			t.Fatalf("no %s in\n%s", wanted, body)
		}
		time.Sleep(50 * time.Millisecond)
	}
	cmd.Process.Kill()
	cmd.Wait()
	w.events.has(t, "- ", "unprotected", "3600.75")
	if err := w.process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := <-w.ended; !errors.As(err, &exit) || exit.ExitCode() != exitFindings {
		t.Errorf("told to stop: %v, want exit code 3\n%s", err, w.messages.String())
	}
}

func TestDeclared(t *testing.T) {
	id := strings.Repeat("0123456789abcdef", 4)
	d := declared{"nginx": nil, "web.service": nil, "db": nil, id[:12]: nil, "deep": nil}
	for _, tt := range []struct {
		p    proc.Process
		want string
	}{
		{proc.Process{Exe: "/usr/sbin/nginx"}, "nginx"},
		{proc.Process{Exe: "/usr/sbin/nginx (deleted)"}, "nginx"},
		{proc.Process{Exe: "/usr/sbin/nginx", Place: proc.Place{Unit: "web.service"}}, "web.service"},
		{proc.Process{Exe: "/usr/bin/x", Place: proc.Place{Unit: "db.service"}}, "db"},
		{proc.Process{Exe: "/usr/sbin/nginx", Place: proc.Place{Unit: "web.service", Container: id}}, id[:12]},
		{proc.Process{Exe: "/usr/bin/x", Place: proc.Place{Container: "deep"}}, "deep"},
		{proc.Process{Status: proc.Status{Name: "nginx"}, Exe: "/usr/bin/x"}, ""},
		{proc.Process{Status: proc.Status{Name: "nginx"}}, ""},
	} {
		if got, ok := d.of(&tt.p); got != tt.want || ok != (tt.want != "") {
			t.Errorf("%+v: %q, want %q", tt.p, got, tt.want)
		}
	}
}

// TestChanges writes what is new and what is gone between two scans.
func TestChanges(t *testing.T) {
	var out bytes.Buffer
	s := &scanner{env: &env{stdout: &out, stderr: io.Discard, quiet: true}, checker: &checker{declared: declared{"x": (*source.Input)(nil)}}}
	write := s.changes()
	one := func(pid int, state string, differences ...string) inspected {
		return inspected{Protected: proc.Protected{Process: proc.Process{PID: pid, Args: []string{"x"}, Status: proc.Status{Mode: 2, Filters: 1}}}, State: state, Policy: "x", Differences: differences}
	}
	for _, processes := range [][]inspected{
		{one(1, stateEqual), one(2, stateEqual)},
		{one(1, stateEqual), one(2, stateDrifted, "bind: declared allow, live errno(EPERM)")},
		{one(1, stateEqual), one(2, stateDrifted, "bind: declared allow, live errno(EPERM)")},
		{one(10000, stateEqual)},
	} {
		if err := write(&scan{processes: processes}); err != nil {
			t.Fatal(err)
		}
	}
	want := `  PID USER STATE POLICY MODE FILTERS WHERE COMMAND
+ 1 root equal x filter 1 - x
+ 2 root equal x filter 1 - x
+ 2 root drifted x filter 1 - x
bind: declared allow, live errno(EPERM)
- 2 root equal x filter 1 - x
+ 10000 root equal x filter 1 - x
- 1 root equal x filter 1 - x
- 2 root drifted x filter 1 - x
`
	var got strings.Builder
	for line := range strings.Lines(out.String()) {
		text := strings.Join(strings.Fields(line), " ")
		if strings.HasPrefix(line, "  PID") {
			text = "  " + text
		}
		got.WriteString(text + "\n")
	}
	if got.String() != want {
		t.Errorf("%s", out.String())
	}
}

// TestCheckStrict: strict mode is no filter, and not nothing.
func TestCheckStrict(t *testing.T) {
	c := checker{declared: declared{"x": nil}}
	process := func(exe string, mode int) proc.Protected {
		return proc.Protected{Process: proc.Process{Exe: exe, Status: proc.Status{Mode: mode}}}
	}
	var states []string
	for _, one := range c.check([]proc.Protected{process("/x", 1), process("/x", 0), process("/x", -1), process("/y", 0), process("/y", 1)}) {
		states = append(states, one.State)
	}
	if got := strings.Join(states, " "); got != "drifted unprotected unprotected undeclared" {
		t.Errorf("%s", got)
	}
}

// TestPsLine: with --watch --json each scan is one line.
func TestPsLine(t *testing.T) {
	var out bytes.Buffer
	s := &scanner{env: &env{stdout: &out, stderr: io.Discard}}
	one := inspected{Protected: proc.Protected{Process: proc.Process{PID: 7, Status: proc.Status{Mode: 2, Filters: 3, NoNewPrivs: -1}}}, State: stateDrifted, Policy: "x"}
	for range 2 {
		if err := s.writeLine(&scan{processes: []inspected{one}, seen: 9, time: time.UnixMilli(1500)}); err != nil {
			t.Fatal(err)
		}
	}
	lines := strings.SplitAfter(out.String(), "\n")
	var got struct {
		Time      string
		Seen      int
		Processes []psProcess
	}
	if err := json.Unmarshal([]byte(lines[0]), &got); err != nil || len(lines) != 3 {
		t.Fatal(len(lines), err)
	}
	if p := got.Processes[0]; got.Time != "1970-01-01T00:00:01.500Z" || got.Seen != 9 || p.PID != 7 || *p.Filters != 3 || p.NoNewPrivs != nil || p.State != stateDrifted {
		t.Errorf("%+v", got)
	}
	// On a terminal the list is drawn in its place.
	out.Reset()
	if err := s.redraw(&scan{processes: []inspected{one}}); err != nil || !strings.HasPrefix(out.String(), "\x1b[H\x1b[2J") {
		t.Errorf("%q, %v", out.String(), err)
	}
}
