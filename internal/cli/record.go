package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/internal/build"
	"github.com/sysgate/sysgate/internal/launch"
	"github.com/sysgate/sysgate/internal/observe"
	"github.com/sysgate/sysgate/internal/proc"
	"github.com/sysgate/sysgate/internal/record"
	"github.com/sysgate/sysgate/internal/refine"
	"github.com/sysgate/sysgate/internal/source"
	"github.com/sysgate/sysgate/policy"
)

type recordFlags struct {
	profileFlags        // what is printed
	backend      string // "" for the best
	pid          int    // of a process to attach to
	base         string // policy whose calls are not recorded
	files        bool   // --import
	merge        []string
	evidence     string
	args         bool
	limit        time.Duration
}

func newRecordCmd(e *env) *cobra.Command {
	var f recordFlags
	cmd := &cobra.Command{
		Use:   "record [flags] -- COMMAND [ARGUMENT…]",
		Short: "Run a program, record its system calls, and print a policy",
		Long: `Run a program, record the system calls that it and all its children make, from its
first instruction on and through every ABI, and print a policy that allows those.

The best recorder that works is taken, and which and why is said:
  ebpf    counts in the kernel: for root, cheap, loses nothing
  notify  hears of each call through a filter: no root, no_new_privs is set
  ptrace  stops the program at each call: attaches to a running one without root

With --pid, a process that runs already is recorded, by ebpf with all that descends
from it, until they end, or an interrupt.
With --base POLICY only calls that the policy does not allow are recorded, with the
stack that made them: what it allows runs at full speed. The printed policy is the
base with what was learned.

--evidence keeps the recording, with counts and arguments, for "sysgate refine" and
for --merge, which joins recordings: the policy then says in how many runs each call
was made. Saved profiles ("sysgate profile --json") can be joined too: what only static
analysis found is a rule of its own.

--import FILE… reads what other tools recorded instead of running anything: the
output of strace (text or -c tables), of perf trace, audit logs, events of "sysgate
monitor", and evidence. Each file is a run, those of "strace -ff" together.

The exit code is the program's, 128 + n where signal n killed it, 125 where sysgate
failed. Signals are passed on. Processes that outlive the program are waited for.`,
		Example: `  sysgate record -o web.yaml --evidence web.jsonl -- ./web --selftest
  sysgate record --base web.yaml -o more.yaml -- ./web --other-test
  sysgate record --pid 1234 --timeout 1m -o web.yaml
  sysgate record --merge monday.jsonl --merge tuesday.jsonl --args
  sysgate record --import strace.txt --format oci -o web.json`,
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if f.format, err = f.template.form(cmd, f.format); err != nil {
				return err
			}
			return e.record(&f, args, cmd.ArgsLenAtDash() >= 0)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.backend, "backend", "", "record with `NAME`: ebpf, notify or ptrace (default: the best that works)")
	flags.IntVarP(&f.pid, "pid", "p", 0, "record the process `PID` instead of a command")
	flags.StringVar(&f.base, "base", "", "record only what `POLICY` does not allow, and print it with what was learned")
	flags.BoolVar(&f.files, "import", false, "read recordings of other tools from the files that are the arguments")
	flags.StringArrayVar(&f.merge, "merge", nil, "join with the evidence or saved profile in `FILE`")
	flags.StringVar(&f.evidence, "evidence", "", "write the recording to `FILE`, as lines of JSON")
	flags.BoolVar(&f.args, "args", false, "allow calls like socket, ioctl, prctl and clone only with the arguments that were seen")
	flags.DurationVar(&f.limit, "timeout", 0, "ask the program to end after this `TIME`; with --pid, end the recording")
	flags.StringVar(&f.format, "format", "policy", "`FORM`: policy, names, go, or a format of \"sysgate convert\"")
	outputFlag(cmd, &f.file)
	f.lists.add(cmd)
	flags.StringVar(&f.defaultAction, "default-action", "", "`ACTION` for calls that are not allowed; errno(ENOSYS) if absent")
	flags.StringVar(&f.runtime, "runtime", "", "allow what the container `RUNTIME` calls to start the program: runc, crun or none; with oci, docker and spo runc if absent, else none")
	f.template.add(cmd)
	return cmd
}

