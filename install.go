package sysgate

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"syscall"

	"github.com/sysgate/sysgate/internal/kernel"
	"github.com/sysgate/sysgate/policy"
)

// Installed says what [Install] did.
type Installed struct {
	Filter   *Filter
	Method   Method
	Verified Evidence
	Losses   []Loss    // what the kernel lacks, with Options.BestEffort
	Listener *Listener // with Options.Listener
}

// A Method is how a filter was installed.
type Method string

// The methods.
const (
	MethodSeccomp Method = "seccomp(2)"
	MethodPrctl   Method = "prctl(2) on every thread" // where seccomp(2) is missing
)

// Evidence is how it is known that a filter is in place.
type Evidence string

// The kinds of evidence.
const (
	EvidenceNone  Evidence = ""                           // not known
	EvidenceReply Evidence = "the kernel's answer"        // to the call that installed it
	EvidenceTasks Evidence = "the status of every thread" // in /proc/self/task
)

// Install compiles p, proves it, and installs it.
func Install(p *policy.Policy, o Options) (*Installed, error) {
	if p.Load.Disabled {
		return nil, ErrDisabled
	}
	f, err := Compile(p, o.Compile)
	if err != nil {
		return nil, err
	}
	return f.Install(o)
}

// Install installs f.
func (f *Filter) Install(o Options) (*Installed, error) {
	if len(f.proved) == 0 || !slices.Equal(f.Program, f.proved) {
		return nil, fmt.Errorf("install: %w", ErrUnproved)
	}
	runtime.LockOSThread()
	if !o.ThisThread {
		defer runtime.UnlockOSThread()
	}
	if !o.KeepPrivileges {
		if err := kernel.NoNewPrivs(); err != nil {
			return nil, fmt.Errorf("install: %w", err)
		}
	}
	in := &Installed{Filter: f, Method: MethodSeccomp, Verified: EvidenceReply}
	var flags kernel.Flags
	for _, one := range []struct {
		on   bool
		flag kernel.Flags
	}{
		{!o.ThisThread, kernel.TSync},
		{o.Log, kernel.Log},
		{o.SpecAllow, kernel.SpecAllow},
		{o.Listener && o.WaitKillable, kernel.WaitKillableRecv},
		{o.Listener && !o.ThisThread, kernel.TSyncESRCH},
	} {
		if one.on {
			flags |= one.flag
		}
	}
	var err error
	if o.Listener {
		// Asked first: the filter may deny the question.
		sizes, sizesErr := kernel.Notifications()
		if sizesErr != nil {
			return nil, fmt.Errorf("install: %w", refusal(sizesErr))
		}
		var fd int
		if fd, err = kernel.SetFilterListener(f.Program, flags); err == nil {
			in.Listener = newListener(fd, sizes)
		}
	} else {
		err = kernel.SetFilter(f.Program, flags)
	}
	if err != nil {
		return nil, fmt.Errorf("install: %w", refusal(err))
	}
	return in, nil
}

// refusal makes the kernel's refusal an error of this package.
func refusal(err error) error {
	var thread *kernel.ThreadError
	switch {
	case errors.As(err, &thread):
		return &ThreadError{thread.TID}
	case errors.Is(err, syscall.ESRCH):
		return fmt.Errorf("%w: %w", ErrThread, err)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%w: %w", ErrPrivileges, err)
	case errors.Is(err, syscall.ENOMEM):
		return fmt.Errorf("%w: %w", ErrTooLarge, err)
	case errors.Is(err, syscall.EINVAL), errors.Is(err, syscall.ENOSYS):
		return fmt.Errorf("%w: %w", errors.ErrUnsupported, err)
	}
	return err
}
