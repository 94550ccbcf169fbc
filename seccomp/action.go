package seccomp

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
)

// Action specifies what to do when a syscall matches during filter evaluation.
// It is the word that the filter returns: an errno, a tracer's message or
// SIGSYS's si_errno can be or'ed to ActionErrno, ActionTrace and ActionTrap.
// ActionErrno alone is EPERM.
type Action uint32

// The actions.
const (
	ActionKillThread  Action = 0x0        // kill the calling thread
	ActionKillProcess Action = 0x80000000 // kill the process (Linux 4.14)
	ActionTrap        Action = 0x30000    // do not make the call; SIGSYS
	ActionErrno       Action = 0x50000    // do not make the call; it fails with EPERM
	ActionTrace       Action = 0x7ff00000 // hand the call to a tracer; without one it fails with ENOSYS
	ActionLog         Action = 0x7ffc0000 // make the call, and log it (Linux 4.14)
	ActionAllow       Action = 0x7fff0000 // make the call

	// ActionUserNotify hands the call to the filter's listener (Linux 5.0).
	// LoadFilter gives none, so that the call fails with ENOSYS: for a listener,
	// install the policy that Policy.Lower returns with sysgate.Install.
	ActionUserNotify Action = 0x7fc00000
)

// missingAction stands for an action that a configuration does not give. The
// kernel knows no such action.
const missingAction Action = 0xffffffff

// valid reports whether a is an action of the kernel, with data where it takes
// any and none else.
func (a Action) valid() bool {
	word := abi.Action(a)
	switch {
	case !word.Known():
		return false
	case word.Kind() == abi.Errno:
		return word.Data() <= abi.MaxErrno
	}
	return word.Data() == 0 || word.TakesData()
}

// String returns the name of the action, with data as "errno(EACCES)" or
// "trap(7)", and "unknown" if it is none. Errnos are called as on the
// architecture that the program is built for.
func (a Action) String() string {
	if !a.valid() {
		return "unknown"
	}
	word := abi.Action(a)
	if word.Data() != 0 {
		return goarch().ActionString(word)
	}
	name, _, _ := strings.Cut(word.String(), "(")
	return name
}

// MarshalText marshals the value to text, as String does.
func (a Action) MarshalText() ([]byte, error) {
	return []byte(a.String()), nil
}

// actions are those without data.
var actions = [...]Action{
	ActionKillThread, ActionKillProcess, ActionTrap, ActionErrno, ActionTrace, ActionLog, ActionAllow, ActionUserNotify,
}

// Unpack sets the Action value based on the string: what String returns, in
// either case of letters, with an errno's name or number. go-ucfg calls it.
func (a *Action) Unpack(s string) error {
	s = strings.ToLower(s)
	for _, known := range actions {
		if known.String() == s {
			*a = known
			return nil
		}
	}
	if !strings.HasSuffix(s, ")") {
		return fmt.Errorf("invalid action: %v", s)
	}
	parsed, err := policy.ParseAction(s)
	if err != nil {
		return fmt.Errorf("invalid action: %v: %w", s, err)
	}
	data := parsed.Data
	if parsed.Errno != "" {
		n, ok := goarch().Errno(parsed.Errno)
		if !ok {
			return fmt.Errorf("invalid action: %v: %s has no errno %s", s, goarch(), parsed.Errno)
		}
		data = n
	}
	*a = Action(parsed.Kind.WithData(data))
	return nil
}

// UnmarshalText reads what MarshalText writes, as Unpack does.
func (a *Action) UnmarshalText(text []byte) error { return a.Unpack(string(text)) }

// UnmarshalJSON reads an action by name or, as encoding/json did without this
// method, by number.
func (a *Action) UnmarshalJSON(data []byte) error {
	var s string
	if err := json.Unmarshal(data, &s); err == nil && string(data) != "null" {
		return a.Unpack(s)
	}
	return a.unpackNumber(string(data))
}

// UnmarshalYAML reads an action by name or number. YAML libraries call it.
func (a *Action) UnmarshalYAML(unmarshal func(any) error) error {
	var s string
	if err := unmarshal(&s); err != nil {
		return err
	}
	if err := a.unpackNumber(s); err == nil {
		return nil
	}
	return a.Unpack(s)
}

// unpackNumber reads the word of an action.
func (a *Action) unpackNumber(s string) error {
	word, err := strconv.ParseUint(s, 0, 32)
	if err != nil || !Action(word).valid() {
		return fmt.Errorf("invalid action: %v", s)
	}
	*a = Action(word)
	return nil
}
