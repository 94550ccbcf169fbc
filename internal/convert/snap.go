package convert

import (
	"fmt"
	"os/user"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/proof"
	"github.com/sysgate/sysgate/policy"
)

var formatSnap = Format{
	Name: "snap", Title: "snap-seccomp profile",
	Detect: isSnapBinary, Read: readSnap, Write: writeSnap,
	Says: Says{
		Actions:   "allow; errno(EACCES) of what is allowed",
		Default:   "errno(EPERM); log with @complain",
		Unknown:   "the default",
		Arguments: "equality, order, masked equality, with values of 32 bits; of ids, equality of 32 bits",
		Order:     "a denial beats what is allowed",
		ABIs:      "the machine's and its 32-bit one; others: kill_thread",
	},
}

// maxSuggested bounds the unknown names for which another one is looked for.
const maxSuggested = 20

// snapIDs are the calls whose arguments are ids of 32 bits: only equality can be
// asked, and of negative numbers too (syscallsWithNegArgsMaskHi32).
var snapIDs = []string{
	"chown", "chown32", "fchown", "fchown32", "fchownat", "lchown", "lchown32", "setgid", "setgid32", "setregid", "setregid32", "setresgid",
	"setresgid32", "setreuid", "setreuid32", "setresuid", "setresuid32", "setuid", "setuid32", "copy_file_range",
}

// snapConstants matches the constants that snap-seccomp knows.
var snapConstants = regexp.MustCompile(`^([AP]F_|SOCK_|PR_|PRIO_|CLONE_NEW|TIOCSTI$|TIOCLINUX$|Q_|S_IF|NETLINK_|PTRACE_|KCMP_)`)

// snapOwn are those of them that no kernel header has by this name: usrsctp's
// family, and what the C library and the file system's headers define.
var snapOwn = map[string]uint64{
	"AF_CONN":         123,
	"PTRACE_PEEKUSER": 3,
	"Q_XQUOTAON":      'X'<<8 + 1, // xfs/xqm.h
	"Q_XQUOTAOFF":     'X'<<8 + 2,
	"Q_XGETQUOTA":     'X'<<8 + 3,
	"Q_XSETQLIM":      'X'<<8 + 4,
	"Q_XGETQSTAT":     'X'<<8 + 5,
	"Q_XQUOTARM":      'X'<<8 + 6,
}

// snapUser matches the names of users and groups that snap-seccomp takes.
var snapUser = regexp.MustCompile(`^[a-z0-9][-a-z0-9]*$`)

// snapABIs returns the ABIs of a's profiles.
func snapABIs(a abi.ABI) []abi.ABI {
	switch a {
	case abi.AMD64:
		return []abi.ABI{a, abi.I386}
	case abi.ARM64:
		return []abi.ABI{a, abi.ARM}
	}
	return []abi.ABI{a}
}

// readSnap reads a profile as snap-seccomp compiles it (cmd/snap-seccomp of
// snapd): two filters of libseccomp's, one that allows, and under it one that
// denies. It reads what that writes, too.
func readSnap(name string, data []byte, o Options) (*policy.Policy, []Loss, error) {
	a, err := o.machine()
	if err != nil {
		return nil, nil, err
	}
	if isSnapBinary(name, data) {
		return readSnapBinary(name, data, a)
	}
	r := &snapReader{ociReader: &ociReader{document: newDocument(name, data), options: OCIOptions{Options: Options{Native: a, Runtime: Kernel}}}}
	if len(data) > maxText {
		return nil, nil, r.errorf(0, 0, "", "file of %d bytes is too large for a profile: the limit is %d", len(data), maxText)
	}
	if a == abi.PPC64 {
		r.losses = append(r.losses, Loss{Msg: "the 32-bit calls of ppc64, which the profile is for too, have no tables here: they are killed"})
	}
	lines := (cLine{r.document, string(data), 0}).split("\n")
	for _, l := range lines {
		switch l.text {
		case "@unrestricted":
			return unrestricted(a), []Loss{{r.pos(l.off), "an unrestricted profile installs no filter"}}, nil
		case "@complain":
			r.complain = true
		}
	}
	for _, l := range lines {
		r.line(l)
	}
	if err := oneOrMore(r.errs); err != nil {
		return nil, nil, err
	}
	p, err := r.policy(a)
	if err == nil {
		err = oneOrMore(r.errs)
	}
	return p, r.losses, err
}

