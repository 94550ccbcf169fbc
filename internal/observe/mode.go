package observe

import "github.com/sysgate/sysgate/abi"

// modeArgs are the arguments that say what a call is, by the call's name: those
// of multiplexers and of calls whose effect is another with another value, which
// policies restrict. Descriptors, sizes, addresses and permissions are none: they
// are different in every run.
var modeArgs = map[string][]string{
	"arch_prctl":        {"option"},
	"bpf":               {"cmd"},
	"clone":             {"flags"},
	"epoll_ctl":         {"op"},
	"execveat":          {"flags"},
	"fcntl":             {"cmd"},
	"fcntl64":           {"cmd"},
	"fsconfig":          {"cmd"},
	"getsockopt":        {"level", "optname"},
	"io_uring_register": {"opcode"},
	"ioctl":             {"cmd"},
	"ipc":               {"call"},
	"kcmp":              {"type"},
	"keyctl":            {"operation"},
	"madvise":           {"advice"},
	"membarrier":        {"cmd"},
	"memfd_create":      {"flags"},
	"mmap":              {"prot", "flags"},
	"mmap2":             {"prot", "flags"},
	"modify_ldt":        {"func"},
	"mount":             {"flags"},
	"mprotect":          {"prot"},
	"msgctl":            {"cmd"},
	"open_tree":         {"flags"},
	"personality":       {"persona"},
	"pkey_mprotect":     {"prot"},
	"prctl":             {"option"},
	"prlimit64":         {"resource"},
	"process_madvise":   {"advice"},
	"ptrace":            {"request"},
	"quotactl":          {"cmd"},
	"quotactl_fd":       {"cmd"},
	"reboot":            {"magic1", "magic2", "cmd"},
	"seccomp":           {"operation", "flags"},
	"semctl":            {"cmd"},
	"setns":             {"nstype"},
	"setrlimit":         {"resource"},
	"setsockopt":        {"level", "optname"},
	"shmctl":            {"cmd"},
	"socket":            {"domain", "type", "protocol"},
	"socketcall":        {"call"},
	"socketpair":        {"domain", "type", "protocol"},
	"syslog":            {"type"},
	"umount2":           {"flags"},
	"unshare":           {"flags"},
}

// Modes returns the bits of each argument of number nr on a that say what the
// call is: whole arguments under their read masks, and 0 for those that say
// nothing of it. ok is false if no argument does.
func Modes(a abi.ABI, nr uint32) (masks [6]uint64, ok bool) {
	for _, name := range modeArgs[a.SyscallName(nr)] {
		if i, has := a.ArgIndex(nr, name); has {
			masks[i] = a.ReadMask(nr, i)
			ok = ok || masks[i] != 0
		}
	}
	return masks, ok
}
