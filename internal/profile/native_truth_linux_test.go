package profile

import (
	"debug/elf"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/sysgate/sysgate/abi"
)

// nativeTruths are runs of programs that systems come with. What they start is
// not part of them.
var nativeTruths = [][]string{
	{"/bin/cat", "/etc/passwd", "/etc/group"},
	{"/bin/ls", "-laR", "/etc/apt"},
	{"/usr/bin/sort", "--parallel=4", "-S", "1M", "/etc/services"},
	{"/bin/cp", "-a", "/etc/apt", "OUT"},
	{"/usr/bin/find", "/etc", "-name", "hosts", "-ls"},
	{"/bin/tar", "czf", "OUT", "/etc/apt"},
	{"/bin/grep", "-r", "deb", "/etc/apt"},
	{"/bin/bash", "-c", "ls | wc; x=$(echo hi); trap 'echo t' USR1; kill -USR1 $$; sleep 0.1 & wait; ulimit -n; umask; cd /tmp; echo <(ls)"},
	{"/usr/bin/sqlite3", "OUT", "create table a(x); insert into a values(1),(2); select * from a; vacuum"},
	{"/usr/bin/curl", "-s", "file:///etc/passwd"},
	{"/usr/bin/python3", "-c", "import os,subprocess,socket,threading,time,tempfile\nsubprocess.run(['true'])\nt=threading.Thread(target=time.sleep,args=(0.1,)); t.start(); t.join()\nsocket.socket().close(); os.listdir('/'); tempfile.mkdtemp()"},
	{"/usr/bin/git", "--version"},
	{"/usr/bin/id"},
	{"/bin/df", "/"},
	{"/usr/bin/openssl", "rand", "-hex", "8"},
	{"/bin/busybox", "sh", "-c", "ls -la /etc; df; date; sleep 0.1; id; mount; find /etc -name hosts"},
}

// TestNativeTruth compares the profiles of programs with what they do.
func TestNativeTruth(t *testing.T) {
	needStrace(t)
	seenAny := false
	for _, run := range nativeTruths {
		t.Run(filepath.Base(run[0]), func(t *testing.T) {
			f, err := elf.Open(run[0])
			if err != nil || f.Machine != elf.EM_X86_64 {
				t.Skipf("%s is not a program for amd64 here: %v", run[0], err)
			}
			f.Close()
			seenAny = true
			r, err := File(run[0], Options{NoLibraries: true})
			if err != nil {
				t.Fatal(err)
			}
			requireSound(t, r)
			args := slices.Clone(run[1:])
			for i, a := range args {
				if a == "OUT" {
					args[i] = filepath.Join(t.TempDir(), "out")
				}
			}
			seen := trace(t, abi.AMD64, run[0], args...)
			for _, name := range slices.Sorted(maps.Keys(seen)) {
				if !names(r)[name] {
					t.Errorf("missed: %s", name)
				}
			}
			t.Logf("found %d, seen %d", len(r.Set.Calls), len(seen))
		})
	}
	if !seenAny {
		t.Skip("none of the programs is installed")
	}
}

// TestCgo compares the profiles of a program of Go and C with what it does.
func TestCgo(t *testing.T) {
	needGCC(t)
	needStrace(t)
	dir := t.TempDir()
	src := filepath.Join(dir, "main.go")
	text := "package main\n\n// #include <unistd.h>\n// #include <sys/syscall.h>\n// static long viaC(void) { return syscall(SYS_getpgid, 0) + getsid(0); }\nimport \"C\"\n\nimport (\n\t\"net\"\n\t\"os/user\"\n)\n\nfunc main() {\n\tC.viaC()\n\tuser.Current()\n\tnet.LookupHost(\"localhost\")\n}\n"
	if err := os.WriteFile(src, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, flags := range map[string][]string{
		"dynamic": nil, "position-independent": {"-buildmode=pie", "-ldflags=-s -w"}, "static": {"-ldflags=-linkmode=external -extldflags=-static"},
	} {
		t.Run(name, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "m")
			cmd := exec.Command("go", append(append([]string{"build", "-o", out}, flags...), src)...)
			cmd.Env = append(os.Environ(), "CGO_ENABLED=1")
			if msg, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, msg)
			}
			r, err := File(out, Options{NoLibraries: true})
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range r.Undetermined {
				t.Errorf("undetermined: %s at %#x: %s", s.Func, s.Addr, s.Reason)
			}
			has := names(r)
			for _, name := range []string{"getpgid", "getsid"} {
				if !has[name] {
					t.Errorf("%s is missing", name)
				}
			}
			for _, name := range []string{"ptrace", "mount", "reboot"} {
				if has[name] {
					t.Errorf("%s is there: %v", name, r.Path(name))
				}
			}
			for name := range trace(t, abi.AMD64, out) {
				if !has[name] {
					t.Errorf("missed: %s", name)
				}
			}
		})
	}
}
