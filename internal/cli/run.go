package cli

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/build"
	"github.com/sysgate/sysgate/internal/launch"
	"github.com/sysgate/sysgate/internal/record"
	"github.com/sysgate/sysgate/internal/refine"
	"github.com/sysgate/sysgate/policy"
)

// guardCommand is the hidden command that the guard of a supervised program is.
const guardCommand = "guard-supervised"

// auto is the --policy that means: profile the command first.
const auto = "auto"

type runFlags struct {
	libraries      libraryFlags
	strict         strictFlags
	policy         string
	lists          listFlags
	with           []string
	assume         []string
	defaultAction  string
	mode           string
	ask            bool
	candidate      string
	noLog          bool
	keepPrivileges bool
}

func newRunCmd(e *env) *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "run [flags] -- COMMAND [ARGUMENT…]",
		Short: "Start a command under a proved filter",
		Long: `Start a command under a filter that holds before its first instruction.

With --policy auto, the command is profiled first: a program whose system
calls can all be found gets those, and no others. With --policy FILE the file
decides: sysgate's or libbeat's form, or an OCI or Docker profile. Without
--policy everything is allowed but what --deny lists, on every ABI of the
machine, and the calls that do the same service with it; this works on any
program. A denied call fails with EPERM unless the list says NAME:ACTION.

Beside a policy, --deny takes calls away from it and --allow adds some.

The filter is proved equal to the policy before the program starts. No root is
needed: the program runs with no_new_privs, unless --keep-privileges. Denials
are logged by the kernel (dmesg, auditd), unless --no-log.

With --mode explain, each denied call is printed once for each cause: its arguments
decoded, the rule, the program and its stack, and the line that would admit it; then it
is denied as the policy says. --ask asks first. --candidate NEW.yaml enforces the policy
and logs exactly the calls that NEW.yaml would deny more: a roll-out without a risk.

The exit code is the command's, 128 + n where signal n killed it, 125 where
sysgate failed, 126 where the command cannot be executed, 127 where there is
none. Signals that sysgate gets are passed on; if sysgate is killed, so is the
program.`,
		Example: `  sysgate run --policy auto -- ./server --port 8080
  sysgate run --policy auto --args --drop-conditional -- ./server
  sysgate run --policy auto --with ./plugin --default-action kill_process -- ./server
  sysgate run --policy web.yaml --mode log -- nginx -g 'daemon off;'
  sysgate run --policy web.yaml --mode explain -- ./web
  sysgate run --policy web.yaml --candidate stricter.yaml -- ./web
  sysgate run --deny bind:kill_process -- nc -l -p 8000`,
		// Usage errors too are the launcher's: 2 may be the program's code.
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return launchError(withHint(errors.New("no command to run"), "%s -- COMMAND", cmd.CommandPath()))
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error { return launchError(e.run(&f, args)) },
	}
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return launchError(withHint(err, "%s --help", cmd.CommandPath()))
	})
	flags := cmd.Flags()
	flags.SetInterspersed(false) // what follows the command is the command's
	flags.StringVar(&f.policy, "policy", "", "the policy: `FILE`, or auto to profile the command")
	f.lists.add(cmd)
	flags.StringArrayVar(&f.with, "with", nil, "with --policy auto: also allow what `BINARY` can call, a program that the command starts")
	assumeFlag(cmd, &f.assume)
	f.libraries.add(cmd)
	f.strict.add(cmd)
	flags.StringVar(&f.defaultAction, "default-action", "", "`ACTION` for calls that are not allowed, instead of the policy's; with auto: errno(ENOSYS)")
	flags.StringVar(&f.mode, "mode", "enforce", "`MODE`: enforce the policy, log what it would deny, or explain each denial")
	flags.BoolVar(&f.ask, "ask", false, "ask on the terminal about each denial: deny, allow once, or always, which the policy file then says")
	flags.StringVar(&f.candidate, "candidate", "", "also log what the policy in `FILE` would deny more, and let it pass")
	flags.BoolVar(&f.noLog, "no-log", false, "do not have the kernel log denied calls")
	flags.BoolVar(&f.keepPrivileges, "keep-privileges", false, "do not set no_new_privs; needs CAP_SYS_ADMIN")
	return cmd
}

// check says what does not go together.
func (f *runFlags) check() error {
	if f.ask && f.mode == "enforce" {
		f.mode = "explain"
	}
	switch {
	case f.mode != "enforce" && f.mode != "log" && f.mode != "explain":
		return fmt.Errorf("unknown mode %q: enforce, log or explain", f.mode)
	case f.ask && f.mode != "explain":
		return fmt.Errorf("--ask and --mode %s exclude each other", f.mode)
	case f.ask && (f.policy == "" || f.policy == auto || f.policy == "-"):
		return withHint(errors.New("--ask writes what is to be allowed always into the policy, and there is no file"), "--policy FILE")
	case f.candidate != "" && f.mode != "enforce":
		return fmt.Errorf("--candidate and --mode %s exclude each other", f.mode)
	}
	return nil
}

