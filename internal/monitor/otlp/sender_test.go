package otlp

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	collector "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	logs "go.opentelemetry.io/proto/otlp/logs/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/audit"
	"github.com/sysgate/sysgate/internal/monitor"
	"github.com/sysgate/sysgate/internal/observe"
	"github.com/sysgate/sysgate/internal/proc"
)

// A receiver implements the service of the OTLP protocol for logs, over both of its
// transports.
type receiver struct {
	collector.UnimplementedLogsServiceServer
	mu       sync.Mutex
	resource map[string]any
	records  []*logs.LogRecord
	rejects  int64 // of the next request
	fails    bool
	denies   bool
}

func (r *receiver) Export(_ context.Context, request *collector.ExportLogsServiceRequest) (*collector.ExportLogsServiceResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fails {
		return nil, status.Error(codes.Unavailable, "not now")
	}
	if r.denies {
		return nil, status.Error(codes.PermissionDenied, "not you")
	}
	for _, group := range request.GetResourceLogs() {
		r.resource = values(group.GetResource().GetAttributes())
		for _, scope := range group.GetScopeLogs() {
			r.records = append(r.records, scope.GetLogRecords()...)
		}
	}
	answer := &collector.ExportLogsServiceResponse{}
	if r.rejects > 0 {
		answer.PartialSuccess = &collector.ExportLogsPartialSuccess{RejectedLogRecords: r.rejects, ErrorMessage: "too old"}
	}
	return answer, nil
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(request.Body)
	var message collector.ExportLogsServiceRequest
	if err != nil || request.URL.Path != "/v1/logs" || proto.Unmarshal(body, &message) != nil {
		http.Error(w, "no logs", http.StatusBadRequest)
		return
	}
	answer, err := r.Export(request.Context(), &message)
	if err != nil {
		code := http.StatusServiceUnavailable
		if status.Code(err) == codes.PermissionDenied {
			code = http.StatusForbidden
		}
		http.Error(w, err.Error(), code)
		return
	}
	data, err := proto.Marshal(answer)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
	_, _ = w.Write(data)
}

// start returns a receiver and its address for a scheme.
func start(t *testing.T, scheme string) (*receiver, string) {
	t.Helper()
	r := &receiver{}
	if scheme == "http" {
		server := httptest.NewServer(r)
		t.Cleanup(server.Close)
		return r, server.URL
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	collector.RegisterLogsServiceServer(server, r)
	go func() { _ = server.Serve(l) }()
	t.Cleanup(server.Stop)
	return r, "grpc://" + l.Addr().String()
}

func values(attributes []*common.KeyValue) map[string]any {
	all := map[string]any{}
	for _, a := range attributes {
		switch v := a.GetValue().GetValue().(type) {
		case *common.AnyValue_StringValue:
			all[a.GetKey()] = v.StringValue
		case *common.AnyValue_IntValue:
			all[a.GetKey()] = v.IntValue
		case *common.AnyValue_BoolValue:
			all[a.GetKey()] = v.BoolValue
		default:
			all[a.GetKey()] = v
		}
	}
	return all
}

func host() *monitor.Host {
	return &monitor.Host{Name: "web1", Architecture: "x86_64", ID: "abc", Version: "v1"}
}

func events() []monitor.Event {
	return []monitor.Event{
		{
			Event: audit.Event{Violation: &observe.Violation{
				Time: time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.UTC), Serial: 7, ABI: abi.AMD64, Arch: abi.AMD64.AuditArch(), NR: 49, Name: "bind",
				Action: abi.KillProcess, Signal: 31, PID: 12, Comm: "nc", Exe: "/usr/bin/nc", UID: 0, User: "root", GID: 0, LoginUID: observe.Unset, Count: 3, Ended: true,
			}},
			Process: &proc.Process{Args: []string{"nc", "-l"}, Place: proc.Place{Container: "c1", Runtime: "runc"}},
		},
		{Event: audit.Event{Loss: &audit.Loss{Records: 4, Reason: "gaps"}}},
	}
}

