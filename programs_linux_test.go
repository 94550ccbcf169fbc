package sysgate_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/testkit"
)

// A program of the system, compiled from C or C++, with what to do with it.
type program struct {
	name   string
	opens  []string // libraries that it opens while it runs; nil: no others than it names
	starts []string // programs that it starts
	assume string   // what its own way to make any call makes
	runs   []string // words, separated by blanks; 'quoted' ones may hold blanks
	input  string
	common bool              // not only long tests take it
	varies bool              // its output is not the same each time
	files  map[string]string // what it reads besides, in the directory of the run
	// drive uses a server, in a directory, and ends it, if no signal does that then.
	drive func(dir string) error
	ended syscall.Signal
}

// programs are those of TestPrograms. DIR is the directory of the run, URL a web
// server's.
var programs = []program{
	{name: "cat", common: true, runs: []string{"cat words", "cat -n -", "cat missing"}, input: "text\n"},
	{name: "ls", common: true, runs: []string{"ls -laR tree", "ls --color=always tree missing"}},
	{name: "sort", common: true, runs: []string{"sort -r -k2 words", "sort -u -S 1M words words", "sort --parallel=2 -o sorted words"}},
	{name: "cp", common: true, runs: []string{"cp -a tree copy", "cp -v --reflink=auto words other"}},
	{name: "mv", common: true, runs: []string{"mv words moved", "mv -n moved tree"}},
	{name: "rm", runs: []string{"rm -rv tree", "rm -f missing"}},
	{name: "mkdir", common: true, runs: []string{"mkdir -p -m 700 a/b/c"}},
	{name: "ln", runs: []string{"ln -s words soft", "ln words hard"}},
	{name: "chmod", runs: []string{"chmod -R u+x tree"}},
	{name: "touch", runs: []string{"touch -d 2020-01-01 new words"}},
	{name: "stat", common: true, runs: []string{"stat -c %s words", "stat -f -c %T ."}},
	{name: "df", runs: []string{"df -h ."}, varies: true},
	{name: "du", runs: []string{"du -a tree"}},
	{name: "head", runs: []string{"head -n 3 words"}},
	{name: "tail", runs: []string{"tail -n 3 words"}},
	{name: "wc", runs: []string{"wc words"}},
	{name: "cut", runs: []string{"cut -d o -f 1 words"}},
	{name: "tr", runs: []string{"tr a-z A-Z"}, input: "text\n"},
	{name: "date", runs: []string{"date -u -d @0", "date -R -r words"}, varies: true},
	{name: "id", common: true, runs: []string{"id", "id -Gn root"}},
	{name: "sha256sum", common: true, runs: []string{"sha256sum words", "sha256sum missing"}},
	{name: "dd", runs: []string{"dd if=words of=out bs=16 count=4 conv=fsync"}, varies: true},
	{name: "tee", runs: []string{"tee -a words"}, input: "text\n"},
	{name: "timeout", common: true, starts: []string{"sleep"}, runs: []string{"timeout 5 sleep 0.01", "timeout 0.05 sleep 10"}},
	{name: "env", starts: []string{"cat"}, runs: []string{"env A=b cat words"}},
	{name: "split", runs: []string{"split -n 3 words part"}},
	{name: "nproc", runs: []string{"nproc"}},
	{name: "find", common: true, starts: []string{"cat"}, runs: []string{"find . -type f -size +0", "find . -name words -exec cat {} ;", "find tree -delete"}, varies: true},
	{name: "xargs", common: true, starts: []string{"cat"}, runs: []string{"xargs cat"}, input: "words\n"},
	{name: "grep", common: true, runs: []string{"grep -rn word .", "grep -P wo.d words", "grep -c none words"}, varies: true},
	{name: "sed", common: true, runs: []string{"sed -i s/word/w/ words", "sed -n 2p words"}},
	{name: "gzip", common: true, runs: []string{"gzip -k words", "gzip -dc words.gz"}},
	{name: "tar", common: true, starts: []string{"gzip", "sh"}, runs: []string{"tar cf tree.tar tree", "tar tvf tree.tar", "tar czf tree.tgz tree", "tar xzf tree.tgz"}},
	{name: "diff", runs: []string{"diff words words2", "diff -r tree ."}},
	{name: "dash", common: true, starts: []string{"cat"}, runs: []string{"dash -c 'for i in 1 2 3; do echo $i; done'", "dash -c 'cat words | cat; exit 3'"}},
	{name: "bash", common: true, opens: []string{"none"}, starts: []string{"cat"}, runs: []string{
		"bash -c 'for i in {1..3}; do echo $((i * 2)); done; echo ${BASH_VERSION%%.*}'",
		"bash -c 'cat words | while read -r l; do echo \"<$l>\"; done; trap \"echo bye\" EXIT; wait'",
		"bash -c 'exec 3< words; read -t 1 -u 3 x; echo $x; kill -s TERM $$'",
	}},
	{name: "perl", common: true, opens: []string{"none"}, assume: "Perl_pp_syscall=getpid", runs: []string{"perl -e 'print join(\",\", map { $_ * 2 } 1..5), qq{\\n}; open F, q{words}; print <F>; sleep 0; fork or exit; wait'"}},
	{name: "awk", common: true, opens: []string{"none"}, runs: []string{"awk '{ n += length($0) } END { print n }' words"}},

	{name: "bzip2", runs: []string{"bzip2 -k words", "bzip2 -dc words.bz2"}},
	{name: "xz", runs: []string{"xz -k -T2 words", "xz -dc words.xz"}},
	{name: "zstd", runs: []string{"zstd -q -T2 words", "zstd -dc words.zst"}},
	{name: "file", runs: []string{"file words tree"}},
	{name: "jq", runs: []string{"jq -c .a+1"}, input: `{"a": 1}`},
	{name: "sqlite3", opens: []string{"none"}, runs: []string{"sqlite3 base.db 'create table t (x); insert into t values (1), (2); select sum(x) from t;'", "sqlite3 -json :memory: 'select 1 as a'"}},
	{name: "openssl", opens: []string{"none"}, runs: []string{"openssl dgst -sha256 words", "openssl rand -hex 4", "openssl version"}, varies: true},
	{name: "curl", opens: []string{"none"}, runs: []string{"curl -sS URL", "curl -sS -o out file://DIR/words", "curl -sS http://127.0.0.1:1/"}, varies: true},
	{name: "wget", opens: []string{"none"}, runs: []string{"wget -q -O - URL"}},
	{name: "ssh-keygen", opens: []string{"none"}, runs: []string{"ssh-keygen -q -t ed25519 -N '' -f key"}, varies: true},
	{name: "ssh", opens: []string{"none"}, runs: []string{"ssh -V", "ssh -o BatchMode=yes -p 1 127.0.0.1"}},
	{name: "git", opens: []string{"none"}, runs: []string{"git init -q repo", "git -C repo status --short", "git -C repo -c user.name=n -c user.email=e@x commit -q --allow-empty -m first"}},
	{name: "rsync", opens: []string{"none"}, runs: []string{"rsync -a tree copy"}},
	{name: "make", opens: []string{"none"}, starts: []string{"dash", "cat"}, runs: []string{"make -s -f Makefile"}},
	{name: "less", runs: []string{"less words"}},
	{name: "python3.11", opens: []string{"PYTHON"}, runs: []string{
		"python3.11 -c 'import json, os; print(json.dumps(sorted(os.listdir())))'",
		"python3.11 -c 'import threading, time; t = threading.Thread(target=time.sleep, args=(0.01,)); t.start(); t.join()'",
		"python3.11 -c 'import socket; s = socket.socketpair(); s[0].send(b\"x\"); print(s[1].recv(1))'",
		"python3.11 -c 'import subprocess, hashlib; print(hashlib.sha256(open(\"words\", \"rb\").read()).hexdigest())'",
	}},
	{name: "redis-cli", opens: []string{"none"}, runs: []string{"redis-cli --version", "redis-cli -p 1 ping"}},
	{name: "redis-server", opens: []string{"none"}, runs: []string{"redis-server --port 0 --unixsocket DIR/redis --dir DIR"}, varies: true, drive: driveRedis},
	{name: "nginx", opens: []string{"none"}, runs: []string{"nginx -p DIR -c nginx.conf -e stderr"}, varies: true, drive: speaks("http", "GET / HTTP/1.0\r\n\r\n", "hello"), ended: syscall.SIGTERM},
	{name: "gawk", opens: []string{"none"}, starts: []string{"dash", "cat"}, runs: []string{"gawk '{ print length($0) | \"cat\" } END { \"echo x\" | getline l; print l, strftime(\"%Y\", 0) }' words2"}},
	{name: "lua5.4", opens: []string{"none"}, starts: []string{"dash"}, runs: []string{"lua5.4 -e 'print(io.popen(\"echo child\"):read(), os.setlocale(\"C\")); io.open(\"new\", \"w\"):write(1):close(); os.rename(\"new\", \"other\"); print(os.remove(\"other\"))'", "lua5.4 -"}, input: "print(os.time{year = 2020, month = 1, day = 1})"},
	{name: "tclsh8.6", opens: []string{"none"}, starts: []string{"cat"}, runs: []string{"tclsh8.6"}, input: "puts [exec cat words2]\nset s [socket -server {apply {{c a p} {puts $c hello; close $c}}} -myaddr 127.0.0.1 0]\nset c [socket 127.0.0.1 [lindex [fconfigure $s -sockname] 2]]\nfileevent $c readable {puts [gets $::c]; exit}\nvwait forever\n"},
	{name: "node", opens: []string{"none"}, starts: []string{"dash", "cat"}, runs: []string{"node all.js"}, files: map[string]string{
		"all.js": `const child = require("child_process"), crypto = require("crypto"), http = require("http"), workers = require("worker_threads");
console.log(child.execSync("cat words2") + require("os").userInfo().username);
new workers.Worker("console.log(1)", {eval: true}).on("exit", () => crypto.pbkdf2("a", "b", 9, 8, "sha256", (err, key) => {
	console.log(key);
	const server = http.createServer((q, r) => r.end("ok")).listen(0, () => fetch("http://127.0.0.1:" + server.address().port).then(r => r.text()).then(text => { console.log(text); process.exit() }));
}));
`,
	}},
	{name: "php8.2", opens: []string{"none"}, starts: []string{"dash", "cat"}, runs: []string{"php8.2 -n -r 'echo exec(\"cat words2\"), gethostbyname(\"localhost\"), hash(\"sha256\", \"x\"); file_put_contents(\"new\", random_bytes(9)); flock(fopen(\"new\", \"r\"), LOCK_SH); usleep(1);'"}},
	{name: "rg", opens: []string{"none"}, runs: []string{"rg --sort path -n word .", "rg --files tree --sort path"}},
	{name: "socat", opens: []string{"none"}, starts: []string{"cat"}, runs: []string{"socat -u FILE:words -", "socat -t 9 - EXEC:cat", "socat PIPE -", "socat - UNIX:missing"}, input: "text\n", varies: true},
	{name: "systemd-analyze", opens: []string{"none"}, runs: []string{"systemd-analyze --base-time=2020-01-01 calendar daily --iterations=2", "systemd-analyze timespan 1h"}, varies: true},
	{name: "tcpdump", opens: []string{"none"}, runs: []string{"tcpdump -d tcp port 80", "tcpdump -r words"}, varies: true},

	{name: "dbus-daemon", ended: syscall.SIGTERM, drive: speaks("bus", "\x00AUTH EXTERNAL 30\r\n", "OK "), runs: []string{"dbus-daemon --session --nofork --address=unix:path=DIR/bus"}, varies: true},
	{name: "dnsmasq", ended: syscall.SIGTERM, opens: []string{"none"}, drive: driveDNS, runs: []string{"dnsmasq -k -C /dev/null -p PORT -i lo --bind-interfaces --no-resolv --no-hosts -A /a.lan/192.0.2.1 -x DIR/pid --user= --group="}, varies: true},
	{name: "haproxy", ended: syscall.SIGTERM, opens: []string{"none"}, drive: speaks("http", "GET / HTTP/1.0\r\n\r\n", "hello"), runs: []string{"haproxy -f haproxy.cfg"}, varies: true, files: map[string]string{
		"haproxy.cfg": "global\n nbthread 2\ndefaults\n mode http\n timeout connect 1s\n timeout client 1s\n timeout server 1s\nfrontend f\n bind unix@http\n http-request return status 200 content-type text/plain string hello\n",
	}},
	{name: "memcached", ended: syscall.SIGTERM, opens: []string{"none"}, drive: speaks("memcached", "set a 0 0 1\r\nx\r\nget a\r\nstats\r\nflush_all\r\n", "END\r\nOK"), runs: []string{"memcached -u root -s DIR/memcached -t 2"}, varies: true},
	{name: "mosquitto", ended: syscall.SIGTERM, opens: []string{"none"}, drive: speaks("mqtt", "\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01t\x82\x06\x00\x01\x00\x01a\x00\x30\x04\x00\x01ax", "\x30\x04\x00\x01ax"), runs: []string{"mosquitto -c mosquitto.conf"}, varies: true, files: map[string]string{
		"mosquitto.conf": "listener 0 DIR/mqtt\nallow_anonymous true\nuser root\n",
	}},
	{name: "unbound", ended: syscall.SIGTERM, opens: []string{"none"}, drive: driveDNS, runs: []string{"unbound -d -p -c unbound.conf"}, varies: true, files: map[string]string{
		"unbound.conf": "server:\n interface: 127.0.0.1@PORT\n username: \"\"\n chroot: \"\"\n use-syslog: no\n num-threads: 2\n local-data: \"a.lan A 192.0.2.1\"\n",
	}},
	{name: "busybox", runs: []string{"busybox ls -la tree", "busybox sort words", "busybox sh -c 'echo $((1 + 2)); busybox cat words'", "busybox gzip -c words"}},
}

