package lint

import "slices"

// A Code is a kind of finding.
type Code struct {
	ID       string // stable: SG001
	Name     string // stable, for people
	Severity Severity
	What     string // what was found
	Why      string // why it matters
	Remedy   string
	Fixable  bool // where a remedy changes no verdict, check --fix applies it
}

// codes is the table of all findings. Codes are never reused.
var codes = []Code{
	{
		"SG001", "dead-rule", Warning, "a rule or one of its calls never decides: earlier rules hide it",
		"the first rule that matches decides, so what stands here has no effect; if what hides it does something else, that is an error",
		"move it before the rule that hides it, or take it out", true,
	},
	{
		"SG002", "overlap", Note, "rules with different actions match the same call",
		"sysgate takes the first; a runtime with libseccomp (Docker, Podman, runc) takes an unconditional rule before any condition, whatever the order",
		"make the conditions exclude each other if the policy is to be converted", false,
	},
	{
		"SG003", "always-true", Warning, "a condition, or all alternatives together, hold for every call",
		"the rule decides more than it seems to: a test that is always true tests nothing",
		"take the condition out, or compare what was meant; of two values that must both be excluded, write not in {…}", true,
	},
	{
		"SG004", "never-true", Warning, "conditions that no call satisfies",
		"the rule does nothing; if it is a denial, it does not hold, which is an error",
		"correct the value, or take the pattern out", true,
	},
	{
		"SG005", "unread-bits", Warning, "a comparison sees bits that the kernel does not read",
		"the caller can set them as it likes: a denial is passed by a stray bit (CVE-2019-10063), an allowance fails where the compiler left one; a denial by value is an error",
		"compare without :64", false,
	},
	{
		"SG006", "flags-by-value", Warning, "a denial compares flags with ==",
		"one more bit, and the flags are not equal any more: the denial is passed",
		"test the bits: & FLAG != 0", false,
	},
	{
		"SG007", "service-group", Error, "one call of a service is restricted, another that does the same is let through",
		"what setuid may not, setuid32 may; socketcall and ipc carry other calls past rules about them",
		"decide all of them alike, or say only: true if it is meant", false,
	},
	{
		"SG008", "foreign-abi", Error, "calls through an ABI that is not listed are let through",
		"numbers mean other calls there: every denial can be passed by the 32-bit entry of the kernel (int 0x80)",
		"list the ABI, or leave bad_arch_action at kill_process", false,
	},
	{
		"SG009", "x32", Error, "x32 calls are let through though x32 is not listed",
		"amd64's architecture with bit 30 of the number set reaches nearly every call (seccomp(2), Caveats)",
		"leave x32_action at errno(ENOSYS)", false,
	},
	{
		"SG010", "multiplexer", Warning, "a call has conditions, and a multiplexer carries it without any",
		"the arguments of socketcall and ipc lie behind a pointer, where no filter can look",
		"restrict the sub-call: socketcall(call == 1) for socket", false,
	},
	{
		"SG011", "pointer", Warning, "an address is compared",
		"a filter sees where the argument lies, not what is there, and another thread can change that after the check",
		"drop the condition", false,
	},
	{
		"SG012", "sibling", Warning, "a call is restricted, and one that does the same or more is let through",
		"old calls get new forms: openat2 for openat, clone3 for clone, execveat for execve; some of them take their arguments behind a pointer",
		"restrict the sibling too (errno(ENOSYS) makes libc fall back to the old call), or say only: true if it is meant", false,
	},
	{
		"SG013", "io_uring", Warning, "io_uring is let through",
		"a ring opens files, connects and sends in the kernel, where no filter sees it",
		"deny io_uring_setup, io_uring_enter and io_uring_register", false,
	},
	{
		"SG014", "no-enosys", Warning, "a newer call fails with an error that libc does not take for an old kernel's",
		"glibc, musl and Go try the new call and fall back to the old one on ENOSYS only: EPERM breaks threads, files and timers (moby#42680)",
		"errno(ENOSYS) for these calls; unknown_action: errno(ENOSYS) for those to come", false,
	},
	{
		"SG015", "errno", Error, "a return word that does not mean what it says",
		"the kernel caps an errno at 4095, takes an unknown action for kill_process, and reports success for errno 0",
		"an errno from 1 to 4095; fake_success if success is meant", false,
	},
	{
		"SG016", "runtime", Warning, "calls are stopped without which processes break",
		"the kernel itself has rt_sigreturn and restart_syscall called; without exit_group, nothing ends; runtimes need the others to start",
		"allow them", false,
	},
	{
		"SG017", "uprobe", Note, "a rule is about uretprobe or uprobe",
		"the kernel handles them before any filter; in 6.11 to 6.13 a filter that stops them breaks probes",
		"take it out, or allow them", false,
	},
	{
		"SG018", "size", Warning, "the filter takes a large part of what the kernel admits",
		"4096 instructions are the most for one filter, 32,768 after conversion for all filters of a task together",
		"fewer distinct conditions; --optimize size", false,
	},
	{
		"SG019", "uncached", Note, "calls that are let through run the filter every time",
		"Linux 5.11 and later answer a call from a bitmap if it is allowed whatever its arguments are; others run the filter",
		"none needed; drop conditions that do not matter", false,
	},
	{
		"SG020", "kill-thread", Warning, "kill_thread leaves the rest of the process running",
		"locks of the thread stay taken: the process hangs or limps on in a state that nobody tested",
		"kill_process", false,
	},
	{
		"SG021", "no-such-call", Note, "a rule names a call that no listed ABI has",
		"it has no effect here",
		"optional: true if the rule is for other machines", false,
	},
	{
		"SG022", "tty", Note, "ioctl can press keys on a terminal",
		"TIOCSTI and TIOCLINUX put text into the shell that the program was started from (CVE-2017-5226)",
		"deny ioctl(cmd in {TIOCSTI, TIOCLINUX})", false,
	},
	{
		"SG023", "unlisted-abi", Note, "programs of an ABI that the machine also serves do not run",
		"a 32-bit program under this policy dies at its first call",
		"list the ABI if such programs are to run", false,
	},
	{
		"SG024", "newer-kernel", Note, "a newer kernel has calls that the policy was not written for",
		"a rule that names a set decides about members that came later; other new calls get unknown_action or the default one",
		"look at them; kernel: RELEASE says for which the policy was written", false,
	},
	{
		"SG025", "exception", Warning, "an exception takes nothing away, or the exceptions of a rule take all",
		"whoever wrote it took the rule to have other calls than it has",
		"sysgate sets which NAME says where a call is; optional: true if it is meant", false,
	},
}

// Codes returns all kinds of findings, by code.
func Codes() []Code { return slices.Clone(codes) }

func severityOf(id string) Severity {
	for _, c := range codes {
		if c.ID == id {
			return c.Severity
		}
	}
	return Error
}
