package policy

import (
	"fmt"
	"strings"

	"github.com/sysgate/sysgate/abi"
)

// kinds are the actions by name, without fake_success, which is errno with data
// 0.
var kinds = []struct {
	name string
	kind abi.Action
}{
	{"allow", abi.Allow},
	{"log", abi.Log},
	{"trace", abi.Trace},
	{"user_notify", abi.UserNotify},
	{"errno", abi.Errno},
	{"trap", abi.Trap},
	{"kill_thread", abi.KillThread},
	{"kill_process", abi.KillProcess},
}

const fakeSuccess = "fake_success"

// ParseAction reads an action: allow, log, trace, trace(n), user_notify, errno
// (EPERM), errno(NAME), errno(n), fake_success, trap, trap(n), kill_thread or
// kill_process, in either case of letters. Bare trap and trace carry 0. An error
// is an [*Error] with the position in s.
func ParseAction(s string) (Action, error) {
	a, bad := parseAction(s)
	if bad != nil {
		return Action{}, bad.in(s)
	}
	return a, nil
}

func parseAction(s string) (Action, *mistake) {
	l := lexer{text: s}
	name := l.next()
	lower := strings.ToLower(name.text)
	if name.kind == tokenName && lower == fakeSuccess {
		return Action{Kind: abi.Errno}, l.end()
	}
	kind, ok := kindNamed(lower)
	if name.kind != tokenName || !ok {
		return Action{}, name.mistake(actionHint(lower), "unknown action %q", s)
	}
	a := Action{Kind: kind}
	if kind == abi.Errno {
		a.Errno = "EPERM"
	}
	if l.peek().text != "(" {
		return a, l.end()
	}
	if !kind.TakesData() {
		return Action{}, l.peek().mistake(fmt.Sprintf("write %q", lower), "%s takes no data", lower)
	}
	l.next()
	a.Errno = ""
	data := l.next()
	switch {
	case data.kind == tokenName && kind == abi.Errno:
		a.Errno = strings.ToUpper(data.text)
		if bad := checkErrno(a.Errno); bad != "" {
			return Action{}, data.mistake(bad, "unknown errno %q", data.text)
		}
	case data.kind == tokenNumber:
		n, bad := data.number()
		if bad != nil {
			return Action{}, bad
		}
		if bad := data.checkData(kind, n); bad != nil {
			return Action{}, bad
		}
		a.Data = uint16(n)
	default:
		return Action{}, data.mistake("", "%s: want a number, got %s", lower, data)
	}
	if bad := l.want(")"); bad != nil {
		return Action{}, bad
	}
	return a, l.end()
}

// checkData checks the data that an author wrote for an action.
func (t token) checkData(kind abi.Action, n uint64) *mistake {
	switch {
	case kind == abi.Errno && n == 0:
		return t.mistake("write fake_success if the call shall be skipped and report success", "errno 0 is no error")
	case kind == abi.Errno && n > abi.MaxErrno:
		return t.mistake("", "errno %d is out of range: the largest is %d", n, abi.MaxErrno)
	case n > 0xffff:
		return t.mistake("", "data %d is out of range: the largest is 65535", n)
	}
	return nil
}

func kindNamed(name string) (abi.Action, bool) {
	for _, k := range kinds {
		if k.name == name {
			return k.kind, true
		}
	}
	return 0, false
}

// actionHint helps with what is no action, such as another tool's word for one.
func actionHint(name string) string {
	switch name {
	case "kill":
		return "did you mean kill_process or kill_thread?"
	case "deny", "block":
		return "did you mean errno(EPERM)?"
	case "notify", "user_notif":
		return "did you mean user_notify?"
	case "return":
		return "did you mean errno(NAME)?"
	}
	names := []string{fakeSuccess}
	for _, k := range kinds {
		names = append(names, k.name)
	}
	if hint := didYouMean(name, names); hint != "" {
		return hint
	}
	return "the actions are allow, log, trace(n), user_notify, errno(NAME), fake_success, trap(n), kill_thread, kill_process"
}

// checkErrno returns "" if some ABI has the errno called name, else a hint.
func checkErrno(name string) string {
	var known []string
	for _, a := range abi.All() {
		if _, ok := a.Errno(name); ok {
			return ""
		}
	}
	for n := range uint16(abi.MaxErrno) {
		if e := abi.AMD64.ErrnoName(n); e != "" {
			known = append(known, e)
		}
	}
	if hint := didYouMean(name, known); hint != "" {
		return hint
	}
	return "write a name such as ENOSYS, or a number from 1 to 4095"
}

// String returns a in the notation that [ParseAction] reads.
func (a Action) String() string {
	for _, k := range kinds {
		switch {
		case k.kind != a.Kind:
		case a.Kind == abi.Errno && a.Errno != "":
			return "errno(" + a.Errno + ")"
		case a.Kind == abi.Errno && a.Data == 0:
			return fakeSuccess
		case a.Data != 0 && a.Kind.TakesData():
			return fmt.Sprintf("%s(%d)", k.name, a.Data)
		default:
			return k.name
		}
	}
	return a.Kind.String()
}

// resolve returns the word that a filter for ABI on returns.
func (a Action) resolve(on abi.ABI) (abi.Action, error) {
	switch {
	case !a.Kind.Known() || a.Kind.Data() != 0:
		return 0, fmt.Errorf("unknown action %#x", uint32(a.Kind))
	case a.Kind == abi.Errno && a.Errno != "":
		n, ok := on.Errno(a.Errno)
		if !ok {
			return 0, fmt.Errorf("%s has no errno %s", on, a.Errno)
		}
		return abi.Errno.WithData(n), nil
	case a.Kind == abi.Errno && a.Data > abi.MaxErrno:
		return 0, fmt.Errorf("errno %d is out of range: the largest is %d", a.Data, abi.MaxErrno)
	case a.Kind.TakesData():
		return a.Kind.WithData(a.Data), nil
	}
	return a.Kind, nil
}
