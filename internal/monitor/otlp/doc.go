// Package otlp sends a monitor's events to a collector as log records of
// OpenTelemetry, over gRPC or HTTP.
//
//	s, err := otlp.New("grpc://127.0.0.1:4317", host, abi.Native())
//	out := monitor.NewOutlet("otlp", s, monitor.OutletOptions{})
//
// Each event is a record: its time, severity and line, and what is known of it as
// attributes, by the names of OpenTelemetry's semantic conventions where they have
// one. Headers, compression and certificates are those of the exporters' environment
// variables (OTEL_EXPORTER_OTLP_HEADERS, …_COMPRESSION, …_CERTIFICATE,
// …_CLIENT_CERTIFICATE, …_CLIENT_KEY, and those for logs alone); without a certificate
// there, the system's count (SSL_CERT_FILE).
//
// # Limits
//
// It does not repeat anything by itself: that is what [monitor.Outlet] does.
package otlp
