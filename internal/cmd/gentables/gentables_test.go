package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const abiDir = "../../../abi"

// TestReproducible checks that the committed tables are what the text files
// make, to the byte.
func TestReproducible(t *testing.T) {
	dir := t.TempDir()
	if err := generate(inputs{filepath.Join(abiDir, "tables")}, dir); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"zsyscalls.go", "zargs.go", "zconstants.go", "zerrno.go", "zversion.go"} {
		got, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile(filepath.Join(abiDir, name))
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != string(want) {
			t.Errorf("abi/%s is not up to date: go generate ./abi", name)
		}
	}
}

// TestUpdateAgain checks that the version that the text files were made from
// changes nothing in them.
func TestUpdateAgain(t *testing.T) {
	tables := filepath.Join(t.TempDir(), "tables")
	if err := os.CopyFS(tables, os.DirFS(filepath.Join(abiDir, "tables"))); err != nil {
		t.Fatal(err)
	}
	header, err := os.ReadFile(filepath.Join(tables, "constants.txt"))
	if err != nil {
		t.Fatal(err)
	}
	version := strings.Fields(string(header))[3]
	if _, err := downloadXsys(version); err != nil {
		t.Skip("golang.org/x/sys@" + version + " is not at hand: " + err.Error())
	}
	if err := update(inputs{tables}, version); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"constants.txt", "errno.txt", "release.txt", "syscalls/amd64.txt", "syscalls/x32.txt", "syscalls/arm.txt"} {
		got, err := os.ReadFile(filepath.Join(tables, name))
		if err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile(filepath.Join(abiDir, "tables", name))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestAdd(t *testing.T) {
	table := &table{calls: []call{{1, "one", 0}, {3, "three", 0}}}
	added, err := table.add(map[string]uint32{"one": 1, "two": 2}, 7<<8|3)
	if err != nil || !added {
		t.Fatal(added, err)
	}
	want := []call{{1, "one", 0}, {2, "two", 7<<8 | 3}, {3, "three", 0}}
	if diff := cmp.Diff(want, table.calls, cmp.AllowUnexported(call{})); diff != "" {
		t.Error(diff)
	}
	if added, err := table.add(map[string]uint32{"two": 2}, 0); added || err != nil {
		t.Error(added, err)
	}
	if _, err := table.add(map[string]uint32{"drei": 3}, 0); err == nil {
		t.Error("a number changed its name")
	}
}

func TestPrototype(t *testing.T) {
	for _, text := range []string{
		"getpid()",
		"read(unsigned int fd, char *buf, size_t count)",
		"execve(const char *filename, const char *const *argv)",
	} {
		p, err := parsePrototype(text)
		if err != nil || p.String() != text {
			t.Errorf("%q: %q, %v", text, p, err)
		}
	}
	for _, text := range []string{"", "f", "f(", "f(int)", "f(mystery_t x)", "f(int a) g", "f(int a, int b, int c, int d, int e, int f, int g)"} {
		if p, err := parsePrototype(text); err == nil {
			t.Errorf("%q is read as %q", text, p)
		}
	}
}

// TestTracefs takes one format over.
func TestTracefs(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "signatures.txt"), []byte("old(int a)\nioctl(int wrong)\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	events := filepath.Join(dir, "events/syscalls/sys_enter_ioctl")
	if err := os.MkdirAll(events, 0o755); err != nil {
		t.Fatal(err)
	}
	format := `name: sys_enter_ioctl
format:
	field:int common_pid;	offset:4;	size:4;	signed:1;

	field:int __syscall_nr;	offset:8;	size:4;	signed:1;
	field:unsigned int fd;	offset:16;	size:8;	signed:0;
	field:char * name;	offset:24;	size:8;	signed:0;
`
	if err := os.WriteFile(filepath.Join(events, "format"), []byte(format), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := updateSignatures(inputs{dir}, dir); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(dir, "signatures.txt"))
	if err != nil {
		t.Fatal(err)
	}
	want := signaturesHeader + "ioctl(unsigned int fd, char *name)\nold(int a)\n"
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Error(diff)
	}
	if err := updateSignatures(inputs{dir}, t.TempDir()); err == nil {
		t.Error("an empty directory is a tracefs")
	}
}

func TestErrorsHavePositions(t *testing.T) {
	for file, text := range map[string]string{
		"syscalls/amd64.txt":   "0 read\n0 write\n",
		"aliases.txt":          "\nread write\n",
		"groups.txt":           "\nread nonsense\n",
		"multiplexers.txt":     "\nread amd64 nonsense\n",
		"entries.txt":          "\nread nonsense amd64\n",
		"kinds.txt":            "\nnonsense fd\n",
		"signatures-extra.txt": "\nf(nonsense x)\n",
		"constants-extra.txt":  "\nAF_X 1 vax=2\n",
	} {
		tables := filepath.Join(t.TempDir(), "tables")
		if err := os.CopyFS(tables, os.DirFS(filepath.Join(abiDir, "tables"))); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(tables, filepath.FromSlash(file)), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		err := generate(inputs{tables}, t.TempDir())
		if err == nil || !strings.HasPrefix(err.Error(), file+":2: ") {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// TestKeep reads a line that changes a constant on some ABIs only.
func TestKeep(t *testing.T) {
	in := inputs{t.TempDir()}
	for file, text := range map[string]string{
		"first":  "A 1 386,arm=2\nB - mips=3\n",
		"second": "A + arm=4 x32=5\nB + mips=6\n",
		"bad":    "C + x32=1\n",
	} {
		if err := os.WriteFile(filepath.Join(in.dir, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := constants{}
	for _, file := range []string{"first", "second"} {
		if err := c.read(in, file); err != nil {
			t.Fatal(err)
		}
	}
	got := map[string]string{}
	for name, variants := range c {
		for _, v := range variants {
			for i, a := range abis {
				if v.abis>>i&1 != 0 && (a.name == "386" || a.name == "arm" || a.name == "x32" || a.name == "amd64" || a.name == "mips") {
					got[name+" "+a.name] += formatValue(v.value)
				}
			}
		}
	}
	want := map[string]string{"A 386": "2", "A amd64": "1", "A x32": "5", "A arm": "4", "A mips": "1", "B mips": "6"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if err := c.read(in, "bad"); err == nil {
		t.Error("nothing is kept of what was not read")
	}
}
