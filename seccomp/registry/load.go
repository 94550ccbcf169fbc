package registry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"

	"github.com/sysgate/sysgate"
	"github.com/sysgate/sysgate/seccomp"
)

// Options are what [LoadFilter] leaves to its caller. The zero value says
// nothing.
type Options struct {
	Logger *slog.Logger // for what LoadFilter does; nil: nobody is told
}

// A Source is where a policy comes from.
type Source string

// The sources. The first that has a policy counts.
const (
	Configured Source = "configuration"
	Registered Source = "registered policy"
	Default    Source = "default policy"
)

// An Outcome is what [LoadFilter] ended with.
type Outcome string

// The outcomes.
const (
	Installed   Outcome = "installed"   // on every thread, with no_new_privs
	Disabled    Outcome = "disabled"    // by the configuration
	NoPolicy    Outcome = "no policy"   // nothing is configured or registered, and there is no default
	Unsupported Outcome = "unsupported" // by the operating system or its kernel
	Failed      Outcome = "failed"      // the filter could not be installed
	Invalid     Outcome = "invalid"     // the configuration has mistakes
)

// A Result says what [LoadFilter] did. Only with [Installed] is there a filter.
type Result struct {
	Outcome Outcome
	Source  Source          // of Policy; "" if there is none
	Policy  *seccomp.Policy // the policy chosen, a copy; nil if none was looked for, or there is none
	Err     error           // why there is no filter; nil with Installed and Disabled

	Installed *sysgate.Installed // how the filter was installed and verified; nil if there is none
}

// LoadFilter chooses the policy of the process and has the kernel enforce it, on
// every thread and with no_new_privs.
//
// unpack is the configuration: it stores it where a pointer says, as
// yaml.Unmarshal does behind a closure, and go-ucfg's Unpack. It is called
// several times, with pointers to new values of different types. A nil unpack is
// an empty configuration. A document that has the key seccomp holds the
// configuration below it.
//
// An error is one of the configuration, and no filter is loaded then. That the
// system has no filters, or that the kernel does not take this one, is in the
// result and is logged, and the program can go on; unless the configuration says
// `required: true`, which makes everything but [Installed] an error. The result
// is never nil.
func LoadFilter(unpack func(any) error, o Options) (*Result, error) {
	return shared.load(unpack, o, system{supported, install})
}

// A system is what filters are for.
type system struct {
	supported func() error // nil: it has filters; else errors.ErrUnsupported
	install   func(*seccomp.Policy) (*sysgate.Installed, error)
}

var (
	errNotLinux  = fmt.Errorf("system call filtering is only supported on Linux: %w", errors.ErrUnsupported)
	errNoSeccomp = fmt.Errorf("the kernel does not support seccomp: %w", errors.ErrUnsupported)
	errNoPolicy  = errors.New("no seccomp policy is defined")
)

func supported() error {
	switch {
	case runtime.GOOS != "linux":
		return errNotLinux
	case !seccomp.Supported():
		return errNoSeccomp
	}
	return nil
}

func install(p *seccomp.Policy) (*sysgate.Installed, error) {
	lowered, err := p.Lower()
	if err != nil {
		return nil, err
	}
	return sysgate.Install(lowered, sysgate.Options{})
}

func (r *registry) load(unpack func(any) error, o Options, s system) (*Result, error) {
	log := o.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	c, err := decode(unpack)
	if err != nil {
		err = fmt.Errorf("seccomp configuration: %w", err)
		log.Error("Syscall filter configuration is invalid", "error", err)
		return &Result{Outcome: Invalid, Err: err}, err
	}
	result := r.enforce(c, s, log)
	level, message := result.message()
	if c.required && result.Err != nil {
		level = slog.LevelError
		err = fmt.Errorf("seccomp is required: %w", result.Err)
	}
	var attrs []slog.Attr
	if result.Err != nil {
		attrs = append(attrs, slog.Any("error", result.Err))
	}
	log.LogAttrs(context.Background(), level, message, attrs...)
	return result, err
}

// enforce installs the policy that c and r choose.
func (r *registry) enforce(c *config, s system, log *slog.Logger) *Result {
	if !c.enabled {
		return &Result{Outcome: Disabled}
	}
	result := r.choose(c)
	if result.Err = s.supported(); result.Err == nil && result.Policy == nil {
		result.Err = errNoPolicy
	}
	if result.Err == nil {
		log.Debug("Loading syscall filter", "source", string(result.Source), "seccomp_filter", result.Policy)
		result.Installed, result.Err = s.install(clone(result.Policy))
	}
	switch {
	case result.Err == nil:
		result.Outcome = Installed
		for _, warning := range result.Installed.Filter.Warnings {
			log.Warn("Syscall filter policy", "warning", warning.String())
		}
	case errors.Is(result.Err, errors.ErrUnsupported):
		result.Outcome = Unsupported
	case errors.Is(result.Err, errNoPolicy):
		result.Outcome = NoPolicy
	default:
		result.Outcome = Failed
	}
	return result
}

// choose returns a result with the policy that counts.
func (r *registry) choose(c *config) *Result {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case c.policy != nil:
		return &Result{Source: Configured, Policy: c.policy}
	case r.registered != nil:
		return &Result{Source: Registered, Policy: clone(r.registered)}
	}
	if p := r.defaultPolicy(); p != nil {
		return &Result{Source: Default, Policy: p}
	}
	return &Result{}
}

// message returns what a log is told of r; libbeat has the same texts.
func (r *Result) message() (slog.Level, string) {
	switch {
	case r.Outcome == Installed:
		return slog.LevelInfo, "Syscall filter successfully installed"
	case r.Outcome == Disabled:
		return slog.LevelInfo, "Syscall filter is disabled by the configuration"
	case r.Outcome == NoPolicy:
		return slog.LevelDebug, "No seccomp policy is defined"
	case errors.Is(r.Err, errNotLinux):
		return slog.LevelDebug, "Syscall filtering is only supported on Linux"
	case errors.Is(r.Err, errNoSeccomp):
		return slog.LevelInfo, "Syscall filter could not be installed because the kernel does not support seccomp"
	}
	return slog.LevelWarn, "Syscall filter could not be installed"
}
