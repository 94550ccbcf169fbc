package convert

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
)

// errNoFirejail says why a group cannot be known.
var errNoFirejail = errors.New("groups are firejail's own, and it is not installed: its program fseccomp would say what is in them")

// fseccomp returns the program of Firejail that makes its filters, "" if it is not
// installed.
func fseccomp() string {
	for _, pattern := range []string{"/usr/lib/*/firejail/fseccomp", "/usr/lib/firejail/fseccomp", "/usr/lib64/firejail/fseccomp", "/usr/local/lib/firejail/fseccomp"} {
		if found, err := filepath.Glob(pattern); err == nil && len(found) > 0 {
			return found[0]
		}
	}
	return ""
}

// firejailSecondary is no group of Firejail's: what it denies 386 where a profile
// says nothing of that.
const firejailSecondary = "@secondary"

// FirejailGroups returns the names of the groups that the installed Firejail has,
// none if it is not installed. What is in them is not known here.
func FirejailGroups() []string {
	if fseccomp() == "" {
		return nil
	}
	return firejailGroupNames()
}

func firejailGroupNames() []string {
	return strings.Fields(`@aio @basic-io @chown @clock @cpu-emulation @debug @default @default-keep
		@default-nodebuggers @file-system @io-event @ipc @keyring @memlock @module @mount @network-io @obsolete
		@privileged @process @raw-io @reboot @resources @setuid @signal @swap @sync @system-service @timer`)
}

// FirejailGroup returns the numbers on amd64 or 386 of the calls in a group of the
// installed Firejail.
func FirejailGroup(a abi.ABI, group string) ([]uint32, error) {
	return installedFirejailGroups()(a, group)
}

// installedFirejailGroups returns the groups of the installed Firejail, which
// makes a filter that denies one: its numbers are the group.
func installedFirejailGroups() firejailGroups {
	program := fseccomp()
	return func(a abi.ABI, group string) ([]uint32, error) {
		if program == "" {
			return nil, errNoFirejail
		}
		if group != firejailSecondary && !slices.Contains(firejailGroupNames(), group) {
			return nil, fmt.Errorf("unknown group %s", group)
		}
		dir, err := os.MkdirTemp("", "sysgate-firejail-")
		if err != nil {
			return nil, err
		}
		defer os.RemoveAll(dir)
		var numbers []uint32
		files := []string{filepath.Join(dir, "before"), filepath.Join(dir, "after")} // its own exec
		args := []string{"drop", files[0], files[1], group}
		switch {
		case group == firejailSecondary:
			args = []string{"secondary", "32", files[0]}
		case a == abi.I386:
			args[0] = "drop32"
		}
		cmd := exec.Command(program, args...)
		cmd.Env = []string{"FIREJAIL_SECCOMP_ERROR_ACTION=EPERM"}
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("firejail on %s: %w: %s", group, err, bytes.TrimSpace(out))
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if errors.Is(err, os.ErrNotExist) {
				continue
			}
			if err != nil {
				return nil, err
			}
			denied, err := deniedNumbers(data, a)
			if err != nil {
				return nil, fmt.Errorf("firejail's filter for %s: %w", group, err)
			}
			numbers = append(numbers, denied...)
		}
		slices.Sort(numbers)
		return slices.Compact(numbers), nil
	}
}

// cached returns g with every group asked for once.
func (g firejailGroups) cached() firejailGroups {
	type key struct {
		a     abi.ABI
		group string
	}
	type answer struct {
		numbers []uint32
		err     error
	}
	known := make(map[key]answer)
	return func(a abi.ABI, group string) ([]uint32, error) {
		k := key{a, group}
		if _, ok := known[k]; !ok {
			numbers, err := g(a, group)
			known[k] = answer{numbers, err}
		}
		return known[k].numbers, known[k].err
	}
}

// deniedNumbers returns the numbers below x32's that a filter for a denies.
func deniedNumbers(data []byte, a abi.ABI) ([]uint32, error) {
	p, err := bpf.FromBytes(data, a.BigEndian())
	if err == nil {
		err = p.Validate()
	}
	if err != nil {
		return nil, err
	}
	var denied []uint32
	for nr := range uint32(1024) {
		if p.Run(abi.Call{NR: nr, Arch: a.AuditArch()}, a.BigEndian()).Return != abi.Allow {
			denied = append(denied, nr)
		}
	}
	return denied, nil
}
