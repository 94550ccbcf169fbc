package metrics

import (
	"net/http"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/monitor"
)

// MaxPrograms bounds the programs that are counted by name: each is some series that
// a server keeps.
const MaxPrograms = 500

// Other is the name under which programs beyond [MaxPrograms] are counted.
const Other = "other"

// Metrics is a set of counters. It may be used by several goroutines.
type Metrics struct {
	registry   *prometheus.Registry
	violations *prometheus.CounterVec
	lost       prometheus.Counter
	losses     prometheus.Counter
	unread     prometheus.Counter
	abends     prometheus.Counter
	last       prometheus.Gauge

	mu       sync.Mutex
	programs map[string]bool
}

// New returns counters of nothing yet. version is sysgate's.
func New(version string) *Metrics {
	m := &Metrics{registry: newRegistry(version), programs: map[string]bool{}}
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	m.violations = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "sysgate_violations_total", Help: "Calls that a filter did not just let through.",
	}, []string{"program", "call", "action"})
	m.lost = counter("sysgate_lost_records_total", "Audit records that were lost, as far as it is known how many.")
	m.losses = counter("sysgate_losses_total", "Times that audit records were lost.")
	m.unread = counter("sysgate_unread_records_total", "Records that could not be read.")
	m.abends = counter("sysgate_ended_without_violation_total", "Processes that SIGSYS ended without a record of the call.")
	m.last = prometheus.NewGauge(prometheus.GaugeOpts{Name: "sysgate_last_violation_timestamp_seconds", Help: "Time of the newest violation, 0 before the first."})
	m.registry.MustRegister(m.violations, m.lost, m.losses, m.unread, m.abends, m.last)
	return m
}

// newRegistry returns a registry with what is known of this process.
func newRegistry(version string) *prometheus.Registry {
	build := prometheus.NewGauge(prometheus.GaugeOpts{Name: "sysgate_build_info", Help: "Always 1.", ConstLabels: prometheus.Labels{"version": version}})
	build.Set(1)
	r := prometheus.NewRegistry()
	r.MustRegister(build, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// Handler returns what serves the metrics.
func (m *Metrics) Handler() http.Handler { return handler(m.registry) }

func handler(r *prometheus.Registry) http.Handler {
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{Registry: r, EnableOpenMetrics: true})
}

// Seen counts an event.
func (m *Metrics) Seen(e monitor.Event) {
	switch v := e.Violation; {
	case v != nil:
		program := v.Exe
		if program == "" {
			program = v.Comm
		}
		action, _, _ := strings.Cut(v.Action.String(), "(")
		m.violations.WithLabelValues(m.program(program), v.Call(abi.None), action).Add(float64(v.Count))
		if !v.Time.IsZero() {
			m.last.Set(float64(v.Time.UnixMilli()) / 1000)
		}
	case e.Loss != nil:
		m.losses.Inc()
		m.lost.Add(float64(e.Loss.Records))
	case e.Problem != nil:
		m.unread.Inc()
	case e.Abend != nil:
		m.abends.Inc()
	}
}

// program returns the name that a program is counted by. A label has to be UTF-8.
func (m *Metrics) program(name string) string {
	name = strings.ToValidUTF8(name, "\ufffd")
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.programs[name]:
	case len(m.programs) >= MaxPrograms:
		return Other
	default:
		m.programs[name] = true
	}
	return name
}

// Outlet has the metrics say how an outlet does.
func (m *Metrics) Outlet(o *monitor.Outlet) {
	labels := prometheus.Labels{"output": o.Name()}
	m.registry.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "sysgate_waiting_events", Help: "Events that wait for being delivered.", ConstLabels: labels}, func() float64 {
			waiting, _ := o.State()
			return float64(waiting)
		}),
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "sysgate_undelivered_events_total", Help: "Events that could not be delivered.", ConstLabels: labels}, func() float64 {
			_, lost := o.State()
			return float64(lost)
		}),
	)
}