// TestPrograms is the main job on programs that others compiled: the profile of
// each, with its libraries, contains every call that strace sees in its runs, and
// the runs do the same under the filter of that profile, where a denied call kills.
func TestPrograms(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("the programs are looked at on amd64")
	}
	if err := exec.Command("strace", "-V").Run(); err != nil {
		t.Skip("strace is not installed: no truth to compare with")
	}
	testkit.NeedFilters(t)
	sysgate := filepath.Join(t.TempDir(), "sysgate")
	build(t, ".", sysgate, "./cmd/sysgate")
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "hello") }))
	defer web.Close()
	var names []int
	for _, p := range programs {
		t.Run(p.name, func(t *testing.T) {
			if !p.common && os.Getenv("SYSGATE_LONG") == "" {
				t.Skip("only long tests (SYSGATE_LONG=1) take all programs")
			}
			names = append(names, p.test(t, sysgate, web.URL))
		})
	}
	if len(names) > 0 {
		sum := 0
		for _, n := range names {
			sum += n
		}
		t.Logf("%d programs, %.1f names on average", len(names), float64(sum)/float64(len(names)))
	}
}

// test returns the number of names in the profile.
func (p program) test(t *testing.T, sysgate, url string) int {
	file := systemProgram(t, p.name)
	var flags []string
	if p.assume != "" {
		flags = append(flags, "--assume", p.assume)
	}
	for _, lib := range p.opens {
		if lib != "PYTHON" {
			flags = append(flags, "--dlopen", lib)
			continue
		}
		modules, err := filepath.Glob("/usr/lib/python3.11/lib-dynload/*.so")
		if err != nil || len(modules) == 0 {
			t.Fatal("no modules of python", err)
		}
		for _, m := range modules {
			flags = append(flags, "--dlopen", m)
		}
	}
	for _, name := range p.starts {
		flags = append(flags, "--with", systemProgram(t, name))
	}
	start := time.Now()
	cmd := exec.Command(sysgate, append(append([]string{"profile", "--format", "names"}, flags...), file)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Errorf("profile: %v\n%s", err, stderr.Bytes())
		return 0
	}
	took := time.Since(start)
	found := strings.Fields(string(out))
	seen := map[string]bool{}
	free, held := t.TempDir(), t.TempDir()
	for _, dir := range []string{free, held} {
		furnish(t, dir)
	}
	for _, text := range p.runs {
		trace := filepath.Join(t.TempDir(), "trace")
		plain := p.start(t, free, text, url, []string{"strace", "-f", "-n", "-qq", "-o", trace})
		readTrace(t, trace, seen)
		under := p.start(t, held, text, url, append(append([]string{sysgate, "run", "-q", "--policy", "auto", "--default-action", "kill_process"}, flags...), "--"))
		if plain.code != under.code || !p.varies && plain.out != under.out {
			t.Errorf("%s: without the filter exit code %d and\n%s\nunder it %d and\n%s", text, plain.code, plain.out, under.code, under.out)
		}
	}
	var missed []string
	for name := range seen {
		if !slices.Contains(found, name) {
			missed = append(missed, name)
		}
	}
	slices.Sort(missed)
	t.Logf("%s: found %d, seen %d in %d runs, missed %d, profile %.2f s", p.name, len(found), len(seen), len(p.runs), len(missed), took.Seconds())
	if len(missed) > 0 {
		t.Errorf("not in the profile: %v", missed)
	}
	return len(found)
}