// check says what does not go together.
func (f *recordFlags) check(args []string, dash bool) error {
	live := f.pid != 0 || !f.files && len(args) > 0
	switch {
	case f.pid != 0 && (f.files || len(args) > 0):
		return errors.New("--pid takes no command and no files")
	case f.pid < 0:
		return fmt.Errorf("--pid %d", f.pid)
	case f.files && dash:
		return errors.New("--import takes files, and no command")
	case f.files && len(args) == 0:
		return errors.New("--import needs a file")
	case !live && !f.files && len(f.merge) == 0:
		return withHint(errors.New("no command to record"), "sysgate record -- COMMAND")
	case f.base != "" && (!live || f.pid != 0):
		return errors.New("--base is for a command")
	case f.base != "" && len(f.merge) > 0:
		return withHint(errors.New("--base and --merge exclude each other: a recording against a base is not all"), "--merge the evidence later")
	case !live && (f.backend != "" || f.limit != 0):
		return errors.New("--backend and --timeout are for a command or --pid")
	case f.limit < 0:
		return errors.New("--timeout is negative")
	}
	return nil
}

func (e *env) record(f *recordFlags, args []string, dash bool) error {
	if err := f.check(args, dash); err != nil {
		return usageError(err)
	}
	if f.runtime == "" && (f.format == "docker" || f.format == "spo") {
		f.runtime = "runc" // as of profile's oci
	}
	options, err := f.options()
	if err != nil {
		return err
	}
	write, err := e.recordWriter(f)
	if err != nil {
		return err
	}
	joined := &joinedRuns{}
	if err := e.readRuns(joined, f.merge, false); err != nil {
		return err
	}
	if f.files || f.pid == 0 && len(args) == 0 {
		if err := e.readRuns(joined, args, true); err != nil {
			return err
		}
		return e.printRuns(f, joined, options, write)
	}
	places := []string{f.evidence, f.file}
	if f.format == "go" { // its directory is made
		places = places[:1]
	}
	for _, place := range places {
		if strings.Contains(place, "{{") {
			continue
		}
		if err := outputPlace(place); err != nil {
			return launchError(err)
		}
	}
	run, code, err := e.recordLive(f, args)
	if err != nil {
		return launchError(err)
	}
	joined.runs = append(joined.runs, run)
	if f.base != "" {
		err = e.printLearned(f, run, write)
	} else {
		err = e.printRuns(f, joined, options, write)
	}
	switch {
	case err != nil:
		return launchError(err)
	case code != exitOK:
		return quietError(code)
	}
	return nil
}

// recordWriter returns what writes a policy in the form that is asked for: those of
// profile, and those of convert.
func (e *env) recordWriter(f *recordFlags) (func(io.Writer, *policy.Policy) error, error) {
	if f.format == "oci" {
		return e.writeOCI, nil
	}
	if format, ok := convertFormat(f.format); ok {
		return func(w io.Writer, p *policy.Policy) error { return e.writeConverted(w, format, p) }, nil
	}
	write, err := e.profileWriter(&f.profileFlags)
	if err != nil && !slices.Contains([]string{"policy", "names", "go"}, f.format) {
		return nil, usageError(fmt.Errorf("unknown form %q: policy, names, go, %s", f.format, formatNames()))
	}
	return write, err
}

// joinedRuns is what a policy is made of.
type joinedRuns struct {
	runs     []*observe.Run
	profiles []*observe.Set
}