// unrestricted returns the policy of a process without a filter.
func unrestricted(a abi.ABI) *policy.Policy {
	allow := policy.Action{Kind: abi.Allow}
	return onOneABI(a, allow, allow)
}

type snapReader struct {
	*ociReader
	complain      bool
	allowed, deny []ociEntry
	ids           []string // users and groups that have been looked up
}

func (r *snapReader) bad(l cLine, hint, format string, args ...any) {
	r.errs = append(r.errs, r.errorf(l.off, l.off+max(1, len(l.text)), hint, format, args...))
}

// fields cuts l at spaces.
func (l cLine) fields() []cLine {
	var all []cLine
	for i := 0; i < len(l.text); {
		n := strings.IndexAny(l.text[i:], " \t\r")
		if n < 0 {
			n = len(l.text) - i
		}
		if n > 0 {
			all = append(all, l.cut(i, i+n))
		}
		i += n + 1
	}
	return all
}

func (r *snapReader) line(l cLine) {
	if l.text == "" || l.text[0] == '#' || l.text == "@complain" {
		return
	}
	words := l.fields()
	call, denied := words[0], false
	if strings.HasPrefix(call.text, "~") {
		call, denied = call.cut(1, len(call.text)), true
	}
	if len(words) > 7 {
		r.bad(words[7], "", "%s: a call has six arguments", call.text)
		return
	}
	if !abi.Known(call.text) {
		hint := ""
		if len(r.losses) < maxSuggested { // each takes a look at every call there is
			if s := abi.Suggest(call.text); s != "" {
				hint = "; did you mean " + s + "?"
			}
		}
		r.lose(call.off, fmt.Sprintf("snap-seccomp ignores %q, which is no call%s", call.text, hint))
		return
	}
	e := ociEntry{names: []*value{{off: call.off, end: call.off + len(call.text), text: &call.text}}, off: l.off}
	for i, word := range words[1:] {
		if word.text == "-" {
			continue
		}
		arg, ok := r.argument(call.text, word)
		if !ok {
			return
		}
		arg.index = i
		e.args = append(e.args, arg)
	}
	if denied {
		e.action = policy.Action{Kind: abi.Errno, Errno: "EACCES"}
		r.deny = append(r.deny, e)
	} else {
		e.action = policy.Action{Kind: abi.Allow}
		r.allowed = append(r.allowed, e)
	}
}

// argument reads what is asked of an argument.
func (r *snapReader) argument(call string, l cLine) (arg ociArg, ok bool) {
	text := l.text
	arg.op = "SCMP_CMP_EQ"
	for _, known := range []struct{ prefix, op string }{
		{">=", "SCMP_CMP_GE"}, {"<=", "SCMP_CMP_LE"}, {"!", "SCMP_CMP_NE"}, {"<", "SCMP_CMP_LT"}, {">", "SCMP_CMP_GT"}, {"|", "SCMP_CMP_MASKED_EQ"},
	} {
		if rest, found := strings.CutPrefix(text, known.prefix); found {
			text, arg.op = rest, known.op
			break
		}
	}
	var err error
	masked := arg.op == "SCMP_CMP_MASKED_EQ"
	switch mask, value, both := strings.Cut(text, "|"); {
	case arg.op == "SCMP_CMP_EQ" && both:
		masked, arg.op = true, "SCMP_CMP_MASKED_EQ"
		if arg.value, err = r.word(call, mask); err == nil {
			arg.valueTwo, err = r.word(call, value)
		}
	case arg.op == "SCMP_CMP_EQ" && (strings.HasPrefix(text, "u:") || strings.HasPrefix(text, "g:")):
		arg.value, err = snapID(text)
		if err == nil && !slices.Contains(r.ids, text) {
			r.ids = append(r.ids, text)
			r.lose(l.off, fmt.Sprintf("%s is %d on this machine", text, arg.value))
		}
	default:
		arg.value, err = r.word(call, text)
		arg.valueTwo = arg.value
	}
	if err != nil {
		r.bad(l, "", "%v", err)
		return arg, false
	}
	if slices.Contains(snapIDs, call) {
		if arg.op != "SCMP_CMP_EQ" {
			r.bad(l, "", "of the arguments of %s, only equality can be asked", call)
			return arg, false
		}
		arg.op, arg.value, arg.valueTwo = "SCMP_CMP_MASKED_EQ", 1<<32-1, arg.value
	} else if !masked {
		arg.valueTwo = 0
	}
	return arg, true
}

