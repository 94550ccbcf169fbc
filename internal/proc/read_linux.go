package proc

import (
	"errors"
	"os"
	"slices"
	"syscall"
)

// readFile returns what a small file of /proc holds. It makes three calls where
// os.ReadFile makes nine: a host has thousands of these files.
func readFile(name string) ([]byte, error) {
	fd, err := again(func() (int, error) { return syscall.Open(name, syscall.O_RDONLY|syscall.O_CLOEXEC, 0) })
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	defer syscall.Close(fd)
	data := make([]byte, 0, 2048)
	for {
		n, err := again(func() (int, error) { return syscall.Read(fd, data[len(data):cap(data)]) })
		if err != nil {
			return nil, &os.PathError{Op: "read", Path: name, Err: err}
		}
		data = data[:len(data)+n]
		if len(data) < cap(data) {
			return data, nil // less than there was room for: the end
		}
		data = slices.Grow(data, 2*cap(data))
	}
}

// again repeats a call that a signal interrupted.
func again(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if !errors.Is(err, syscall.EINTR) {
			return n, err
		}
	}
}
