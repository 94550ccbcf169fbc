package otlp

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploggrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploghttp"
	"go.opentelemetry.io/otel/log"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	"go.opentelemetry.io/otel/sdk/resource"
	"google.golang.org/grpc"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/monitor"
)

// A Sender sends events to one collector. It is for one goroutine.
type Sender struct {
	exporter sdklog.Exporter
	provider *sdklog.LoggerProvider
	logger   log.Logger
	batch    *batch
	native   abi.ABI
	rejected atomic.Pointer[monitor.RejectedError] // of the request that is under way
}

// New returns a sender to address: grpc://HOST:PORT, or http://HOST:PORT with
// /v1/logs as its path if it has none; grpcs and https with TLS. It connects when
// there is something to send.
func New(address string, host *monitor.Host, native abi.ABI) (*Sender, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	if _, port, err := net.SplitHostPort(u.Host); err != nil || port == "" {
		return nil, fmt.Errorf("%q: no host with a port, as in grpc://127.0.0.1:4317 or http://127.0.0.1:4318", address)
	}
	s := &Sender{batch: &batch{}, native: native}
	ctx := context.Background()
	switch u.Scheme {
	case "grpc", "grpcs":
		if u.Path != "" && u.Path != "/" {
			return nil, fmt.Errorf("%q: gRPC has no path", address)
		}
		options := []otlploggrpc.Option{
			otlploggrpc.WithEndpoint(u.Host), otlploggrpc.WithRetry(otlploggrpc.RetryConfig{}),
			otlploggrpc.WithDialOption(grpc.WithChainUnaryInterceptor(s.intercept)),
		}
		if u.Scheme == "grpc" {
			options = append(options, otlploggrpc.WithInsecure())
		}
		s.exporter, err = otlploggrpc.New(ctx, options...)
	case "http", "https":
		path := u.Path
		if path == "" || path == "/" {
			path = "/v1/logs"
		}
		under, err := httpTransport()
		if err != nil {
			return nil, err
		}
		options := []otlploghttp.Option{
			otlploghttp.WithEndpoint(u.Host), otlploghttp.WithURLPath(path), otlploghttp.WithRetry(otlploghttp.RetryConfig{}),
			otlploghttp.WithHTTPClient(&http.Client{Transport: transport{s, under}, Timeout: timeout}),
		}
		if u.Scheme == "http" {
			options = append(options, otlploghttp.WithInsecure())
		}
		if s.exporter, err = otlploghttp.New(ctx, options...); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("%q: not grpc://, grpcs://, http:// or https://", address)
	}
	if err != nil {
		return nil, err
	}
	s.provider = sdklog.NewLoggerProvider(sdklog.WithProcessor(s.batch), sdklog.WithResource(resourceOf(host)))
	s.logger = s.provider.Logger("github.com/sysgate/sysgate/monitor", log.WithInstrumentationVersion(host.Version))
	return s, nil
}

// timeout is how long a request may take.
const timeout = 10 * time.Second

func resourceOf(h *monitor.Host) *resource.Resource {
	attributes := []attribute.KeyValue{
		attribute.String("service.name", "sysgate"), attribute.String("service.version", h.Version), attribute.String("host.name", h.Name),
		attribute.String("host.arch", hostArch(h.Architecture)), attribute.String("os.type", "linux"),
	}
	if h.ID != "" {
		attributes = append(attributes, attribute.String("host.id", h.ID))
	}
	return resource.NewSchemaless(attributes...)
}

// hostArch returns what the semantic conventions call a machine of uname(2).
func hostArch(machine string) string {
	if name, ok := map[string]string{"x86_64": "amd64", "i686": "x86", "aarch64": "arm64", "armv7l": "arm32"}[machine]; ok {
		return name
	}
	return machine
}

// Send implements [monitor.Sender]: all events in one request.
func (s *Sender) Send(ctx context.Context, events []monitor.Event) (int, error) {
	s.batch.records = s.batch.records[:0]
	for _, e := range events {
		s.logger.Emit(ctx, s.record(e))
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	s.rejected.Store(nil)
	err := s.exporter.Export(ctx, s.batch.records)
	if rejected := s.rejected.Load(); rejected != nil {
		return len(events), rejected // the collector has the request, and will not take more of it
	}
	if err != nil {
		return 0, err
	}
	return len(events), nil
}

// Close implements [monitor.Sender].
func (s *Sender) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return s.exporter.Shutdown(ctx)
}

// A batch is a processor that keeps records for one request. The SDK's own drops
// what it has no room for.
type batch struct{ records []sdklog.Record }

func (b *batch) Enabled(context.Context, sdklog.EnabledParameters) bool { return true }

func (b *batch) OnEmit(_ context.Context, r *sdklog.Record) error {
	b.records = append(b.records, r.Clone())
	return nil
}

func (b *batch) Shutdown(context.Context) error   { return nil }
func (b *batch) ForceFlush(context.Context) error { return nil }
