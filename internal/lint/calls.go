package lint

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/proof"
	"github.com/sysgate/sysgate/policy"
)

func isNoCalls(err error) bool { return errors.Is(err, proof.ErrNoCalls) }

// placeOf returns the first pattern that names one of the calls, in the text of
// another tool's format its first mention, or the whole subject.
func (c *checker) placeOf(names ...string) (policy.Pos, int) {
	if c.own() {
		for _, r := range c.Policy.Rules {
			for _, p := range slices.Concat(r.Calls, r.Except) {
				if slices.Contains(names, p.Name) {
					return p.Pos, len(p.Name)
				}
			}
		}
	}
	if c.Foreign {
		for _, name := range names {
			for i, line := range c.lines {
				if at := wordIn(line, name); at >= 0 {
					return policy.Pos{File: c.Name, Line: i + 1, Col: at + 1}, len(name)
				}
			}
		}
	}
	return c.whole(), 1
}

// wordIn returns where word stands in line by itself, -1 if it does not.
func wordIn(line, word string) int {
	part := func(b byte) bool {
		return b == '_' || '0' <= b && b <= '9' || 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z'
	}
	for start := 0; ; {
		at := strings.Index(line[start:], word)
		if at < 0 {
			return -1
		}
		at += start
		end := at + len(word)
		if (at == 0 || !part(line[at-1])) && (end == len(line) || !part(line[end])) {
			return at
		}
		start = at + 1
	}
}

// fieldPlace returns where the first of a policy's fields is written that is there.
func (c *checker) fieldPlace(names ...string) (policy.Pos, int) {
	for _, name := range names {
		for i, line := range c.lines {
			if c.own() && strings.HasPrefix(strings.TrimLeft(line, " "), name+":") {
				return policy.Pos{File: c.Name, Line: i + 1, Col: strings.Index(line, name) + 1}, len(name)
			}
		}
	}
	return c.whole(), 1
}

// foreignABIs reports ways around the ABIs that are decided.
func (c *checker) foreignABIs() {
	x32 := false
	var open []string
	other := proof.Set{}
	for _, a := range abi.All() {
		if slices.Contains(c.abis, a) {
			continue
		}
		passed := ""
		for _, o := range c.s.Outcomes(c.f, c.s.Through(a)) {
			if lets(o.Action) {
				passed = o.Action.String()
			}
		}
		switch served := slices.Contains(proof.Served(c.abis), a); {
		case passed != "" && a == abi.X32:
			x32 = served
		case passed != "":
			open = append(open, a.String())
		case served && a != abi.X32 && c.own():
			c.report("SG023", c.whole(), 1, "", fmt.Sprintf("programs of %s do not run: the policy does not list it", a))
		}
		other = c.s.Union(other, c.s.Through(a))
	}
	if len(open) > 0 {
		pos, width := c.fieldPlace("bad_arch_action")
		c.report("SG008", pos, width, "", fmt.Sprintf("calls through %s are let through", summary(open)))
	}
	if x32 {
		pos, width := c.fieldPlace("x32_action")
		c.report("SG009", pos, width, "", "x32 calls are let through")
	}
}

// summary lists names, the first ones where there are many.
func summary(names []string) string {
	const most = 12
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}

// kin are calls of which each does what another does, or more. A service group of
// package abi (setuid and setuid32) is not among them: see SG007.
var kin = [][]string{
	{"execve", "execveat"},
	{"clone", "clone3"},
	{"open", "openat", "openat2"},
	{"rename", "renameat", "renameat2"},
	{"link", "linkat"},
	{"symlink", "symlinkat"},
	{"unlink", "unlinkat"},
	{"rmdir", "unlinkat"},
	{"mkdir", "mkdirat"},
	{"mknod", "mknodat"},
	{"chmod", "fchmod", "fchmodat", "fchmodat2"},
	{"chown", "lchown", "fchown", "fchownat"},
	{"access", "faccessat", "faccessat2"},
	{"mount", "fsmount", "move_mount", "open_tree", "open_tree_attr", "mount_setattr"},
	{"setxattr", "lsetxattr", "fsetxattr", "setxattrat"},
	{"getxattr", "lgetxattr", "fgetxattr", "getxattrat"},
	{"removexattr", "lremovexattr", "fremovexattr", "removexattrat"},
	{"sendmsg", "sendmmsg"},
	{"recvmsg", "recvmmsg"},
	{"accept", "accept4"},
	{"preadv", "preadv2"},
	{"pwritev", "pwritev2"},
	{"mprotect", "pkey_mprotect"},
	{"init_module", "finit_module"},
	{"kexec_load", "kexec_file_load"},
	{"kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_send_signal"},
	{"ptrace", "process_vm_readv"},
	{"ptrace", "process_vm_writev"},
	{"settimeofday", "clock_settime"},
	{"sched_setscheduler", "sched_setattr"},
	{"setrlimit", "prlimit64"},
	{"utime", "utimes", "futimesat", "utimensat"},
	{"dup2", "dup3"},
	{"pipe", "pipe2"},
	{"eventfd", "eventfd2"},
	{"signalfd", "signalfd4"},
	{"epoll_create", "epoll_create1"},
	{"epoll_wait", "epoll_pwait", "epoll_pwait2"},
	{"inotify_init", "inotify_init1"},
	{"mlock", "mlock2"},
}

