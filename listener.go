package sysgate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/sysgate/sysgate/internal/kernel"
)

// maxHandlers is how many handlers run at once. A call that is answered late is
// one thread that sleeps; only threads that are killed while they wait can leave
// more handlers than threads behind.
const maxHandlers = 8192

// A Listener receives the calls for which a filter says user_notify, and answers
// them in the place of the kernel (seccomp_unotify(2)):
//
//	err := listener.Serve(ctx, func(ctx context.Context, r *sysgate.Request) {
//		if r.Arg(0) == unix.AF_INET {
//			r.Continue() // the kernel executes the call
//		} else {
//			r.Fail(unix.EAFNOSUPPORT)
//		}
//	})
//
// It belongs into another process than the one that has the filter: into one that
// starts it and gets the descriptor ([Listener.FD]) over a Unix socket, as
// [NewListener] takes it. A program that listens to itself waits for ever if Serve
// or a handler makes a call that is notified: beside what Go's runtime calls, Serve
// calls fcntl, epoll_ctl, poll (ppoll on newer ABIs) and ioctl.
//
// Notification is no replacement for a filter. The filter decides which calls are
// allowed; a listener answers calls for the target, or decides on what stands in
// registers. What it reads from memory another thread of the target can change in
// the next moment; [Request.Continue] refuses after it, and who continues all the
// same says so ([Request.ContinueUnsafe]).
//
// When the last copy of the descriptor is closed, by [Listener.Close] or because
// the process that holds it died, the kernel answers all calls that wait or come
// with ENOSYS; nothing is executed.
type Listener struct {
	kernel  *kernel.Listener
	limit   int // of handlers
	serving atomic.Bool
}

// NewListener returns the listener on a descriptor that another process sent, or
// that a container runtime did. The listener owns the descriptor from now on, and
// closes it also where NewListener fails.
func NewListener(fd int) (*Listener, error) {
	sizes, err := kernel.Notifications()
	l := newListener(fd, sizes)
	if err == nil {
		err = l.kernel.Open()
	}
	if err != nil {
		_ = l.Close()
		return nil, fmt.Errorf("listener: %w", err)
	}
	return l, nil
}

func newListener(fd int, sizes kernel.NotifySizes) *Listener {
	return &Listener{kernel: kernel.ListenOn(fd, sizes), limit: maxHandlers}
}

// FD returns the descriptor, which the listener keeps. It is closed on exec; a
// copy of it goes to another process over a Unix socket ([syscall.UnixRights]).
func (l *Listener) FD() int { return l.kernel.FD() }

// Close closes the descriptor. A Serve ends with [os.ErrClosed].
func (l *Listener) Close() error { return l.kernel.Close() }

// SyncWakeUp has the kernel prefer the CPU of the target for Serve, and that of
// the answer for the target (Linux 6.6, else [errors.ErrUnsupported]). It makes
// quick answers quicker.
func (l *Listener) SyncWakeUp() error { return l.kernel.SetSyncWakeUp(true) }

// Serve receives calls and starts handle for each, in a goroutine of its own, so
// that one that takes its time delays no other (up to 8,192 at once). A call whose
// handler returns without an answer gets ENOSYS, as if nobody listened.
//
// Serve returns when all handlers have returned; the context that they get ends as
// soon as Serve wants to. It returns
//
//   - nil when the last user of the filter is gone, so that no call can come (Linux
//     5.9); before Linux 6.11, a process that ended is gone when its parent has
//     waited for it, which a parent that serves has to do meanwhile,
//   - the cause ([context.Cause]) when ctx ends: calls that come then wait until
//     Serve is called again or the descriptor is closed,
//   - [os.ErrClosed] after Close, or what the kernel says.
//
// A handler that panics ends the program, like any goroutine; the calls that wait
// then get ENOSYS. Without Options.WaitKillable a signal to the target, such as
// those with which Go's runtime interrupts its own threads, withdraws a call: the
// answer fails with [ErrGone], and the target makes the call again.
func (l *Listener) Serve(ctx context.Context, handle func(context.Context, *Request)) error {
	if !l.serving.CompareAndSwap(false, true) {
		return errors.New("listener is served already")
	}
	defer l.serving.Store(false)
	if err := l.kernel.Open(); err != nil {
		return fmt.Errorf("listener: %w", err)
	}

	interrupted := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		l.kernel.Interrupt()
		close(interrupted)
	})
	defer func() {
		if !stop() {
			<-interrupted
			l.kernel.Resume()
		}
	}()

	var handlers sync.WaitGroup
	defer handlers.Wait()
	handlerCtx, cancel := context.WithCancel(ctx)
	defer cancel()
	slots := make(chan struct{}, l.limit)
	for {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		n, err := l.kernel.Receive()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, kernel.ErrInterrupted):
			return context.Cause(ctx)
		case err != nil:
			return fmt.Errorf("listener: %w", err)
		}
		handlers.Go(func() {
			defer func() { <-slots }()
			r := &Request{TID: n.TID, Call: n.Call, kernel: l.kernel, id: n.ID}
			defer r.end()
			handle(handlerCtx, r)
		})
	}
}
