package otlp

import (
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/log"

	"github.com/sysgate/sysgate/internal/monitor"
)

// names are the semantic conventions' names for fields that the Elastic Common
// Schema calls otherwise (https://opentelemetry.io/docs/specs/semconv/).
var names = map[string]string{
	"process.name":       "process.executable.name",
	"process.executable": "process.executable.path",
	"process.parent.pid": "process.parent_pid",
	"container.runtime":  "container.runtime.name",
	"kubernetes.pod.uid": "k8s.pod.uid",
	"event.original":     "log.record.original",
}

// record returns an event as a log record.
func (s *Sender) record(e monitor.Event) log.Record {
	var r log.Record
	now := time.Now()
	r.SetObservedTimestamp(now)
	r.SetTimestamp(now)
	if v := e.Violation; v != nil && !v.Time.IsZero() {
		r.SetTimestamp(v.Time)
	}
	switch monitor.SeverityOf(e) {
	case monitor.Failed:
		r.SetSeverity(log.SeverityError)
		r.SetSeverityText("ERROR")
	case monitor.Warning:
		r.SetSeverity(log.SeverityWarn)
		r.SetSeverityText("WARN")
	case monitor.Notice:
		r.SetSeverity(log.SeverityInfo)
		r.SetSeverityText("INFO")
	}
	r.SetBody(attribute.StringValue(monitor.Line(e, s.native)))
	for _, f := range monitor.Fields(e, s.native) {
		name := f.Name
		if other, ok := names[name]; ok {
			name = other
		}
		if name == "event.action" {
			r.SetEventName("sysgate." + f.Text())
			continue
		}
		switch v := f.Value.(type) {
		case int64:
			r.AddAttributes(attribute.Int64(name, v))
		case bool:
			r.AddAttributes(attribute.Bool(name, v))
		default:
			r.AddAttributes(attribute.String(name, f.Text()))
		}
	}
	return r
}