// siblings reports restricted calls with a way around.
func (c *checker) siblings() {
	for _, a := range c.abis {
		for _, group := range kin {
			var stopped, open []string
			for _, name := range group {
				switch s := c.status(a, name); {
				case c.restricted(a, name) && !c.meant(name):
					stopped = append(stopped, name)
				case s.always():
					open = append(open, name)
				}
			}
			if len(stopped) == 0 || len(open) == 0 {
				continue
			}
			pos, width := c.placeOf(stopped...)
			c.report("SG012", pos, width, "", fmt.Sprintf("%s %s restricted on %s, but %s %s let through",
				strings.Join(stopped, ", "), isOrAre(stopped), a, strings.Join(open, ", "), isOrAre(open)))
		}
		c.carried(a)
	}
}

// meant reports whether a rule about name says that its author knows of the others.
func (c *checker) meant(name string) bool {
	return c.own() && slices.ContainsFunc(c.Policy.Rules, func(r policy.Rule) bool {
		return r.Only && slices.ContainsFunc(slices.Concat(r.Calls, r.Except), func(p policy.Pattern) bool { return p.Name == name })
	})
}

func isOrAre(names []string) string {
	if len(names) == 1 {
		return "is"
	}
	return "are"
}

// carried reports calls whose arguments decide, and that a multiplexer carries
// whatever they are. In a policy that its author wrote, resolving it has said so.
func (c *checker) carried(a abi.ABI) {
	if c.own() {
		return
	}
	byCarrier := map[string][]string{}
	var order []string
	for _, name := range a.Syscalls() {
		mux, _, ok := a.Multiplexed(name)
		if s := c.status(a, name); !ok || s.always() || !s.ever() {
			continue
		}
		carriers, err := c.s.Carriers(a, policy.Pattern{Name: name})
		if err != nil || !slices.ContainsFunc(c.s.Outcomes(c.f, carriers), func(o proof.Outcome) bool { return lets(o.Action) }) {
			continue
		}
		carrier := a.SyscallName(mux)
		if byCarrier[carrier] == nil {
			order = append(order, carrier)
		}
		byCarrier[carrier] = append(byCarrier[carrier], name)
	}
	for _, carrier := range order {
		c.report("SG010", c.whole(), 1, "", fmt.Sprintf("%s on %s depends on its arguments, but %s carries it whatever they are", summary(byCarrier[carrier]), a, carrier))
	}
}

// rings reports io_uring.
func (c *checker) rings() {
	for _, a := range c.abis {
		var open []string
		for _, name := range []string{"io_uring_setup", "io_uring_enter", "io_uring_register"} {
			if c.status(a, name).ever() {
				open = append(open, name)
			}
		}
		if len(open) > 0 {
			pos, width := c.placeOf(open...)
			c.report("SG013", pos, width, "", strings.Join(open, ", ")+" "+isOrAre(open)+" let through")
		}
	}
}

// terminals reports the ways into someone's terminal.
func (c *checker) terminals() {
	for _, a := range c.abis {
		var open []string
		for _, cmd := range []string{"TIOCSTI", "TIOCLINUX"} {
			p, err := policy.ParsePattern("ioctl(cmd == " + cmd + ")")
			if err != nil {
				continue // a release of the tables without it
			}
			if slices.ContainsFunc(c.s.Outcomes(c.f, c.matched(a, p)), func(o proof.Outcome) bool { return passes(o.Action) }) {
				open = append(open, cmd)
			}
		}
		if len(open) > 0 {
			pos, width := c.placeOf("ioctl")
			c.report("SG022", pos, width, "", fmt.Sprintf("ioctl with %s is let through", strings.Join(open, " and ")))
		}
	}
}

