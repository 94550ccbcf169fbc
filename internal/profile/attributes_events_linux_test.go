package profile

import (
	"bytes"
	"maps"
	"net"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/testkit"
)

// loopHead is the part of an event loop that the programs of TestEvents have: one
// function that dispatches sources of all kinds, one that makes those for files.
const loopHead = nativeHead + `#include <errno.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
struct source { int kind; int fd; };
APART void failed(const char *text, const char *file, int line, const char *function) { fprintf(stderr, "%s %s %d %s\n", text, file, line, function); }
#define assert_return(x, r) do { if (!(x)) { failed(#x, __FILE__, __LINE__, __func__); return (r); } } while (0)
#line 1 "../src/libsystemd/sd-daemon/sd-daemon.c"
APART int sd_notify(const char *text) { const char *to = getenv("NOTIFY_SOCKET"); assert_return(text, -EINVAL); return to ? socket(AF_UNIX, SOCK_DGRAM, 0) : 0; }
#line 1 "../src/libsystemd/sd-event/sd-event.c"
static volatile int watchdog;
APART struct source *source_new(int kind) { struct source *s = malloc(sizeof *s); if (s) s->kind = kind; return s; }
APART int sd_event_add_io(struct source **ret) { assert_return(ret, -EINVAL); *ret = source_new(0); return 0; }
APART int source_dispatch(struct source *s) { sigset_t set; siginfo_t info; assert_return(s, -EINVAL); if (watchdog) sd_notify("WATCHDOG=1");
	switch (s->kind) { case 0: return read(s->fd, &info, 1); case 1: sigemptyset(&set); return signalfd(s->fd, &set, 0);
	case 2: return waitid(P_PID, s->fd, &info, WEXITED) + syscall(SYS_pidfd_send_signal, s->fd, SIGKILL, 0, 0) + kill(s->fd, SIGKILL);
	case 3: return inotify_add_watch(inotify_init1(0), "/", IN_ACCESS) + inotify_rm_watch(s->fd, 1); } OTHER return 0; }
`

// TestEvents profiles programs with systemd's event loop, which do what is for a kind
// of source if they make such sources.
func TestEvents(t *testing.T) {
	needGCC(t)
	signals, children, files := []string{"signalfd4"}, []string{"waitid", "kill", "pidfd_send_signal"}, []string{"inotify_init1", "inotify_add_watch", "inotify_rm_watch"}
	told := []string{"socket"}
	maker := func(name, kind string) string {
		return "APART int " + name + "(struct source **ret) { assert_return(ret, -EINVAL); *ret = source_new(" + kind + "); return 0; }\n"
	}
	const main = "#line 1 \"main.c\"\nint main(int c, char **v) { struct source *s; sd_event_add_io(&s); MORE return source_dispatch(s); }"
	for _, tt := range []struct {
		name, text, more, other string
		found, not              []string
	}{
		{name: "input", not: slices.Concat(signals, children, files, told)},
		{name: "signals", text: maker("sd_event_add_signal", "1"), more: "if (c > 1) sd_event_add_signal(&s);", found: signals, not: slices.Concat(children, files, told)},
		{name: "children", text: maker("sd_event_add_child", "2"), more: "if (c > 1) sd_event_add_child(&s);", found: slices.Concat(signals, children), not: files},
		{name: "children by descriptor", text: maker("sd_event_add_child_pidfd", "2"), more: "int (*volatile add)(struct source **) = sd_event_add_child_pidfd; if (c > 1) add(&s);", found: slices.Concat(signals, children), not: files},
		{name: "files", text: maker("sd_event_add_inotify", "3"), more: "if (c > 1) sd_event_add_inotify(&s);", found: files, not: slices.Concat(signals, children)},
		{name: "watchdog", text: "APART int sd_event_set_watchdog(struct source *s) { assert_return(s, -EINVAL); return watchdog = 1; }\n", more: "if (c > 1) sd_event_set_watchdog(s);", found: told, not: slices.Concat(signals, children, files)},
		{name: "told besides", more: `sd_notify("READY=1");`, found: told, not: slices.Concat(signals, children, files)},
		{name: "not called", text: maker("sd_event_add_signal", "1"), not: slices.Concat(signals, children, files, told)},
		{name: "a maker of another release", text: maker("event_add_anything", "2"), more: "if (c > 1) event_add_anything(&s);", found: slices.Concat(signals, children, files)},
		{name: "own calls", more: "sigset_t set; sigemptyset(&set); signalfd(-1, &set, 0); kill(0, 0); syscall(SYS_pidfd_send_signal, 0, 0, 0, 0);", found: slices.Concat(signals, []string{"kill", "pidfd_send_signal"}), not: append([]string{"waitid"}, files...)},
		{name: "code of another file", other: `if (!s->fd) failed("fd", "src/basic/process-util.c", 1, "f");`, found: slices.Concat(signals, children, files, told)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text := strings.Replace(loopHead, "OTHER", tt.other, 1) + tt.text + strings.Replace(main, "MORE", tt.more, 1)
			for _, flags := range [][]string{{"-O2", "-s"}, {"-O0", "-fno-plt"}} {
				r := mustProfile(t, buildC(t, "gcc", text, flags...))
				requireSound(t, r)
				has := names(r)
				for _, name := range tt.found {
					if !has[name] {
						t.Errorf("%v: %s is missing", flags, name)
					}
				}
				for _, name := range tt.not {
					if has[name] {
						t.Errorf("%v: %s is there: %v", flags, name, r.Path(name))
					}
				}
				if assumed := slices.Contains(r.Set.Assumptions, eventsAssumed); assumed != (len(tt.not) > 0) {
					t.Errorf("%v: assumptions %q", flags, r.Set.Assumptions)
				}
			}
		})
	}
}

