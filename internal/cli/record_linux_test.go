package cli

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sysgate/sysgate/internal/testkit"
)

// TestServers: real servers are recorded while they work, and then do the same work
// under what was recorded, with kill_process for the rest.
func TestServers(t *testing.T) {
	for _, server := range []struct {
		name  string
		start func(t *testing.T, dir string) []string
		work  func(t *testing.T, dir string)
	}{
		{"redis-server", func(_ *testing.T, dir string) []string {
			return []string{"redis-server", "--port", "0", "--unixsocket", filepath.Join(dir, "s"), "--dir", dir, "--save", "", "--appendonly", "yes"}
		}, workRedis},
		{"nginx", func(t *testing.T, dir string) []string {
			conf := filepath.Join(dir, "nginx.conf")
			text := fmt.Sprintf(`daemon off; pid %[1]s/pid; error_log %[1]s/error.log; worker_processes 2; events {}
http { access_log %[1]s/access.log; client_body_temp_path %[1]s/b; proxy_temp_path %[1]s/p; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u;
scgi_temp_path %[1]s/c; server { listen unix:%[1]s/s; root %[1]s; } }
`, dir)
			if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			return []string{"nginx", "-e", filepath.Join(dir, "error.log"), "-c", conf}
		}, workNginx},
	} {
		for _, backend := range []string{"", "notify"} {
			t.Run(server.name+backend, func(t *testing.T) {
				if _, err := exec.LookPath(server.name); err != nil {
					t.Skip(err)
				}
				policy := filepath.Join(t.TempDir(), "p.yaml")
				record := []string{"record", "-o", policy}
				if backend != "" {
					record = append(record, "--backend", backend)
				}
				serveUnder(t, server.start, server.work, append(record, "--"))
				serveUnder(t, server.start, server.work, []string{"run", "--policy", policy, "--default-action", "kill_process", "--keep-privileges", "--"})
			})
		}
	}
}

// serveUnder runs a server under sysgate, has it work, and ends it.
func serveUnder(t *testing.T, start func(t *testing.T, dir string) []string, work func(*testing.T, string), sysgate []string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("nginx changes its user, and --keep-privileges is for root")
	}
	dir := t.TempDir()
	for d := dir; d != "/" && d != os.TempDir(); d = filepath.Dir(d) { // for nginx's workers
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cmd := sysgateCommand(t, append(sysgate, start(t, dir)...)...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for begun := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		if conn, err := net.Dial("unix", filepath.Join(dir, "s")); err == nil {
			conn.Close()
			break
		}
		select {
		case err := <-ended:
			t.Fatalf("%v: %v\n%s", cmd.Args[1:], err, out.String())
		default:
		}
		if time.Since(begun) > 30*time.Second {
			_ = cmd.Process.Kill()
			t.Fatalf("the server does not listen:\n%s", out.String())
		}
	}
	work(t, dir)
	// By the signal that stops services: sysgate passes it on.
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Fatalf("%v: %v\n%s", cmd.Args[1:], err, out.String())
		}
	case <-time.After(30 * time.Second):
		_ = cmd.Process.Kill()
		t.Fatalf("the server does not end:\n%s", out.String())
	}
}

func workRedis(t *testing.T, dir string) {
	t.Helper()
	conn, err := net.Dial("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	for command, want := range map[string]string{"SET key value\r\n": "+OK", "PING\r\n": "+PONG", "BGREWRITEAOF\r\n": "+Background"} {
		if _, err := conn.Write([]byte(command)); err != nil {
			t.Fatal(err)
		}
		answer := make([]byte, 200)
		n, err := conn.Read(answer)
		if err != nil || !strings.HasPrefix(string(answer[:n]), want) {
			t.Errorf("%s: %q, %v", command, answer[:n], err)
		}
	}
	time.Sleep(500 * time.Millisecond) // its timers, and the process that rewrites
}

func workNginx(t *testing.T, dir string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "page"), []byte("hello"), 0o644); err != nil {
		t.Fatal(err)
	}
	client := http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(dir, "s"))
		},
	}}
	for range 20 { // for each of the workers
		answer, err := client.Get("http://nginx/page")
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			t.Fatalf("%s", answer.Status)
		}
	}
	time.Sleep(200 * time.Millisecond)
}

// TestRecordingEnds: what a program left goes on when its recording ends, also with a
// call that sysgate had at that moment, and where sysgate is killed.
func TestRecordingEnds(t *testing.T) {
	for _, backend := range []string{"ebpf", "notify", "ptrace"} {
		for _, sig := range []os.Signal{os.Interrupt, os.Kill} {
			t.Run(backend+" "+sig.String(), func(t *testing.T) { recordingEnds(t, backend, sig) })
		}
	}
}

func recordingEnds(t *testing.T, backend string, sig os.Signal) {
	if backend == "ebpf" {
		testkit.Need(t, testkit.Root)
	}
	dir := t.TempDir()
	// A process that makes calls all the time, until a file says stop.
	script := `cd "$1"; setsid sh -c 'while [ ! -e stop ]; do echo x >>log; done; : >done' </dev/null >/dev/null 2>&1 & exit 0`
	cmd := sysgateCommand(t, "record", "--backend", backend, "-o", filepath.Join(dir, "p.yaml"), "--", "sh", "-c", script, "sh", dir)
	var out bytes.Buffer
	cmd.Stderr = &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, filepath.Join(dir, "log"))
	time.Sleep(500 * time.Millisecond)
	if err := cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil && sig != os.Kill {
		t.Fatalf("%v\n%s", err, out.String())
	}
	size := func() int64 {
		info, err := os.Stat(filepath.Join(dir, "log"))
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	before := size()
	time.Sleep(300 * time.Millisecond)
	if size() == before {
		t.Error("what the program left stands still")
	}
	makeFile(t, filepath.Join(dir, "stop"))
	waitFor(t, filepath.Join(dir, "done"))
	if sig != os.Kill && !strings.Contains(out.String(), "recording ended before the program") {
		t.Errorf("not said:\n%s", out.String())
	}
}
