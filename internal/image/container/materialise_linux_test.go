package container

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Links to directories that hold only such links are made, however many lead to each
// other.
func TestLinkChain(t *testing.T) {
	const n = 2000
	entries := []entry{{name: "last/app", body: program("app")}}
	for i := range n {
		entries = append(entries, entry{name: fmt.Sprintf("d%d/next", i), body: fmt.Sprintf("-> /d%d", i+1)})
	}
	entries = append(entries, entry{name: fmt.Sprintf("d%d", n), body: "-> last"},
		entry{name: "nowhere/link", body: "-> /nowhere/else"}, entry{name: "nowhere/else/"}, entry{name: "loop/a", body: "-> /loop"})
	root := rootOf(t, entries...)
	for _, name := range []string{"d1999/next/app", "d1990/next/next/next/next/next/next/next/next/next/next/app"} {
		if data, err := os.ReadFile(filepath.Join(root.Dir, name)); err != nil || string(data) != program("app") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for i := range n {
		if _, err := os.Lstat(filepath.Join(root.Dir, fmt.Sprintf("d%d/next", i))); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"nowhere", "loop"} {
		if _, err := os.Lstat(filepath.Join(root.Dir, name)); !os.IsNotExist(err) {
			t.Errorf("%s, which nothing needs: %v", name, err)
		}
	}
}

// What a file has of zeros takes no space.
func TestSparse(t *testing.T) {
	body := program("begin") + strings.Repeat("\x00", 8<<20) + "end" + strings.Repeat("\x00", 3<<20+1)
	root := rootOf(t, entry{name: "app", body: body})
	file := filepath.Join(root.Dir, "app")
	data, err := os.ReadFile(file)
	if err != nil || string(data) != body {
		t.Errorf("%d bytes, want %d: %v", len(data), len(body), err)
	}
	var info syscall.Stat_t
	if err := syscall.Stat(file, &info); err != nil {
		t.Fatal(err)
	}
	if taken := info.Blocks * 512; taken > 2<<20 {
		t.Errorf("it takes %d bytes on the disk", taken)
	}
}