// systemPath is where Debian's programs are.
const systemPath = "/usr/sbin:/usr/bin:/sbin:/bin"

func systemProgram(t *testing.T, name string) string {
	t.Helper()
	for _, dir := range filepath.SplitList(systemPath) {
		file := filepath.Join(dir, name)
		if _, err := os.Stat(file); err == nil {
			return file
		}
	}
	t.Skipf("%s is not installed", name)
	return ""
}

// furnish fills a directory with what the runs are about.
func furnish(t *testing.T, dir string) {
	t.Helper()
	for name, text := range map[string]string{
		"words": strings.Repeat("a word\nanother one\nmore of it\n", 20), "words2": "a word\n", "tree/a/file": "x\n", "tree/b": "y\n",
		"Makefile":   "all:\n\t@cat words | cat\n\t@echo done\n",
		"nginx.conf": "daemon off; pid pid; error_log stderr; events {} http { access_log off; server { listen unix:http; root .; location / { return 200 hello; } } }\n",
	} {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	old := time.Unix(1e9, 0)
	for _, name := range []string{"words", "words2", "tree/a/file", "tree/b", "tree/a", "tree"} {
		if err := os.Chtimes(filepath.Join(dir, name), old, old); err != nil {
			t.Fatal(err)
		}
	}
}

type outcome struct {
	code int
	out  string
}

// remarks are what sysgate itself says.
var remarks = regexp.MustCompile(`(?m)^sysgate: (warning|hint): .*\n`)

var word = regexp.MustCompile(`'[^']*'|\S+`)

// start runs a command line in dir, behind the words of prefix.
func (p program) start(t *testing.T, dir, text, url string, prefix []string) outcome {
	t.Helper()
	args := prefix
	meant := strings.NewReplacer("DIR", dir, "URL", url, "PORT", freePort(t, dir))
	for i, w := range word.FindAllString(text, -1) {
		if i == 0 {
			w = systemProgram(t, w)
		}
		w = strings.TrimSuffix(strings.TrimPrefix(w, "'"), "'")
		args = append(args, meant.Replace(w))
	}
	for name, text := range p.files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(meant.Replace(text)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = dir
	// What sysgate keeps of libraries does not lie among the program's files.
	cmd.Env = []string{"PATH=" + systemPath, "HOME=" + dir, "XDG_CACHE_HOME=" + t.TempDir(), "LC_ALL=C", "TERM=dumb"}
	cmd.Stdin = strings.NewReader(p.input)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if p.drive != nil {
		err := p.drive(dir)
		if err == nil && p.ended != 0 {
			err = syscall.Kill(programOf(cmd.Process.Pid), p.ended)
		}
		if err != nil {
			cmd.Process.Kill()
			t.Errorf("%s: %v", text, err)
		}
	}
	err := cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	code := cmd.ProcessState.ExitCode()
	if status := cmd.ProcessState.Sys().(syscall.WaitStatus); status.Signaled() { // strace dies as the program did
		code = 128 + int(status.Signal())
	}
	return outcome{code, remarks.ReplaceAllString(strings.ReplaceAll(out.String(), dir, "DIR"), "")}
}

var traced = regexp.MustCompile(`(?m)^\d+ +\[ *(\d+)\] (?:<\.\.\. )?([a-z0-9_]+)(?:\(| resumed)`)

// readTrace adds the names of the calls in a trace to seen, but for the execve with
// which it begins.
func readTrace(t *testing.T, trace string, seen map[string]bool) {
	t.Helper()
	data, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	calls := traced.FindAllSubmatch(data, -1)
	if len(calls) < 10 {
		t.Fatalf("strace saw %d calls\n%s", len(calls), data)
	}
	for _, m := range calls[1:] {
		nr, err := strconv.ParseUint(string(m[1]), 10, 32)
		if err != nil {
			t.Fatal(err)
		}
		seen[abi.AMD64.SyscallName(uint32(nr))] = true
	}
}
