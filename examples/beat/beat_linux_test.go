package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sysgate/sysgate/internal/testkit"
)

// policiesOf is the Go release whose binaries the policies in include are of.
const policiesOf = "go1.26"

// archs are those that the service is released for.
var archs = []string{"amd64", "386"}

// TestMakePolicies runs the make targets: make seccomp-package gives the files
// in include, from binaries for both architectures, and make seccomp the one for
// this machine.
func TestMakePolicies(t *testing.T) {
	needHost(t)
	dir := shared
	include := filepath.Join(dir, "include")
	runMake(t, dir, "seccomp-package")
	for _, arch := range archs {
		name := "seccomp_linux_" + arch + ".go"
		got, err := os.ReadFile(filepath.Join(include, name))
		if err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile(filepath.Join("include", name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			if !strings.HasPrefix(runtime.Version(), policiesOf) {
				t.Logf("%s of %s differs from that of %s", name, runtime.Version(), policiesOf)
				continue
			}
			t.Errorf("include/%s is not what make seccomp-package writes now; run it in examples/beat:\n%s", name, got)
		}
	}
	before, err := os.ReadFile(filepath.Join(include, "seccomp_linux_amd64.go"))
	if err != nil {
		t.Fatal(err)
	}
	runMake(t, dir, "seccomp")
	after, err := os.ReadFile(filepath.Join(include, "seccomp_linux_amd64.go"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(before, after) {
		t.Errorf("make seccomp has another policy than make seccomp-package:\n%s", after)
	}
}

// TestUnderPolicy runs the service under the policy of its own binary, on both
// architectures, and built with cgo.
func TestUnderPolicy(t *testing.T) {
	needHost(t)
	testkit.NeedFilters(t)
	testkit.Need(t, testkit.Filter)
	policies := makePolicies(t)
	for _, test := range []struct {
		name, arch, cgo string
	}{
		{"amd64", "amd64", "0"},
		{"386", "386", "0"},
		{"cgo", "amd64", "1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.cgo == "1" {
				testkit.Need(t, testkit.CC)
			}
			s := start(t, build(t, policies, test.arch, test.cgo))
			for range 3 {
				if e, err := s.event(); err != nil || e.Host == "" || e.Time.IsZero() {
					t.Errorf("event %+v, %v", e, err)
				}
			}
			s.filtered(t, true)
			log := s.stop(t)
			if !strings.Contains(log, "Syscall filter successfully installed") || !strings.Contains(log, `source="registered policy"`) {
				t.Errorf("log:\n%s", log)
			}
		})
	}
}

// TestAddedCall changes the service and nothing else: a call that its policy does
// not have is denied, until the policy is made again.
func TestAddedCall(t *testing.T) {
	needHost(t)
	testkit.NeedFilters(t)
	testkit.Need(t, testkit.Filter)
	policies := makePolicies(t)
	changed := filepath.Join(t.TempDir(), "event.go")
	replace(t, "event.go", changed,
		"import (", "import (\n\t\"syscall\"\n",
		"\treturn e, nil\n", "\tvar info syscall.Sysinfo_t\n\tif err := syscall.Sysinfo(&info); err != nil {\n"+
			"\t\treturn nil, fmt.Errorf(\"sysinfo: %w\", err)\n\t}\n\treturn e, nil\n")
	stale := policies.with("event.go", changed)
	for _, arch := range archs {
		t.Run(arch, func(t *testing.T) {
			file := build(t, stale, arch, "0")
			s := start(t, file)
			if e, err := s.event(); err == nil || !strings.Contains(err.Error(), "sysinfo: function not implemented") {
				t.Errorf("event %+v, %v", e, err)
			}
			s.stop(t)

			dir := t.TempDir()
			fresh := stale
			name := "seccomp_linux_" + arch + ".go"
			sysgate(t, "profile", "--format", "go", "--package", "include", "--deny-file", "seccomp/deny.txt",
				"--allow-file", "seccomp/allow.txt", "-o", filepath.Join(dir, "seccomp_linux_{{.GOARCH}}.go"), file)
			fresh = fresh.with("include/"+name, filepath.Join(dir, name))
			s = start(t, build(t, fresh, arch, "0"))
			if e, err := s.event(); err != nil {
				t.Errorf("with the policy made again: event %+v, %v", e, err)
			}
			s.filtered(t, true)
			s.stop(t)
		})
	}
}

// TestConfiguration: the configuration comes before the policy of the binary.
func TestConfiguration(t *testing.T) {
	needHost(t)
	testkit.NeedFilters(t)
	testkit.Need(t, testkit.Filter)
	file := build(t, makePolicies(t), "amd64", "0")
	for _, test := range []struct {
		name, config string
		log, err     string
		filtered     bool
	}{
		{
			"configured", `{"seccomp": {"required": true, "default_action": "allow", "syscalls": [{"action": "errno", "names": ["openat"]}]}}`,
			"source=configuration", "operation not permitted", true,
		},
		{"disabled", `{"seccomp": {"enabled": false}, "other": 1}`, "disabled by the configuration", "", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := start(t, file, "-c", configFile(t, test.config), "-listen", "127.0.0.1:0") // without looking up a name
			if e, err := s.event(); test.err == "" && err != nil || test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)) {
				t.Errorf("event %+v, %v, want error %q", e, err, test.err)
			}
			s.filtered(t, test.filtered)
			if log := s.stop(t); !strings.Contains(log, test.log) {
				t.Errorf("no %q in the log:\n%s", test.log, log)
			}
		})
	}
	for config, want := range map[string]string{
		`{"seccomp": {"requird": true}}`:                    "unknown key",
		`{"seccomp": {"enabled": false, "required": true}}`: "enabled: false",
	} {
		out, err := exec.Command(file, "-c", configFile(t, config)).CombinedOutput()
		if exit := new(exec.ExitError); !errors.As(err, &exit) || !strings.Contains(string(out), want) {
			t.Errorf("%s: %v, want %q in\n%s", config, err, want, out)
		}
	}
}

