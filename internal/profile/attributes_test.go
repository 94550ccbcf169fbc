package profile

import (
	"slices"
	"strings"
	"testing"

	"github.com/sysgate/sysgate/abi"
)

// attributed are programs that set attributes of threads, mutexes and programs that
// they start, or do not.
var attributed = []nativeProgram{
	{
		name: "plain thread", text: "static void *run(void *x) { return x; } int main() { pthread_t t; pthread_attr_t a; pthread_attr_init(&a); pthread_attr_setstacksize(&a, 1 << 20); pthread_create(&t, &a, run, 0); return pthread_join(t, 0); }",
		found: []string{"clone"}, not: append([]string{"sched_setaffinity"}, schedulerCalls...),
	},
	{
		name: "thread of its own priority", text: "static void *run(void *x) { return x; } int main() { pthread_t t; pthread_attr_t a; pthread_attr_init(&a); pthread_attr_setinheritsched(&a, PTHREAD_EXPLICIT_SCHED); pthread_attr_setschedpolicy(&a, SCHED_FIFO); pthread_create(&t, &a, run, 0); return pthread_join(t, 0); }",
		found: []string{"sched_getparam", "sched_getscheduler", "sched_setscheduler"}, not: []string{"sched_setaffinity"},
	},
	{
		name: "thread on a processor", text: "static void *run(void *x) { return x; } int main() { pthread_t t; pthread_attr_t a; cpu_set_t c; CPU_ZERO(&c); CPU_SET(0, &c); pthread_attr_init(&a); pthread_attr_setaffinity_np(&a, sizeof c, &c); pthread_create(&t, &a, run, 0); return pthread_join(t, 0); }",
		found: []string{"sched_setaffinity"}, not: []string{"sched_setscheduler"},
	},
	{
		name: "thread like another", text: "static void *run(void *x) { return x; } int main() { pthread_t t; pthread_attr_t a; pthread_getattr_np(pthread_self(), &a); pthread_create(&t, &a, run, 0); return pthread_join(t, 0); }",
		found: []string{"sched_setaffinity"}, not: []string{"sched_setscheduler"},
	},
	{
		name: "thread by default", text: "static void *run(void *x) { return x; } int main() { pthread_t t; pthread_attr_t a; pthread_attr_init(&a); int (*set)(pthread_attr_t *, int) = dlsym(RTLD_DEFAULT, \"pthread_attr_setinheritsched\"); set(&a, PTHREAD_EXPLICIT_SCHED); pthread_setattr_default_np(&a); pthread_create(&t, 0, run, 0); return pthread_join(t, 0); }",
		found: []string{"sched_setscheduler"},
	},
	{
		name: "end of a thread", text: "static void *run(void *x) { return x; } int main() { pthread_t t; pthread_create(&t, 0, run, 0); return pthread_join(t, 0); }",
		found: []string{"clone"}, not: []string{"bind", "connect", "sendto", "recvfrom", "socket", "getsockname"},
	},
	{
		name: "end of a thread that uses RPC", text: "static void *run(void *x) { return ((void *(*)(void))dlsym(RTLD_DEFAULT, \"__rpc_thread_createerr\"))(); } int main() { pthread_t t; pthread_create(&t, 0, run, 0); return pthread_join(t, 0); }",
		found: []string{"bind", "connect", "sendto", "recvfrom", "socket"},
	},
	{
		name: "plain mutex", text: "int main() { pthread_mutex_t m; pthread_mutexattr_t a; pthread_mutexattr_init(&a); pthread_mutexattr_settype(&a, PTHREAD_MUTEX_RECURSIVE); pthread_mutex_init(&m, &a); pthread_mutex_lock(&m); return pthread_mutex_unlock(&m); }",
		not: schedulerCalls,
	},
	{
		name: "mutex with a ceiling", text: "int main() { pthread_mutex_t m; pthread_mutexattr_t a; pthread_mutexattr_init(&a); pthread_mutexattr_setprotocol(&a, PTHREAD_PRIO_PROTECT); pthread_mutex_init(&m, &a); pthread_mutex_lock(&m); return pthread_mutex_unlock(&m); }",
		found: schedulerCalls,
	},
	{
		name: "ceiling asked for", text: "int main() { pthread_mutexattr_t a; int n; pthread_mutexattr_init(&a); pthread_mutexattr_getprioceiling(&a, &n); return n; }",
		found: []string{"sched_get_priority_min", "sched_get_priority_max"},
	},
	{
		name: "own use", text: "int main() { struct sched_param p; return sched_getscheduler(0) + sched_setscheduler(0, SCHED_OTHER, &p) + sched_get_priority_min(0) + setsid(); }",
		found: []string{"sched_getscheduler", "sched_setscheduler", "sched_get_priority_min", "setsid"}, not: []string{"sched_getparam"},
	},
	{
		name: "system", text: "int main() { return system(\"true\"); }",
		found: []string{"execve", "rt_sigprocmask"}, not: []string{"setsid", "setpgid", "sched_setparam", "sched_setscheduler", "setresuid", "setresgid", "close_range", "fchdir", "chdir", "getpgid", "dup2", "getuid"},
	},
	{
		name: "popen", text: "int main() { return popen(\"true\", \"r\") != 0; }",
		found: []string{"execve", "dup2"}, not: []string{"setsid", "setresuid", "close_range"},
	},
	{
		name: "session", text: spawnHead + "posix_spawnattr_setflags(&a, POSIX_SPAWN_SETSID | POSIX_SPAWN_RESETIDS); return posix_spawn(&p, \"/bin/true\", 0, &a, v, 0); }",
		found: []string{"setsid", "setresuid", "setresgid", "getuid"}, not: []string{"setpgid", "sched_setparam"},
	},
	{
		name: "group and priority", text: spawnHead + "posix_spawnattr_setflags(&a, c > 1 ? POSIX_SPAWN_SETPGROUP : POSIX_SPAWN_SETSCHEDULER); return posix_spawn(&p, \"/bin/true\", 0, &a, v, 0); }",
		found: []string{"setpgid", "sched_setscheduler"}, not: []string{"setsid", "setresuid"},
	},
	{
		name: "computed flags", text: spawnHead + "posix_spawnattr_setflags(&a, atoi(v[1])); return posix_spawn(&p, \"/bin/true\", 0, &a, v, 0); }",
		found: []string{"setsid", "setpgid", "setresuid", "sched_setparam"},
	},
	{
		name: "flags by a pointer", text: "int (*volatile set)(posix_spawnattr_t *, short) = posix_spawnattr_setflags; " + spawnHead + "set(&a, POSIX_SPAWN_SETSID); return posix_spawn(&p, \"/bin/true\", 0, &a, v, 0); }",
		found: []string{"setsid"},
	},
	{
		name: "actions", text: spawnHead + "posix_spawn_file_actions_t f; posix_spawn_file_actions_init(&f); posix_spawn_file_actions_addchdir_np(&f, \"/\"); posix_spawn_file_actions_addclosefrom_np(&f, 3); return posix_spawn(&p, \"/bin/true\", &f, &a, v, 0); }",
		found: []string{"chdir", "close_range"}, not: []string{"fchdir", "getpgid", "dup2"},
	},
	{
		name: "more actions", text: spawnHead + "posix_spawn_file_actions_t f; posix_spawn_file_actions_init(&f); posix_spawn_file_actions_addfchdir_np(&f, 3); posix_spawn_file_actions_addopen(&f, 1, \"/x\", 0, 0); posix_spawn_file_actions_addtcsetpgrp_np(&f, 0); return posix_spawn(&p, \"/bin/true\", &f, &a, v, 0); }",
		found: []string{"fchdir", "dup2", "getpgid"}, not: []string{"close_range"},
	},
	{
		name: "patterns", text: "int main(int c, char **v) { glob_t g; return glob(v[1], GLOB_NOSORT | GLOB_BRACE, 0, &g); }",
		found: []string{"getdents64"}, not: []string{"alarm", "socket", "kill"},
	},
	{
		name: "patterns of users", text: "int main(int c, char **v) { glob_t g; return glob(v[1], c > 1 ? GLOB_TILDE : 0, 0, &g); }",
		found: []string{"alarm", "socket"},
	},
	{
		name: "patterns by computed flags", text: "APART int all(const char *p, int how) { glob_t g; return glob(p, how, 0, &g); } int main(int c, char **v) { return all(v[1], 0) + all(v[1], c); }",
		found: []string{"alarm", "socket"},
	},
	{
		name: "patterns by a pointer", text: "int (*volatile p)(const char *, int, int (*)(const char *, int), glob_t *) = glob; int main(int c, char **v) { glob_t g; return p(v[1], GLOB_TILDE, 0, &g); }",
		found: []string{"alarm"},
	},
	{
		name: "access", text: "int main(int c, char **v) { return faccessat(AT_FDCWD, v[0], R_OK, 0); }",
		found: []string{"faccessat", "faccessat2"}, not: []string{"getuid", "geteuid", "getgid", "getgroups"},
	},
	{
		name: "effective access", text: "int main(int c, char **v) { return faccessat(AT_FDCWD, v[0], R_OK, c > 1 ? AT_EACCESS : 0); }",
		found: []string{"geteuid", "getegid", "getgroups"},
	},
	{
		name: "temporary file", text: "int main(int c, char **v) { return mkstemp(v[0]); }",
		found: []string{"openat"}, not: []string{"mkdir"},
	},
	{
		name: "temporary directory", text: "int main(int c, char **v) { return mkdtemp(v[0]) != 0; }",
		found: []string{"mkdir"},
	},
}