// recordLive records a command or a process; code is the command's.
func (e *env) recordLive(f *recordFlags, args []string) (run *observe.Run, code int, err error) {
	target := &record.Target{PID: f.pid, Limit: f.limit, Say: e.infof, Guard: []string{guardCommand}}
	what := fmt.Sprintf("process %d", f.pid)
	if f.pid == 0 {
		path, err := launch.LookPath(args[0], os.Getenv("PATH"))
		if err != nil {
			return nil, 0, err
		}
		what = strings.Join(args, " ")
		// Without no_new_privs set-user-ID programs do what they do when nobody
		// records; only root may install a filter then.
		target.Command = launch.Command{Path: path, Args: args, KeepPrivileges: os.Geteuid() == 0}
	}
	known, err := e.baseOf(f)
	if err != nil {
		return nil, 0, err
	}
	target.Based = known != nil
	target.Filter = func(execve abi.Call) (bpf.Program, error) {
		filter, err := build.Build(admit(told(known), execve))
		if err != nil {
			return nil, err
		}
		return filter.Program, nil
	}
	recorder, why, err := record.Choose(f.backend, target)
	if err != nil {
		return nil, 0, err
	}
	e.infof("recorder: %s: %s", recorder.Name(), why)
	if f.pid == 0 && recorder.Name() != "ebpf" && !target.Command.KeepPrivileges {
		e.warningf("set-user-ID programs run without their privileges while they are recorded")
	}
	result, err := recorder.Record(context.Background(), target)
	switch {
	case f.pid != 0 && errors.Is(err, os.ErrNotExist):
		return nil, 0, fmt.Errorf("process %d: %w", f.pid, proc.ErrGone)
	case f.pid != 0 && errors.Is(err, syscall.EPERM):
		return nil, 0, withHint(err, "only root may look at processes of other users, and with kernel.yama.ptrace_scope at those that it did not start")
	case err != nil:
		return nil, 0, err
	}
	result.Run.Source = what
	e.sayRun(result, target.Based)
	return result.Run, result.Status.ExitCode(), nil
}

// baseOf returns what is known already, nil for nothing.
func (e *env) baseOf(f *recordFlags) (*policy.Resolved, error) {
	if f.base == "" {
		return nil, nil
	}
	options, err := here(os.Geteuid() == 0)
	if err != nil {
		return nil, err
	}
	p, err := e.readPolicy(f.base, options)
	if err != nil {
		return nil, err
	}
	known, _, err := e.resolve(p, options)
	return known, err
}

// told returns the policy that has a listener told of each call that known does not
// let through; nil lets nothing through.
func told(known *policy.Resolved) *policy.Resolved {
	if known == nil {
		known = &policy.Resolved{ABIs: []policy.ResolvedABI{{ABI: abi.Native()}}}
	}
	return replaced(known, func(a abi.Action) abi.Action {
		switch a.Kind() {
		case abi.Allow, abi.Log:
			return abi.Allow
		}
		return abi.UserNotify
	})
}

// sayRun says what was recorded.
func (e *env) sayRun(result *record.Result, based bool) {
	total, denied := uint64(0), uint64(0)
	for _, c := range result.Run.Calls {
		total += c.Count
		denied += c.Denied
	}
	text := fmt.Sprintf("recorded: %s, made %d times; set up in %s", count(len(result.Run.Calls), "system call"), total, took(result.Setup))
	if result.Ended {
		text += "; ended by --timeout"
	}
	e.infof("%s", text)
	if denied > 0 {
		e.warningf("%d calls were denied by a seccomp filter: they are in the recording, and their comment says so", denied)
	}
	if based { // nothing is no surprise then
		e.sayDoubts(result.Run)
		return
	}
	e.sayOpen(result.Run)
}

// sayOpen says what a recording leaves open.
func (e *env) sayOpen(run *observe.Run) {
	e.sayDoubts(run)
	if len(run.Calls) == 0 {
		e.warningf("%s: no call was recorded", run.Source)
	}
}

