package otlp

import (
	"compress/gzip"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/testkit"
)

// certificate makes a certificate that signs itself, and the files that it is in.
func certificate(t *testing.T) (pair tls.Certificate, cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: "collector"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	for file, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: pkcs8}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if pair, err = tls.LoadX509KeyPair(cert, key); err != nil {
		t.Fatal(err)
	}
	return pair, cert, key
}

// A request is what a receiver behind TLS was asked with.
type request struct{ tenant, encoding string }

// startTLS is [start] behind TLS.
func startTLS(t *testing.T, scheme string, config *tls.Config) (r *receiver, address string, seen *request) {
	t.Helper()
	r, seen = &receiver{}, &request{}
	if scheme == "https" {
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, asked *http.Request) {
			*seen = request{asked.Header.Get("X-Tenant"), asked.Header.Get("Content-Encoding")}
			if seen.encoding == "gzip" {
				body, err := gzip.NewReader(asked.Body)
				if err != nil {
					http.Error(w, err.Error(), http.StatusBadRequest)
					return
				}
				asked.Body = body
			}
			r.ServeHTTP(w, asked)
		}))
		server.TLS = config
		server.Config.ErrorLog = nil
		server.StartTLS()
		t.Cleanup(server.Close)
		return r, server.URL, seen
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	note := func(ctx context.Context, message any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
		md, _ := metadata.FromIncomingContext(ctx)
		for _, v := range md.Get("x-tenant") {
			seen.tenant = v
		}
		return handle(ctx, message)
	}
	server := grpc.NewServer(grpc.Creds(credentials.NewTLS(config)), grpc.UnaryInterceptor(note), grpc.StatsHandler(encodings{seen}))
	collector.RegisterLogsServiceServer(server, r)
	go func() { _ = server.Serve(l) }()
	t.Cleanup(server.Stop)
	return r, "grpcs://" + l.Addr().String(), seen
}

// encodings notes how requests are compressed.
type encodings struct{ seen *request }

func (e encodings) HandleRPC(_ context.Context, s stats.RPCStats) {
	if header, ok := s.(*stats.InHeader); ok {
		e.seen.encoding = header.Compression
	}
}
func (encodings) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context   { return ctx }
func (encodings) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (encodings) HandleConn(context.Context, stats.ConnStats)                       {}

// TestTLS: with the certificate, headers and compression of the environment, over each
// transport; and never to a collector that another certificate stands for.
func TestTLS(t *testing.T) {
	server, serverCert, _ := certificate(t)
	client, clientCert, clientKey := certificate(t)
	_, otherCert, _ := certificate(t)
	clients := x509.NewCertPool()
	clients.AddCert(leaf(t, client))
	for _, scheme := range []string{"https", "grpcs"} {
		for _, tt := range []struct {
			name        string
			environment map[string]string
			mutual, ok  bool
		}{
			{"certificate", map[string]string{"OTEL_EXPORTER_OTLP_CERTIFICATE": serverCert}, false, true},
			{"certificate for logs", map[string]string{"OTEL_EXPORTER_OTLP_LOGS_CERTIFICATE": serverCert, "OTEL_EXPORTER_OTLP_CERTIFICATE": otherCert}, false, true},
			{"another certificate", map[string]string{"OTEL_EXPORTER_OTLP_CERTIFICATE": otherCert}, false, false},
			{"none", nil, false, false},
			{"client certificate", map[string]string{
				"OTEL_EXPORTER_OTLP_CERTIFICATE": serverCert, "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": clientCert, "OTEL_EXPORTER_OTLP_CLIENT_KEY": clientKey,
			}, true, true},
			{"no client certificate", map[string]string{"OTEL_EXPORTER_OTLP_CERTIFICATE": serverCert}, true, false},
		} {
			t.Run(scheme+" "+tt.name, func(t *testing.T) {
				for name, value := range tt.environment {
					t.Setenv(name, value)
				}
				t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=team%20a")
				t.Setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
				config := &tls.Config{Certificates: []tls.Certificate{server}, NextProtos: []string{"h2", "http/1.1"}}
				if tt.mutual {
					config.ClientAuth, config.ClientCAs = tls.RequireAndVerifyClientCert, clients
				}
				r, address, seen := startTLS(t, scheme, config)
				s, err := New(address, host(), abi.AMD64)
				if err != nil {
					t.Fatal(err)
				}
				defer s.Close()
				ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
				defer cancel()
				n, err := s.Send(ctx, events())
				if tt.ok != (err == nil && n == 2 && len(r.records) == 2) {
					t.Errorf("%d sent, %d received, %v", n, len(r.records), err)
				}
				if want := (request{"team a", "gzip"}); tt.ok && *seen != want {
					t.Errorf("asked with %+v, want %+v", *seen, want)
				}
			})
		}
	}
}

func leaf(t *testing.T, pair tls.Certificate) *x509.Certificate {
	t.Helper()
	c, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestSystemCertificates: without a setting the system's certificates count, whose file
// SSL_CERT_FILE names. They are read once in a process.
func TestSystemCertificates(t *testing.T) {
	testkit.RunInSubprocess(t, func(t *testing.T) {
		server, cert, _ := certificate(t)
		t.Setenv("SSL_CERT_FILE", cert)
		for _, scheme := range []string{"https", "grpcs"} {
			_, address, _ := startTLS(t, scheme, &tls.Config{Certificates: []tls.Certificate{server}, NextProtos: []string{"h2", "http/1.1"}})
			s, err := New(address, host(), abi.AMD64)
			if err != nil {
				t.Fatal(err)
			}
			if n, err := s.Send(t.Context(), events()); n != 2 || err != nil {
				t.Errorf("%s: %d sent, %v", scheme, n, err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestBadCertificates(t *testing.T) {
	_, cert, _ := certificate(t)
	for _, environment := range []map[string]string{
		{"CERTIFICATE": "/nonexistent"}, {"CERTIFICATE": os.DevNull}, {"CLIENT_KEY": cert}, {"CLIENT_CERTIFICATE": cert, "CLIENT_KEY": cert},
	} {
		t.Run("", func(t *testing.T) {
			for name, value := range environment {
				t.Setenv("OTEL_EXPORTER_OTLP_"+name, value)
			}
			if _, err := New("https://127.0.0.1:1", host(), abi.AMD64); err == nil {
				t.Errorf("%v: no error", environment)
			}
		})
	}
}