const spawnHead = "int main(int c, char **v) { pid_t p; posix_spawnattr_t a; posix_spawnattr_init(&a); "

// TestAttributes profiles them: what glibc does only for an attribute counts where it
// can be set.
func TestAttributes(t *testing.T) {
	needGCC(t)
	for _, b := range []nativeBuild{{"dynamic", abi.AMD64, "gcc", []string{"-O2"}}, {"unoptimised", abi.AMD64, "gcc", []string{"-O0", "-no-pie"}}, {"arm64 dynamic", abi.ARM64, "aarch64-linux-gnu-gcc", []string{"-O2"}}} {
		t.Run(b.name, func(t *testing.T) {
			for _, tt := range attributed {
				t.Run(tt.name, func(t *testing.T) {
					t.Parallel()
					root := ""
					if b.on == abi.ARM64 {
						root = "/usr/aarch64-linux-gnu"
					}
					text := nativeHead + "#include <pthread.h>\n#include <sched.h>\n#include <spawn.h>\n#include <dlfcn.h>\n#include <glob.h>\n#include <fcntl.h>\n" + tt.text
					r, err := File(buildC(t, b.cc, text, b.flags...), Options{Root: root})
					if err != nil {
						t.Fatal(err)
					}
					requireSound(t, r)
					has := names(r)
					for _, name := range tt.found {
						if _, ok := b.on.Lookup(name); ok && !has[name] {
							t.Errorf("%s is missing", name)
						}
					}
					if b.on != abi.AMD64 {
						return // what else its C library may do is told apart less well
					}
					for _, name := range tt.not {
						if has[name] {
							t.Errorf("%s is there: %v", name, r.Path(name))
						}
					}
					if len(tt.not) > 0 && !slices.ContainsFunc(r.Set.Assumptions, func(s string) bool { return strings.Contains(s, "attributes of mutexes") }) {
						t.Errorf("assumptions %q", r.Set.Assumptions)
					}
				})
			}
		})
	}
}
