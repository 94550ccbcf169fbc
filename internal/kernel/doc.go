// Package kernel makes the raw kernel calls around seccomp: it installs filters,
// sets no_new_privs, and asks the running kernel what it supports.
//
//	err := kernel.NoNewPrivs()                   // the calling thread
//	err = kernel.SetFilter(p, kernel.TSync|kernel.Log) // every thread
//
// Filters and no_new_privs belong to a thread, not to a process. Go moves
// goroutines between threads, so that a caller either locks its goroutine to one
// ([runtime.LockOSThread]) or passes [TSync], which gives every thread the
// caller's filters and no_new_privs.
//
// A [Listener] receives the calls for which a filter says user_notify, and sends
// the answers; [ReadMemory] reads what their arguments point at.
//
// Where seccomp(2) is missing, [SetFilterPrctl] installs filters thread by thread.
// [Tasks] and [Mode] say which threads have one, [Filters] dumps those of another
// process.
//
// On systems other than Linux everything fails with [errors.ErrUnsupported].
package kernel
