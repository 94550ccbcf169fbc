package audit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/internal/kernel"
)

// selfTestTime is how long the record may take on a busy machine.
const selfTestTime = 5 * time.Second

// SelfTest has the kernel record a call and waits for the record. The call has a
// number that no kernel serves; a thread of this process makes it under a filter
// of its own, which logs that number (or denies it with an error, where only that is
// logged) and allows all else, and ends with it. The events that arrive meanwhile are
// returned, without the test's own. The error wraps [ErrDeaf] or [ErrUntestable], or
// says why there can be no filter.
func SelfTest(ctx context.Context, l *Listener) ([]Event, error) {
	// Of the numbers beyond its table, arm kills for most and knows those with a small low half.
	nr := 1<<27 | rand.Uint32N(1<<10)<<16 | rand.Uint32N(0x800)
	logged, err := kernel.ActionsLogged()
	action := abi.Log
	switch {
	case errors.Is(err, fs.ErrNotExist): // before Linux 4.14, or without /proc
	case err != nil:
		return nil, fmt.Errorf("self-test: %w", err)
	case slices.Contains(logged, abi.Log):
	case slices.Contains(logged, abi.Errno):
		action = abi.Errno.WithData(uint16(unix.ENOSYS))
	default:
		return nil, fmt.Errorf("self-test: %w", ErrUntestable)
	}
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends, and the filter with it
		done <- callLogged(nr, action)
	}()
	var others []Event
	ctx, cancel := context.WithTimeout(ctx, selfTestTime)
	defer cancel()
	for called := done; ; {
		select {
		case err := <-called:
			if err != nil {
				return others, err
			}
			called = nil
		default:
		}
		e, err := l.Next(ctx)
		switch {
		case errors.Is(err, ErrIdle):
			continue
		case errors.Is(err, context.DeadlineExceeded):
			return others, fmt.Errorf("self-test: %w in %v", ErrDeaf, selfTestTime)
		case err != nil:
			return others, err
		}
		if e.Violation != nil && e.Violation.NR == nr {
			return others, nil
		}
		others = append(others, e)
	}
}

// callLogged makes call nr, and no other, under a filter with an action for it.
func callLogged(nr uint32, action abi.Action) error {
	program := bpf.Program{
		{Code: bpf.LdAbs, K: bpf.OffsetNR},
		{Code: bpf.JeqK, K: nr, JF: 1},
		{Code: bpf.RetK, K: uint32(action)},
		{Code: bpf.RetK, K: uint32(abi.Allow)},
	}
	if err := kernel.NoNewPrivs(); err != nil {
		return fmt.Errorf("self-test: %w", err)
	}
	if err := kernel.SetFilter(program, kernel.Log); err != nil {
		return fmt.Errorf("self-test: %w", err)
	}
	if _, _, errno := unix.RawSyscall(uintptr(nr), 0, 0, 0); errno != unix.ENOSYS {
		return fmt.Errorf("self-test: call %d returned %w", nr, errno)
	}
	return nil
}
