// A program that does a little of what programs do: files, threads, signals,
// names of hosts, sockets. It starts no other program.
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static void on(int s) { write(1, "signal\n", 7); }

static void *run(void *x) {
	struct timespec t = {0, 1000000};
	nanosleep(&t, 0);
	return 0;
}

static int compare(const void *a, const void *b) { return *(int *)a - *(int *)b; }

int main(void) {
	struct sigaction a = {.sa_handler = on};
	sigaction(SIGUSR1, &a, 0);
	raise(SIGUSR1);

	pthread_t t;
	pthread_create(&t, 0, run, 0);
	pthread_join(t, 0);

	struct addrinfo *r;
	getaddrinfo("localhost", "80", 0, &r);
	close(socket(AF_INET, SOCK_STREAM, 0));

	FILE *f = fopen("/etc/passwd", "r");
	char line[100] = "";
	if (f) {
		fgets(line, sizeof line, f);
		fclose(f);
	}
	DIR *d = opendir("/");
	if (d) {
		readdir(d);
		closedir(d);
	}
	struct stat st;
	stat("/", &st);
	int fds[2];
	pipe(fds);
	dup2(fds[0], 9);
	struct pollfd p = {0, 0, 0};
	poll(&p, 1, 1);

	syscall(SYS_getppid);
	setuid(getuid());
	setgid(getgid());
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	int x[] = {3, 1, 2};
	qsort(x, 3, sizeof x[0], compare);
	free(malloc(1 << 20));
	printf("%d %s %ld\n", x[0], line, (long)now.tv_sec);
	return 0;
}
