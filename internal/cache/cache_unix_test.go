//go:build unix

package cache

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func identity(s string) Identity { return sha256.Sum256([]byte(s)) }

func open(t *testing.T, limit int64) *Cache {
	t.Helper()
	return Open(filepath.Join(t.TempDir(), "a", "b"), limit)
}

func TestGetAndPut(t *testing.T) {
	c := open(t, 1<<20)
	if _, ok := c.Get("x", identity("1")); ok {
		t.Error("an empty cache has an entry")
	}
	c.Put("x", identity("1"), []byte("one"))
	c.Put("x", identity("2"), nil)
	for id, want := range map[string]string{"1": "one", "2": ""} {
		if got, ok := c.Get("x", identity(id)); !ok || string(got) != want {
			t.Errorf("%s: %q, %v, want %q", id, got, ok, want)
		}
	}
	c.Put("x", identity("1"), []byte("other"))
	if got, _ := c.Get("x", identity("1")); string(got) != "other" {
		t.Errorf("written again: %q", got)
	}
	for name, id := range map[string]string{"x": "3", "y": "1"} {
		if _, ok := c.Get(name, identity(id)); ok {
			t.Errorf("%s %s is there", name, id)
		}
	}
	c.Put("../../"+strings.Repeat("Ab/", 100), identity("1"), []byte("long"))
	if got, _ := c.Get("../../"+strings.Repeat("Ab/", 100), identity("1")); string(got) != "long" {
		t.Errorf("a name that is no file's: %q", got)
	}
	if list, _ := os.ReadDir(c.dir); len(list) != 3 {
		t.Errorf("%d files for 3 entries: %v", len(list), list)
	}
	var none *Cache
	none.Put("x", identity("1"), nil)
	if _, ok := none.Get("x", identity("1")); ok {
		t.Error("no cache has an entry")
	}
}

// TestDamage changes each byte of an entry, and cuts it at each length.
func TestDamage(t *testing.T) {
	c := open(t, 1<<20)
	id := identity("1")
	c.Put("x", id, []byte("the content of an entry"))
	path := c.path("x", id)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	try := func(what string, b []byte) {
		t.Helper()
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if got, ok := c.Get("x", id); ok {
			t.Errorf("%s: %q", what, got)
		}
	}
	for i := range whole {
		for _, flip := range []byte{1, 0x80, 0xff} {
			b := bytes.Clone(whole)
			b[i] ^= flip
			try(fmt.Sprintf("byte %d", i), b)
		}
		try(fmt.Sprintf("the first %d bytes", i), whole[:i])
	}
	try("a byte too much", append(bytes.Clone(whole), 0))
	// Another identity's entry, under this one's name.
	c.Put("x", identity("2"), []byte("other"))
	other, err := os.ReadFile(c.path("x", identity("2")))
	if err != nil {
		t.Fatal(err)
	}
	try("another's", other)
	c.Put("x", id, []byte("new"))
	if got, _ := c.Get("x", id); string(got) != "new" {
		t.Errorf("a damaged entry is not replaced: %q", got)
	}
}

