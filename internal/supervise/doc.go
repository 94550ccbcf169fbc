// Package supervise answers the calls that a seccomp filter leaves to user
// notification (seccomp_unotify(2)): the loop behind recording without root, and
// behind "run --mode explain".
//
//	err := supervise.Serve(listener, func(n kernel.Notification) kernel.Reply { … })
//
// # Limits
//
// A call that is let go on reads its memory again: what a pointer pointed at when
// somebody looked may be something else by then. Decisions are to rest on the
// number and the registers alone.
package supervise
