package image

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// A rootFS is a folder that stands for the root of a file system.
type rootFS string // "" is this system's own root

var errLinks = errors.New("too many symbolic links")

// maxLinks is as many symbolic links as the kernel follows for one path.
const maxLinks = 40

// host returns the path on this system of the absolute path p inside the root.
// Symbolic links lead nowhere out of the root, as for a process that has it as
// its own.
func (r rootFS) host(p string) (string, error) {
	if r == "" {
		return filepath.FromSlash(p), nil
	}
	todo := strings.Split(p, "/")
	at := ""
	links := 0
	for len(todo) > 0 {
		name := todo[0]
		todo = todo[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			at = at[:max(0, strings.LastIndexByte(at, '/'))]
			continue
		}
		next := at + "/" + name
		full := filepath.Join(string(r), filepath.FromSlash(next))
		st, err := os.Lstat(full)
		if err != nil {
			return "", err
		}
		if st.Mode()&fs.ModeSymlink == 0 {
			at = next
			continue
		}
		if links++; links > maxLinks {
			return "", &fs.PathError{Op: "open", Path: full, Err: errLinks}
		}
		target, err := os.Readlink(full)
		if err != nil {
			return "", err
		}
		target = filepath.ToSlash(target)
		if strings.HasPrefix(target, "/") {
			at = ""
		}
		todo = append(strings.Split(target, "/"), todo...)
	}
	return filepath.Join(string(r), filepath.FromSlash(at)), nil
}

// maxConfig bounds the size of a configuration file, the loader's cache included.
const maxConfig = 16 << 20

// read returns a file inside the root, nil if there is none that can be read.
func (r rootFS) read(p string) []byte {
	h, err := r.host(p)
	if err != nil {
		return nil
	}
	if st, err := os.Stat(h); err != nil || !st.Mode().IsRegular() || st.Size() > maxConfig {
		return nil
	}
	b, err := os.ReadFile(h)
	if err != nil {
		return nil
	}
	return b
}

// inside returns where a path of this system lies inside the root, if it does.
func (r rootFS) inside(host string) (string, bool) {
	full, err := filepath.Abs(host)
	if err != nil {
		return "", false
	}
	if real, err := filepath.EvalSymlinks(full); err == nil {
		full = real
	}
	if r == "" {
		return filepath.ToSlash(full), true
	}
	root, err := filepath.Abs(string(r))
	if err != nil {
		return "", false
	}
	if real, err := filepath.EvalSymlinks(root); err == nil {
		root = real
	}
	rel, err := filepath.Rel(root, full)
	if err != nil || rel == ".." || strings.HasPrefix(rel, ".."+string(filepath.Separator)) {
		return "", false
	}
	return "/" + filepath.ToSlash(rel), true
}
