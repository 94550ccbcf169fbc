// probe makes system calls with registers that are filled whole.
//
//   probe native|int80 NR A0 A1 A2 A3 A4 A5
//
// prints what the kernel returned and the user id after the call. An argument is
// a number, or the name of a buffer below: its address, in the low 4 GiB, plus
// what a number after "+" says.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static char dot[] = ".";
static unsigned int socketargs[] = {1, 1, 0}; // AF_UNIX, SOCK_STREAM, 0
static char space[4096];

static unsigned long argument(const char *text)
{
	const char *plus = strchr(text, '+');
	unsigned long more = plus ? strtoul(plus + 1, NULL, 0) : 0;

	if (!strncmp(text, "dot", 3))
		return (unsigned long)dot + more;
	if (!strncmp(text, "socketargs", 10))
		return (unsigned long)socketargs + more;
	if (!strncmp(text, "space", 5))
		return (unsigned long)space + more;
	return strtoul(text, NULL, 0);
}

static long native(unsigned long nr, const unsigned long *a)
{
	register unsigned long r10 asm("r10") = a[3];
	register unsigned long r8 asm("r8") = a[4];
	register unsigned long r9 asm("r9") = a[5];
	long ret;

	asm volatile("syscall"
		     : "=a"(ret)
		     : "a"(nr), "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10), "r"(r8), "r"(r9)
		     : "rcx", "r11", "memory");
	return ret;
}

static long int80(unsigned long nr, const unsigned long *a)
{
	register unsigned long sixth asm("r12") = a[5];
	long ret;

	asm volatile("push %%rbp\n\tmov %%r12, %%rbp\n\tint $0x80\n\tpop %%rbp"
		     : "=a"(ret)
		     : "a"(nr), "b"(a[0]), "c"(a[1]), "d"(a[2]), "S"(a[3]), "D"(a[4]), "r"(sixth)
		     : "r8", "r9", "r10", "r11", "memory");
	return (int)ret;
}

int main(int argc, char **argv)
{
	unsigned long nr, a[6];
	pid_t self = getpid();
	long ret;

	if (argc != 9)
		return 2;
	nr = strtoul(argv[2], NULL, 0);
	for (int i = 0; i < 6; i++)
		a[i] = argument(argv[3 + i]);
	ret = strcmp(argv[1], "int80") ? native(nr, a) : int80(nr, a);
	if (syscall(SYS_getpid) != self)
		syscall(SYS_exit, 0); // the child of clone
	printf("%ld %d\n", ret, getuid());
	return 0;
}
