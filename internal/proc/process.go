package proc

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// A Process is one process, as far as it could be read.
type Process struct {
	PID int
	Status
	Exe    string   // as /proc/PID/exe has it; "" for a kernel thread, or where it may not be read
	Args   []string // command line; a process can change its own
	Cwd    string
	Parent string // its parent's name
	Place
}

// Command returns the command line with single blanks, or the name in brackets
// where there is none, as ps(1) does.
func (p *Process) Command() string {
	if len(p.Args) == 0 {
		return "[" + p.Name + "]"
	}
	return strings.Join(p.Args, " ")
}

// Read reads the process pid below root, "/proc". What it cannot read is left
// empty; the error is that of the status, without which there is no process.
func Read(root string, pid int) (*Process, error) {
	dir := filepath.Join(root, strconv.Itoa(pid))
	p := &Process{PID: pid}
	p.fill(dir, ParseCgroup) // first: a process that ends loses these before its status
	p.Cwd, _ = os.Readlink(dir + "/cwd")
	status, err := readFile(dir + "/status")
	if err != nil {
		return nil, gone(pid, err)
	}
	p.Status = parseStatus(status)
	if name, err := readFile(filepath.Join(root, strconv.Itoa(p.PPID), "comm")); err == nil && p.PPID > 0 {
		p.Parent = strings.TrimSuffix(string(name), "\n")
	}
	return p, nil
}

// fill reads what the status does not have, but for the working directory and the
// parent.
func (p *Process) fill(dir string, place func(cgroup string) Place) {
	if text, err := readFile(dir + "/cmdline"); err == nil {
		p.Args = splitArgs(text)
	}
	p.Exe, _ = os.Readlink(dir + "/exe")
	if text, err := readFile(dir + "/cgroup"); err == nil {
		p.Place = place(string(text))
	}
}

// splitArgs splits a command line at its zero bytes.
func splitArgs(text []byte) []string {
	text = bytes.TrimRight(text, "\x00")
	if len(text) == 0 {
		return nil
	}
	return strings.Split(string(text), "\x00")
}

// ErrGone is wrapped by the error about a process that is not there.
var ErrGone = errors.New("no such process")

func gone(pid int, err error) error {
	if errors.Is(err, os.ErrNotExist) || strings.Contains(err.Error(), "no such process") {
		return fmt.Errorf("pid %d: %w", pid, ErrGone)
	}
	return fmt.Errorf("pid %d: %w", pid, err)
}
