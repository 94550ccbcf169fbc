package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/audit"
	"github.com/sysgate/sysgate/internal/kernel"
	"github.com/sysgate/sysgate/internal/monitor"
	"github.com/sysgate/sysgate/internal/proc"
)

type monitorFlags struct {
	input  string
	once   bool
	filter monitor.Filter
	since  string
	ecs    string
	json   bool
	pretty bool
	window time.Duration

	rate    string
	outputs []string
	metrics string
	otlp    string
	web     string
}

func newMonitorCmd(e *env) *cobra.Command {
	var f monitorFlags
	cmd := &cobra.Command{
		Use:   "monitor",
		Short: "Show violations as they happen, or those in a log",
		Long: `Show violations as they happen, or those in a log: a line each, or events of the
Elastic Common Schema as Auditbeat writes them.

Without --input the kernel itself is heard, by audit multicast: that takes
CAP_AUDIT_READ, leaves an audit daemon alone, and switches nothing on. At the start a
record of its own making shows that records arrive. With --input, records are read
from a file in any form (audit.log, ausearch, dmesg, syslog, the journal's export and
JSON forms, events of sysgate or Auditbeat), from standard input, from the kernel's
log (kmsg) or from systemd's journal (journal); the end is waited at for more, also
after the log's rotation, unless --once.

Violations of the same program, user, call and action are counted together within
--window: the first is shown at once, the others as one with their number. Records
that were lost or cannot be read are shown, never left out. --rate bounds what is
written in the same way: by counting.

Events also go to syslog or the journal (--output), to a collector of OpenTelemetry
(--otlp), and to a page (--web); a receiver that is away holds nothing up, and is told
how many events it missed. Metrics (--metrics) count every violation. An address
without a host, and 127.0.0.1, can be reached from this machine only; with another one
the page asks for a token, which its printed address has.

The exit code is 0; with --once it is 3 if there is a violation, or a record that
cannot be read.`,
		Example: `  sysgate monitor
  sysgate monitor --exe /usr/sbin/nginx --ecs 7.7 >> violations.ndjson
  sysgate monitor --web 127.0.0.1:0 --metrics 127.0.0.1:9464 --output journal
  sysgate monitor --once --input /var/log/audit/audit.log --syscall bind,ptrace --since 24h
  journalctl -o export | sysgate monitor --once --input -`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !cmd.Flags().Changed("window") && f.input != "" {
				f.window = 0
			}
			return e.monitor(&f)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.input, "input", "", "read `FILE`, - for standard input, kmsg or journal, instead of hearing the kernel")
	flags.BoolVar(&f.once, "once", false, "with --input: end at the end")
	flags.StringSliceVar(&f.filter.Calls, "syscall", nil, "only these `CALLS`: bind, 386:socketcall, nr:600")
	flags.StringSliceVar(&f.filter.Exes, "exe", nil, "only programs with these `PATHS` or names; * matches within a name")
	flags.StringSliceVar(&f.filter.Users, "user", nil, "only these `USERS`, by name or number")
	flags.StringVar(&f.since, "since", "", "only from `TIME` on: 24h ago, 2026-01-31, 2026-01-31 15:04:05 or RFC 3339")
	flags.StringVar(&f.ecs, "ecs", "", "write events of the Elastic Common Schema, `VERSION` 8, 7.7 (Auditbeat 7.7) or 6 (Auditbeat 6.x)")
	flags.BoolVar(&f.json, "json", false, "the same as --ecs 8")
	flags.BoolVar(&f.pretty, "pretty", false, "write events on several lines, for people; without --ecs those of version 8")
	flags.StringVar(&f.rate, "rate", "", "write so many events a second at most, `RATE` is 20/s or 600/m; what comes faster is counted together and written when there is room")
	flags.StringSliceVar(&f.outputs, "output", nil, "write to `OUTPUTS`: stdout (the default), none, journal, syslog, syslog:udp://HOST:PORT, syslog:tcp://HOST:PORT, syslog:unix:///PATH")
	flags.StringVar(&f.metrics, "metrics", "", "serve metrics for Prometheus on `ADDRESS`, as in 127.0.0.1:9464")
	flags.StringVar(&f.otlp, "otlp", "", "send log records to an OpenTelemetry collector at `URL`: grpc://HOST:4317 or http://HOST:4318")
	flags.StringVar(&f.web, "web", "", "serve a page that is live on `ADDRESS`, as in 127.0.0.1:0")
	flags.DurationVar(&f.window, "window", time.Second, "count violations of a kind together within `DURATION`; 0 shows each; with --input 0 is the default")
	return cmd
}

