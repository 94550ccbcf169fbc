// Files works on a directory that it makes.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"
)

func main() {
	if err := work(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func work() error {
	dir, err := os.MkdirTemp("", "files")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	name := filepath.Join(dir, "a")
	if err := os.WriteFile(name, []byte("text"), 0o600); err != nil {
		return err
	}
	for _, f := range []func() error{
		func() error { return os.Chmod(name, 0o644) },
		func() error { return os.Chtimes(name, time.Unix(1, 0), time.Unix(2, 0)) },
		func() error { return os.Link(name, name+"2") },
		func() error { return os.Symlink(name, name+"3") },
		func() error { return os.Rename(name+"2", name+"4") },
		func() error { return os.Truncate(name, 2) },
		func() error { return os.MkdirAll(filepath.Join(dir, "d", "e"), 0o755) },
		func() error { _, err := os.Readlink(name + "3"); return err },
		func() error { _, err := os.ReadDir(dir); return err },
		func() error { _, err := os.Stat(name); return err },
		func() error { _, err := os.Getwd(); return err },
		func() error { return os.Chdir(dir) },
		func() error { return filepath.Walk(dir, func(string, os.FileInfo, error) error { return nil }) },
		func() error {
			f, err := os.OpenFile(name, os.O_RDWR|os.O_APPEND, 0)
			if err != nil {
				return err
			}
			defer f.Close()
			f.WriteString("more")
			f.Seek(0, 0)
			f.ReadAt(make([]byte, 4), 1)
			f.Sync()
			return f.Chmod(0o600)
		},
	} {
		if err := f(); err != nil {
			return err
		}
	}
	return nil
}
