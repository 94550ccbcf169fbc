package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/build"
	"github.com/sysgate/sysgate/internal/kernel"
	"github.com/sysgate/sysgate/internal/launch"
	"github.com/sysgate/sysgate/internal/observe"
	"github.com/sysgate/sysgate/internal/proof"
	"github.com/sysgate/sysgate/internal/refine"
	"github.com/sysgate/sysgate/internal/source"
	"github.com/sysgate/sysgate/internal/supervise"
	"github.com/sysgate/sysgate/policy"
)

func newGuardCmd() *cobra.Command {
	return &cobra.Command{
		Use:     guardCommand,
		Short:   "Take over from a supervisor that ended",
		Example: "  sysgate " + guardCommand + " # started by sysgate run --mode explain",
		Hidden:  true,
		Args:    usageArgs(cobra.NoArgs),
		RunE:    func(*cobra.Command, []string) error { return supervise.RunGuard() },
	}
}

// An explainer decides on the calls that a policy denies, and says each of them once.
type explainer struct {
	e        *env
	file     string // of the policy, "" if it is in none
	flags    *runFlags
	options  policy.Options
	listener *kernel.Listener
	marks    *supervise.Marks
	terminal *terminal // nil: nobody is asked
	lists    int       // rules, the first ones, that the command line has
	foreign  bool      // the file is a profile of another form, whose rules have no lines

	mu       sync.Mutex
	policy   *policy.Policy
	resolved *policy.Resolved
	causes   map[cause]*blocked
	order    []*blocked
	stacks   supervise.Stacks
	killed   map[int]bool // processes that were ended in place of the kernel
	warned   bool         // of that
	admitted int          // calls that somebody let through
	quiet    bool         // the program has ended
}

// A cause is what makes two denied calls one: the call, what decided it, and the
// arguments that say what it is or that the policy looks at.
type cause struct {
	arch, nr uint32
	rule     int
	args     [6]uint64
}

type blocked struct {
	text    string // of the first call
	count   int
	refused bool // somebody was asked, and said no
	asked   bool // somebody was asked
}

