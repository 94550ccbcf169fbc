package kernel

import (
	"fmt"
	"os"
	"strings"

	"github.com/sysgate/sysgate/abi"
)

// ActionsLogged returns the kinds of actions that the administrator lets the
// kernel log (/proc/sys/kernel/seccomp/actions_logged, Linux 4.14). A filter logs
// kill_process, kill_thread and log; the others only with flag [Log].
func ActionsLogged() ([]abi.Action, error) {
	const file = "/proc/sys/kernel/seccomp/actions_logged"
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return parseActions(file, string(text))
}

func parseActions(file, text string) ([]abi.Action, error) {
	names := map[string]abi.Action{"user_notif": abi.UserNotify} // the kernel's word for it
	for _, a := range []abi.Action{abi.KillProcess, abi.KillThread, abi.Trap, abi.Errno, abi.UserNotify, abi.Trace, abi.Log, abi.Allow} {
		name, _, _ := strings.Cut(a.String(), "(")
		names[name] = a
	}
	var actions []abi.Action
	for name := range strings.FieldsSeq(text) {
		a, ok := names[name]
		if !ok {
			return nil, fmt.Errorf("%s: unknown action %q", file, name)
		}
		actions = append(actions, a)
	}
	return actions, nil
}

// SecurityModules returns the names of the Linux security modules in force, in
// their order (/sys/kernel/security/lsm, Linux 4.17; securityfs has to be mounted).
func SecurityModules() ([]string, error) {
	text, err := os.ReadFile("/sys/kernel/security/lsm")
	if err != nil {
		return nil, err
	}
	return strings.FieldsFunc(strings.TrimSpace(string(text)), func(r rune) bool { return r == ',' }), nil
}
