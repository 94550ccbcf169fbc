package profile

import (
	"debug/elf"
	"maps"
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