// explain runs the program with a supervisor that hears of each call which the policy
// denies, and gives it the policy's action.
func (e *env) explain(f *runFlags, p *policy.Policy, resolved *policy.Resolved, options policy.Options, prepared *launch.Prepared) error {
	x := &explainer{
		e: e, flags: f, options: options, policy: p, resolved: resolved,
		causes: map[cause]*blocked{}, killed: map[int]bool{},
	}
	if f.policy != auto {
		x.file = f.policy
	}
	lists, err := f.amend(&policy.Policy{ABIs: p.ABIs})
	if err != nil {
		return errors.Join(err, prepared.Close())
	}
	if x.lists = len(lists.Rules); f.policy == "" {
		x.lists = len(p.Rules)
	}
	x.foreign = x.file != "" && len(p.Rules) > x.lists && p.Rules[x.lists].Pos.Line == 0
	told, actions := x.notified()
	notified, err := build.Build(admit(told, prepared.Execve()))
	if err != nil {
		return errors.Join(err, prepared.Close())
	}
	if x.marks, err = supervise.NewMarks(actions); err != nil {
		return errors.Join(err, prepared.Close())
	}
	program, err := x.marks.Filter(notified.Program)
	if err != nil {
		return errors.Join(err, prepared.Close())
	}
	enforcing, err := build.Build(resolved)
	if err != nil {
		return errors.Join(err, prepared.Close())
	}
	e.infof("%s", describe(notified))
	if f.ask {
		if _, err := x.read(); err != nil {
			return errors.Join(err, prepared.Close())
		}
		if x.terminal, err = openTerminal(); err != nil {
			return errors.Join(err, prepared.Close())
		}
		defer x.terminal.Close()
	}
	sizes, err := kernel.Notifications()
	if err != nil {
		return errors.Join(err, prepared.Close())
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	started, err := prepared.Start(program)
	if err != nil {
		return explainLaunch(err)
	}
	// Until the guard is there, the program ends with this process.
	guard, err := supervise.StartGuard(started.Listener(), enforcing.Program, x.marks, guardCommand)
	if err != nil {
		e.warningf("nobody takes over if sysgate is killed: what the policy denies fails with ENOSYS then: %v", err)
	}
	x.listener = kernel.ServeOn(started.Listener(), sizes)
	served := make(chan error, 1)
	go func() { served <- supervise.Serve(x.listener, guard, x.answer) }()
	status, err := started.Wait()
	if x.terminal != nil {
		_ = x.terminal.SetReadDeadline(time.Now()) // a question that waits is answered: an interrupt ended the program
	}
	if err != nil {
		return err
	}
	select {
	case err = <-served:
	case <-time.After(100 * time.Millisecond):
		e.infof("the program has ended and left others: what they are denied is not explained any more")
	}
	x.summarize()
	if err != nil {
		return err
	}
	code := status.ExitCode()
	if x.killed[status.PID] {
		code = 128 + int(sigsys)
	}
	if code != exitOK {
		return quietError(code)
	}
	return nil
}

// notified returns the policy with a listener in the place of the actions that a
// supervisor can give, and these.
func (x *explainer) notified() (r *policy.Resolved, actions []abi.Action) {
	kept := map[string]bool{}
	r = replaced(x.resolved, func(a abi.Action) abi.Action {
		switch {
		case supervise.Explainable(a):
			actions = append(actions, a)
			return abi.UserNotify
		case a != abi.Allow && a != abi.Log:
			kept[a.String()] = true
		}
		return a
	})
	for _, action := range slices.Sorted(maps.Keys(kept)) {
		x.e.warningf("%s is the kernel's to do on this machine: calls that get it are not explained", action)
	}
	return r, actions
}

// answer decides on one call. On its number and registers alone: what the program's
// memory has is shown and can change.
func (x *explainer) answer(n kernel.Notification) kernel.Reply {
	x.mu.Lock()
	defer x.mu.Unlock()
	verdict := x.resolved.Eval(n.Call)
	if verdict.Action == abi.Allow { // since somebody said so
		return kernel.Reply{Continue: true}
	}
	key := x.causeOf(n.Call, verdict)
	b := x.causes[key]
	if b == nil {
		b = &blocked{}
		x.causes[key] = b
		x.order = append(x.order, b)
		if x.describe(b, n, verdict) {
			return kernel.Reply{} // the call is made again
		}
	}
	if x.terminal != nil && !b.refused && !x.quiet {
		if x.ask(b, n) != answerDeny {
			x.admitted++
			return kernel.Reply{Continue: true}
		}
		b.refused = true
	}
	b.count++
	process := processOf(n.TID)
	reply, err := x.marks.Do(x.listener, n, verdict.Action)
	if err != nil {
		x.killed[process] = true
		if !x.warned {
			x.e.warningf("process %d: %v", process, err)
		}
		x.warned = true
	}
	return reply
}

// processOf returns the process that a thread is of.
func processOf(tid int) int {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", tid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(data)) {
		var process int
		if _, err := fmt.Sscanf(line, "Tgid:\t%d", &process); err == nil {
			return process
		}
	}
	return 0
}

func (x *explainer) causeOf(c abi.Call, v policy.Verdict) cause {
	a, _ := observe.Identify(c.Arch, c.NR)
	masks, _ := observe.Modes(a, c.NR)
	for _, section := range x.resolved.ABIs {
		if section.ABI != a {
			continue
		}
		for _, rule := range section.Rules {
			if !slices.ContainsFunc(rule.Numbers, func(r policy.NumberRange) bool { return r.Lo <= c.NR && c.NR <= r.Hi }) {
				continue
			}
			for _, alternative := range rule.Any {
				for _, test := range alternative {
					if test.Word != policy.IPWord {
						masks[test.Word] |= test.Mask
					}
				}
			}
		}
	}
	key := cause{arch: c.Arch, nr: c.NR, rule: v.Rule}
	for i, mask := range masks {
		key.args[i] = c.Args[i] & mask
	}
	return key
}

// describe says what was denied, by what, to whom, and how it would be admitted. The
// thread is held meanwhile, if that is possible: then the call is made again.
func (x *explainer) describe(b *blocked, n kernel.Notification, v policy.Verdict) (again bool) {
	held, _ := supervise.Hold(x.listener, n) // what its registers tell is missing then
	stack := x.stacks.Of(n, held)
	text, program := x.call(n, held != nil)
	if program == "" {
		stack = nil
	}
	b.text = text
	a, _ := observe.Identify(n.Call.Arch, n.Call.NR)
	action := v.Action.String()
	if a != abi.None {
		action = a.ActionString(v.Action)
	}
	by := x.policy.RuleName(v.Rule)
	if x.ofList(v) {
		by = "a list of the command line"
	}
	x.e.say("blocked: ", red, "%s → %s by %s", b.text, action, by)
	if program != "" {
		x.e.infof("  in %s", program)
	}
	if len(stack) > 0 {
		x.e.infof("  called by %s", strings.Join(stack, " < "))
	}
	x.hint(n, v)
	if held == nil {
		return false
	}
	if err := held.Release(); err != nil {
		x.e.warningf("%v", err)
	}
	return true
}

