//go:build linux

package sysgate_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/testkit"
)

// TestAcceptance is the main job on real programs: the static profile of each
// contains every call that strace sees in several real runs, and the same runs
// pass under the proved filter, both when a denied call fails and when it kills.
func TestAcceptance(t *testing.T) {
	if err := exec.Command("strace", "-V").Run(); err != nil {
		t.Skip("strace is not installed: no truth to compare with")
	}
	dir := t.TempDir()
	sysgate := filepath.Join(dir, "sysgate")
	build(t, ".", sysgate, "./cmd/sysgate")
	w := newWorld(t, dir)

	subjects := []struct {
		name     string
		long     bool // takes minutes to build
		dir, pkg string
		on       []abi.ABI
		runs     []run
	}{
		{"gofmt", false, ".", "cmd/gofmt", []abi.ABI{abi.AMD64, abi.I386}, w.gofmt()},
		{"httpd", false, ".", "./testdata/programs/httpd", []abi.ABI{abi.AMD64, abi.I386}, w.httpd()},
		{"httpget", false, ".", "./testdata/programs/httpget", []abi.ABI{abi.AMD64, abi.I386}, w.httpget()},
		{"go", false, ".", "cmd/go", []abi.ABI{abi.AMD64}, w.goCommand()},
		{"kubectl", true, "testdata/programs/kubectl", ".", []abi.ABI{abi.AMD64}, w.kubectl()},
	}
	type variant struct {
		name  string
		on    abi.ABI
		flags []string
	}
	for _, s := range subjects {
		var variants []variant
		for _, on := range s.on {
			variants = append(variants, variant{on.String() + "/plain", on, nil}, variant{on.String() + "/stripped", on, []string{"-ldflags=-s -w"}})
		}
		if s.name == "httpd" {
			variants = append(variants, variant{"amd64/pie", abi.AMD64, []string{"-buildmode=pie"}})
		}
		for _, variant := range variants {
			t.Run(s.name+"/"+variant.name, func(t *testing.T) {
				if s.long && os.Getenv("SYSGATE_LONG") == "" {
					t.Skip("takes minutes to build: make test-long runs it")
				}
				binary := filepath.Join(t.TempDir(), s.name)
				buildFor(t, variant.on, s.dir, binary, append(variant.flags, s.pkg)...)
				found := profile(t, sysgate, binary)
				seen := map[string]bool{}
				for _, r := range s.runs {
					maps.Copy(seen, strace(t, variant.on, r, binary))
				}
				var missed []string
				for _, name := range slices.Sorted(maps.Keys(seen)) {
					if !found[name] {
						missed = append(missed, name)
					}
				}
				size, err := os.Stat(binary)
				if err != nil {
					t.Fatal(err)
				}
				t.Logf("%s %s, %.1f MB, %d runs: found %d, seen %d, missed %d", s.name, variant.name, float64(size.Size())/1e6, len(s.runs), len(found), len(seen), len(missed))
				if len(missed) > 0 {
					t.Errorf("not in the profile: %v", missed)
				}
				if len(seen) < 10 {
					t.Errorf("strace saw only %v", slices.Sorted(maps.Keys(seen)))
				}
				for _, action := range []string{"errno(ENOSYS)", "kill_process"} {
					t.Run(action, func(t *testing.T) {
						testkit.NeedFilters(t)
						for _, r := range s.runs {
							r.check(t, sysgate, "run", "-q", "--policy", "auto", "--default-action", action, "--", binary)
						}
					})
				}
			})
		}
	}
}

// A run is one way to use a program. It starts prefix + args and says whether
// the program did its work.
type run struct {
	name string
	args []string
	env  []string
	exit int
	want string // a regular expression that the output matches
	// drive, where there is one, uses the running program; it gets its output.
	drive func(stdout io.Reader) error
}