func (e *env) monitor(f *monitorFlags) error {
	host := monitor.ThisHost(moduleVersion())
	o, err := e.monitorOptions(f, host)
	if err != nil {
		return usageError(err)
	}
	out, err := e.openOutputs(f, host, o.Sink)
	if err != nil {
		return err
	}
	o.Sink, o.Seen = monitor.Tee(out.sinks...), out.seen()
	err = e.runMonitor(f, o)
	if lost := out.close(); lost != nil {
		if errors.As(err, new(quietError)) {
			return lost // says more than that there are violations
		}
		return errors.Join(err, lost)
	}
	return err
}

// runMonitor monitors until the input ends, or somebody ends it.
func (e *env) runMonitor(f *monitorFlags, o monitor.Options) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	source, closeSource, err := e.openSource(ctx, f)
	if err != nil {
		return err
	}
	initial, err := proc.Initial("/proc")
	switch {
	case err == nil && !initial:
		// Another process has the number here.
		o.Enrich.Root = ""
		if !f.once {
			e.warningf("of processes, only what records have will be known: their numbers are those of the host's PID namespace (docker run --pid=host)")
		}
	case f.input == "":
		if o.Enrich.Cache, err = proc.Watch(ctx, "/proc"); err != nil {
			e.warningf("of processes that are killed, the command line and the container will often not be known: %v (needs CAP_NET_ADMIN)", err)
		}
	}
	summary, err := monitor.Run(ctx, source, o)
	if err := errors.Join(err, closeSource()); err != nil {
		return err
	}
	e.infof("%s", summarize(summary))
	if f.once && (summary.Violations > 0 || summary.Problems > 0) {
		return quietError(exitFindings)
	}
	return nil
}

// monitorOptions checks the flags. All errors are of usage.
func (e *env) monitorOptions(f *monitorFlags, host *monitor.Host) (monitor.Options, error) {
	var o monitor.Options
	if f.once && f.input == "" {
		return o, errors.New("--once needs --input: the kernel's stream has no end")
	}
	if err := f.filter.Check(); err != nil {
		var unknown *monitor.UnknownCallError
		if errors.As(err, &unknown) {
			if near := abi.Suggest(unknown.Name); near != "" {
				err = withHint(err, "did you mean %q?", near)
			}
		}
		return o, fmt.Errorf("--syscall or --exe: %w", err)
	}
	var err error
	if f.filter.Since, err = parseSince(f.since, time.Now()); err != nil {
		return o, err
	}
	if f.window < 0 {
		return o, errors.New("--window is negative")
	}
	if o.Rate, err = parseRate(f.rate); err != nil {
		return o, err
	}
	o.Filter, o.Window, o.Live = f.filter, f.window, !f.once
	o.Enrich = &monitor.Enricher{Root: "/proc"}
	o.Enrich.Host = host.Name
	if f.ecs == "" && (f.json || f.pretty) {
		f.ecs = "8"
	}
	stdout := bufio.NewWriterSize(e.stdout, 64<<10)
	if f.ecs == "" {
		o.Sink = monitor.NewText(stdout, abi.Native())
		return o, nil
	}
	layout, err := monitor.ParseLayout(f.ecs)
	if err != nil {
		return o, fmt.Errorf("--ecs: %w", err)
	}
	o.Sink = monitor.NewECS(stdout, layout, host, abi.Native(), f.pretty)
	return o, nil
}

// parseSince reads a point in time, or how long ago it was.
func parseSince(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if ago, err := time.ParseDuration(strings.TrimSuffix(text, " ago")); err == nil && ago >= 0 {
		return now.Add(-ago), nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02"} {
		if t, err := time.ParseInLocation(layout, text, time.Local); err == nil {
			return t, nil
		}
	}
	return time.Time{}, withHint(fmt.Errorf("--since: %q is no time", text), "--since 24h or --since '2026-01-31 15:04'")
}

// parseRate reads a number of events a second: "20/s", "20" or "600/m".
func parseRate(text string) (int, error) {
	if text == "" {
		return 0, nil
	}
	number, unit, _ := strings.Cut(text, "/")
	n, err := strconv.ParseUint(number, 10, 31)
	per, ok := map[string]uint64{"": 1, "s": 1, "m": 60}[unit]
	if err != nil || !ok || n < per {
		return 0, withHint(fmt.Errorf("--rate: %q is no rate of one event a second or more", text), "--rate 20/s")
	}
	return int(n / per), nil
}

// openSource opens what the flags name.
func (e *env) openSource(ctx context.Context, f *monitorFlags) (monitor.Source, func() error, error) {
	var in io.ReadCloser
	var err error
	switch f.input {
	case "":
		return e.listen(ctx)
	case "-":
		in = io.NopCloser(e.stdin)
	case "kmsg":
		in, err = audit.OpenKmsg(ctx, !f.once)
	case "journal":
		in, err = openJournal(ctx, !f.once)
	default:
		if f.once {
			in, err = os.Open(f.input)
		} else {
			in, err = audit.Follow(ctx, f.input)
		}
	}
	if err != nil {
		return nil, nil, err
	}
	r := audit.NewReader(in, audit.Options{})
	return r.Next, func() error {
		if r.Duplicates() > 0 {
			e.detailf("%s that the log has a second time", count(r.Duplicates(), "record"))
		}
		return in.Close()
	}, nil
}