// call returns a call with what its arguments are, and the program that makes it, "" if that
// is not known.
func (x *explainer) call(n kernel.Notification, held bool) (text, program string) {
	a, name := observe.Identify(n.Call.Arch, n.Call.NR)
	details := supervise.Details(n, a)
	if exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", n.TID)); err == nil { // it may end meanwhile
		program = fmt.Sprintf("%s (process %d)", shellQuote(exe), processOf(n.TID))
	}
	if !held && x.listener.Valid(n.ID) != nil {
		// The thread is gone: what was read may be another's.
		details, program = [6]string{}, ""
	}
	return callText(n.Call, a, name, details), program
}

// ofList reports whether a list of the command line decided it, which comes before what
// the policy says.
func (x *explainer) ofList(v policy.Verdict) bool { return v.Rule >= 0 && v.Rule < x.lists }

// hint says the line that would admit the call.
func (x *explainer) hint(n kernel.Notification, v policy.Verdict) {
	if x.ofList(v) {
		x.e.hintf("to admit it, take it out of what --deny or --deny-file lists")
		return
	}
	change, err := x.admission(x.policy, n)
	if err != nil {
		x.e.hintf("how to admit it cannot be said: %v", err)
		return
	}
	for _, v := range change.Admitted {
		to := "the policy"
		if x.file != "" {
			to = x.file
		}
		why := ""
		if v.Why != "" {
			why = "; but " + strings.TrimPrefix(v.Why, "accepted, though ")
		}
		if x.foreign {
			x.e.hintf("to admit it, allow %s in %s%s", v.Pattern.String(), to, why)
			continue
		}
		x.e.hintf("to admit it, add to %s: - {action: allow, calls: [%q]}%s", to, v.Pattern.String(), why)
	}
	for _, v := range change.Never {
		x.e.hintf("no rule can admit it: %s", v.Why)
	}
}

// admission returns the smallest change of p that lets the call through.
func (x *explainer) admission(p *policy.Policy, n kernel.Notification) (*refine.Change, error) {
	a, name := observe.Identify(n.Call.Arch, n.Call.NR)
	violation := &observe.Violation{Arch: n.Call.Arch, NR: n.Call.NR, ABI: a, Name: name, Args: &n.Call.Args, Action: abi.Errno, Count: 1}
	if exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", n.TID)); err == nil {
		violation.Exe = exe
	}
	everything := func(string) bool { return true }
	return refine.Admit(p, x.options, refine.Gather([]*observe.Violation{violation}), everything)
}

// callText writes a call with what its arguments are.
func callText(c abi.Call, a abi.ABI, name string, details [6]string) string {
	if name == "" {
		return policy.FormatCall(c)
	}
	text := name
	if a != abi.Native() {
		text = a.String() + ":" + name
	}
	args, known := a.Args(c.NR)
	if !known {
		return policy.FormatCall(c)
	}
	var list []string
	for i, arg := range args {
		value := c.Args[i] & a.ReadMask(c.NR, i)
		switch {
		case details[i] != "":
			list = append(list, details[i])
		case arg.Kind == abi.Pointer && value == 0:
			list = append(list, "NULL")
		case arg.Kind == abi.Mode && !creates(a, name, c.Args):
			// The kernel does not look at it.
		case arg.Kind == abi.Mode:
			list = append(list, fmt.Sprintf("0%o", value))
		case i == openFlags(name):
			list = append(list, openText(a, name, i, value))
		case arg.Kind == abi.Flags:
			list = append(list, proof.Constant(a, name, i, value))
		case arg.Kind == abi.Pointer:
			list = append(list, fmt.Sprintf("%#x", value))
		case arg.Signed && value>>31 == 1 && value>>32 == 0:
			list = append(list, fmt.Sprint(int32(value)))
		default:
			word := proof.Constant(a, name, i, value)
			if _, err := strconv.ParseUint(word, 0, 64); err == nil && value>>32 == 0 {
				word = strconv.FormatUint(value, 10) // no name, and no rubbish or address
			}
			list = append(list, word)
		}
	}
	return text + "(" + strings.Join(list, ", ") + ")"
}

// openFlags returns the argument that has the flags of a call that opens a file, -1 of
// others.
func openFlags(name string) int {
	switch name {
	case "open":
		return 1
	case "openat":
		return 2
	}
	return -1
}