// word reads a constant or a number of 32 bits.
func (r *snapReader) word(call, text string) (uint64, error) {
	if snapConstants.MatchString(text) {
		name := text
		if rest, ok := strings.CutPrefix(text, "PF_"); ok {
			name = "AF_" + rest
		}
		if v, ok := snapOwn[name]; ok {
			return v, nil
		}
		if v, ok := r.options.Native.Constant(name); ok {
			return v, nil
		}
	}
	if v, err := strconv.ParseUint(text, 10, 32); err == nil {
		return v, nil
	}
	v, err := strconv.ParseInt(text, 10, 32)
	switch {
	case err != nil:
		return 0, fmt.Errorf("%q is no constant of snap-seccomp's and no decimal number of 32 bits", text)
	case !slices.Contains(snapIDs, call):
		return 0, fmt.Errorf("%s is negative, which only the arguments of calls about ids can be", text)
	}
	return uint64(uint32(v)), nil
}

// snapID returns the number of "u:USER" or "g:GROUP" on this machine.
func snapID(text string) (uint64, error) {
	name := text[2:]
	if !snapUser.MatchString(name) {
		return 0, fmt.Errorf("%q is no name of a user or group that a snap can ask for", name)
	}
	id := ""
	if text[0] == 'u' {
		u, err := user.Lookup(name)
		if err != nil {
			return 0, err
		}
		id = u.Uid
	} else {
		g, err := user.LookupGroup(name)
		if err != nil {
			return 0, err
		}
		id = g.Gid
	}
	return strconv.ParseUint(id, 10, 32)
}

// policy returns what the two filters do together. snap-confine loads the one
// that denies first: where both do, the other's error counts.
func (r *snapReader) policy(a abi.ABI) (*policy.Policy, error) {
	allow := &profile{defaultAction: policy.Action{Kind: abi.Errno, Errno: "EPERM"}, abis: snapABIs(a), entries: r.allowed}
	if r.complain {
		allow.defaultAction = policy.Action{Kind: abi.Log}
	}
	deny := &profile{defaultAction: policy.Action{Kind: abi.Allow}, abis: allow.abis}
	together := false
	for _, e := range r.deny {
		name := *e.names[0].text
		plain, some := false, false
		for _, other := range r.allowed {
			if *other.names[0].text == name {
				plain, some = plain || len(other.args) == 0, true
			}
		}
		if !some && !r.complain {
			r.lose(e.off, "~"+name+" has no effect: it is not allowed, so the error is EPERM")
			continue
		}
		together = together || !plain && !r.complain
		deny.entries = append(deny.entries, e)
	}
	p := r.lower(allow)
	if len(deny.entries) == 0 {
		return p, nil
	}
	d := r.lower(deny)
	if !together {
		p.Rules = append(d.Rules, p.Rules...)
		return p, nil
	}
	s := proof.NewSpace(proof.Budget{})
	f, err := functionOf(s, p, a)
	if err != nil {
		return nil, err
	}
	g, err := functionOf(s, d, a)
	if err != nil {
		return nil, err
	}
	return s.Decompile(s.Combine(g, f, proof.Stack), a)
}

// functionOf returns what p gives every call.
func functionOf(s *proof.Space, p *policy.Policy, a abi.ABI) (f proof.Function, err error) {
	resolved, _, err := p.Resolve(policy.Options{Native: a})
	if err != nil {
		return f, err
	}
	return s.Policy(resolved)
}