func (r run) check(t *testing.T, prefix ...string) {
	t.Helper()
	cmd := exec.Command(prefix[0], append(prefix[1:], r.args...)...)
	cmd.Env = append(os.Environ(), r.env...)
	// A compiler that the go command starts under its filter leaves files here.
	cmd.Dir = t.TempDir()
	var out bytes.Buffer
	cmd.Stderr = &out
	var err error
	if r.drive == nil {
		cmd.Stdout = &out
		cmd.Stdin = strings.NewReader("package   p\n")
		err = cmd.Run()
	} else {
		var pipe io.ReadCloser
		if pipe, err = cmd.StdoutPipe(); err != nil {
			t.Fatal(err)
		}
		if err = cmd.Start(); err == nil {
			// out may be appended to until Wait returns: it is the standard error.
			var stdout bytes.Buffer
			watchdog := time.AfterFunc(60*time.Second, func() { cmd.Process.Kill() })
			driveErr := r.drive(io.TeeReader(pipe, &stdout))
			if driveErr != nil {
				cmd.Process.Signal(syscall.SIGTERM)
			}
			err = errors.Join(driveErr, cmd.Wait())
			watchdog.Stop()
			out.Write(stdout.Bytes())
		}
	}
	var exit *exec.ExitError
	switch {
	case err == nil && r.exit == 0:
	case errors.As(err, &exit) && exit.ExitCode() == r.exit && r.exit != 0:
	default:
		t.Errorf("%s %s: %v, want exit code %d\n%s", strings.Join(prefix, " "), r.name, err, r.exit, out.Bytes())
		return
	}
	if !regexp.MustCompile(r.want).Match(out.Bytes()) {
		t.Errorf("%s %s: output does not match %q:\n%s", strings.Join(prefix, " "), r.name, r.want, out.Bytes())
	}
}

// strace runs binary, a program for an ABI, and returns the names of the calls
// that it makes, without the execve that starts it. The numbers count: of a
// socketcall strace shows what it is for.
func strace(t *testing.T, on abi.ABI, r run, binary string) map[string]bool {
	t.Helper()
	trace := filepath.Join(t.TempDir(), "trace")
	r.check(t, "strace", "-f", "-n", "-qq", "-o", trace, binary)
	f, err := os.Open(trace)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	line := regexp.MustCompile(`^\d+ +\[ *(\d+)\] (?:<\.\.\. )?([a-z0-9_]+)(?:\(| resumed)`)
	names := map[string]bool{}
	first := true
	own := ""
	children := map[string]bool{} // processes that run another program
	for s := bufio.NewScanner(f); s.Scan(); {
		m := line.FindStringSubmatch(s.Text())
		if m == nil {
			continue
		}
		pid, _, _ := strings.Cut(s.Text(), " ")
		if first {
			first, own = false, pid
			continue
		}
		if !children[pid] {
			nr, err := strconv.ParseUint(m[1], 10, 32)
			if err != nil {
				t.Fatal(err)
			}
			names[on.SyscallName(uint32(nr))] = true
		}
		if m[2] == "execve" && pid != own && strings.HasSuffix(s.Text(), "= 0") {
			children[pid] = true
		}
	}
	return names
}

func profile(t *testing.T, sysgate, binary string) map[string]bool {
	t.Helper()
	var stderr bytes.Buffer
	cmd := exec.Command(sysgate, "profile", "--format", "names", binary)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("sysgate profile: %v\n%s", err, stderr.Bytes())
	}
	found := map[string]bool{}
	for _, name := range strings.Fields(string(out)) {
		found[name] = true
	}
	return found
}

// build compiles a package for amd64, without cgo.
func build(t *testing.T, dir, out string, args ...string) {
	t.Helper()
	buildFor(t, abi.AMD64, dir, out, args...)
}

// buildFor compiles a package without cgo; Go calls the ABIs as abi does.
func buildFor(t *testing.T, on abi.ABI, dir, out string, args ...string) {
	t.Helper()
	cmd := exec.Command("go", append([]string{"build", "-o", out}, args...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOARCH="+on.String())
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build %v: %v\n%s", args, err, output)
	}
}

// A world is the files and servers that the runs use.
type world struct {
	dir           string
	source        string // a directory of Go files, one not formatted
	tree          string // a larger one, all formatted
	server        string // the httpd program
	plain, secure string // addresses of a running one, for clients
}

func newWorld(t *testing.T, dir string) *world {
	tree, err := filepath.Abs("internal")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{dir: dir, source: filepath.Join(dir, "source"), tree: tree, server: filepath.Join(dir, "httpd")}
	write(t, filepath.Join(w.source, "good.go"), "package p\n")
	write(t, filepath.Join(w.source, "bad.go"), "package   p\nfunc  f( ) {}\n")
	write(t, filepath.Join(w.source, "broken", "broken.go"), "package\n")
	write(t, filepath.Join(w.dir, "module", "go.mod"), "module example.com/m\n\ngo 1.24\n")
	write(t, filepath.Join(w.dir, "module", "m.go"), "package m\n\nfunc F() int { return 1 }\n")
	write(t, filepath.Join(w.dir, "kube", "pod.yaml"), "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {containers: [{name: c, image: i}]}\n")
	write(t, filepath.Join(w.dir, "kube", "kustomization.yaml"), "resources: [pod.yaml]\nnamePrefix: x-\n")
	build(t, ".", w.server, "./testdata/programs/httpd")
	server := exec.Command(w.server, w.source)
	stdout, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		server.Process.Kill()
		server.Wait()
	})
	if w.plain, w.secure, err = addresses(stdout); err != nil {
		t.Fatal(err)
	}
	return w
}