// newer are calls that C libraries and runtimes try first, and do without if the
// kernel is too old for them.
var newer = []string{
	"clone3", "openat2", "faccessat2", "fchmodat2", "statx", "close_range", "rseq", "pidfd_open", "epoll_pwait2", "copy_file_range",
	"preadv2", "pwritev2", "renameat2", "getrandom", "memfd_create", "membarrier", "mseal", "futex_waitv",
	"clock_gettime64", "clock_getres_time64", "clock_nanosleep_time64", "futex_time64", "ppoll_time64", "pselect6_time64", "recvmmsg_time64",
	"rt_sigtimedwait_time64", "utimensat_time64", "timerfd_settime64", "timerfd_gettime64", "semtimedop_time64", "io_pgetevents_time64",
}

// fallbacks reports newer calls that fail in a way that nobody falls back from.
func (c *checker) fallbacks() {
	for _, a := range c.abis {
		enosys, _ := a.Errno("ENOSYS")
		wrong := func(action abi.Action) bool { return action.Kind() == abi.Errno && action.Data() != enosys }
		var names []string
		for _, name := range newer {
			if s := c.status(a, name); s.exists && !s.ever() && slices.ContainsFunc(s.actions, wrong) {
				names = append(names, name)
			}
		}
		if len(names) > 0 {
			pos, width := c.fieldPlace("default_action")
			if names := slices.DeleteFunc(slices.Clone(names), func(name string) bool { at, _ := c.placeOf(name); return at.Line == 0 }); len(names) > 0 {
				pos, width = c.placeOf(names...)
			}
			c.report("SG014", pos, width, "a rule with action: errno(ENOSYS) for them",
				fmt.Sprintf("%s %s with an error that nobody falls back from", summary(names), fails(names)))
		}
		last := uint32(0)
		for nr := range a.Syscalls() {
			last = max(last, nr)
		}
		if actions := c.tables[a].Actions(last + 100); slices.ContainsFunc(actions, wrong) {
			pos, width := c.fieldPlace("unknown_action", "default_action")
			c.report("SG014", pos, width, "unknown_action: errno(ENOSYS)",
				fmt.Sprintf("calls newer than the policy fail with %s: nobody falls back from it", a.ActionString(actions[0])))
		}
	}
}

func fails(names []string) string {
	if len(names) == 1 {
		return "fails"
	}
	return "fail"
}

// needs are calls without which a process breaks. What the kernel has called in
// the process's name comes first.
var needs = []struct {
	who      string
	severity Severity
	calls    []string
}{
	{"any process", Warning, []string{"rt_sigreturn", "restart_syscall", "exit_group"}},
	{"a Go program", Note, []string{
		"read", "write", "close", "mmap", "munmap", "madvise", "rt_sigaction", "rt_sigprocmask", "sigaltstack", "clone",
		"exit", "futex", "nanosleep", "gettid", "getpid", "tgkill", "sched_getaffinity", "sched_yield", "fcntl", "openat",
		"prlimit64", "epoll_create1", "epoll_ctl", "epoll_pwait", "eventfd2", "clock_gettime", "getrandom",
	}},
	{"a program with glibc", Note, []string{
		"read", "write", "close", "mmap", "munmap", "mprotect", "brk", "openat", "execve", "set_tid_address", "set_robust_list",
		"prlimit64", "getrandom", "futex", "exit", "tgkill", "getpid", "gettid", "rt_sigaction", "rt_sigprocmask",
	}},
	{"a program with musl", Note, []string{
		"read", "write", "writev", "close", "mmap", "munmap", "mprotect", "brk", "execve", "set_tid_address", "futex", "exit",
		"tkill", "rt_sigaction", "rt_sigprocmask",
	}},
}

// runtimes reports what processes cannot do without.
func (c *checker) runtimes() {
	for _, a := range c.abis {
		for _, n := range needs {
			var missing []string
			for _, name := range n.calls {
				if s := c.status(a, name); s.exists && !s.ever() {
					missing = append(missing, name)
				}
			}
			if len(missing) == 0 {
				continue
			}
			pos, width := c.fieldPlace("default_action")
			c.reportAs(n.severity, "SG016", pos, width, "", fmt.Sprintf("%s on %s breaks without %s", n.who, a, summary(missing)))
		}
	}
}

// probes reports rules about calls that no filter sees.
func (c *checker) probes() {
	if !c.own() {
		return
	}
	for _, r := range c.Policy.Rules {
		for _, p := range slices.Concat(r.Calls, r.Except) {
			if p.Name == "uretprobe" || p.Name == "uprobe" {
				c.report("SG017", p.Pos, len(p.Name), "", "no filter stops "+p.Name)
			}
		}
	}
}
