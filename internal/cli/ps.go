package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/sysgate/sysgate/internal/monitor/metrics"
	"github.com/sysgate/sysgate/internal/proc"
	"github.com/sysgate/sysgate/internal/source"
)

type psFlags struct {
	json    bool
	against string
	watch   time.Duration
	metrics string
	input   inputFlags
	diff    diffOptions
}

func newPsCmd(e *env) *cobra.Command {
	var f psFlags
	cmd := &cobra.Command{
		Use:   "ps",
		Short: "List the processes that run under seccomp, and whether as declared",
		Long: `List the processes that run under seccomp: how (strict, or by how many filters),
whether with no_new_privs, whose they are, and the container or systemd unit that they
belong to. A process counts if one of its threads is under seccomp; if not all are,
or not in the same way, THREADS says how many. "-" is what the kernel does not say.

With --against, the filters of every thread are read and compared with the policy of a
directory that is declared for the process: NAME.yaml (or .json, .bpf, …) is for the
container, the systemd unit or the executable called NAME, the first of these that has
one. What its filters do together is proved equal to the policy for every call, or
where it is not is shown. That takes root, and stops each thread for a moment.

  equal        proved
  drifted      some call gets something else, or a thread is under no filter
  unprotected  a policy is declared, and it is under none
  unknown      its filters could not be read or compared
  undeclared   it is under seccomp, and no policy is declared for it (shown with -v)

With --watch the list is written again and again: on a terminal in place, else what has
changed, "+" and "-" before each line, and with --json one line each time.

"sysgate show pid:N" shows the filters themselves.

The exit code is 3 if a process has drifted or is unprotected, 1 if it is unknown of
one; with --watch, if one was at any time.`,
		Example: `  sysgate ps
  sysgate ps --json
  sysgate ps --against /etc/sysgate/policies
  sysgate ps --against /etc/sysgate/policies --watch 30s --metrics 127.0.0.1:9465`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error { return e.ps(&f) },
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.json, "json", false, "print JSON")
	flags.StringVar(&f.against, "against", "", "compare with the policies in `DIR`")
	flags.BoolVar(&f.diff.listedOnly, "listed-abis", false, "with --against: calls outside the listed ABIs do not count")
	flags.DurationVar(&f.watch, "watch", 0, "write the list again every `DURATION`")
	flags.StringVar(&f.metrics, "metrics", "", "with --watch: serve metrics for Prometheus on `ADDRESS`, as in 127.0.0.1:9465")
	f.input.add(cmd)
	return cmd
}

func (e *env) ps(f *psFlags) error {
	switch {
	case f.watch < 0:
		return usageError(errors.New("--watch is negative"))
	case f.metrics != "" && f.watch == 0:
		return usageError(errors.New("--metrics needs --watch"))
	case runtime.GOOS != "linux":
		return fmt.Errorf("there are no processes under seccomp on %s: %w", runtime.GOOS, errors.ErrUnsupported)
	}
	s := &scanner{psFlags: *f, env: e}
	if f.against != "" {
		native, err := parseABI(f.input.abi)
		if err != nil {
			return err
		}
		s.checker = &checker{o: f.diff, source: source.Options{Native: native}}
		if s.checker.declared, err = e.readDeclared(f.input, f.against); err != nil {
			return err
		}
	}
	if f.watch == 0 {
		one, err := s.scan()
		if err != nil {
			return err
		}
		if err := s.write(one); err != nil {
			return err
		}
		return s.result()
	}
	var drift *metrics.Drift
	if f.metrics != "" {
		drift = metrics.NewDrift(moduleVersion())
		stop, err := e.serveMetrics(f.metrics, drift.Handler())
		if err != nil {
			return err
		}
		defer func() { _ = stop() }()
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return s.watch(ctx, f.watch, drift)
}

// A scanner looks at the host.
type scanner struct {
	psFlags
	env     *env
	checker *checker // nil: nothing is compared
	users   proc.Users

	drifted, unknown bool // at any time
}

// A scan is what was seen at a time.
type scan struct {
	processes []inspected
	seen      int // processes of the host
	time      time.Time
	took      time.Duration
}

func (s *scanner) scan() (*scan, error) {
	one := &scan{time: time.Now()}
	if s.checker == nil {
		all, seen, err := proc.AllProtected("/proc")
		if err != nil {
			return nil, err
		}
		for _, p := range all {
			one.processes = append(one.processes, inspected{Protected: p})
		}
		one.seen = seen
	} else {
		all, err := proc.All("/proc")
		if err != nil {
			return nil, err
		}
		one.processes, one.seen = s.checker.check(all), len(all)
	}
	one.took = time.Since(one.time)
	for i := range one.processes {
		switch one.processes[i].State {
		case stateDrifted, stateUnprotected:
			s.drifted = true
		case stateUnknown:
			s.unknown = true
		}
	}
	return one, nil
}

// result is the exit code of all scans.
func (s *scanner) result() error {
	switch {
	case s.drifted:
		return quietError(exitFindings)
	case s.unknown:
		return errors.New("the filters of some processes could not be read or compared")
	}
	return nil
}

// summary says what a scan is about.
func (s *scanner) summary(one *scan) string {
	states := map[string]int{}
	protected := 0
	for i := range one.processes {
		states[one.processes[i].State]++
		if one.processes[i].Mode > 0 {
			protected++
		}
	}
	text := fmt.Sprintf("%d of %d processes under seccomp", protected, one.seen)
	if s.checker != nil && len(one.processes) > 0 {
		var parts []string
		for _, state := range []string{stateEqual, stateDrifted, stateUnprotected, stateUnknown, stateUndeclared} {
			if n := states[state]; n > 0 {
				parts = append(parts, fmt.Sprintf("%d %s", n, state))
			}
		}
		text += ": " + strings.Join(parts, ", ")
	}
	return text + "; took " + took(one.took)
}
