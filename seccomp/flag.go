package seccomp

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// FilterFlag is a flag that is passed to seccomp(2). Multiple flags can be OR'ed
// together.
type FilterFlag uint32

const (
	// FilterFlagTSync gives the filter to every thread of the process
	// (Linux 3.17). Without it, it is the calling thread's.
	FilterFlagTSync FilterFlag = 0x1

	// FilterFlagLog has the kernel log every action but allow (Linux 4.14).
	FilterFlagLog FilterFlag = 0x2
)

const allFlags = FilterFlagTSync | FilterFlagLog

// String returns the names of the flags, joined by "|": "tsync|log". What has
// no name is "unknown".
func (f FilterFlag) String() string {
	var names []string
	for _, flag := range []struct {
		bits FilterFlag
		name string
	}{
		{FilterFlagTSync, "tsync"},
		{FilterFlagLog, "log"},
		{^allFlags, "unknown"},
	} {
		if f&flag.bits != 0 {
			names = append(names, flag.name)
		}
	}
	return strings.Join(names, "|")
}

// MarshalText marshals the value to text, as String does.
func (f FilterFlag) MarshalText() ([]byte, error) {
	return []byte(f.String()), nil
}

// Unpack sets the flags based on the string: names joined by "|", in either
// case of letters, or the number. go-ucfg calls it.
func (f *FilterFlag) Unpack(s string) error {
	s = strings.ToLower(s)
	if n, err := strconv.ParseUint(s, 0, 32); err == nil && FilterFlag(n)&^allFlags == 0 {
		*f = FilterFlag(n)
		return nil
	}
	var flags FilterFlag
	for name := range strings.SplitSeq(s, "|") {
		switch strings.TrimSpace(name) {
		case "tsync":
			flags |= FilterFlagTSync
		case "log":
			flags |= FilterFlagLog
		default:
			if s != "" {
				return fmt.Errorf("invalid flag: %v", s)
			}
		}
	}
	*f = flags
	return nil
}

// UnmarshalText reads what MarshalText writes, as Unpack does.
func (f *FilterFlag) UnmarshalText(text []byte) error { return f.Unpack(string(text)) }

// UnmarshalJSON reads flags by name or number.
func (f *FilterFlag) UnmarshalJSON(data []byte) error {
	var s string
	if err := json.Unmarshal(data, &s); err == nil && string(data) != "null" {
		return f.Unpack(s)
	}
	return f.Unpack(string(data))
}

// UnmarshalYAML reads flags by name or number. YAML libraries call it.
func (f *FilterFlag) UnmarshalYAML(unmarshal func(any) error) error {
	var s string
	if err := unmarshal(&s); err != nil {
		return err
	}
	return f.Unpack(s)
}
