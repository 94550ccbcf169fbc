package otlp

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
)

// httpTransport returns what requests over HTTP go through: with the certificates that
// the environment names, as the exporter for gRPC takes them
// (https://opentelemetry.io/docs/specs/otel/protocol/exporter/).
func httpTransport() (*http.Transport, error) {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	if file := setting("CERTIFICATE"); file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("certificate: %w", err)
		}
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("certificate: %s: no certificate in PEM", file)
		}
		t.TLSClientConfig.RootCAs = roots
	}
	cert, key := setting("CLIENT_CERTIFICATE"), setting("CLIENT_KEY")
	switch {
	case cert == "" && key == "":
	case cert == "" || key == "":
		return nil, errors.New("client certificate: OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and …_CLIENT_KEY belong together")
	default:
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return nil, fmt.Errorf("client certificate: %w", err)
		}
		t.TLSClientConfig.Certificates = []tls.Certificate{pair}
	}
	return t, nil
}

// setting returns an exporter's environment variable, that for logs before that for all
// signals.
func setting(name string) string {
	return cmp.Or(os.Getenv("OTEL_EXPORTER_OTLP_LOGS_"+name), os.Getenv("OTEL_EXPORTER_OTLP_"+name))
}
