// The victim of the kernel oracle. For each command on stdin it makes a child
// that installs the filter in shared memory (descriptor 3), fires the calls
// there from the first one that the command names, and stores what each
// returned. The filter answers every call with an errno, so that the child, which
// cannot even exit, ends with an illegal instruction; or at a call that kills it,
// and the next command goes on after that. The answer is the errno of seccomp(2)
// and the call to go on with.

#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_BATCH = 1 << 16, KILLED = 1 };

struct call {
	uint32_t nr, compat;
	uint64_t args[6];
	uint64_t unused;
};

struct shared {
	uint64_t ip64, ip32;
	char pad[4096 - 16];
	struct sock_filter program[4096];
	struct call calls[MAX_BATCH];
	int32_t results[MAX_BATCH];
};

struct command {
	uint32_t instructions, calls, first;
};

// The code that fires a call, to be copied to an address whose high word is not
// zero.
extern const char code[], fire64[], after64[], fire32[], after32[], code_end[];
asm(".text\n"
    "code:\n"
    "fire64:\n"
    "	push %rbx\n"
    "	mov 0(%rdi), %eax\n"
    "	mov 16(%rdi), %rsi\n"
    "	mov 24(%rdi), %rdx\n"
    "	mov 32(%rdi), %r10\n"
    "	mov 40(%rdi), %r8\n"
    "	mov 48(%rdi), %r9\n"
    "	mov 8(%rdi), %rdi\n"
    "	syscall\n"
    "after64:\n"
    "	pop %rbx\n"
    "	ret\n"
    "fire32:\n"
    "	push %rbx\n"
    "	push %rbp\n"
    "	mov 0(%rdi), %eax\n"
    "	mov 8(%rdi), %rbx\n"
    "	mov 16(%rdi), %rcx\n"
    "	mov 24(%rdi), %rdx\n"
    "	mov 32(%rdi), %rsi\n"
    "	mov 48(%rdi), %rbp\n"
    "	mov 40(%rdi), %rdi\n"
    "	int $0x80\n"
    "after32:\n"
    "	pop %rbp\n"
    "	pop %rbx\n"
    "	ret\n"
    "code_end:\n");

#define CODE_AT 0x5a5a12345000
#define COPY(label) (CODE_AT + ((label) - code))

typedef int32_t fire(const struct call *);

static struct shared *shared;
static struct command command;
static volatile uint32_t at;    // the call that is fired
static volatile int load_error; // errno of seccomp(2)
static char stack[1 << 16];

static void fail(const char *what) {
	perror(what);
	exit(1);
}

// child shares the parent's memory; the parent waits for its end.
static int child(void *unused) {
	struct sock_fprog prog = {command.instructions, shared->program};
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) != 0) {
		load_error = errno;
		return 0;
	}
	for (; at < command.calls; at++) {
		const struct call *c = &shared->calls[at];
		shared->results[at] = ((fire *)(c->compat ? COPY(fire32) : COPY(fire64)))(c);
	}
	__builtin_trap();
}

// run makes one child for the command and returns the errno of seccomp(2).
static int run(void) {
	int status;
	load_error = 0;
	at = command.first;
	pid_t pid = clone(child, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, NULL);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		fail("victim: clone");
	if (load_error)
		return load_error;
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGILL && at == command.calls)
		return 0;
	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS || at >= command.calls) {
		fprintf(stderr, "victim: child ended with status %#x at call %u\n", status, at);
		exit(1);
	}
	shared->results[at++] = KILLED;
	return 0;
}

static void answer(uint32_t load_errno) {
	uint32_t words[] = {load_errno, at};
	if (write(1, words, sizeof words) != sizeof words)
		fail("victim: write");
}

int main(void) {
	shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, 3, 0);
	if (shared == MAP_FAILED)
		fail("victim: mmap of descriptor 3");
	void *page = mmap((void *)CODE_AT, 4096, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	if (page != (void *)CODE_AT)
		fail("victim: mmap of code");
	memcpy(page, code, code_end - code);
	if (mprotect(page, 4096, PROT_READ | PROT_EXEC) != 0)
		fail("victim: mprotect");
	shared->ip64 = COPY(after64);
	shared->ip32 = COPY(after32);
	// Not dumpable: a child that dies by a signal leaves no core file.
	if (prctl(PR_SET_DUMPABLE, 0) != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		fail("victim: prctl");
	answer(0);
	while (read(0, &command, sizeof command) == sizeof command) {
		if (command.calls > MAX_BATCH || command.first >= command.calls || command.instructions > 4096)
			return 1;
		answer(run());
	}
	return 0;
}