func (e *env) sayDoubts(run *observe.Run) {
	if run.Lost > 0 {
		e.warningf("%s: the recorder lost %d calls", run.Source, run.Lost)
	}
	for _, d := range run.Doubts {
		e.warningf("%s: %s", run.Source, d)
	}
}

// printRuns writes the evidence, and the policy that the runs make.
func (e *env) printRuns(f *recordFlags, joined *joinedRuns, o refine.Options, write func(io.Writer, *policy.Policy) error) error {
	if err := e.writeEvidence(f, joined.runs); err != nil {
		return err
	}
	together := observe.Join(joined.runs, joined.profiles)
	if len(together.Calls) == 0 {
		return errors.New("no system call was recorded, so that there is no policy")
	}
	p, elsewhere, unnamed := refine.FromRuns(together, o, f.args)
	e.elsewhere(elsewhere)
	for _, c := range unnamed {
		e.warningf("%v: number %d, which no table has, was called %d times: it is not in the policy", c.ABI, c.NR, c.Count)
	}
	if f.format == "go" && len(p.ABIs) > 1 {
		return withHint(errors.New("the runs made calls of several ABIs, and Go source is for one"), "--format policy carries all")
	}
	return e.writePolicyFile(f, p, write)
}

func (e *env) writePolicyFile(f *recordFlags, p *policy.Policy, write func(io.Writer, *policy.Policy) error) error {
	file, err := outputFile(f.file, p.ABIs[0], f.format == "go")
	if err != nil {
		return err
	}
	return e.output(file, func(w io.Writer) error { return write(w, p) })
}

func (e *env) writeEvidence(f *recordFlags, runs []*observe.Run) error {
	if f.evidence == "" {
		return nil
	}
	return e.output(f.evidence, func(w io.Writer) error {
		for _, r := range runs {
			if err := observe.WriteRun(w, r); err != nil {
				return err
			}
		}
		return nil
	})
}

// printLearned prints the base with the calls that it does not allow yet.
func (e *env) printLearned(f *recordFlags, run *observe.Run, write func(io.Writer, *policy.Policy) error) error {
	if err := e.writeEvidence(f, []*observe.Run{run}); err != nil {
		return err
	}
	options, err := here(os.Geteuid() == 0)
	if err != nil {
		return err
	}
	in, err := e.readInput(f.base, source.Options{Native: options.Native, Caps: options.Caps, Kernel: options.Kernel})
	if err != nil {
		return err
	}
	everything := func(string) bool { return true }
	change, err := refine.Admit(in.Policy, options, refine.Gather(run.Violations()), everything)
	if err != nil {
		return fmt.Errorf("%s: %w", in.Name, err)
	}
	for _, v := range change.Admitted {
		e.infof("learned: %s: %s", v.Pattern, v.Evidence())
		if v.Why != "" {
			e.warningf("%s: %s", v.Call(options.Native), strings.TrimPrefix(v.Why, "accepted, though "))
		}
		for _, c := range run.Calls {
			if c.ABI == v.ABI && c.NR == v.NR && len(c.Stack) > 0 {
				e.detailf("learned: %s: called by %s", v.Pattern, strings.Join(c.Stack, " < "))
			}
		}
	}
	for _, v := range change.Never {
		e.warningf("%s is not in the policy: %s; %s", v.Call(options.Native), v.Why, v.Evidence())
	}
	if len(change.Admitted) == 0 {
		e.infof("nothing learned: the base allows all that the program called")
	}
	if f.format != "policy" || in.Foreign() || in.Data == nil {
		return e.writePolicyFile(f, change.Policy, write)
	}
	text, err := refine.Insert(in.Name, in.Data, change, options)
	if err != nil {
		return fmt.Errorf("%s: %w", in.Name, err)
	}
	return e.output(f.file, func(w io.Writer) error { _, err := w.Write(text); return err })
}
