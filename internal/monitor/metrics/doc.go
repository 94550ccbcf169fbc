// Package metrics counts what a monitor sees and what "sysgate ps" finds, for
// Prometheus.
//
//	m := metrics.New("v1.2.3")
//	options.Seen = m.Seen
//	http.Handle("/metrics", m.Handler())
//
// Violations are counted one by one, whatever an output counts together or holds back.
// docs/monitor.md lists the names.
//
// # Limits
//
// Programs choose their own names: after [MaxPrograms] of them, further ones are
// counted as "other".
package metrics