// TestOthers looks at what others could have written, or could write.
func TestOthers(t *testing.T) {
	c := open(t, 1<<20)
	id := identity("1")
	c.Put("x", id, []byte("mine"))
	path := c.path("x", id)
	missing := func(what string) {
		t.Helper()
		if _, ok := c.Get("x", id); ok {
			t.Errorf("%s is taken", what)
		}
	}
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	missing("an entry that all can write")
	c.Put("x", id, []byte("mine"))
	if os.Getuid() == 0 {
		if err := os.Chown(path, 12345, -1); err != nil {
			t.Fatal(err)
		}
		missing("another user's entry")
	}
	if err := os.Rename(path, path+"0"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(path+"0", path); err != nil {
		t.Fatal(err)
	}
	missing("a link")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	missing("a folder")
	c.Put("x", id, []byte("mine")) // there is no place for it
	missing("a folder")
	if list, _ := os.ReadDir(c.dir); len(list) != 2 {
		t.Errorf("something is left of an entry that could not be written: %v", list)
	}
	c.Put("y", id, []byte("mine"))
	if err := os.Chmod(c.dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, ok := c.Get("y", id); ok {
		t.Error("an entry of a folder that all can write to is taken")
	}
	c.Put("z", id, []byte("mine"))
	if list, _ := os.ReadDir(c.dir); len(list) != 3 {
		t.Errorf("something is put into a folder that all can write to: %v", list)
	}
}

func TestNoFolder(t *testing.T) {
	t.Setenv("HOME", "")
	t.Setenv("XDG_CACHE_HOME", "")
	if User("x", 1) != nil {
		t.Error("a cache without HOME")
	}
	dir := t.TempDir()
	t.Setenv("HOME", filepath.Join(dir, "nonexistent"))
	if User("x", 1) != nil {
		t.Error("a cache in a home that is not there")
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	nothing := func(what string, c *Cache) {
		t.Helper()
		c.Put("x", identity("1"), []byte("one"))
		if _, ok := c.Get("x", identity("1")); ok {
			t.Errorf("%s has an entry", what)
		}
	}
	nothing("a file", Open(file, 1<<20))
	nothing("a folder below a file", Open(filepath.Join(file, "x"), 1<<20))
	nothing("a folder that cannot be made", Open("/proc/self/sysgate", 1<<20))
	t.Setenv("XDG_CACHE_HOME", filepath.Join(dir, "cache"))
	c := User("x", 1<<20)
	if c == nil || c.dir != filepath.Join(dir, "cache", "sysgate", "x") {
		t.Fatalf("the user's cache: %+v", c)
	}
	if _, err := os.Stat(c.dir); !os.IsNotExist(err) {
		t.Errorf("a folder is made before there is an entry: %v", err)
	}
	c.Put("x", identity("1"), []byte("one"))
	if st, err := os.Stat(c.dir); err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
	if err := os.RemoveAll(filepath.Join(dir, "cache")); err != nil {
		t.Fatal(err)
	}
	if _, ok := c.Get("x", identity("1")); ok {
		t.Error("an entry in a folder that is gone")
	}
}

// TestRoom fills a cache: what was not used for the longest time goes.
func TestRoom(t *testing.T) {
	content := make([]byte, 1000)
	c := open(t, 10*int64(headerSize+len(content)))
	c.Put("x", identity("0"), content)
	left := filepath.Join(c.dir, temporary+"1")
	if err := os.WriteFile(left, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	ago := func(path string, d time.Duration) {
		t.Helper()
		if err := os.Chtimes(path, time.Time{}, time.Now().Add(-d)); err != nil {
			t.Fatal(err)
		}
	}
	ago(left, 2*abandoned)
	id := func(i int) Identity { return identity(fmt.Sprint(i)) }
	for i := range 10 {
		c.Put("x", id(i), content)
		ago(c.path("x", id(i)), time.Duration(100-i)*noted)
	}
	if _, ok := c.Get("x", id(0)); !ok { // it is used
		t.Fatal("the first entry is gone before there is no room")
	}
	c.Put("x", id(10), content)
	for i, want := range []bool{true, false, false, false, false, true, true, true, true, true, true} {
		if _, ok := c.Get("x", id(i)); ok != want {
			t.Errorf("entry %d: %v, want %v", i, ok, want)
		}
	}
	if _, err := os.Stat(left); !os.IsNotExist(err) {
		t.Errorf("what a process left behind is still there: %v", err)
	}
}

// TestProcesses lets several processes write and read the same entries.
func TestProcesses(t *testing.T) {
	const entries, rounds = 5, 60
	content := func(i int) []byte { return bytes.Repeat([]byte{byte(i)}, 1+i*20000) }
	id := func(i int) Identity { return identity(fmt.Sprint(i)) }
	if dir := os.Getenv("SYSGATE_TEST_CACHE"); dir != "" {
		c := Open(dir, 150000) // less than all need
		for k := range rounds {
			i := k % entries
			if got, ok := c.Get("x", id(i)); ok && !bytes.Equal(got, content(i)) {
				t.Fatalf("entry %d has %d bytes of another", i, len(got))
			}
			c.Put("x", id(i), content(i))
		}
		return
	}
	c := open(t, 1<<20)
	var running []*exec.Cmd
	for range 4 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestProcesses$")
		cmd.Env = append(os.Environ(), "SYSGATE_TEST_CACHE="+c.dir)
		cmd.Stdout = os.Stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		running = append(running, cmd)
	}
	for _, cmd := range running {
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	}
	// They may have removed what the others had just written, but not harmed the folder.
	c.Put("x", id(1), content(1))
	if got, ok := c.Get("x", id(1)); !ok || !bytes.Equal(got, content(1)) {
		t.Error("what is put there afterwards is not found")
	}
	list, err := os.ReadDir(c.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		if strings.HasPrefix(e.Name(), temporary) {
			t.Errorf("%s is left", e.Name())
		}
	}
}