func (e *env) run(f *runFlags, args []string) error {
	if err := f.check(); err != nil {
		return err
	}
	path, err := launch.LookPath(args[0], os.Getenv("PATH"))
	if err != nil {
		return err
	}
	options, err := here(f.keepPrivileges)
	if err != nil {
		return err
	}
	p, err := e.runPolicy(f, path, options)
	if err != nil {
		return err
	}
	if err := p.CheckComplete(); err != nil && f.mode != "log" {
		return withHint(err, "sysgate run --mode log shows what is missing, and denies nothing")
	}
	resolved, _, err := e.resolve(p, options)
	if err != nil {
		return err
	}
	switch {
	case f.mode == "log":
		resolved = logged(resolved)
	case f.candidate != "":
		if resolved, err = e.withCandidate(resolved, f.candidate, options); err != nil {
			return err
		}
	}
	command := launch.Command{Path: path, Args: args, KeepPrivileges: f.keepPrivileges, NoLog: f.noLog}
	if f.mode == "explain" {
		command.NoLog = true // it would say of each call that a supervisor decides
		if command.Flags, err = record.NotifyFlags(); err != nil {
			return err
		}
	}
	prepared, err := launch.Prepare(command)
	if err != nil {
		return err
	}
	if f.mode == "explain" {
		return e.explain(f, p, resolved, options, prepared)
	}
	filter, err := build.Build(admit(resolved, prepared.Execve()))
	if err != nil {
		return errors.Join(err, prepared.Close())
	}
	e.infof("%s", describe(filter))
	return e.launch(prepared, filter)
}

// sigsys is the signal that kill_process ends a process by (SIGSYS on Linux).
const sigsys = syscall.Signal(31)

// launch runs the program and returns its exit code as an error.
func (e *env) launch(prepared *launch.Prepared, filter *build.Filter) error {
	denials := watchDenials()
	status, err := prepared.Run(filter.Program)
	if err != nil {
		denials.close()
		return explainLaunch(err)
	}
	denied := denials.of(status.PID)
	if status.Signal == sigsys {
		e.explainSIGSYS(denied)
	}
	if code := status.ExitCode(); code != exitOK {
		return quietError(code)
	}
	return nil
}

// explainSIGSYS says why the program is dead.
func (e *env) explainSIGSYS(calls []string) {
	what := "a system call that the policy does not allow"
	if len(calls) > 0 {
		what = strings.Join(calls, ", ") + ", which the policy does not allow"
	}
	e.warningf("killed by SIGSYS: the program called %s", what)
	if len(calls) == 0 {
		e.hintf("the kernel logged which: dmesg | grep type=1326, or ausearch -m SECCOMP")
	}
	e.hintf("sysgate run --mode log … only logs what the policy would deny")
}

// explainLaunch adds what the user can do.
func explainLaunch(err error) error {
	switch {
	case errors.Is(err, syscall.ENOEXEC):
		return withHint(err, "a script needs a first line such as #!/bin/sh")
	case errors.Is(err, launch.ErrNotFound):
		return withHint(err, "the interpreter or loader that it names may be missing")
	}
	return err
}

// runPolicy returns the policy that the flags mean for the command at path.
func (e *env) runPolicy(f *runFlags, path string, options policy.Options) (*policy.Policy, error) {
	allow, deny, err := f.lists.lists()
	if err != nil {
		return nil, err
	}
	def, err := parseAction("--default-action", f.defaultAction)
	if err != nil {
		return nil, err
	}
	if f.policy != auto && (len(f.with) > 0 || len(f.assume) > 0 || f.libraries.given() || f.strict.given()) {
		return nil, errors.New("--with, --assume, --root, --dlopen, --no-cache, --args and --drop-conditional belong to --policy auto")
	}
	switch f.policy {
	case auto:
		return e.autoPolicy(f, path, refine.Options{Default: def, Allow: allow, Deny: deny, DropConditional: f.strict.conditional})
	case "":
		return e.denyPolicy(allow, deny, def)
	}
	p, err := e.readPolicy(f.policy, options)
	if err != nil {
		return nil, err
	}
	p, elsewhere := refine.Amend(p, abi.Native(), refine.Options{Default: def, Allow: allow, Deny: deny})
	e.elsewhere(elsewhere)
	return p, nil
}

// amend returns p with what the flags say besides.
func (f *runFlags) amend(p *policy.Policy) (*policy.Policy, error) {
	allow, deny, err := f.lists.lists()
	if err != nil {
		return nil, err
	}
	def, err := parseAction("--default-action", f.defaultAction)
	if err != nil {
		return nil, err
	}
	p, _ = refine.Amend(p, abi.Native(), refine.Options{Default: def, Allow: allow, Deny: deny})
	return p, nil
}

// denyPolicy returns the policy of a run without one.
func (e *env) denyPolicy(allow, deny []refine.Item, def *policy.Action) (*policy.Policy, error) {
	if len(deny) == 0 {
		return nil, withHint(errors.New("nothing to enforce: neither --policy nor --deny"), "sysgate run --policy auto -- COMMAND")
	}
	if def != nil {
		return nil, errors.New("--default-action needs --policy: without one, what is not denied is allowed")
	}
	p, elsewhere := refine.DenyList(deny, allow, abi.Native())
	e.elsewhere(elsewhere)
	if len(p.Rules) == 0 {
		return nil, errors.New("nothing to enforce: this machine has none of the listed calls")
	}
	return p, nil
}

// parseAction reads the action that a flag names, nil where it names none.
func parseAction(flag, text string) (*policy.Action, error) {
	if text == "" {
		return nil, nil
	}
	a, err := policy.ParseAction(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", flag, err)
	}
	return &a, nil
}