// openText writes the flags of open, where reading is the absence of bits.
func openText(a abi.ABI, name string, argument int, value uint64) string {
	mode, _ := a.Constant("O_ACCMODE")
	text := proof.Constant(a, name, argument, value)
	switch {
	case value == 0:
		return "O_RDONLY"
	case value&mode == 0:
		return "O_RDONLY | " + text
	}
	return text
}

// creates reports whether a call that may open a file may make one too, or is another call.
func creates(a abi.ABI, name string, args [6]uint64) bool {
	at := openFlags(name)
	if at < 0 {
		return true
	}
	create, _ := a.Constant("O_CREAT")
	temporary, _ := a.Constant("O_TMPFILE")
	return args[at]&create != 0 || args[at]&temporary == temporary
}

// summarize says how often what was said once happened.
func (x *explainer) summarize() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.quiet = true
	_ = x.stacks.Close() // files that were read
	total, causes := 0, 0
	for _, b := range x.order {
		total += b.count
		if b.count > 0 {
			causes++
		}
		if b.count > 1 {
			x.e.infof("blocked %d times: %s", b.count, b.text)
		}
	}
	if total > 0 {
		x.e.infof("blocked: %s, of %s", count(total, "call"), count(causes, "cause"))
	}
	if x.admitted > 0 {
		x.e.infof("allowed when asked: %s", count(x.admitted, "call"))
	}
}

// The answers of a person.
type answer int

const (
	answerDeny answer = iota
	answerOnce
	answerAlways
)

// A terminal is where a person is asked.
type terminal struct {
	*os.File
	in *bufio.Reader
}

func openTerminal() (*terminal, error) {
	f, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return nil, withHint(fmt.Errorf("--ask: nobody can be asked: %w", err), "--mode explain asks nobody")
	}
	return &terminal{f, bufio.NewReader(f)}, nil
}

// ask asks whether a call that the policy denies may go on: this one, which need not be
// what the first of its cause was.
func (x *explainer) ask(b *blocked, n kernel.Notification) answer {
	text, program := x.call(n, false)
	if b.asked && program != "" {
		x.e.infof("again, in %s", program)
	}
	b.asked = true
	for {
		if _, err := fmt.Fprintf(x.terminal, "sysgate: %s: deny, allow once, always? [d/o/a] ", text); err != nil {
			return answerDeny
		}
		line, err := x.terminal.in.ReadString('\n')
		if err != nil {
			_, _ = fmt.Fprintln(x.terminal) // the program has ended, or the terminal is gone
			return answerDeny
		}
		switch strings.ToLower(strings.TrimSpace(line)) {
		case "d", "deny", "n", "no", "":
			return answerDeny
		case "o", "once":
			return answerOnce
		case "a", "always":
			if err := x.always(n); err != nil {
				x.e.report(err)
				continue
			}
			return answerAlways
		}
	}
}

// read reads the policy's file, into which a rule is to go.
func (x *explainer) read() (*source.Input, error) {
	in, err := x.e.readInput(x.file, source.Options{Native: x.options.Native, Caps: x.options.Caps, Kernel: x.options.Kernel})
	if err != nil {
		return nil, err
	}
	return in, editable(in, x.file)
}

// always writes the policy with a rule more that admits the call. The file may have
// changed since the program started: what it says now stays.
func (x *explainer) always(n kernel.Notification) error {
	if x.ofList(x.resolved.Eval(n.Call)) {
		return errors.New("what --deny lists comes before the policy, which cannot admit it")
	}
	in, err := x.read()
	if err != nil {
		return err
	}
	change, err := x.admission(in.Policy, n)
	if err != nil {
		return fmt.Errorf("%s: %w", in.Name, err)
	}
	for _, v := range change.Never {
		return fmt.Errorf("%s: no rule can admit it: %s", in.Name, v.Why)
	}
	text, err := refine.Insert(in.Name, in.Data, change, x.options)
	if err != nil {
		return fmt.Errorf("%s: %w", in.Name, err)
	}
	written, err := policy.Parse(in.Name, text)
	if err != nil {
		return fmt.Errorf("internal error: %w", err)
	}
	amended, err := x.flags.amend(written)
	if err != nil {
		return err
	}
	resolved, _, err := amended.Resolve(x.options)
	if err != nil {
		return err
	}
	if err := x.e.output(x.file, func(w io.Writer) error { _, err := w.Write(text); return err }); err != nil {
		return err
	}
	x.policy, x.resolved = amended, resolved
	x.e.infof("%s: added %s", in.Name, change.Rule.Calls[0])
	return nil
}
