package sysgate

import (
	"errors"
	"fmt"
	"slices"
	"syscall"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/kernel"
)

// A loading is the installation of one filter from the calling thread, which the
// goroutine is locked to.
type loading struct {
	filter   *Filter
	options  Options
	features FeatureSet
	// first: the calling thread had no filter before, so that the new one alone
	// decides on its calls. What older filters would do is not known.
	first bool
}

// load sets no_new_privs, installs f and looks whether it is in place: in this
// order, seccomp(2); where that is missing prctl(2), on each thread; then what can
// be seen without a call that the filter would deny.
func load(f *Filter, o Options, features FeatureSet) (*Installed, error) {
	mode, err := kernel.Mode()
	l := loading{filter: f, options: o, features: features, first: err == nil && mode == 0}
	in := &Installed{Filter: f, Method: MethodSeccomp}
	var sizes kernel.NotifySizes
	if o.Listener {
		// Asked first: the filter may deny the question.
		if sizes, err = kernel.Notifications(); err != nil {
			return nil, err
		}
	}
	var fd int
	if features.Seccomp {
		fd, err = l.seccomp()
	} else {
		in.Method = MethodPrctl
		err = l.prctl()
	}
	if err != nil {
		return nil, l.refusal(err)
	}
	in.Verified, err = l.verify()
	if err != nil && !o.Unverified {
		if o.Listener && l.pass("close") { // so that no call waits for it
			_ = newListener(fd, sizes).Close()
		}
		return nil, err
	}
	if o.Listener {
		in.Listener = newListener(fd, sizes)
	}
	return in, nil
}

func (l loading) seccomp() (fd int, err error) {
	if !l.options.KeepPrivileges {
		// With tsync the other threads get it together with the filter.
		if err := kernel.NoNewPrivs(); err != nil {
			return -1, fmt.Errorf("%w: %w", ErrPrivileges, err)
		}
	}
	var flags kernel.Flags
	for _, f := range []struct {
		wanted bool
		flag   kernel.Flags
	}{
		{!l.options.ThisThread, kernel.TSync},
		{!l.options.ThisThread && l.options.Listener, kernel.TSyncESRCH},
		{l.options.Log, kernel.Log},
		{l.options.SpecAllow, kernel.SpecAllow},
		{l.options.WaitKillable, kernel.WaitKillableRecv},
	} {
		if f.wanted {
			flags |= f.flag
		}
	}
	if l.options.Listener {
		return kernel.SetFilterListener(l.filter.Program, flags)
	}
	return -1, kernel.SetFilter(l.filter.Program, flags)
}

func (l loading) prctl() error {
	every := !l.options.ThisThread
	if every {
		if err := l.reachable(); err != nil {
			return err
		}
	}
	if !l.options.KeepPrivileges {
		set := kernel.NoNewPrivs
		if every {
			set = kernel.NoNewPrivsEveryThread
		}
		switch err := set(); {
		case errors.Is(err, errors.ErrUnsupported): // cgo
			return err
		case err != nil:
			return fmt.Errorf("%w: %w", ErrPrivileges, err)
		}
	}
	return kernel.SetFilterPrctl(l.filter.Program, every)
}

// reachable finds out whether every thread can be given the filter one by one: the
// runtime cannot go back once the first one has it.
func (l loading) reachable() error {
	native := abi.Native()
	for _, name := range kernel.EveryThreadCalls(native, l.features.Release) {
		if !l.filter.passes(native, name) {
			return fmt.Errorf("%w: seccomp(2) is missing, and to give every thread the filter by prctl(2) takes %s, which the policy does not let through",
				errors.ErrUnsupported, name)
		}
	}
	if tid := l.filtered(); tid != 0 {
		return &ThreadError{tid}
	}
	return nil
}

// filtered returns a thread that has a filter where the calling one has none; 0 if
// none is seen.
func (l loading) filtered() int {
	if !l.first {
		return 0
	}
	tasks, err := kernel.Tasks(true)
	if err != nil {
		return 0
	}
	i := slices.IndexFunc(tasks, func(t kernel.Task) bool { return t.Mode == filterMode })
	if i < 0 {
		return 0
	}
	return tasks[i].TID
}

// refusal makes the kernel's refusal an error of this package.
func (l loading) refusal(err error) error {
	var thread *kernel.ThreadError
	switch {
	case errors.As(err, &thread):
		return &ThreadError{thread.TID}
	case errors.Is(err, syscall.ESRCH): // tsync_esrch, which does not say whose
		return &ThreadError{l.filtered()}
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%w: %w", ErrPrivileges, err)
	case errors.Is(err, syscall.ENOMEM):
		return fmt.Errorf("%w: %w", ErrTooLarge, err)
	}
	return err
}
