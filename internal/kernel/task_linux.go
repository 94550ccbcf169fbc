package kernel

import (
	"errors"
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"
)

// TasksCalls are the calls that [Tasks] makes, and no others, so that a caller
// can see first whether a filter lets them through. (The os package would make
// more of them, to poll the file.)
func TasksCalls() []string { return []string{"openat", "getdents64", "read", "close"} }

// Tasks reads the state of every thread of the process from /proc/self/task, or
// of the calling thread alone from /proc/thread-self. Threads that end meanwhile
// are left out.
func Tasks(every bool) ([]Task, error) {
	if !every {
		status, err := readFile("/proc/thread-self/status")
		if err != nil {
			return nil, err
		}
		return []Task{parseTask(0, status)}, nil
	}
	const dir = "/proc/self/task"
	names, err := readDir(dir)
	if err != nil {
		return nil, err
	}
	var tasks []Task
	for _, name := range names {
		tid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		status, err := readFile(dir + "/" + name + "/status")
		switch {
		case errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESRCH):
			continue // it has ended
		case err != nil:
			return nil, err
		}
		if t := parseTask(tid, status); !t.Dead {
			tasks = append(tasks, t)
		}
	}
	return tasks, nil
}

// readDir returns the names in a directory.
func readDir(name string) ([]string, error) {
	fd, err := open(name, unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	var names []string
	buf := make([]byte, 8192)
	for {
		n, err := retry(func() (int, error) { return unix.Getdents(fd, buf) })
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if n == 0 {
			return names, nil
		}
		for rest := buf[:n]; len(rest) > 0; {
			consumed, _, more := unix.ParseDirent(rest, -1, names)
			rest, names = rest[consumed:], more
		}
	}
}

// readFile returns what a file of /proc holds: a status has some 1,500 bytes, and
// a list of groups in it that can be longer.
func readFile(name string) ([]byte, error) {
	fd, err := open(name, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	data := make([]byte, 0, 4096)
	for {
		if len(data) == cap(data) {
			data = append(data, 0)[:len(data)]
		}
		n, err := retry(func() (int, error) { return unix.Read(fd, data[len(data):cap(data)]) })
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if n == 0 {
			return data, nil
		}
		data = data[:len(data)+n]
	}
}

func open(name string, flags int) (int, error) {
	fd, err := retry(func() (int, error) { return unix.Open(name, unix.O_RDONLY|unix.O_CLOEXEC|flags, 0) })
	if err != nil {
		return -1, fmt.Errorf("%s: %w", name, err)
	}
	return fd, nil
}

// retry repeats a call that a signal interrupted.
func retry(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if err != unix.EINTR {
			return n, err
		}
	}
}
