// The examples, run. Each test builds one, runs it under its filter in a process of
// its own, and looks at what it says.
package examples

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/internal/cli"
	"github.com/sysgate/sysgate/internal/proof"
	"github.com/sysgate/sysgate/internal/testkit"
	"github.com/sysgate/sysgate/policy"
)

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "examples")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	built = dir
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// built is the directory with the examples that have been built.
var built string

// build returns the program of an example, or of the command sysgate, without cgo.
func build(t *testing.T, name string) string {
	t.Helper()
	return buildWith(t, name, "CGO_ENABLED=0")
}

func buildWith(t *testing.T, name, cgo string) string {
	t.Helper()
	program := filepath.Join(built, name+" "+cgo)
	if _, err := os.Stat(program); err == nil {
		return program
	}
	source := "./" + name
	if name == "sysgate" {
		source = "../cmd/sysgate"
	}
	cmd := exec.Command("go", "build", "-o", program, source)
	cmd.Env = append(os.Environ(), cgo)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return program
}

// need skips where no filter can be loaded, and where an example is for another ABI.
func need(t *testing.T, native abi.ABI) {
	t.Helper()
	testkit.NeedFilters(t)
	testkit.Need(t, testkit.Filter)
	if native != abi.None && abi.Native() != native {
		t.Skipf("the example is for %v, not for %s", native, runtime.GOARCH)
	}
}

// run runs a program and returns what it says.
func run(t *testing.T, program string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out, log strings.Builder
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Stdout, cmd.Stderr = &out, &log
	err = cmd.Run()
	return out.String(), log.String(), err
}

// serve starts a program that serves, and returns its address and the lines that it
// logs before that.
func serve(t *testing.T, program string, args ...string) (address string, log []string) {
	t.Helper()
	cmd := exec.Command(program, append(args, "-listen", "127.0.0.1:0")...)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		if _, address, ok := strings.Cut(lines.Text(), "listening on "); ok {
			go io.Copy(io.Discard, stderr)
			return address, log
		}
		log = append(log, lines.Text())
	}
	t.Fatalf("%s does not listen: %v\n%s", program, lines.Err(), strings.Join(log, "\n"))
	return "", nil
}

