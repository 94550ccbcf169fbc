package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

func files(dir string) error {
	name := filepath.Join(dir, "file")
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	steps := []func() error{
		func() error { _, err := f.WriteString("hello, world"); return err },
		func() error { _, err := f.WriteAt([]byte("H"), 0); return err },
		func() error { _, err := f.ReadAt(make([]byte, 5), 0); return err },
		func() error { _, err := f.Seek(0, io.SeekStart); return err },
		f.Sync,
		func() error { return syscall.Fdatasync(int(f.Fd())) },
		func() error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX) },
		func() error { return syscall.Flock(int(f.Fd()), syscall.LOCK_UN) },
		func() error { return syscall.Fallocate(int(f.Fd()), 0, 0, 4096) },
		func() error { return f.Truncate(4) },
		func() error { return f.Chmod(0o640) },
		func() error { return f.Chown(os.Getuid(), os.Getgid()) },
		func() error { return os.Chown(name, os.Getuid(), os.Getgid()) },
		func() error { return os.Lchown(name, os.Getuid(), os.Getgid()) },
		func() error { return os.Chmod(name, 0o600) },
		func() error { return os.Chtimes(name, time.Now(), time.Now()) },
		func() error { return os.Truncate(name, 2) },
		func() error { return os.Link(name, name+".link") },
		func() error { return os.Symlink(name, name+".symlink") },
		func() error { _, err := os.Readlink(name + ".symlink"); return err },
		func() error { _, err := os.Lstat(name + ".symlink"); return err },
		func() error { return os.Rename(name+".link", name+".renamed") },
		func() error { return syscall.Access(name, 4) },
		func() error { return os.Remove(name + ".renamed") },
	}
	for i, step := range steps {
		if err := step(); err != nil {
			return fmt.Errorf("step %d: %w", i, err)
		}
	}
	var stat syscall.Statfs_t
	return errors.Join(
		syscall.Statfs(dir, &stat),
		syscall.Fstatfs(int(f.Fd()), &stat),
		os.WriteFile(name, []byte("again"), 0o600),
	)
}

func directories(dir string) error {
	deep := filepath.Join(dir, "a", "b", "c")
	if err := os.MkdirAll(deep, 0o755); err != nil {
		return err
	}
	if err := os.CopyFS(filepath.Join(dir, "copy"), os.DirFS(filepath.Join(dir, "a"))); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	if err := root.Mkdir("rooted", 0o755); err != nil {
		return err
	}
	if _, err := root.Stat("rooted"); err != nil {
		return err
	}
	seen := 0
	if err := filepath.WalkDir(dir, func(string, fs.DirEntry, error) error { seen++; return nil }); err != nil {
		return err
	}
	if seen < 5 {
		return fmt.Errorf("%d entries", seen)
	}
	before, err := os.Getwd()
	if err != nil {
		return err
	}
	old := syscall.Umask(0o022)
	syscall.Umask(old)
	return errors.Join(os.Chdir(deep), os.Chdir(before), os.RemoveAll(filepath.Join(dir, "a")))
}

// copies has the kernel copy: copy_file_range between files.
func copies(dir string) error {
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	if err := os.WriteFile(from, make([]byte, 1<<16), 0o600); err != nil {
		return err
	}
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.Create(to)
	if err != nil {
		return err
	}
	n, err := io.Copy(dst, src)
	if err == nil && n != 1<<16 {
		err = fmt.Errorf("%d bytes copied", n)
	}
	return errors.Join(err, dst.Close())
}

func pipes(string) error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	go func() {
		defer w.Close()
		_, _ = w.WriteString("through a pipe")
	}()
	if err := r.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		return err
	}
	text, err := io.ReadAll(r)
	if err == nil && string(text) != "through a pipe" {
		err = fmt.Errorf("got %q", text)
	}
	return err
}
