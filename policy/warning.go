package policy

// A Warning is something that a policy's author should know, though the policy
// can be enforced as it stands.
type Warning struct {
	Code   string // one of the Code constants
	Pos    Pos
	Msg    string // lower case, without the position
	Hint   string // what to write instead; "" if there is nothing to say
	Source string // the line that Pos is in
	Width  int    // bytes of Source that are meant
}

// The codes of warnings.
const (
	// CodeOtherABI: only ABIs that the policy does not list have the call.
	CodeOtherABI = "other-abi"
	// CodeGroup: another call that does the same service is let through. A check
	// of a policy treats it as an error; the rule's only: true silences it.
	CodeGroup = "group"
	// CodePointer: a documented condition compares an address.
	CodePointer = "pointer"
	// CodeUnread: a documented condition is on an argument or on bits that the
	// kernel does not read.
	CodeUnread = "unread"
	// CodeException: an exception takes no call of its rule away, or the exceptions
	// take all of them.
	CodeException = "exception"
)

// String returns the message with its position and its source line, as
// [Error.Error] does.
func (w Warning) String() string { return render(w.Pos, w.Msg, w.Source, w.Width) }

func (r *resolver) warn(code string, pos Pos, width int, hint, msg string) {
	w := Warning{code, pos, msg, hint, r.src.line(pos.Line), width}
	for _, old := range r.warnings {
		if old == w {
			return // the same for another ABI
		}
	}
	r.warnings = append(r.warnings, w)
}
