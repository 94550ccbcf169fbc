/* What some sets of the tests are for, by the C library: its argument names the set. */
#define _GNU_SOURCE
#include <dirent.h>
#include <err.h>
#include <fcntl.h>
#include <netdb.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static void need(int ok, const char *what)
{
	if (!ok)
		err(1, "%s", what);
}

static void files_read(void)
{
	DIR *d = opendir(".");
	struct dirent *e;
	char b[100];
	FILE *f;

	need(d != 0, "opendir");
	while ((e = readdir(d)) != 0)
		if (!strcmp(e->d_name, "file")) {
			f = fopen(e->d_name, "r");
			need(f && fread(b, 1, 4, f) == 4, "fread");
			fclose(f);
		}
	closedir(d);
	need(readlink("link", b, sizeof b) > 0, "readlink");
	need(getcwd(b, sizeof b) != 0, "getcwd");
}

static void files_write(void)
{
	FILE *f = fopen("written", "w+");

	need(f && fputs("text", f) >= 0 && fflush(f) == 0, "fputs");
	need(fseek(f, 1, SEEK_SET) == 0 && fclose(f) == 0, "fclose");
	need(rename("written", "moved") == 0, "rename");
	need(mkdir("dir", 0700) == 0 && rmdir("dir") == 0, "mkdir");
	need(chmod("moved", 0640) == 0 && remove("moved") == 0, "remove");
}

static void network_client(const char *addr)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list;
	char host[100], *port, b[4];
	int fd;

	snprintf(host, sizeof host, "%s", addr);
	port = strrchr(host, ':');
	*port++ = 0;
	need(getaddrinfo("localhost", port, &hints, &list) == 0, "getaddrinfo");
	need(getaddrinfo(host, port, &hints, &list) == 0, "getaddrinfo");
	fd = socket(list->ai_family, list->ai_socktype, list->ai_protocol);
	need(fd >= 0 && connect(fd, list->ai_addr, list->ai_addrlen) == 0, "connect");
	need(send(fd, "ping", 4, MSG_NOSIGNAL) == 4 && recv(fd, b, 4, MSG_WAITALL) == 4, "recv");
}

static void execute(void)
{
	char *args[] = {"purpose", "identity", ".", 0};
	pid_t p;
	int status;

	need(posix_spawn(&p, "/proc/self/exe", 0, 0, args, environ) == 0, "posix_spawn");
	need(waitpid(p, &status, 0) == p && status == 0, "waitpid");
	p = fork();
	if (p == 0) {
		execv("/proc/self/exe", args);
		_exit(1);
	}
	need(waitpid(p, &status, 0) == p && status == 0, "waitpid");
}

static void event_loop(void)
{
	int e = epoll_create1(EPOLL_CLOEXEC), t = timerfd_create(CLOCK_MONOTONIC, 0);
	struct itimerspec soon = {.it_value.tv_nsec = 1};
	struct epoll_event ev = {.events = EPOLLIN};

	need(epoll_ctl(e, EPOLL_CTL_ADD, t, &ev) == 0 && timerfd_settime(t, 0, &soon, 0) == 0, "timerfd");
	need(epoll_wait(e, &ev, 1, 5000) == 1, "epoll_wait");
}

int main(int argc, char **argv)
{
	const char *set = argv[1];

	need(chdir(argv[2]) == 0, "chdir");
	if (!strcmp(set, "files-read"))
		files_read();
	else if (!strcmp(set, "files-write"))
		files_write();
	else if (!strcmp(set, "network-client"))
		network_client(argv[3]);
	else if (!strcmp(set, "exec"))
		execute();
	else if (!strcmp(set, "event-loop"))
		event_loop();
	else if (!strcmp(set, "identity"))
		need(getuid() == geteuid() && getppid() >= 0, "getuid");
	return 0;
}