// TestEventsTruth looks users up by libnss_systemd, at a service that knows none: its
// event loop runs, and makes no call that the profile has not.
func TestEventsTruth(t *testing.T) {
	needGCC(t)
	needStrace(t)
	testkit.Need(t, testkit.Root)
	found, err := filepath.Glob("/lib/*/libnss_systemd.so.2")
	if err != nil || len(found) == 0 {
		t.Skip("libnss_systemd is not installed (Debian: libnss-systemd)")
	}
	bin := buildC(t, "gcc", nativeHead+`#include <dlfcn.h>
#include <grp.h>
#include <pwd.h>
int main(void) {
	void *h = dlopen("libnss_systemd.so.2", RTLD_NOW);
	char b[4096]; struct passwd p; struct group g; int e;
	int (*user)(uid_t, struct passwd *, char *, size_t, int *) = dlsym(h, "_nss_systemd_getpwuid_r");
	int (*group)(const char *, struct group *, char *, size_t, int *) = dlsym(h, "_nss_systemd_getgrnam_r");
	return user(61234, &p, b, sizeof b, &e) + group("nosuch", &g, b, sizeof b, &e);
}`)
	r := mustProfile(t, bin)
	requireSound(t, r)
	dir := t.TempDir()
	l, err := net.Listen("unix", filepath.Join(dir, "io.systemd.Test"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go answerUsers(l)
	log := filepath.Join(t.TempDir(), "strace")
	const mount = `mount -t tmpfs none /run && mkdir -p /run/systemd/userdb && mount --bind "$1" /run/systemd/userdb && exec strace -f -n -qq -o "$2" "$3"`
	if out, err := exec.Command("unshare", "-m", "sh", "-c", mount, "sh", dir, log, bin).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	seen := traced(t, abi.AMD64, log)
	for _, name := range slices.Sorted(maps.Keys(seen)) {
		if !names(r)[name] {
			t.Errorf("missed: %s", name)
		}
	}
	for _, name := range []string{"epoll_wait", "timerfd_settime", "sendto", "recvfrom"} {
		if !seen[name] {
			t.Errorf("the event loop did not run: no %s in %v", name, slices.Sorted(maps.Keys(seen)))
		}
	}
	for _, name := range []string{"signalfd4", "waitid", "inotify_init1", "inotify_add_watch", "inotify_rm_watch"} {
		if names(r)[name] {
			t.Errorf("%s is there: %v", name, r.Path(name))
		}
	}
}

// answerUsers answers each question of who connects, as the Varlink interface
// io.systemd.UserDatabase says, that there is no such user or group.
func answerUsers(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			b := make([]byte, 4096)
			for {
				n, err := c.Read(b)
				if err != nil {
					return
				}
				for range bytes.Count(b[:n], []byte{0}) {
					if _, err := c.Write([]byte(`{"error":"io.systemd.UserDatabase.NoRecordFound","parameters":{}}` + "\x00")); err != nil {
						return
					}
				}
			}
		}()
	}
}