// TestSend holds what a collector gets, field by field, over each transport.
func TestSend(t *testing.T) {
	for _, scheme := range []string{"grpc", "http"} {
		r, address := start(t, scheme)
		s, err := New(address, host(), abi.AMD64)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := s.Send(t.Context(), events()); n != 2 || err != nil {
			t.Fatalf("%s: %d sent, %v", scheme, n, err)
		}
		if len(r.records) != 2 {
			t.Fatalf("%s: %d records", scheme, len(r.records))
		}
		wantResource := map[string]any{"service.name": "sysgate", "service.version": "v1", "host.name": "web1", "host.arch": "amd64", "host.id": "abc", "os.type": "linux"}
		if diff := cmp.Diff(wantResource, r.resource); diff != "" {
			t.Errorf("%s: resource (-want +got):\n%s", scheme, diff)
		}
		first, second := r.records[0], r.records[1]
		want := map[string]any{
			"seccomp.call": "bind", "seccomp.action": "kill_process", "seccomp.code": "0x80000000", "seccomp.syscall.nr": int64(49), "seccomp.syscall.name": "bind",
			"seccomp.arch": "0xc000003e", "seccomp.abi": "amd64", "seccomp.count": int64(3), "seccomp.ended": true, "event.outcome": "failure", "auditd.sequence": int64(7),
			"process.pid": int64(12), "process.executable.name": "nc", "process.executable.path": "/usr/bin/nc", "user.id": "0", "user.name": "root",
			"process.command_line": "nc -l", "container.id": "c1", "container.runtime.name": "runc",
		}
		if diff := cmp.Diff(want, values(first.GetAttributes())); diff != "" {
			t.Errorf("%s: attributes (-want +got):\n%s", scheme, diff)
		}
		if first.GetTimeUnixNano() != uint64(events()[0].Violation.Time.UnixNano()) || first.GetSeverityText() != "ERROR" || first.GetEventName() != "sysgate.violated-seccomp-policy" ||
			!strings.HasPrefix(first.GetBody().GetStringValue(), "2026-01-02T03:04:05.006Z nc[12] bind → kill_process, by root: nc -l; runc container c1; 3 times") {
			t.Errorf("%s: %v", scheme, first)
		}
		if got := second.GetBody().GetStringValue(); got != "LOST: 4 records were lost: gaps" || second.GetTimeUnixNano() == 0 {
			t.Errorf("%s: %v", scheme, second)
		}
		if err := s.Close(); err != nil {
			t.Errorf("%s: %v", scheme, err)
		}
	}
}

// TestRejected: what a collector rejects is counted, and not sent again; what it
// cannot take now is sent again, once it can.
func TestRejected(t *testing.T) {
	for _, scheme := range []string{"grpc", "http"} {
		r, address := start(t, scheme)
		s, err := New(address, host(), abi.AMD64)
		if err != nil {
			t.Fatal(err)
		}
		r.rejects = 1
		n, err := s.Send(t.Context(), events())
		rejected := (*monitor.RejectedError)(nil)
		if n != 2 || !errors.As(err, &rejected) || rejected.Events != 1 || rejected.Reason != "too old" {
			t.Errorf("%s: %d sent, %v", scheme, n, err)
		}
		r.rejects, r.denies = 0, true
		n, err = s.Send(t.Context(), events())
		if n != 2 || !errors.As(err, &rejected) || rejected.Events != 2 {
			t.Errorf("%s: denied: %d sent, %v", scheme, n, err)
		}
		r.denies, r.fails = false, true
		if n, err := s.Send(t.Context(), events()); n != 0 || err == nil {
			t.Errorf("%s: %d sent, %v", scheme, n, err)
		}
		r.records = nil
		o := monitor.NewOutlet("otlp", s, monitor.OutletOptions{Pause: time.Millisecond})
		for _, e := range events() {
			if err := o.Write(e); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(20 * time.Millisecond)
		r.mu.Lock()
		r.fails = false
		r.mu.Unlock()
		if err := o.Close(t.Context()); err != nil || len(r.records) != 2 {
			t.Errorf("%s: %d records, %v", scheme, len(r.records), err)
		}
	}
}

func TestAddress(t *testing.T) {
	for _, bad := range []string{"127.0.0.1:4317", "grpc://host", "grpc://host:1/path", "ftp://host:1", "http://", ":"} {
		if _, err := New(bad, host(), abi.AMD64); err == nil {
			t.Errorf("%s: no error", bad)
		}
	}
}
