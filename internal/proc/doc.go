// Package proc says what a process is: its user, command line, parent, container
// and systemd unit, and what /proc says of its protection.
//
//	p, err := proc.Read("/proc", 1234)
//	all, n, err := proc.AllProtected("/proc") // every process under seccomp
//
// [Watch] keeps a [Cache] of processes as they start, for those that have ended.
// [Users] gives IDs their names, [ParseCgroup] finds container and unit in a
// cgroup's path.
//
// # Limits
//
// Linux only: elsewhere there is no /proc, and nothing is found. A process can end between two reads: what was read until then is returned. Names
// of users are those of the caller's namespace. Container runtimes are known by the
// cgroup names that they give; a runc or crun container with a name of its own by
// its state directory. A process can be moved to another cgroup by whoever may
// write there.
package proc
