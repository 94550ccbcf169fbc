package metrics

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// A Host is what "sysgate ps" found: how many processes there are, how many are under
// seccomp, and of those that a policy is declared for, how many are in which state.
type Host struct {
	Processes, Protected int
	Declared             map[Declared]int
	Time                 time.Time
	Took                 time.Duration
}

// Declared is a policy by its name, and how a process does under it: "equal",
// "drifted", "unprotected" or "unknown".
type Declared struct{ Policy, State string }

// Drift is how the processes of a host do under their policies.
type Drift struct {
	registry                         *prometheus.Registry
	processes, protected, time, took prometheus.Gauge
	declared                         *prometheus.GaugeVec
}

// NewDrift returns the metrics of a host, which has to be looked at first. version is
// sysgate's.
func NewDrift(version string) *Drift {
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
	}
	d := &Drift{
		registry:  newRegistry(version),
		processes: gauge("sysgate_processes", "Processes of the host."),
		protected: gauge("sysgate_protected_processes", "Processes that are under seccomp."),
		time:      gauge("sysgate_check_timestamp_seconds", "When the host was looked at."),
		took:      gauge("sysgate_check_duration_seconds", "How long that took."),
		declared: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "sysgate_declared_processes", Help: "Processes that a policy is declared for, by how they do under it: equal, drifted, unprotected or unknown.",
		}, []string{"policy", "state"}),
	}
	d.registry.MustRegister(d.processes, d.protected, d.time, d.took, d.declared)
	return d
}

// Handler returns what serves the metrics.
func (d *Drift) Handler() http.Handler { return handler(d.registry) }

// Set replaces what is known of the host.
func (d *Drift) Set(h Host) {
	d.processes.Set(float64(h.Processes))
	d.protected.Set(float64(h.Protected))
	d.time.Set(float64(h.Time.UnixMilli()) / 1000)
	d.took.Set(h.Took.Seconds())
	d.declared.Reset()
	for of, n := range h.Declared {
		d.declared.WithLabelValues(of.Policy, of.State).Set(float64(n))
	}
}
