package refine

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/observe"
)

// A Runtime is a container runtime: a program that starts another one under a
// filter, and itself runs under it between the filter's installation and the
// execve. With no_new_privs it installs the filter late; without, before it
// changes user and drops capabilities, which its calls are for then.
type Runtime struct {
	Name     string
	Releases []string // that were looked at

	calls []runtimeCall
}

type runtimeCall struct {
	name, reason string
}

// The calls of the runtimes: all that strace saw the releases call under the
// filter, by "run", by "create" with "start" and, of all but runc 1.3.4, by "exec",
// with no_new_privs and without, as root and as another user, with capabilities,
// limits and further groups. Left out are open_tree, fsopen, fsconfig and fsmount,
// with which exec of runc 1.5 without no_new_privs opens a /proc of its own where it
// may: they are about mounts, and it does without where they fail. Of runc, which is
// a Go program, also what a Go runtime may call at any time on the thread that has
// the filter, seen or not. TestRuntimes in internal/cli compares with the runtimes
// that a machine has.
var runtimes = []Runtime{
	{
		Name: "runc", Releases: []string{"1.1.5", "1.3.4", "1.5.2"},
		calls: []runtimeCall{
			{"capget", "drops capabilities"},
			{"capset", "drops capabilities"},
			{"chdir", "enters the working directory"},
			{"clone", goRuntime},
			{"close", "closes inherited descriptors"},
			{"close_range", "closes inherited descriptors, since 1.2"},
			{"epoll_ctl", goRuntime},
			{"epoll_pwait", goRuntime},
			{"execve", "starts the program"},
			{"faccessat", "looks for the program, by exec since 1.5"},
			{"faccessat2", "looks for the program"},
			{"fchown", "gives standard streams to the user"},
			{"fcntl", "marks inherited descriptors close-on-exec"},
			{"fstat", "looks at standard streams"},
			{"fstatfs", "verifies that /proc is procfs"},
			{"futex", goRuntime},
			{"getcwd", "verifies the working directory"},
			{"getdents64", "lists inherited descriptors"},
			{"getpid", goRuntime},
			{"getppid", "notices the death of its parent"},
			{"gettid", goRuntime},
			{"madvise", goRuntime},
			{"mmap", goRuntime},
			{"munmap", goRuntime},
			{"nanosleep", goRuntime},
			{"newfstatat", "looks for the program"},
			{"openat", "opens /proc and the fifo that starts the program"},
			{"openat2", "opens /proc safely, since 1.3"},
			{"prctl", "sets capabilities and the parent-death signal"},
			{"read", goRuntime},
			{"rt_sigprocmask", goRuntime},
			{"rt_sigreturn", goRuntime},
			{"sched_yield", goRuntime},
			{"setgid", "becomes the user"},
			{"setgroups", "becomes the user"},
			{"setuid", "becomes the user"},
			{"sigaltstack", goRuntime},
			{"stat", "looks for the program, on older releases"},
			{"statx", "verifies what it opened below /proc, since 1.3"},
			{"tgkill", goRuntime},
			{"uname", "finds out the kernel's release, by exec since 1.5"},
			{"write", "waits at the fifo that starts the program"},
		},
	},
	{
		Name: "crun", Releases: []string{"1.8.1"},
		calls: []runtimeCall{
			{"capset", "drops capabilities"},
			{"close", "closes its own descriptors"},
			{"execve", "starts the program"},
			{"fchown", "gives standard streams to the user, by exec"},
			{"ioctl", "looks at standard streams, by exec"},
			{"openat", "opens /proc and the user's files, by exec"},
			{"prctl", "sets capabilities"},
			{"pselect6", "waits to be started"},
			{"read", "waits to be started"},
			{"rt_sigaction", "gives signals back their defaults"},
			{"rt_sigprocmask", "gives signals back their defaults"},
			{"setgroups", "becomes the user, by exec"},
			{"setresgid", "becomes the user"},
			{"setresuid", "becomes the user"},
			{"statx", "looks at standard streams, by exec"},
			{"umask", "sets the mask, by exec"},
			{"write", "tells its parent how far it is"},
		},
	},
}

const goRuntime = "has a Go runtime of its own"

// RuntimeByName returns the container runtime of this name.
func RuntimeByName(name string) (*Runtime, bool) {
	for i := range runtimes {
		if runtimes[i].Name == name {
			return &runtimes[i], true
		}
	}
	return nil, false
}

// RuntimeNames returns the names of the known container runtimes, sorted.
func RuntimeNames() []string {
	var names []string
	for _, r := range runtimes {
		names = append(names, r.Name)
	}
	slices.Sort(names)
	return names
}

// String returns the name and the releases that were looked at.
func (r *Runtime) String() string {
	return fmt.Sprintf("%s (seen: %s)", r.Name, strings.Join(r.Releases, ", "))
}

// Calls returns the names of what r calls under the filter, sorted.
func (r *Runtime) Calls() []string {
	names := make([]string, len(r.calls))
	for i, c := range r.calls {
		names[i] = c.name
	}
	return names
}

// set returns the calls of r on an ABI. They are nobody's among the programs.
func (r *Runtime) set(on abi.ABI) *observe.Set {
	s := &observe.Set{ABI: on, Sound: true}
	for _, c := range r.calls {
		names := []string{c.name}
		if on.Bits() == 32 { // setuid32, fcntl64, fstatat64 …
			names = append(names, on.Group(c.name)...)
		}
		for _, name := range names {
			nr, ok := on.Lookup(name)
			if ok && !s.Has(on.SyscallName(nr)) {
				s.Calls = append(s.Calls, observe.Call{
					NR: nr, Name: on.SyscallName(nr), Class: observe.Implicit,
					Evidence: r.Name + " " + c.reason, By: []string{},
				})
			}
		}
	}
	slices.SortFunc(s.Calls, func(a, b observe.Call) int { return cmp.Compare(a.NR, b.NR) })
	return s
}

// withRuntime returns the sets with the calls of the container runtime that the
// options name.
func withRuntime(sets []*observe.Set, o Options) []*observe.Set {
	if o.Runtime == nil || len(sets) == 0 {
		return sets
	}
	on := o.RuntimeABI
	if on == abi.None {
		on = sets[0].ABI
	}
	own := o.Runtime.set(on)
	sets = slices.Clone(sets)
	for i, s := range sets {
		if s.ABI != on {
			continue
		}
		with := *s
		with.Calls = slices.Clone(s.Calls)
		for _, c := range own.Calls {
			k := slices.IndexFunc(s.Calls, func(have observe.Call) bool { return have.NR == c.NR })
			if k < 0 {
				with.Calls = append(with.Calls, c)
				continue
			}
			with.Calls[k].Open = slices.Clone(with.Calls[k].Open)
			with.Calls[k].CloseOff(c.Evidence)
		}
		sets[i] = &with
		return sets
	}
	return slices.Insert(sets, 0, own)
}
