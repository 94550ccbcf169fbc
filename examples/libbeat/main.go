// Libbeat is the filter of the Beats: the list of what they call, everything else
// fails with EPERM. It is written in the API of go-seccomp-bpf; only the import path
// is another one.
//
//	go run ./examples/libbeat
//
// A program that registers its policy and lets its users configure it is
// examples/beat.
package main

import (
	"fmt"
	"log"
	"os"
	"syscall"

	"github.com/sysgate/sysgate/seccomp"
)

// policy is libbeat's default for amd64 of 2020, and one call that Go makes since
// 1.24: a list that is not made again (sysgate profile) ages with every toolchain.
var policy = seccomp.Policy{
	DefaultAction: seccomp.ActionErrno,
	Syscalls: []seccomp.SyscallGroup{{
		Action: seccomp.ActionAllow,
		Names: []string{
			"accept",
			"accept4",
			"access",
			"arch_prctl",
			"bind",
			"brk",
			"capget",
			"chmod",
			"chown",
			"clock_gettime",
			"clock_nanosleep",
			"clone",
			"clone3",
			"close",
			"connect",
			"dup",
			"dup2",
			"epoll_create",
			"epoll_create1",
			"epoll_ctl",
			"epoll_pwait",
			"epoll_wait",
			"eventfd2", // since Go 1.24
			"execve",
			"exit",
			"exit_group",
			"fchdir",
			"fchmod",
			"fchmodat",
			"fchown",
			"fchownat",
			"fcntl",
			"fdatasync",
			"flock",
			"fstat",
			"fstatfs",
			"fsync",
			"ftruncate",
			"futex",
			"getcwd",
			"getdents",
			"getdents64",
			"geteuid",
			"getgid",
			"getpeername",
			"getpid",
			"getppid",
			"getrandom",
			"getrlimit",
			"getrusage",
			"getsockname",
			"getsockopt",
			"gettid",
			"gettimeofday",
			"getuid",
			"inotify_add_watch",
			"inotify_init1",
			"inotify_rm_watch",
			"ioctl",
			"kill",
			"listen",
			"lseek",
			"lstat",
			"madvise",
			"mincore",
			"mkdirat",
			"mmap",
			"mprotect",
			"munmap",
			"nanosleep",
			"newfstatat",
			"open",
			"openat",
			"pipe",
			"pipe2",
			"poll",
			"ppoll",
			"pread64",
			"pselect6",
			"pwrite64",
			"read",
			"readlink",
			"readlinkat",
			"recvfrom",
			"recvmmsg",
			"recvmsg",
			"rename",
			"renameat",
			"rseq",
			"rt_sigaction",
			"rt_sigprocmask",
			"rt_sigreturn",
			"sched_getaffinity",
			"sched_yield",
			"sendfile",
			"sendmmsg",
			"sendmsg",
			"sendto",
			"set_robust_list",
			"setitimer",
			"setsockopt",
			"shutdown",
			"sigaltstack",
			"socket",
			"splice",
			"stat",
			"statfs",
			"sysinfo",
			"tgkill",
			"time",
			"tkill",
			"uname",
			"unlink",
			"unlinkat",
			"wait4",
			"waitid",
			"write",
			"writev",
		},
	}},
}

func main() {
	log.SetFlags(0)
	err := seccomp.LoadFilter(seccomp.Filter{NoNewPrivs: true, Flag: seccomp.FilterFlagTSync, Policy: policy})
	if err != nil {
		log.Fatal(err)
	}
	_, err = os.ReadFile("/proc/self/status")
	fmt.Println("read:", err)
	fmt.Println("chroot:", syscall.Chroot("/"))
}
