//go:build unix

package cache

import (
	"io/fs"
	"os"
	"syscall"
)

// private reports that a file or folder is the user's, and that no one else may
// write to it.
func private(st fs.FileInfo) bool {
	own, ok := st.Sys().(*syscall.Stat_t)
	return ok && int(own.Uid) == os.Geteuid() && st.Mode().Perm()&0o022 == 0
}

// openEntry opens a file for reading. It follows no link, and does not wait for what
// is no file.
func openEntry(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
}