// A journalctl is the output of the command; closing it waits for its end.
type journalctl struct {
	io.ReadCloser
	cmd *exec.Cmd
	ctx context.Context
}

func openJournal(ctx context.Context, follow bool) (io.ReadCloser, error) {
	args := []string{"--output", "export", "--all", "--quiet", "_TRANSPORT=audit", "+", "_TRANSPORT=kernel"}
	if follow {
		args = append([]string{"--follow", "--lines", "all"}, args...)
	}
	cmd := exec.CommandContext(ctx, "journalctl", args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return nil, withHint(fmt.Errorf("journal: %w", err), "sysgate monitor --input kmsg")
	}
	return &journalctl{out, cmd, ctx}, nil
}

func (j *journalctl) Close() error {
	j.ReadCloser.Close()
	if err := j.cmd.Wait(); err != nil && j.ctx.Err() == nil {
		return fmt.Errorf("journalctl: %w", err)
	}
	return nil
}

// listen hears the kernel, and says what it cannot do as well as it might.
func (e *env) listen(ctx context.Context) (monitor.Source, func() error, error) {
	l, err := audit.Listen()
	if errors.Is(err, audit.ErrNotAllowed) {
		return nil, nil, withHint(err, "sudo sysgate monitor, or setcap cap_audit_read+ep on it; sysgate monitor --input FILE reads a log")
	}
	if err != nil {
		return nil, nil, err
	}
	if size, forced := l.Buffer(); !forced {
		e.warningf("the receive buffer has %d KiB, the most that net.core.rmem_max allows without CAP_NET_ADMIN: a burst of records may be lost, which will be shown", size>>10)
	}
	if err := e.warnUnlogged(); err != nil {
		return nil, nil, errors.Join(err, l.Close())
	}
	early, err := audit.SelfTest(ctx, l)
	switch {
	case err == nil:
		e.infof("listening to the kernel: a record of a test arrived")
	case errors.Is(err, audit.ErrUntestable):
		e.warningf("listening to the kernel; whether records arrive is not known: %v", err)
		err = nil
	case errors.Is(err, audit.ErrDeaf):
		err = withHint(fmt.Errorf("%w: the kernel sends records to its initial network namespace only, and none with the boot option audit=0", err),
			"run it in the host's network namespace (docker run --net=host), or sysgate monitor --input FILE")
	}
	if err != nil && ctx.Err() == nil {
		return nil, nil, errors.Join(err, l.Close())
	}
	source := func() (audit.Event, error) {
		if len(early) > 0 {
			first := early[0]
			early = early[1:]
			return first, nil
		}
		return l.Next(ctx)
	}
	return source, l.Close, nil
}

// warnUnlogged says which denials the kernel is told not to log. The self-test
// needs one that it logs.
func (e *env) warnUnlogged() error {
	logged, err := kernel.ActionsLogged()
	if err != nil {
		e.warningf("which actions the kernel logs is not known: %v", err)
		return nil
	}
	var hidden []string
	for _, a := range []abi.Action{abi.KillProcess, abi.KillThread, abi.Trap, abi.Errno, abi.UserNotify, abi.Trace, abi.Log} {
		if !slices.Contains(logged, a) {
			name, _, _ := strings.Cut(a.String(), "(")
			hidden = append(hidden, name)
		}
	}
	switch {
	case len(logged) == 0:
		return withHint(errors.New("the kernel logs nothing about seccomp"), "sysctl kernel.seccomp.actions_logged='kill_process kill_thread trap errno user_notif trace log'")
	case len(hidden) > 0:
		e.warningf("violations with these actions are not logged, and will not be seen: %s", strings.Join(hidden, ", "))
		e.hintf("sysctl kernel.seccomp.actions_logged='kill_process kill_thread trap errno user_notif trace log'")
	}
	return nil
}

func summarize(s monitor.Summary) string {
	text := count(s.Violations, "violation")
	if s.Others > 0 {
		text += fmt.Sprintf(", and %d that the filter left out", s.Others)
	}
	if s.Problems > 0 {
		text += fmt.Sprintf("; %s could not be read", count(s.Problems, "record"))
	}
	switch {
	case s.Losses > 0 && s.Lost > 0:
		text += fmt.Sprintf("; at least %s lost", count(int(s.Lost), "record"))
	case s.Losses > 0:
		text += "; records were lost, nobody knows how many"
	}
	return text
}
