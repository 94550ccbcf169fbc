package cli

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	"google.golang.org/grpc"
)

// startCommand starts this test binary as sysgate with arguments, as
// [startMonitor] does, wherever records come from.
func startCommand(t *testing.T, args ...string) *watcher {
	t.Helper()
	if list := os.Getenv(monitorEnv); list != "" {
		os.Exit(Main(strings.Fields(list), os.Stdin, os.Stdout, os.Stderr))
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	w := &watcher{ended: make(chan error, 1)}
	cmd := exec.Command(self, "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), monitorEnv+"="+strings.Join(args, " "))
	cmd.Stdout, cmd.Stderr = &w.events, &w.messages
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.process = cmd.Process
	t.Cleanup(func() { w.process.Kill() })
	go func() { w.ended <- cmd.Wait() }()
	return w
}

// A logsService gives the bodies of the records that it receives.
type logsService struct {
	collector.UnimplementedLogsServiceServer
	bodies chan string
}

func (s *logsService) Export(_ context.Context, r *collector.ExportLogsServiceRequest) (*collector.ExportLogsServiceResponse, error) {
	for _, group := range r.GetResourceLogs() {
		for _, scope := range group.GetScopeLogs() {
			for _, record := range scope.GetLogRecords() {
				s.bodies <- record.GetBody().GetStringValue()
			}
		}
	}
	return &collector.ExportLogsServiceResponse{}, nil
}

const record1 = `type=SECCOMP msg=audit(1592235512.578:%d): auid=1000 uid=1000 gid=1000 ses=4 pid=6939 comm="nc" exe="/usr/bin/nc.traditional" sig=0 arch=c000003e syscall=49 compat=0 ip=0x7f67398a0497 code=0x50000` + "\n"

// TestMonitorOutputs has a monitor give one log to every output there is, while it
// is written.
func TestMonitorOutputs(t *testing.T) {
	if os.Getenv(monitorEnv) != "" {
		startCommand(t)
	}
	dir := t.TempDir()
	datagrams := func(name string) chan string {
		c, err := net.ListenPacket("unixgram", dir+"/"+name)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		got := make(chan string, 100)
		go func() {
			buf := make([]byte, 1<<16)
			for {
				n, _, err := c.ReadFrom(buf)
				if err != nil {
					return
				}
				got <- string(buf[:n])
			}
		}()
		return got
	}
	syslog, journal := datagrams("log"), datagrams("journal")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	logs := &logsService{bodies: make(chan string, 100)}
	server := grpc.NewServer()
	collector.RegisterLogsServiceServer(server, logs)
	go func() { _ = server.Serve(l) }()
	t.Cleanup(server.Stop)
	if err := os.WriteFile(dir+"/audit.log", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	w := startCommand(t, "monitor", "--input", dir+"/audit.log", "--json", "--web", "127.0.0.1:0", "--metrics", ":0", "--otlp", "grpc://"+l.Addr().String(),
		"--output", "stdout,syslog:unix://"+dir+"/log,journal:"+dir+"/journal")
	page := regexp.MustCompile(`http://\S+`).FindString(w.messages.has(t, "page: http"))
	metrics := regexp.MustCompile(`http://\S+`).FindString(w.messages.has(t, "metrics: http://127.0.0.1"))
	f, err := os.OpenFile(dir+"/audit.log", os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for i := range 3 {
		fmt.Fprintf(f, record1, 148+i)
	}
	w.events.has(t, `"call":"bind"`, `"sequence":150`)
	for name, got := range map[string]chan string{"syslog": syslog, "journal": journal, "otlp": logs.bodies} {
		for i := range 3 {
			select {
			case text := <-got:
				if !strings.Contains(text, "nc[6939] bind → errno") {
					t.Errorf("%s: %s", name, text)
				}
			case <-time.After(30 * time.Second):
				t.Fatalf("%s: event %d did not arrive\n%s", name, i, w.messages.String())
			}
		}
	}
	body := func(url string) string {
		response, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		if err != nil || response.StatusCode != 200 {
			t.Fatal(response.Status, err)
		}
		return string(text)
	}
	const counted = `sysgate_violations_total{action="errno",call="amd64:bind",program="/usr/bin/nc.traditional"} 3`
	if text := body(metrics); !strings.Contains(text, counted) || !strings.Contains(text, `sysgate_undelivered_events_total{output="otlp"} 0`) {
		t.Errorf("metrics:\n%s", text)
	}
	if text := body(page); !strings.Contains(text, "<td>/usr/bin/nc.traditional</td><td>bind</td><td>errno</td><td>3</td>") {
		t.Errorf("page:\n%.2000s", text)
	}
	// A reader of the page's events does not keep the monitor from ending.
	response, err := http.Get(page + "events")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if _, err := bufio.NewReader(response.Body).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	w.stop(t)
}

// TestMonitorToken: a page that others can reach asks for its token.
func TestMonitorToken(t *testing.T) {
	if os.Getenv(monitorEnv) != "" {
		startCommand(t)
	}
	log := t.TempDir() + "/audit.log"
	if err := os.WriteFile(log, fmt.Appendf(nil, record1, 1), 0o644); err != nil {
		t.Fatal(err)
	}
	w := startCommand(t, "monitor", "-q", "--input", log, "--output", "none", "--web", "0.0.0.0:0")
	page := regexp.MustCompile(`http://[^:]*:(\d+)/(\?token=\w+)`).FindStringSubmatch(w.messages.has(t, "page: http"))
	if page == nil {
		t.Fatalf("no token: %s", w.messages.String())
	}
	at := "http://127.0.0.1:" + page[1] + "/"
	response, err := http.Get(at)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusUnauthorized {
		t.Errorf("without the token: %s", response.Status)
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err = client.Get(at + page[2])
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusSeeOther || len(response.Cookies()) != 1 {
		t.Errorf("with the token: %s, %v", response.Status, response.Cookies())
	}
	if w.events.String() != "" {
		t.Errorf("--output none wrote %s", w.events.String())
	}
	w.stop(t)
}

// TestMonitorAway: outputs that nobody takes do not hold the monitor up, and their
// loss is an error at the end.
func TestMonitorAway(t *testing.T) {
	dir := t.TempDir()
	var log strings.Builder
	for i := range 3 {
		fmt.Fprintf(&log, record1, 1+i)
	}
	if err := os.WriteFile(dir+"/audit.log", []byte(log.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	var out, messages strings.Builder
	code := Main([]string{"monitor", "--once", "--input", dir + "/audit.log", "--output", "stdout,syslog:unix://" + dir + "/none"}, nil, &out, &messages)
	if code != 1 || strings.Count(out.String(), "bind") != 3 {
		t.Errorf("exit code %d\n%s", code, out.String())
	}
	for _, want := range []string{"syslog: events wait for being delivered: ", "sysgate: error: syslog: not delivered: 3 events"} {
		if !strings.Contains(messages.String(), want) {
			t.Errorf("no %q in\n%s", want, messages.String())
		}
	}
}
