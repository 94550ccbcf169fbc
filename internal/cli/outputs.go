package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/monitor"
	"github.com/sysgate/sysgate/internal/monitor/metrics"
	"github.com/sysgate/sysgate/internal/monitor/otlp"
	"github.com/sysgate/sysgate/internal/monitor/web"
)

// drainTime is how long outputs may take at the end for what waits.
const drainTime = 5 * time.Second

// outputs are where a monitor's events go besides standard output. Closing them is
// what their user does.
type outputs struct {
	e       *env
	sinks   []monitor.Sink
	outlets []*monitor.Outlet
	stops   []func() error
	metrics *metrics.Metrics // nil: nobody asked
}

// openOutputs opens what the flags name. standard is the sink of standard output.
func (e *env) openOutputs(f *monitorFlags, host *monitor.Host, standard monitor.Sink) (*outputs, error) {
	o := &outputs{e: e}
	if err := o.open(f, host, standard); err != nil {
		_ = o.close()
		return nil, err
	}
	return o, nil
}

func (o *outputs) open(f *monitorFlags, host *monitor.Host, standard monitor.Sink) error {
	list := f.outputs
	if len(list) == 0 {
		list = []string{"stdout"}
	}
	for _, output := range list {
		switch name, address, _ := strings.Cut(output, ":"); name {
		case "stdout":
			o.sinks = append(o.sinks, standard)
		case "none":
		case "syslog":
			s, err := monitor.NewSyslog(address, host.Version, abi.Native())
			if err != nil {
				return usageError(fmt.Errorf("--output syslog: %w", err))
			}
			o.outlet("syslog", s)
		case "journal":
			if address == "" {
				address = monitor.JournalSocket
				if _, err := os.Stat(address); err != nil {
					return withHint(fmt.Errorf("--output journal: no journal here: %w", err), "sysgate monitor --output syslog")
				}
			}
			o.outlet("journal", monitor.NewJournal(address, abi.Native()))
		default:
			return usageError(fmt.Errorf("--output %s: not stdout, none, syslog[:URL] or journal[:SOCKET]", output))
		}
	}
	if f.otlp != "" {
		s, err := otlp.New(f.otlp, host, abi.Native())
		if err != nil {
			return usageError(fmt.Errorf("--otlp: %w", err))
		}
		o.outlet("otlp", s)
	}
	if f.metrics != "" {
		if err := o.openMetrics(f.metrics, host.Version); err != nil {
			return err
		}
	}
	if f.web != "" {
		if err := o.openWeb(f.web, host.Name); err != nil {
			return err
		}
	}
	return nil
}

func (o *outputs) outlet(name string, s monitor.Sender) {
	out := monitor.NewOutlet(name, s, monitor.OutletOptions{Say: func(text string) { o.e.warningf("%s", text) }})
	o.sinks = append(o.sinks, out)
	o.outlets = append(o.outlets, out)
}

func (o *outputs) openMetrics(address, version string) error {
	o.metrics = metrics.New(version)
	for _, out := range o.outlets {
		o.metrics.Outlet(out)
	}
	stop, err := o.e.serveMetrics(address, o.metrics.Handler())
	if err != nil {
		return err
	}
	o.stops = append(o.stops, stop)
	return nil
}

// serveMetrics serves metrics until the returned function is called.
func (e *env) serveMetrics(address string, metrics http.Handler) (stop func() error, err error) {
	l, _, err := listenOn("--metrics", address)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics)
	e.infof("metrics: http://%s/metrics", l.Addr())
	return serve(l, mux), nil
}

func (o *outputs) openWeb(address, host string) error {
	l, local, err := listenOn("--web", address)
	if err != nil {
		return err
	}
	options := web.Options{Host: host, Native: abi.Native()}
	at := "http://" + l.Addr().String() + "/"
	if !local {
		options.Token = web.NewToken()
		if tcp, ok := l.Addr().(*net.TCPAddr); ok && tcp.IP.IsUnspecified() {
			at = fmt.Sprintf("http://%s/", net.JoinHostPort(host, fmt.Sprint(tcp.Port)))
		}
		at += "?token=" + options.Token
	}
	page := web.New(options)
	o.sinks = append(o.sinks, page)
	o.stops = append(o.stops, serve(l, page.Handler()))
	// Whoever asked for the page needs its address, -q or not.
	o.e.say("", "", "page: %s", at)
	return nil
}

// seen returns who is told of each event, nil for nobody.
func (o *outputs) seen() func(monitor.Event) {
	if o.metrics == nil {
		return nil
	}
	return o.metrics.Seen
}

// close delivers what waits and ends everything.
func (o *outputs) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	var errs []error
	for _, out := range o.outlets {
		errs = append(errs, out.Close(ctx))
	}
	for _, stop := range o.stops {
		errs = append(errs, stop())
	}
	return errors.Join(errs...)
}
