package monitor

import "github.com/sysgate/sysgate/abi"

// A Severity is how urgent an event is, as a level of syslog (RFC 5424, 6.2.1).
type Severity int

// The severities that events have.
const (
	Failed  Severity = 3 // error: a program was killed, or records were lost
	Warning Severity = 4 // warning: a call was denied
	Notice  Severity = 5 // notice: a call was let through, or another program decides it
)

// SeverityOf returns how urgent e is.
func SeverityOf(e Event) Severity {
	v := e.Violation
	if v == nil {
		return Failed
	}
	switch v.Action.Kind() {
	case abi.KillProcess, abi.KillThread:
		return Failed
	case abi.Allow, abi.Log, abi.Trace, abi.UserNotify:
		return Notice
	}
	return Warning
}
