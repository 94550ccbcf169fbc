package proof

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/sysgate/sysgate/policy"
)

// A vocabulary is the constants that an argument is written with: names of whole
// values, and of bits. They only make descriptions readable, so that what is
// missing here stays a number.
type vocabulary struct{ values, bits []string }

// names splits a list of names that share a prefix.
func names(prefix, list string) []string {
	all := strings.Fields(list)
	for i := range all {
		all[i] = prefix + all[i]
	}
	return all
}

// vocabularyOf returns the constants for an argument of a call.
func vocabularyOf(call string, argument int) vocabulary {
	switch call {
	case "socket", "socketpair":
		switch argument {
		case 0:
			return vocabulary{values: names("AF_", `UNIX INET AX25 IPX APPLETALK X25 INET6 KEY NETLINK PACKET RDS CAN TIPC BLUETOOTH ALG NFC VSOCK
				KCM QIPCRTR SMC XDP`)}
		case 1:
			return vocabulary{values: names("SOCK_", "STREAM DGRAM RAW SEQPACKET"), bits: names("SOCK_", "CLOEXEC NONBLOCK")}
		}
	case "clone", "unshare":
		if argument == 0 {
			return vocabulary{bits: names("CLONE_", `NEWNS NEWCGROUP NEWUTS NEWIPC NEWUSER NEWPID NEWNET VM FS FILES SIGHAND PTRACE VFORK
				PARENT THREAD SYSVSEM SETTLS UNTRACED PIDFD PARENT_SETTID CHILD_CLEARTID CHILD_SETTID IO`), values: []string{"SIGCHLD"}}
		}
	case "setns":
		if argument == 1 {
			return vocabulary{bits: names("CLONE_", "NEWNS NEWCGROUP NEWUTS NEWIPC NEWUSER NEWPID NEWNET NEWTIME")}
		}
	case "mmap", "mmap2", "mprotect", "pkey_mprotect":
		switch {
		case argument == 2:
			return vocabulary{bits: names("PROT_", "READ WRITE EXEC")}
		case argument == 3 && strings.HasPrefix(call, "mmap"):
			return vocabulary{bits: names("MAP_", `SHARED PRIVATE FIXED ANONYMOUS NORESERVE GROWSDOWN DENYWRITE EXECUTABLE LOCKED POPULATE NONBLOCK
				STACK HUGETLB FIXED_NOREPLACE 32BIT`)}
		}
	case "open", "openat":
		if argument == 1 && call == "open" || argument == 2 && call == "openat" {
			return vocabulary{bits: names("O_", "ACCMODE WRONLY RDWR CREAT EXCL TRUNC APPEND NONBLOCK DIRECTORY NOFOLLOW CLOEXEC PATH")}
		}
	case "ioctl":
		if argument == 1 {
			return vocabulary{values: strings.Fields(`TCGETS TCSETS TCSETSW TCSETSF TIOCGWINSZ TIOCSWINSZ TIOCGPGRP TIOCSPGRP TIOCSTI TIOCLINUX
				TIOCSCTTY TIOCNOTTY FIONREAD FIONBIO FIOCLEX FIONCLEX`)}
		}
	case "fcntl", "fcntl64":
		if argument == 1 {
			return vocabulary{values: names("F_", `DUPFD GETFD SETFD GETFL SETFL GETLK SETLK SETLKW SETOWN GETOWN SETSIG GETSIG SETLEASE GETLEASE
				NOTIFY DUPFD_CLOEXEC SETPIPE_SZ GETPIPE_SZ ADD_SEALS GET_SEALS OFD_GETLK OFD_SETLK OFD_SETLKW`)}
		}
	case "prctl":
		if argument == 0 {
			return vocabulary{values: names("PR_", `SET_PDEATHSIG GET_PDEATHSIG GET_DUMPABLE SET_DUMPABLE GET_KEEPCAPS SET_KEEPCAPS SET_NAME GET_NAME
				GET_SECCOMP SET_SECCOMP CAPBSET_READ CAPBSET_DROP SET_TIMERSLACK SET_MM SET_CHILD_SUBREAPER SET_NO_NEW_PRIVS GET_NO_NEW_PRIVS
				CAP_AMBIENT SET_VMA SET_PTRACER SET_THP_DISABLE GET_THP_DISABLE`)}
		}
	case "madvise":
		if argument == 2 {
			return vocabulary{values: names("MADV_", "NORMAL RANDOM SEQUENTIAL WILLNEED DONTNEED FREE REMOVE DONTFORK DOFORK HUGEPAGE NOHUGEPAGE COLLAPSE")}
		}
	}
	return modeVocabulary(call, argument)
}

// rename writes the numbers of c as people do: with the call's constants, modes in
// octal.
func (o operand) rename(c policy.Condition) policy.Condition {
	if c.Op == policy.Less || c.Op == policy.LessOrEqual || c.Op == policy.Greater || c.Op == policy.GreaterOrEqual {
		if o.mode {
			c.Values = []string{octal(c.Values[0])}
		}
		return c
	}
	values := make([]string, len(c.Values))
	for i, v := range c.Values {
		values[i] = o.word(v)
	}
	if c.Values != nil {
		c.Values = values
	}
	if c.Mask != "" {
		c.Mask = o.word(c.Mask)
	}
	return c
}

// word returns the name of number, or number.
func (o operand) word(number string) string {
	v, err := strconv.ParseUint(number, 0, 64)
	if err != nil {
		return number // negative
	}
	if o.mode {
		return octal(number)
	}
	value := func(name string) uint64 {
		c, _ := o.abi.Constant(name)
		return c & o.mask
	}
	for _, name := range o.vocabulary.values {
		if c, ok := o.abi.Constant(name); ok && c == v {
			return name
		}
	}
	var found []string
	rest := v
	for _, name := range o.vocabulary.bits {
		switch bits := value(name); {
		case bits != 0 && bits == v:
			return name
		case bits != 0 && bits&(bits-1) == 0 && rest&bits != 0:
			found = append(found, name)
			rest &^= bits
		}
	}
	if rest != 0 && len(found) > 0 {
		for _, name := range o.vocabulary.values {
			if c, ok := o.abi.Constant(name); ok && c == rest {
				found, rest = append([]string{name}, found...), 0
				break
			}
		}
	}
	if rest != 0 || len(found) == 0 {
		return number
	}
	return strings.Join(found, " | ")
}

// octal writes a number of mode bits, those below 8 as they are.
func octal(number string) string {
	v, err := strconv.ParseUint(number, 0, 64)
	if err != nil || v < 8 {
		return number
	}
	return fmt.Sprintf("0o%o", v)
}
