// Package supervise answers the calls that a seccomp filter leaves to user
// notification (seccomp_unotify(2)): the loop behind recording without root, and
// behind "run --mode explain".
//
//	err := supervise.Serve(listener, nil, func(n kernel.Notification) kernel.Reply { … })
//
// [Hold] stops a thread so that its registers can be read, for [Stacks]; [Marks] give a
// call any action that a filter can, by the kernel itself; a [Guard] goes on where this
// process ends. [Details] are what a call's arguments point at.
//
// # Limits
//
// Linux only: elsewhere the package is empty.
//
// A call that is let go on reads its memory again: what a pointer pointed at when
// somebody looked may be something else by then. Decisions are to rest on the
// number and the registers alone.
package supervise