// get returns the status and the text of a page.
func get(t *testing.T, url string) (int, string) {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// bothWays runs f for the program of an example without cgo and with it: a program
// with threads of a C library calls other things.
func bothWays(t *testing.T, name string, f func(t *testing.T, program string)) {
	t.Run("Go alone", func(t *testing.T) { f(t, build(t, name)) })
	t.Run("cgo", func(t *testing.T) {
		testkit.Need(t, testkit.CC)
		f(t, buildWith(t, name, "CGO_ENABLED=1"))
	})
}

func TestHTTPServer(t *testing.T) {
	need(t, abi.AMD64)
	bothWays(t, "httpserver", visit)
}

func visit(t *testing.T, server string) {
	url, _ := serve(t, server)
	var visitors sync.WaitGroup
	for i := range 50 {
		visitors.Go(func() {
			response, err := http.Get(fmt.Sprintf("%s/?name=%d", url, i))
			if err != nil {
				t.Error(err)
				return
			}
			defer response.Body.Close()
			text, err := io.ReadAll(response.Body)
			if want := fmt.Sprintf("hello, %d\n", i); string(text) != want || err != nil {
				t.Errorf("visitor %d: %q, %v", i, text, err)
			}
		})
	}
	visitors.Wait()
	if status, text := get(t, url+"/attack"); status != http.StatusForbidden || text != "operation not permitted\n" {
		t.Errorf("attack: %d %q", status, text)
	}
	if status, text := get(t, url+"/?name=you"); status != http.StatusOK || text != "hello, you\n" {
		t.Errorf("after the attack: %d %q", status, text)
	}
}

// TestHTTPServerPolicy holds the policy in the server to the server.
func TestHTTPServerPolicy(t *testing.T) {
	if abi.Native() != abi.AMD64 {
		t.Skip("the example is for amd64")
	}
	text, err := os.ReadFile("httpserver/policy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	p, err := policy.Parse("policy.yaml", text)
	if err != nil {
		t.Fatal(err)
	}
	r, _, err := p.Resolve(policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var names, log bytes.Buffer
	if code := cli.Main([]string{"profile", "-q", "--format", "names", build(t, "httpserver")}, nil, &names, &log); code != 0 {
		t.Fatalf("profile: exit code %d\n%s", code, &log)
	}
	calls := strings.Fields(names.String())
	if !slices.Contains(calls, "execve") || len(calls) < 50 {
		t.Errorf("profile: %v", calls)
	}
	for _, name := range calls {
		nr, _ := abi.AMD64.Lookup(name)
		verdict := r.Eval(abi.Call{NR: nr, Arch: abi.AMD64.AuditArch()})
		if allowed := verdict.Action == abi.Allow; allowed == (name == "execve") {
			t.Errorf("%s: %v", name, verdict.Action)
		}
	}
}

func TestPhases(t *testing.T) {
	need(t, abi.None)
	bothWays(t, "phases", greet)
}

func greet(t *testing.T, server string) {
	greeting := filepath.Join(t.TempDir(), "greeting")
	if err := os.WriteFile(greeting, []byte("good day\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	address, log := serve(t, server, "-greeting", greeting)
	if want := []string{"starting: fork/exec /bin/true: operation not permitted"}; !slices.Equal(log, want) {
		t.Errorf("while it starts: %q, want %q", log, want)
	}
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			conn, err := net.Dial("tcp", address)
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(30 * time.Second))
			fmt.Fprint(conn, "read\ndial\nexec\nbye\n")
			said, err := io.ReadAll(conn)
			if err != nil {
				t.Error(err)
			}
			lines := strings.Split(string(said), "\n")
			if len(lines) != 5 || lines[0] != "good day" {
				t.Errorf("%q", said)
				return
			}
			for _, line := range lines[1:4] {
				if !strings.HasSuffix(line, "operation not permitted") {
					t.Errorf("%q", line)
				}
			}
		})
	}
	clients.Wait()
}

// TestElasticsearch proves the policy equal to the program on the talk's slide.
func TestElasticsearch(t *testing.T) {
	text, err := os.ReadFile("elasticsearch/policy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	p, err := policy.Parse("policy.yaml", text)
	if err != nil {
		t.Fatal(err)
	}
	r, warnings, err := p.Resolve(policy.Options{})
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	const limit, eacces = 0x3fffffff, 13
	slide := bpf.Program{
		bpf.Stmt(bpf.LdAbs, bpf.OffsetArch),
		bpf.Jump(bpf.JeqK, abi.AMD64.AuditArch(), 0, 7),
		bpf.Stmt(bpf.LdAbs, bpf.OffsetNR),
		bpf.Jump(bpf.JgtK, limit, 5, 0),
		bpf.Jump(bpf.JeqK, 57, 4, 0),  // fork
		bpf.Jump(bpf.JeqK, 58, 3, 0),  // vfork
		bpf.Jump(bpf.JeqK, 59, 2, 0),  // execve
		bpf.Jump(bpf.JeqK, 322, 1, 0), // execveat
		bpf.Stmt(bpf.RetK, uint32(abi.Allow)),
		bpf.Stmt(bpf.RetK, uint32(abi.Errno.WithData(eacces))),
	}
	if result := proof.Equal(r, slide, proof.Budget{}); result.Verdict != proof.Proved {
		t.Errorf("policy and slide: %+v", result)
	}
	slide[4].K++ // without fork they differ
	if result := proof.Equal(r, slide, proof.Budget{}); result.Verdict != proof.Different {
		t.Errorf("policy and another program: %+v", result)
	}

	need(t, abi.AMD64)
	out, log, err := run(t, build(t, "elasticsearch"))
	want := "installed by seccomp(2), seen in the status of every thread\nexec: fork/exec /bin/true: permission denied\n"
	if err != nil || out != want {
		t.Errorf("%v\n%s%s", err, out, log)
	}
}

func TestLibbeat(t *testing.T) {
	need(t, abi.AMD64)
	out, log, err := run(t, build(t, "libbeat"))
	if err != nil || out != "read: <nil>\nchroot: operation not permitted\n" {
		t.Errorf("%v\n%s%s", err, out, log)
	}
}

const deniedLines = `exec: fork/exec /bin/true: operation not permitted
bind: listen tcp 127.0.0.1:0: bind: operation not permitted
`

func TestCrystal(t *testing.T) {
	need(t, abi.None)
	out, log, err := run(t, build(t, "crystal"))
	dump, ok := strings.CutSuffix(out, deniedLines)
	if err != nil || !ok {
		t.Errorf("%v\n%s%s", err, out, log)
	}
	// The dump is the filter of the policy.
	if _, err := bpf.Parse(dump, abi.Native().BigEndian()); err != nil {
		t.Errorf("%v\n%s", err, dump)
	}
	var asm, pfc, errs bytes.Buffer
	if code := cli.Main([]string{"compile", "-q", "crystal/policy.yaml"}, nil, &asm, &errs); code != 0 || asm.String() != dump {
		t.Errorf("exit code %d, %s, another filter:\n%s", code, &errs, &asm)
	}
	if code := cli.Main([]string{"compile", "-q", "--emit", "pfc", "crystal/policy.yaml"}, nil, &pfc, &errs); code != 0 || !strings.Contains(pfc.String(), "execve") {
		t.Errorf("exit code %d, %s:\n%s", code, &errs, &pfc)
	}
}

func TestPython(t *testing.T) {
	need(t, abi.None)
	out, log, err := run(t, build(t, "python"))
	if err != nil || log != "Seccomp enabled...\n"+deniedLines {
		t.Errorf("%v\n%s", err, log)
	}
	for _, call := range []string{"execve", "execveat", "vfork", "fork", "bind", "listen"} {
		if !strings.Contains(out, call) {
			t.Errorf("the text does not have %s:\n%s", call, out)
		}
	}
	file := filepath.Join(t.TempDir(), "policy.yaml")
	if err := os.WriteFile(file, []byte(out), 0o644); err != nil {
		t.Fatal(err)
	}
	var say bytes.Buffer
	if code := cli.Main([]string{"check", file}, nil, &say, &say); code != 0 {
		t.Errorf("check: exit code %d\n%s", code, &say)
	}
}

// injections are what the talk asks the web page to ping, with a command of our own.
func injections(file string) []string {
	return []string{
		"127.0.0.1 ; echo INJ''ECTED",
		"127.0.0.1 || echo INJ''ECTED",
		"127.0.0.1 && echo INJ''ECTED",
		"; echo INJ''ECTED",
		"127.0.0.1 -c 100000 > " + file,
		"$(echo INJ''ECTED >&2)",
	}
}

func TestPing(t *testing.T) {
	need(t, abi.None)
	open, _ := serve(t, build(t, "ping"), "-unprotected")
	closed, _ := serve(t, build(t, "ping"))
	dir := t.TempDir()
	injected := 0
	for i, host := range injections(filepath.Join(dir, "file")) {
		query := "/cgi-bin/ping?" + strings.ReplaceAll(strings.ReplaceAll(host, "%", "%25"), " ", "%20")
		if i != 4 { // it would ping for a day
			if _, text := get(t, open+query); strings.Contains(text, "INJECTED") {
				injected++
			}
		}
		status, text := get(t, closed+query)
		if status != http.StatusInternalServerError || text != "fork/exec /bin/sh: operation not permitted\n" {
			t.Errorf("%q: %d %q", host, status, text)
		}
	}
	if injected < 3 { // && needs a ping that works
		t.Errorf("%d injections work without the filter: the test shows nothing", injected)
	}
	if files, err := os.ReadDir(dir); len(files) > 0 || err != nil {
		t.Errorf("files were made: %v, %v", files, err)
	}
}

// TestPingPerl is the same with the talk's own program, whose filter comes from
// outside.
func TestPingPerl(t *testing.T) {
	need(t, abi.None)
	if _, err := exec.LookPath("perl"); err != nil {
		t.Skipf("needs perl: %v", err)
	}
	sysgate := build(t, "sysgate")
	dir := t.TempDir()
	perl := []string{"perl", "-e", "print `ping -c 1 $ARGV[0]`"}
	injected := 0
	for i, host := range injections(filepath.Join(dir, "file")) {
		command := append(slices.Clone(perl), host)
		if i != 4 {
			if out, log, _ := run(t, command[0], command[1:]...); strings.Contains(out+log, "INJECTED") {
				injected++
			}
		}
		out, log, err := run(t, sysgate, append([]string{"run", "-q", "--deny", "execve,execveat", "--"}, command...)...)
		if err != nil || out != "" || strings.Contains(log, "INJECTED") {
			t.Errorf("%q: %v\n%s%s", host, err, out, log)
		}
	}
	if injected < 3 {
		t.Errorf("%d injections work without the filter: the test shows nothing", injected)
	}
	if files, err := os.ReadDir(dir); len(files) > 0 || err != nil {
		t.Errorf("files were made: %v, %v", files, err)
	}
}

func TestOpener(t *testing.T) {
	need(t, abi.None)
	testkit.Need(t, testkit.WaitKillable)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "greeting"), []byte("hello\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "escape")); err != nil {
		t.Fatal(err)
	}
	opener := build(t, "opener")
	out, log, err := run(t, opener, "-dir", dir, "--", "cat", "/virtual/greeting")
	if err != nil || out != "hello\n" {
		t.Errorf("%v\n%s%s", err, out, log)
	}
	for _, path := range []string{"/etc/passwd", "/virtual/escape", "/virtual/../../etc/passwd", "/lib/../etc/passwd", "greeting", filepath.Join(dir, "greeting")} {
		out, log, err := run(t, opener, "-dir", dir, "--", "cat", path)
		var ended *exec.ExitError
		if !errors.As(err, &ended) || ended.ExitCode() != 1 || out != "" || !strings.Contains(log, "Permission denied") {
			t.Errorf("%s: %v\n%s%s", path, err, out, log)
		}
	}
	// A process of the program's own, and a file to write to.
	out, log, err = run(t, opener, "-dir", dir, "--", "sh", "-c", "cat /virtual/greeting; cat /virtual/greeting; echo x >/virtual/new")
	if err == nil || out != "hello\nhello\n" || !strings.Contains(log, "Read-only file system") && !strings.Contains(log, "cannot create") {
		t.Errorf("%v\n%s%s", err, out, log)
	}
	if files, err := os.ReadDir(dir); len(files) != 2 || err != nil {
		t.Errorf("%v, %v", files, err)
	}
}

// TestHelloworld runs the script, with runc.
func TestHelloworld(t *testing.T) {
	need(t, abi.AMD64)
	testkit.Need(t, testkit.Root)
	if _, err := exec.LookPath("runc"); err != nil {
		t.Skipf("needs runc: %v", err)
	}
	script, err := filepath.Abs("helloworld/build-and-run.sh")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(script, "runc")
	cmd.Dir = t.TempDir()
	out, err := cmd.CombinedOutput()
	if err != nil || string(out) != "Hello World!\n" {
		t.Errorf("%v\n%s", err, out)
	}
	// A profile without what the program needs keeps it from running: it does hold.
	profile, err := os.ReadFile(filepath.Join(cmd.Dir, "profile.json"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(profile, []byte(`"write"`)) || bytes.Contains(profile, []byte(`"socket"`)) {
		t.Errorf("profile:\n%s", profile)
	}
}

// TestHelloworldEngines looks at how the script calls docker and podman, which are
// scripts here.
func TestHelloworldEngines(t *testing.T) {
	script, err := filepath.Abs("helloworld/build-and-run.sh")
	if err != nil {
		t.Fatal(err)
	}
	for _, engine := range []string{"docker", "podman"} {
		bin, dir := t.TempDir(), t.TempDir()
		fake := "#!/bin/sh\nset -e\necho \"$@\"\nif [ $1 = build ]; then ls $5; cat $5/Dockerfile; fi\n"
		if err := os.WriteFile(filepath.Join(bin, engine), []byte(fake), 0o755); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(script, engine)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"))
		out, err := cmd.CombinedOutput()
		run := "run --rm --security-opt no-new-privileges --security-opt seccomp=" + dir + "/profile.json sysgate-helloworld\n"
		if err != nil || !strings.HasSuffix(string(out), run) || !strings.Contains(string(out), "helloworld\n") || !strings.Contains(string(out), "FROM scratch") {
			t.Errorf("%s: %v\n%s", engine, err, out)
		}
	}
}

// The gate lets a change pass that brings no new call, stops one that does, names
// the module that brought it, and takes what the change itself accepts.
func TestGate(t *testing.T) {
	for _, tool := range []string{"git", "sh"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("needs %s: %v", tool, err)
		}
	}
	script, err := filepath.Abs("gate/gate.sh")
	if err != nil {
		t.Fatal(err)
	}
	// The script splits the command into words.
	sysgate := filepath.Join(t.TempDir(), "sysgate")
	if err := os.Symlink(build(t, "sysgate"), sysgate); err != nil {
		t.Fatal(err)
	}
	repository := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		file := filepath.Join(repository, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	command := func(name string, args ...string) (string, int) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Dir = repository
		cmd.Env = append(os.Environ(), "SYSGATE="+sysgate, "GOFLAGS=-mod=mod", "GOPROXY=off", "GOWORK=off",
			"GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
		out, err := cmd.CombinedOutput()
		if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		return string(out), cmd.ProcessState.ExitCode()
	}
	commit := func(message string) {
		t.Helper()
		for _, args := range [][]string{{"add", "-A"}, {"-c", "user.name=n", "-c", "user.email=e@example.com", "commit", "-qm", message}} {
			if out, code := command("git", args...); code != 0 {
				t.Fatalf("git %v: %s", args, out)
			}
		}
	}
	if out, code := command("git", "init", "-q"); code != 0 {
		t.Fatal(out)
	}
	write("go.mod", "module example.com/server\n\ngo 1.21\n")
	write("cmd/server/main.go", "package main\n\nimport \"syscall\"\n\nfunc main() { println(syscall.Getpid()) }\n")
	commit("first")
	write("cmd/server/main.go", "package main\n\nimport \"syscall\"\n\nfunc main() { println(2, syscall.Getpid()) }\n")
	if out, code := command("sh", script, "./cmd/server", "HEAD"); code != 0 || !strings.Contains(out, "### ✅ System calls of server") {
		t.Errorf("a harmless change: %d\n%s", code, out)
	}
	write("go.mod", "module example.com/server\n\ngo 1.21\n\nrequire example.com/trace v0.1.0\n\nreplace example.com/trace => ./trace\n")
	write("trace/go.mod", "module example.com/trace\n\ngo 1.21\n")
	write("trace/trace.go", "package trace\n\nimport \"syscall\"\n\nfunc Start() error { return syscall.PtraceAttach(1) }\n")
	write("cmd/server/main.go", "package main\n\nimport \"example.com/trace\"\n\nfunc main() { println(trace.Start()) }\n")
	commit("trace")
	out, code := command("sh", script, "./cmd/server", "HEAD~")
	for _, want := range []string{"### ❌ System calls of server", "| `ptrace` | example.com/trace@v0.1.0 => ./trace, a new module | ⚠ ", "example.com/trace.Start "} {
		if !strings.Contains(out, want) {
			t.Errorf("the report lacks %q", want)
		}
	}
	if code != 3 {
		t.Errorf("ends with %d", code)
	}
	if t.Failed() {
		t.Log(out)
	}
	write("syscalls.accept", "ptrace # wanted\n")
	if out, code := command("sh", script, "./cmd/server", "HEAD~"); code != 0 || !strings.Contains(out, "accepted") {
		t.Errorf("accepted: %d\n%s", code, out)
	}
	if out, _ := command("git", "worktree", "list"); strings.Count(out, "\n") != 1 {
		t.Errorf("worktrees are left:\n%s", out)
	}
}

// The workflow is YAML, and calls what there is.
func TestGateWorkflow(t *testing.T) {
	text, err := os.ReadFile("gate/workflow.yml")
	if err != nil {
		t.Fatal(err)
	}
	var workflow struct {
		Jobs map[string]struct {
			Steps []struct{ Uses, Run string }
		}
	}
	if err := yaml.Unmarshal(text, &workflow); err != nil {
		t.Fatal(err)
	}
	runs := 0
	for name, job := range workflow.Jobs {
		for _, step := range job.Steps {
			if (step.Uses == "") == (step.Run == "") {
				t.Errorf("%s: %+v", name, step)
			}
			if args, ok := strings.CutPrefix(step.Run, "sysgate "); ok {
				runs++
				args = strings.Replace(args, `"go=$(go env GOROOT)"`, "go=1.99", 1)
				// Only the command line is in question: the files are not there.
				var log bytes.Buffer
				if code := cli.Main(strings.Fields(args), strings.NewReader(""), io.Discard, &log); code == 2 {
					t.Errorf("%s: %s", step.Run, log.String())
				}
			}
		}
	}
	if len(workflow.Jobs) != 2 || runs != 1 || !strings.Contains(string(text), "./gate.sh ./cmd/server") {
		t.Errorf("%d jobs, %d runs of sysgate", len(workflow.Jobs), runs)
	}
}
