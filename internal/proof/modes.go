package proof

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/sysgate/sysgate/abi"
)

// modeVocabulary returns the constants of further arguments that say what a call
// does.
func modeVocabulary(call string, argument int) vocabulary {
	signals := vocabulary{values: names("SIG", `HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT
		STOP TSTP TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS`)}
	descriptor := vocabulary{bits: names("O_", "CLOEXEC NONBLOCK")}
	messageFlags := vocabulary{bits: names("MSG_", "OOB PEEK DONTROUTE TRUNC DONTWAIT EOR WAITALL NOSIGNAL MORE WAITFORONE FASTOPEN CMSG_CLOEXEC")}
	var at int
	var v vocabulary
	switch call {
	case "futex":
		at, v = 1, vocabulary{
			values: names("FUTEX_", `WAIT WAKE WAIT_PRIVATE WAKE_PRIVATE WAIT_BITSET_PRIVATE WAKE_BITSET_PRIVATE REQUEUE CMP_REQUEUE WAKE_OP
				LOCK_PI UNLOCK_PI TRYLOCK_PI WAIT_BITSET WAKE_BITSET WAIT_REQUEUE_PI CMP_REQUEUE_PI`),
			bits: names("FUTEX_", "PRIVATE_FLAG CLOCK_REALTIME"),
		}
	case "epoll_ctl":
		at, v = 1, vocabulary{values: names("EPOLL_CTL_", "ADD DEL MOD")}
	case "epoll_create1", "inotify_init1":
		at, v = 0, descriptor
	case "eventfd2", "pipe2", "timerfd_create":
		at, v = 1, descriptor
	case "dup3":
		at, v = 2, descriptor
	case "accept4", "signalfd4":
		at, v = 3, descriptor
	case "rt_sigprocmask":
		at, v = 0, vocabulary{values: names("SIG_", "BLOCK UNBLOCK SETMASK")}
	case "rt_sigaction":
		at, v = 0, signals
	case "kill", "tkill", "pidfd_send_signal":
		at, v = 1, signals
	case "tgkill":
		at, v = 2, signals
	case "shutdown":
		at, v = 1, vocabulary{values: names("SHUT_", "RD WR RDWR")}
	case "setsockopt", "getsockopt":
		at, v = 1, vocabulary{values: []string{"SOL_SOCKET", "IPPROTO_IP", "IPPROTO_TCP", "IPPROTO_UDP", "IPPROTO_IPV6", "SOL_NETLINK", "SOL_PACKET"}}
	case "lseek":
		at, v = 2, vocabulary{values: names("SEEK_", "SET CUR END DATA HOLE")}
	case "mount":
		at, v = 3, vocabulary{bits: names("MS_", "RDONLY NOSUID NODEV NOEXEC REMOUNT BIND MOVE REC UNBINDABLE PRIVATE SLAVE SHARED")}
	case "wait4":
		at, v = 2, vocabulary{bits: strings.Fields("WNOHANG WUNTRACED WCONTINUED __WNOTHREAD __WALL __WCLONE")}
	case "waitid":
		if argument == 0 {
			return vocabulary{values: names("P_", "ALL PID PGID PIDFD")}
		}
		at, v = 3, vocabulary{bits: strings.Fields("WNOHANG WSTOPPED WEXITED WCONTINUED WNOWAIT __WNOTHREAD __WALL __WCLONE")}
	case "splice":
		at, v = 5, vocabulary{bits: names("SPLICE_F_", "MOVE NONBLOCK MORE GIFT")}
	case "unlinkat":
		at, v = 2, vocabulary{bits: []string{"AT_REMOVEDIR"}}
	case "linkat", "fchownat", "execveat":
		at, v = 4, vocabulary{bits: names("AT_", "SYMLINK_NOFOLLOW SYMLINK_FOLLOW EMPTY_PATH")}
	case "newfstatat", "fstatat64":
		at, v = 3, vocabulary{bits: names("AT_", "SYMLINK_NOFOLLOW NO_AUTOMOUNT EMPTY_PATH")}
	case "faccessat2":
		at, v = 3, vocabulary{bits: names("AT_", "EACCESS SYMLINK_NOFOLLOW EMPTY_PATH")}
	case "renameat2":
		at, v = 4, vocabulary{bits: names("RENAME_", "NOREPLACE EXCHANGE WHITEOUT")}
	case "umount2", "umount":
		at, v = 1, vocabulary{bits: strings.Fields("MNT_FORCE MNT_DETACH MNT_EXPIRE UMOUNT_NOFOLLOW")}
	case "sendto", "recvfrom":
		at, v = 3, messageFlags
	case "sendmsg", "recvmsg":
		at, v = 2, messageFlags
	case "sendmmsg", "recvmmsg":
		at, v = 3, messageFlags
	case "getrandom":
		at, v = 2, vocabulary{bits: names("GRND_", "NONBLOCK RANDOM INSECURE")}
	case "memfd_create":
		at, v = 1, vocabulary{bits: names("MFD_", "CLOEXEC ALLOW_SEALING HUGETLB NOEXEC_SEAL EXEC")}
	case "timer_create", "clock_gettime", "clock_nanosleep", "clock_getres":
		at, v = 0, vocabulary{values: names("CLOCK_", "REALTIME MONOTONIC PROCESS_CPUTIME_ID THREAD_CPUTIME_ID BOOTTIME TAI")}
	case "arch_prctl":
		at, v = 0, vocabulary{values: names("ARCH_", "SET_GS SET_FS GET_FS GET_GS")}
	case "prlimit64":
		at, v = 1, vocabulary{values: names("RLIMIT_", "CPU FSIZE DATA STACK CORE RSS NPROC NOFILE MEMLOCK AS")}
	}
	if argument != at {
		return vocabulary{}
	}
	return v
}

// Constant returns the value n of an argument of a call on a as a policy writes it:
// with the names of constants where the vocabulary has them, and what is left as a
// number.
func Constant(a abi.ABI, call string, argument int, n uint64) string {
	number := strconv.FormatUint(n, 10)
	if n > 9 {
		number = fmt.Sprintf("%#x", n)
	}
	o := operand{abi: a, vocabulary: vocabularyOf(call, argument)}
	o.mask = ^uint64(0)
	if word := o.word(number); word != number {
		return word
	}
	var found []string
	rest := n
	for _, name := range o.vocabulary.bits {
		if bits, ok := a.Constant(name); ok && bits != 0 && bits&(bits-1) == 0 && rest&bits != 0 {
			found = append(found, name)
			rest &^= bits
		}
	}
	if len(found) == 0 || rest == n {
		return number
	}
	if rest != 0 { // SOCK_STREAM of a type with SOCK_CLOEXEC
		found = append([]string{o.word(fmt.Sprintf("%#x", rest))}, found...)
	}
	return strings.Join(found, " | ")
}