func configFile(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "beat.json")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// needHost skips the test where programs for amd64 and 386 do not run.
func needHost(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		t.Skipf("runs programs for linux/amd64 and linux/386, not on %s/%s", runtime.GOOS, runtime.GOARCH)
	}
}

// An overlay says which files of this directory the go command takes from
// elsewhere (go help build).
type overlay map[string]string

// with returns o with one file more.
func (o overlay) with(name, file string) overlay {
	out := overlay{name: file}
	for n, f := range o {
		if n != name {
			out[n] = f
		}
	}
	return out
}

// shared is a directory for what several tests use.
var shared string

func TestMain(m *testing.M) {
	os.Exit(runTests(m))
}

func runTests(m *testing.M) int {
	var err error
	if shared, err = os.MkdirTemp("", "beat-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(shared)
	return m.Run()
}

// makePolicies returns the overlay with the policies of this Go release, which
// are made once.
func makePolicies(t *testing.T) overlay {
	t.Helper()
	dir := shared
	if _, err := os.Stat(filepath.Join(dir, "include")); err != nil {
		runMake(t, dir, "seccomp-package")
	}
	o := overlay{}
	for _, arch := range archs {
		name := "include/seccomp_linux_" + arch + ".go"
		o[name] = filepath.Join(dir, name)
	}
	return o
}

// runMake runs make with all that it writes below dir.
func runMake(t *testing.T, dir, target string) {
	t.Helper()
	if _, err := exec.LookPath("make"); err != nil {
		t.Skipf("needs make: %v", err)
	}
	output(t, exec.Command("make", target, "BUILD="+filepath.Join(dir, "build"), "INCLUDE="+filepath.Join(dir, "include")))
}

func sysgate(t *testing.T, args ...string) {
	t.Helper()
	output(t, exec.Command("go", append([]string{"run", "github.com/sysgate/sysgate/cmd/sysgate"}, args...)...))
}

func output(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
	}
}

// build builds the service, with files from o.
func build(t *testing.T, o overlay, arch, cgo string) string {
	t.Helper()
	dir := t.TempDir()
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	absolute := map[string]string{}
	for name, file := range o {
		absolute[filepath.Join(here, name)] = file
	}
	data, err := json.Marshal(map[string]any{"Replace": absolute})
	if err != nil {
		t.Fatal(err)
	}
	list := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(list, data, 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "beat")
	cmd := exec.Command("go", "build", "-trimpath", "-overlay", list, "-o", file, ".")
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH="+arch, "CGO_ENABLED="+cgo)
	output(t, cmd)
	return file
}

// replace writes the file from to the file to, with each text that is at an even
// index of pairs replaced by the next; each has to be there once.
func replace(t *testing.T, from, to string, pairs ...string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	for i := 0; i < len(pairs); i += 2 {
		if strings.Count(text, pairs[i]) != 1 {
			t.Fatalf("%s has %q %d times", from, pairs[i], strings.Count(text, pairs[i]))
		}
		text = strings.Replace(text, pairs[i], pairs[i+1], 1)
	}
	if err := os.WriteFile(to, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A service is a running beat.
type service struct {
	cmd *exec.Cmd
	log bytes.Buffer
	url string
}

func start(t *testing.T, file string, args ...string) *service {
	t.Helper()
	s := &service{cmd: exec.Command(file, args...)}
	s.cmd.Stderr = &s.log
	s.cmd.Env = append(os.Environ(), "GODEBUG=netdns=cgo") // of no effect without cgo
	stdout, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if s.cmd.ProcessState == nil {
			_ = s.cmd.Process.Kill()
			_ = s.cmd.Wait()
		}
	})
	address, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		_ = s.cmd.Wait()
		t.Fatalf("the service did not start: %v\n%s", err, s.log.String())
	}
	s.url = "http://" + strings.TrimSpace(address) + "/"
	return s
}

// event gets an event from the service.
func (s *service) event() (*event, error) {
	client := http.Client{Timeout: 30 * time.Second}
	response, err := client.Get(s.url)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, errors.New(string(body))
	}
	e := new(event)
	return e, json.Unmarshal(body, e)
}

// filtered holds every thread of the service to having a filter, or none
// (proc_pid_status(5)).
func (s *service) filtered(t *testing.T, want bool) {
	t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", s.cmd.Process.Pid))
	if err != nil || len(files) == 0 {
		t.Fatalf("no thread: %v", err)
	}
	mode := map[bool]string{false: "\nSeccomp:\t0\n", true: "\nSeccomp:\t2\n"}[want]
	for _, file := range files {
		status, err := os.ReadFile(file)
		if err == nil && !strings.Contains(string(status), mode) {
			t.Errorf("%s has no %q", file, mode)
		}
	}
}

// stop ends the service, and returns its log.
func (s *service) stop(t *testing.T) string {
	t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Wait(); err != nil {
		t.Fatalf("the service ended with %v:\n%s", err, s.log.String())
	}
	return s.log.String()
}
