// Runs a command under a filter that tells of every call, and lets each go on: what any
// recorder that works so must take. It does nothing else, and prints the seconds.
#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif
#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS _IOW('!', 4, __u64)
#endif

static double now(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

int main(int argc, char **argv) {
	enum { listener = 3 };  // what is free first
	if (argc < 2 || close(listener) == 0) return 2;
	pid_t child = fork();
	if (child == 0) {
		struct sock_filter tell = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF);
		struct sock_fprog program = {1, &tell};
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
			SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, &program) == listener)
			execvp(argv[1], argv + 1);
		_exit(127);
	}
	int process = syscall(SYS_pidfd_open, child, 0), fd;
	while ((fd = syscall(SYS_pidfd_getfd, process, listener, 0)) < 0 && errno == EBADF) usleep(100);
	if (fd < 0) return 1;
	ioctl(fd, SECCOMP_IOCTL_NOTIF_SET_FLAGS, 1UL);  // SYNC_WAKE_UP: the one who waits and the one who answers take turns
	double begun = now();
	for (;;) {
		struct seccomp_notif call = {0};
		if (ioctl(fd, SECCOMP_IOCTL_NOTIF_RECV, &call) == 0) {
			struct seccomp_notif_resp reply = {.id = call.id, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE};
			ioctl(fd, SECCOMP_IOCTL_NOTIF_SEND, &reply);
		} else if (errno != EINTR) {  // a thread has ended while its call waited, or the last one
			struct pollfd ended = {.fd = fd};
			if (poll(&ended, 1, 0) == 1 && ended.revents & POLLHUP) break;
		}
	}
	int status;
	waitpid(child, &status, 0);
	printf("%f\n", now() - begun);
	return status != 0;
}
