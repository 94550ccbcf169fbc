package monitor

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"time"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/observe"
)

// A Filter says which violations count. The zero value takes all.
type Filter struct {
	Calls []string  // names, or "386:bind" and "nr:600" as [observe.Violation.Call] has them
	Exes  []string  // paths, names without a directory, or patterns of path.Match
	Users []string  // names or numbers
	Since time.Time // records without a time pass
}

// Check returns an error for a call that no ABI has or a pattern that is none.
func (f *Filter) Check() error {
	for _, call := range f.Calls {
		name := call
		if a, rest, ok := cutABI(call); ok {
			if _, known := abi.Parse(a); !known {
				return fmt.Errorf("unknown ABI %q", a)
			}
			name = rest
		}
		if number(name) {
			continue
		}
		if !abi.Known(name) {
			return &UnknownCallError{name}
		}
	}
	for _, exe := range f.Exes {
		if _, err := path.Match(exe, ""); err != nil {
			return fmt.Errorf("pattern %q: %w", exe, err)
		}
	}
	return nil
}

// An UnknownCallError names a call that no ABI has.
type UnknownCallError struct{ Name string }

func (e *UnknownCallError) Error() string { return fmt.Sprintf("unknown system call %q", e.Name) }

// Match reports whether v counts.
func (f *Filter) Match(v *observe.Violation) bool {
	if !f.Since.IsZero() && !v.Time.IsZero() && v.Time.Before(f.Since) && v.Last.Before(f.Since) {
		return false
	}
	return matchAny(f.Calls, func(call string) bool {
		if a, name, ok := cutABI(call); ok {
			want, _ := abi.Parse(a)
			return v.ABI == want && isCall(v, name)
		}
		return isCall(v, call)
	}) && matchAny(f.Exes, func(exe string) bool {
		return slices.ContainsFunc([]string{v.Exe, path.Base(v.Exe), v.Comm}, func(name string) bool {
			ok, _ := path.Match(exe, name)
			return name != "" && ok
		})
	}) && matchAny(f.Users, func(user string) bool {
		return user == v.User || v.UID != observe.Unset && user == strconv.FormatUint(uint64(v.UID), 10)
	})
}

func matchAny(list []string, ok func(string) bool) bool {
	return len(list) == 0 || slices.ContainsFunc(list, ok)
}

// isCall reports whether name denotes v's call on v's ABI: also by an alias.
func isCall(v *observe.Violation, name string) bool {
	if nr, ok := v.ABI.Lookup(name); ok && v.ABI != abi.None {
		return nr == v.NR || v.Name == name
	}
	return name == "nr:"+strconv.FormatUint(uint64(v.NR), 10) || name == strconv.FormatUint(uint64(v.NR), 10)
}

func number(name string) bool {
	if len(name) > 3 && name[:3] == "nr:" {
		name = name[3:]
	}
	_, err := strconv.ParseUint(name, 10, 32)
	return err == nil
}

// cutABI splits "386:bind".
func cutABI(call string) (a, name string, ok bool) {
	for i := range len(call) {
		if call[i] == ':' {
			return call[:i], call[i+1:], call[:i] != "nr"
		}
	}
	return "", call, false
}
