//go:build unix

package image

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// mapFile maps a regular file for reading.
func mapFile(f *os.File) (data []byte, unmap func() error, err error) {
	st, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, nil, errors.New("not a regular file")
	}
	if st.Size() == 0 {
		return nil, func() error { return nil }, nil
	}
	data, err = unix.Mmap(int(f.Fd()), 0, int(st.Size()), unix.PROT_READ, unix.MAP_PRIVATE)
	if err != nil {
		return nil, nil, os.NewSyscallError("mmap", err)
	}
	return data, func() error { return unix.Munmap(data) }, nil
}

// mapPrivate maps the bytes of f at offset off, as many as old has, for reading
// and writing: writes change this mapping alone, and only pages that are written
// to are copied.
func mapPrivate(f *os.File, off uint64, old []byte) (data []byte, unmap func() error, err error) {
	none := func() error { return nil }
	if len(old) == 0 {
		return nil, none, nil
	}
	skip := off % uint64(os.Getpagesize())
	whole, err := unix.Mmap(int(f.Fd()), int64(off-skip), len(old)+int(skip), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE)
	if err != nil {
		return nil, nil, os.NewSyscallError("mmap", err)
	}
	return whole[skip:], func() error { return unix.Munmap(whole) }, nil
}

// forget gives pages of a file that is mapped for reading back to the system, which
// reads them again when they are asked for.
func forget(data []byte) {
	_ = unix.Madvise(data, unix.MADV_DONTNEED) // what fails stays
}