func write(t *testing.T, name, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (w *world) gofmt() []run {
	return []run{
		{name: "list", args: []string{"-l", w.source + "/bad.go", w.source + "/good.go"}, want: `bad\.go\n$`},
		{name: "diff", args: []string{"-d", w.source + "/bad.go"}, exit: 1, want: `\+package p`},
		{name: "tree with a syntax error", args: []string{"-l", w.source}, exit: 2, want: `broken\.go:1`},
		{name: "standard input", want: `^package p\n$`},
		{name: "missing file", args: []string{w.source + "/none.go"}, exit: 2, want: `no such file`},
		{name: "big tree", args: []string{"-l", w.tree}, want: `^$`},
		{name: "write", args: []string{"-w", w.source + "/good.go"}, want: `^$`},
	}
}

func (w *world) httpd() []run {
	use := func(paths ...string) func(io.Reader) error {
		return func(stdout io.Reader) error {
			plain, secure, err := addresses(stdout)
			if err != nil {
				return err
			}
			for _, p := range paths {
				for _, url := range []string{"http://" + plain + p, "https://" + secure + p} {
					if out, err := exec.Command("curl", "-sSkf", "--max-time", "20", "-d", "hello", url).CombinedOutput(); err != nil && !strings.Contains(string(out), "404") {
						return fmt.Errorf("curl %s: %v: %s", url, err, out)
					}
				}
			}
			out, err := exec.Command("curl", "-sSf", "--max-time", "20", "http://"+plain+"/quit").CombinedOutput()
			if err != nil {
				return fmt.Errorf("curl quit: %v: %s", err, out)
			}
			return nil
		}
	}
	return []run{
		{name: "files", args: []string{w.source}, drive: use("/files/", "/files/bad.go", "/files/none"), want: `127\.0\.0\.1|::1`},
		{name: "echo", args: []string{w.source}, drive: use("/echo", "/echo"), want: `:\d+`},
		{name: "quit at once", args: []string{w.source}, drive: use(), want: `:\d+`},
	}
}

func addresses(stdout io.Reader) (plain, secure string, err error) {
	_, err = fmt.Fscan(stdout, &plain, &secure)
	return plain, secure, err
}

func (w *world) httpget() []run {
	_, port, _ := strings.Cut(w.plain, ":")
	return []run{
		{name: "plain", args: []string{"http://" + w.plain + "/files/bad.go"}, want: `func  f`},
		{name: "TLS", args: []string{"https://" + w.secure + "/files/bad.go", "https://" + w.secure + "/files/"}, want: `func  f`},
		{name: "by name", args: []string{"http://localhost:" + port + "/echo"}, want: `sysgate sysgate`},
		{name: "nobody there", args: []string{"http://127.0.0.1:1/"}, exit: 1, want: `refused`},
		{name: "unknown host", args: []string{"http://no-such-host.invalid/"}, exit: 1, want: `dial|lookup`},
	}
}

func (w *world) goCommand() []run {
	module := "-C=" + filepath.Join(w.dir, "module")
	return []run{
		{name: "env", args: []string{"env"}, want: `GOROOT`},
		{name: "list", args: []string{"list", module, "-deps", "."}, want: `example\.com/m`},
		{name: "version", args: []string{"version", "-m", w.server}, want: `sysgate`},
		{name: "help", args: []string{"help", "build"}, want: `usage: go build`},
	}
}

func (w *world) kubectl() []run {
	kube := filepath.Join(w.dir, "kube")
	env := []string{"HOME=" + w.dir, "KUBECONFIG=" + filepath.Join(w.dir, "kubeconfig")}
	return []run{
		{name: "version", args: []string{"version", "--client"}, env: env, want: `Client Version`},
		{name: "help", args: []string{"help", "apply"}, env: env, want: `Apply a configuration`},
		{name: "create", args: []string{"create", "deployment", "d", "--image=i", "--dry-run=client", "-o", "yaml"}, env: env, want: `kind: Deployment`},
		{name: "kustomize", args: []string{"kustomize", kube}, env: env, want: `name: x-p`},
		{name: "set context", args: []string{"config", "set-context", "c", "--namespace=n"}, env: env, want: `Context "c"`},
		{name: "no server", args: []string{"--server=http://127.0.0.1:1", "get", "pods"}, env: env, exit: 1, want: `refused`},
		{name: "apply without a server", args: []string{"--server=http://127.0.0.1:1", "apply", "-f", kube + "/pod.yaml"}, env: env, exit: 1, want: `refused`},
	}
}
