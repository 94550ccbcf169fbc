package proof

import (
	"errors"
	"slices"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
)

// A Property is a theorem about policies: no call of a list is made, through any
// ABI that the machine serves, by any of the calls that come to the same, whatever
// bits the kernel does not read.
type Property struct {
	Name    string
	Meaning string
	Deny    []string // patterns
}

// ringed is what reaches sockets and files past every filter: io_uring does their
// work in the kernel, where seccomp does not look (Linux 5.1; sockets 5.19).
var ringed = []string{"io_uring_setup", "io_uring_enter", "io_uring_register"}

// properties are what Properties lists. Masks follow the kernel: the type of a
// socket is its low four bits (SOCK_TYPE_MASK), and clone, unshare and setns take
// the same namespace bits.
var properties = []Property{
	{"no-exec", "no other program is started", []string{"execve", "execveat", "uselib"}},
	{"no-fork", "no process is started; threads can be", []string{
		"fork", "vfork", "clone(flags & CLONE_THREAD == 0)", "clone3",
	}},
	{"no-userns", "no user namespace is made or entered", []string{
		"clone(flags & CLONE_NEWUSER != 0)", "clone3", "unshare(flags & CLONE_NEWUSER != 0)",
		"setns(nstype == 0)", "setns(nstype & CLONE_NEWUSER != 0)",
	}},
	{"no-namespaces", "no namespace of any kind is made or entered", []string{
		"clone(flags & (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET) != 0)",
		"clone3",
		"unshare(flags & (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWTIME) != 0)",
		"setns",
	}},
	{"no-io_uring", "no ring does calls that no filter sees", ringed},
	{"no-raw-socket", "no packet is made or read below UDP and TCP", slices.Concat([]string{
		"socket(domain == AF_PACKET)",
		"socket(domain in {AF_INET, AF_INET6}, type & 0xf == SOCK_RAW)",
		"socket(type & 0xf == SOCK_PACKET)",
	}, ringed)},
	{"no-network", "no socket but of the same machine (AF_UNIX)", slices.Concat([]string{
		"socket(domain != AF_UNIX)",
	}, ringed)},
	{"w^x", "no memory is writable and executable, or becomes executable later", []string{
		"mmap(prot & (PROT_WRITE | PROT_EXEC) == PROT_WRITE | PROT_EXEC)",
		"mmap2(prot & (PROT_WRITE | PROT_EXEC) == PROT_WRITE | PROT_EXEC)",
		"mprotect(prot & PROT_EXEC != 0)", "pkey_mprotect(prot & PROT_EXEC != 0)",
		"shmat(shmflg & 0o100000 != 0)", // SHM_EXEC
		"personality(arg0 & READ_IMPLIES_EXEC != 0, arg0 != 0xffffffff)",
	}},
	{"no-ptrace", "no other process is traced, read, written or robbed of its files", []string{
		"ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd",
	}},
	{"no-mount", "no file system is mounted, moved or changed", []string{
		"mount", "umount", "umount2", "pivot_root", "fsopen", "fsconfig", "fsmount", "fspick",
		"move_mount", "open_tree", "open_tree_attr", "mount_setattr",
	}},
	{"no-modules", "no kernel module is loaded or removed", []string{"init_module", "finit_module", "delete_module", "create_module"}},
	{"no-kexec", "no other kernel is started, and the machine is not stopped", []string{"kexec_load", "kexec_file_load", "reboot"}},
	{"no-bpf", "no program enters the kernel", []string{"bpf", "perf_event_open"}},
	{"no-setuid", "no user or group is changed", []string{
		"setuid", "setuid32", "setgid", "setgid32", "setreuid", "setreuid32", "setregid", "setregid32",
		"setresuid", "setresuid32", "setresgid", "setresgid32", "setfsuid", "setfsuid32", "setfsgid", "setfsgid32",
		"setgroups", "setgroups32",
	}},
	{"no-tty-injection", "no key is pressed on someone's terminal", []string{"ioctl(cmd == TIOCSTI)", "ioctl(cmd == TIOCLINUX)"}},
	{"no-clock", "no clock is set", []string{"settimeofday", "stime", "clock_settime", "clock_settime64", "clock_adjtime", "clock_adjtime64", "adjtimex"}},
	{"no-keyring", "no key of the kernel's is used", []string{"add_key", "request_key", "keyctl"}},
}

// Properties returns the shipped theorems.
func Properties() []Property {
	all := slices.Clone(properties)
	for i := range all {
		all[i].Deny = slices.Clone(all[i].Deny)
	}
	return all
}

// Assertions returns what p claims: one denial for each of its patterns.
func (p Property) Assertions() ([]Assertion, error) {
	var all []Assertion
	for _, text := range p.Deny {
		pattern, err := policy.ParsePattern(text)
		if err != nil {
			return nil, err
		}
		all = append(all, Assertion{Claim: Denied, Pattern: pattern, Text: "deny " + text})
	}
	return all, nil
}

// Prove answers whether every assertion of p holds of f: Proved for all of them,
// or the first that does not hold. Calls that no ABI has are denied. The second
// result is the assertion that the answer is about, unless it is Proved.
func (s *Space) Prove(f Function, p Property, listed []abi.ABI) (Answer, Assertion, error) {
	assertions, err := p.Assertions()
	if err != nil {
		return Answer{}, Assertion{}, err
	}
	var abis []abi.ABI
	for _, a := range assertions {
		answer, err := s.Ask(f, a, listed)
		if errors.As(err, new(*policy.Error)) { // a call of another shape on every one of these ABIs
			answer, err = s.Ask(f, a.withoutConditions(), listed)
		}
		if errors.Is(err, ErrNoCalls) {
			continue
		}
		if err != nil || answer.Verdict != Proved {
			return answer, a, err
		}
		for _, on := range answer.ABIs {
			if !slices.Contains(abis, on) {
				abis = append(abis, on)
			}
		}
	}
	return Answer{Verdict: Proved, ABIs: abis}, Assertion{}, nil
}
