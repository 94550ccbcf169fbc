package convert

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
)

var formatSystemd = Format{
	Name: "systemd", Title: "systemd unit",
	Detect: isSystemd,
	Read:   readSystemd,
	Write:  writeSystemd,
	Says: Says{
		Actions:   "allow, log, errno, kill_process",
		Default:   "allow; an error or kill_process",
		Unknown:   "errno(ENOSYS), where the default denies",
		Arguments: "those of fixed directives: address families, kinds of namespaces, executable memory, …",
		Order:     "filters: the strictest; within one list: the last line",
		ABIs:      "those of the machine; others: allow, or kill_thread with SystemCallArchitectures=",
	},
}

// systemdVersion is what readSystemd takes from outside of the unit: of one
// release of systemd, and of the libseccomp that it runs with.
type systemdVersion struct {
	set   func(name string) ([]string, bool) // members of "@name", all of them
	knows func(name string) bool             // whether libseccomp has the call
	// unknown: an allow-list answers calls outside of @known with ENOSYS, whatever
	// the error of the others is.
	unknown bool
}

// maxLines bounds files whose words stand for many calls each.
const maxLines = 256 << 10

// systemd255 is the release that the named sets are of, with a libseccomp that
// knows every call.
func systemd255() systemdVersion {
	return systemdVersion{
		set:   func(name string) ([]string, bool) { return policy.Set("@systemd/" + strings.TrimPrefix(name, "@")) },
		knows: abi.Known,

		unknown: true,
	}
}

// cached returns v with every set looked up once.
func (v systemdVersion) cached() systemdVersion {
	type set struct {
		members []string
		ok      bool
	}
	known, look := make(map[string]set), v.set
	v.set = func(name string) ([]string, bool) {
		s, ok := known[name]
		if !ok {
			s.members, s.ok = look(name)
			known[name] = s
		}
		return s.members, s.ok
	}
	return v
}

// readSystemd reads a unit, a drop-in, or several of them in a row as
// "systemctl cat" prints them, and returns what the filters that systemd gives
// the unit's processes do together: one for each directive and each ABI of the
// machine.
func readSystemd(name string, data []byte, o Options) (*policy.Policy, []Loss, error) {
	return systemd255().read(name, data, o)
}

func (v systemdVersion) read(name string, data []byte, o Options) (*policy.Policy, []Loss, error) {
	o.Native = o.native()
	if o.Native == abi.None {
		return nil, nil, errors.New("a unit means nothing without the machine's ABI: name it")
	}
	if len(data) > maxLines {
		return nil, nil, &policy.Error{Pos: policy.Pos{File: name}, Msg: fmt.Sprintf("file of %d bytes is too large for a unit: the limit is %d", len(data), maxLines)}
	}
	r := &systemdReader{document: newDocument(name, data), version: v.cached(), native: o.Native, namespaces: -1}
	if r.lines(); r.err != nil {
		return nil, nil, r.err
	}
	return r.lower(), r.losses, nil
}

// byteOrderMark can start a unit: systemd skips it.
const byteOrderMark = "\ufeff"

// isSystemd reports whether data is a unit: its first line that says anything
// starts a section that units have.
func isSystemd(_ string, data []byte) bool {
	for line := range strings.Lines(strings.TrimPrefix(string(data), byteOrderMark)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		return slices.Contains([]string{"[Unit]", "[Install]"}, line) || execSection(line)
	}
	return false
}

// execSection reports whether a section sets up processes.
func execSection(line string) bool {
	return slices.Contains([]string{"[Service]", "[Socket]", "[Mount]", "[Swap]"}, line)
}

type systemdReader struct {
	*document
	version systemdVersion
	native  abi.ABI
	losses  []Loss
	err     error // for which systemd does not load the unit

	section string
	at      map[string][]int // the lines of each directive

	filter, log systemdList
	errno       policy.Action    // of SystemCallErrorNumber=; the zero value: kill
	arches      map[abi.ABI]bool // of SystemCallArchitectures=; nil: not restricted
	families    systemdFamilies
	namespaces  int64           // those that stay allowed; -1: not restricted
	flags       map[string]bool // the directives that are yes or no
	personality uint64          // of Personality=
	mdwe        int             // where MemoryDenyWriteExecute= stands
	load        policy.Load
}

// A systemdList is SystemCallFilter= or SystemCallLog=: names with the error
// that they get, nil for the list's own action.
type systemdList struct {
	names map[string]systemdWord // nil: there is no list yet
	allow bool
}

// A systemdWord is what a list says of a call, and where.
type systemdWord struct {
	action *policy.Action
	at     place
}

type systemdFamilies struct {
	values map[uint64]bool // nil: there is no list yet
	allow  bool
}

// lines reads the file line by line: a backslash at the end joins the next one,
// and comments between such lines are none of them.
func (r *systemdReader) lines() {
	text := []byte(string(r.data))
	start, joined := 0, false
	off := 0
	if bytes.HasPrefix(text, []byte(byteOrderMark)) {
		off = len(byteOrderMark)
	}
	for off < len(text) && r.err == nil {
		end := off
		for end < len(text) && text[end] != '\n' {
			end++
		}
		line := strings.TrimSpace(string(text[off:end]))
		comment := line != "" && (line[0] == '#' || line[0] == ';')
		if !joined {
			start = off
		}
		next := end + 1
		switch {
		case comment:
			for i := off; i < min(next, len(text)); i++ {
				text[i] = ' '
			}
			if !joined {
				start = next
			}
		case continues(text[off:end]) && next < len(text):
			text[end-1], text[end] = ' ', ' '
			joined = true
		default:
			r.line(string(text[start:end]), start)
			joined = false
		}
		off = next
	}
	if joined && start < len(text) {
		r.line(string(text[start:]), start)
	}
}

// continues reports whether line ends with a backslash that no other one escapes.
func continues(line []byte) bool {
	return (len(line)-len(bytes.TrimRight(line, `\`)))%2 == 1
}

// A word is a part of a value with its place.
type word struct {
	text string
	off  int
}

func words(s string, off int) []word {
	var all []word
	for i := 0; i < len(s); {
		end := i
		for end < len(s) && !strings.ContainsRune(" \t\r\n", rune(s[end])) {
			end++
		}
		if end > i {
			all = append(all, word{s[i:end], off + i})
		}
		i = end + 1
	}
	return all
}

func (r *systemdReader) lose(off int, format string, args ...any) {
	r.losses = append(r.losses, Loss{r.pos(off), fmt.Sprintf(format, args...)})
}

// line reads one assignment or the start of a section.
func (r *systemdReader) line(text string, off int) {
	trimmed := strings.TrimSpace(text)
	if strings.HasPrefix(trimmed, "[") {
		if r.section = trimmed; !strings.HasSuffix(trimmed, "]") {
			off += strings.Index(text, trimmed)
			r.err = r.errorf(off, off+len(trimmed), "end it with ]", "a section that does not end: systemd does not load the unit")
		}
		return
	}
	key, value, ok := strings.Cut(text, "=")
	directive := systemdDirectives[strings.TrimSpace(key)]
	switch {
	case !ok && trimmed != "":
		r.lose(off, "%.40q is no assignment: systemd ignores it", trimmed)
		return
	case !ok:
		return
	case directive == nil:
		if meant := misspelt(strings.TrimSpace(key), slices.Sorted(maps.Keys(systemdDirectives))); meant != "" && execSection(r.section) {
			r.lose(off, "systemd ignores %s=, which is no directive: did you mean %s=?", strings.TrimSpace(key), meant)
		}
		return
	}
	if !execSection(r.section) {
		r.lose(off, "%s= stands in no section that sets up processes: systemd ignores it", strings.TrimSpace(key))
		return
	}
	if r.at == nil {
		r.at = make(map[string][]int)
	}
	r.at[strings.TrimSpace(key)] = append(r.at[strings.TrimSpace(key)], r.pos(off).Line)
	off += len(key) + 1 + len(value) - len(strings.TrimLeft(value, " \t\r\n"))
	directive(r, strings.TrimSpace(key), word{strings.TrimSpace(value), off})
}

// misspelt returns the one of few words that a word, which is none of them, is a slip
// of the keyboard away from, "" for none.
func misspelt(word string, few []string) string {
	for _, w := range few {
		if len(word) <= len(w)+2 && abi.Edits(strings.ToLower(word), strings.ToLower(w)) <= 2 {
			return w
		}
	}
	return ""
}

// systemdDirectives are those that decide about system calls.
var systemdDirectives = map[string]func(r *systemdReader, key string, value word){
	"SystemCallFilter":        func(r *systemdReader, _ string, v word) { r.list(&r.filter, v, true) },
	"SystemCallLog":           func(r *systemdReader, _ string, v word) { r.list(&r.log, v, false) },
	"SystemCallErrorNumber":   (*systemdReader).errorNumber,
	"SystemCallArchitectures": (*systemdReader).architectures,
	"RestrictAddressFamilies": (*systemdReader).addressFamilies,
	"RestrictNamespaces":      (*systemdReader).restrictNamespaces,
	"Personality":             (*systemdReader).setPersonality,
	"MemoryDenyWriteExecute":  (*systemdReader).flag,
	"RestrictRealtime":        (*systemdReader).flag,
	"RestrictSUIDSGID":        (*systemdReader).flag,
	"DynamicUser":             (*systemdReader).flag, // implies RestrictSUIDSGID=
	"LockPersonality":         (*systemdReader).flag,
	"ProtectHostname":         (*systemdReader).flag,
	"ProtectClock":            (*systemdReader).flag,
	"ProtectKernelModules":    (*systemdReader).flag,
	"ProtectKernelLogs":       (*systemdReader).flag,
	"ProtectKernelTunables":   (*systemdReader).flag,
	"PrivateDevices":          (*systemdReader).flag,
	"NoNewPrivileges":         (*systemdReader).flag,
}

// why names a directive with its lines.
func (r *systemdReader) why(key string) string {
	const most = 5
	lines := r.at[key]
	if len(lines) == 0 || r.name == "" {
		return key + "="
	}
	text := fmt.Sprintf("%s=, %s:%d", key, r.name, lines[0])
	for i, line := range lines[1:] {
		if i == most {
			return text + ", …"
		}
		text += fmt.Sprintf(", %d", line)
	}
	return text
}

// last returns where a directive stands last.
func (r *systemdReader) last(key string) place {
	lines := r.at[key]
	if len(lines) == 0 {
		return place{}
	}
	return place{pos: policy.Pos{File: r.name, Line: lines[len(lines)-1]}}
}

// systemdBool reads a boolean as systemd does.
func systemdBool(s string) (on, ok bool) {
	switch strings.ToLower(s) {
	case "1", "yes", "y", "true", "t", "on":
		return true, true
	case "0", "no", "n", "false", "f", "off":
		return false, true
	}
	return false, false
}

func (r *systemdReader) flag(key string, v word) {
	on, ok := systemdBool(v.text)
	if !ok { // an empty value neither
		r.lose(v.off, "%s=%s is no boolean: systemd ignores it", key, v.text)
		return
	}
	if r.flags == nil {
		r.flags = make(map[string]bool)
	}
	r.flags[key] = on
	switch key {
	case "NoNewPrivileges":
		r.load.NoNewPrivs = &on
	case "MemoryDenyWriteExecute":
		r.mdwe = v.off
	}
}

// list reads a line of SystemCallFilter= or SystemCallLog=. The first one says
// whether the list allows or denies; a line of the same kind adds to it, one of
// the other kind takes away. With an error, a denial stands in an allow-list too.
func (r *systemdReader) list(l *systemdList, v word, errors bool) {
	if v.text == "" {
		*l = systemdList{}
		return
	}
	value, invert := strings.CutPrefix(v.text, "~")
	if l.names == nil {
		*l = systemdList{map[string]systemdWord{}, !invert}
		if errors && l.allow {
			r.put(l, word{"@default", v.off}, nil, false)
		}
	}
	for _, w := range words(value, v.off+len(v.text)-len(value)) {
		name, suffix, hasError := strings.Cut(w.text, ":")
		var action *policy.Action
		switch {
		case !hasError:
		case !errors:
			name = w.text
		default:
			a, ok := r.systemdErrno(suffix)
			if !ok || name == "" {
				r.lose(w.off, "%q has no error that systemd knows: it ignores the word", w.text)
				continue
			}
			if !invert {
				r.lose(w.off, "%q allows, and so takes no error: systemd ignores the word", w.text)
				continue
			}
			action = &a
		}
		r.put(l, word{name, w.off}, action, invert)
	}
}

// put adds a name, or the members of a set, to a list, or takes them out.
func (r *systemdReader) put(l *systemdList, w word, action *policy.Action, invert bool) {
	names := []string{w.text}
	at := place{pos: r.pos(w.off)}
	if strings.HasPrefix(w.text, "@") {
		members, ok := r.version.set(w.text)
		if !ok {
			r.lose(w.off, "unknown set %s: systemd ignores it", w.text)
			return
		}
		names, at.set = members, w.text
	} else if !r.version.knows(w.text) {
		r.lose(w.off, "unknown system call %s: systemd ignores it", w.text)
		return
	}
	for _, name := range names {
		switch {
		case !r.version.knows(name):
		case invert != l.allow, invert && action != nil:
			l.names[name] = systemdWord{action, at}
		default:
			delete(l.names, name)
		}
	}
}

// systemdErrno reads an error: a name, a number, or kill.
func (r *systemdReader) systemdErrno(s string) (policy.Action, bool) {
	if s == "kill" {
		return policy.Action{Kind: abi.KillProcess}, true
	}
	if n, ok := r.native.Errno(strings.ToUpper(s)); ok {
		return policy.Action{Kind: abi.Errno, Errno: r.native.ErrnoName(n)}, true
	}
	// As C has them, with 0b and 0o besides.
	n, err := strconv.ParseInt(s, 0, 32)
	if err != nil || n < 0 || n > abi.MaxErrno || strings.Contains(s, "_") {
		return policy.Action{}, false
	}
	if name := r.native.ErrnoName(uint16(n)); name != "" && n != 0 {
		return policy.Action{Kind: abi.Errno, Errno: name}, true
	}
	return policy.Action{Kind: abi.Errno, Data: uint16(n)}, true
}

func (r *systemdReader) errorNumber(_ string, v word) {
	if v.text == "" {
		r.errno = policy.Action{}
		return
	}
	a, ok := r.systemdErrno(v.text)
	if !ok || a == (policy.Action{Kind: abi.Errno}) {
		r.lose(v.off, "SystemCallErrorNumber=%s is no error: systemd ignores it", v.text)
		return
	}
	r.errno = a
}

// systemdArches are systemd's names of architectures; None for those that sysgate
// has no tables for.
var systemdArches = map[string]abi.ABI{
	"x86": abi.I386, "x86-64": abi.AMD64, "x32": abi.X32, "arm": abi.ARM, "arm64": abi.ARM64,
	"loongarch64": abi.LOONG64, "mips": abi.MIPS, "mips-le": abi.MIPSLE, "mips64": abi.MIPS64,
	"mips64-le": abi.MIPS64LE, "mips64-n32": abi.None, "mips64-le-n32": abi.None, "parisc": abi.None,
	"parisc64": abi.None, "ppc": abi.None, "ppc64": abi.PPC64, "ppc64-le": abi.PPC64LE,
	"riscv64": abi.RISCV64, "s390": abi.None, "s390x": abi.S390X,
}

func (r *systemdReader) architectures(_ string, v word) {
	if v.text == "" {
		r.arches = nil
		return
	}
	for _, w := range words(v.text, v.off) {
		a, ok := systemdArches[w.text]
		switch {
		case w.text == "native":
			a = r.native
		case !ok:
			r.lose(w.off, "unknown architecture %s: systemd ignores it", w.text)
			continue
		case a == abi.None:
			r.lose(w.off, "architecture %s has no tables here: its calls are answered like those of an unlisted one", w.text)
		}
		if r.arches == nil {
			r.arches = map[abi.ABI]bool{}
		}
		r.arches[a] = true
	}
}

func (r *systemdReader) addressFamilies(_ string, v word) {
	switch v.text {
	case "":
		r.families = systemdFamilies{}
		return
	case "none":
		r.families = systemdFamilies{map[uint64]bool{}, true}
		return
	}
	value, invert := strings.CutPrefix(v.text, "~")
	f := &r.families
	if f.values == nil {
		*f = systemdFamilies{map[uint64]bool{}, !invert}
	}
	for _, w := range words(value, v.off+len(v.text)-len(value)) {
		name := strings.ToUpper(w.text)
		af, ok := r.native.Constant(name)
		switch {
		case !ok || !strings.HasPrefix(name, "AF_") || name == "AF_MAX" || name == "AF_UNSPEC":
			r.lose(w.off, "unknown address family %s: systemd ignores it", w.text)
		case invert != f.allow:
			f.values[af] = true
		default:
			delete(f.values, af)
		}
	}
}

// systemdNamespaces are the namespaces that RestrictNamespaces= knows, in the
// order of its rules, with their flag for clone, unshare and setns.
var systemdNamespaces = []struct {
	name, constant string
}{
	{"cgroup", "CLONE_NEWCGROUP"},
	{"ipc", "CLONE_NEWIPC"},
	{"net", "CLONE_NEWNET"},
	{"mnt", "CLONE_NEWNS"},
	{"pid", "CLONE_NEWPID"},
	{"user", "CLONE_NEWUSER"},
	{"uts", "CLONE_NEWUTS"},
	{"time", "CLONE_NEWTIME"},
}

// allNamespaces returns what "all" means to systemd: not time, which "~user" denies
// like user (measured with 252).
func (r *systemdReader) allNamespaces() int64 {
	var all int64
	for _, n := range systemdNamespaces {
		if flag, _ := r.native.Constant(n.constant); n.name != "time" {
			all |= int64(flag)
		}
	}
	return all
}

func (r *systemdReader) restrictNamespaces(_ string, v word) {
	if v.text == "" {
		r.namespaces = -1
		return
	}
	if on, ok := systemdBool(v.text); ok {
		r.namespaces = r.allNamespaces()
		if on {
			r.namespaces = 0
		}
		return
	}
	value, invert := strings.CutPrefix(v.text, "~")
	var flags int64
	for _, w := range words(value, v.off+len(v.text)-len(value)) {
		i := slices.IndexFunc(systemdNamespaces, func(n struct{ name, constant string }) bool { return n.name == w.text })
		if i < 0 {
			r.lose(w.off, "unknown kind of namespace %s: systemd ignores the line", w.text)
			return
		}
		flag, _ := r.native.Constant(systemdNamespaces[i].constant)
		flags |= int64(flag)
	}
	switch {
	case r.namespaces == -1 && invert:
		r.namespaces = r.allNamespaces() &^ flags
	case r.namespaces == -1:
		r.namespaces = flags
	case invert:
		r.namespaces &^= flags
	default:
		r.namespaces |= flags
	}
}

func (r *systemdReader) setPersonality(_ string, v word) {
	const linux32 = 8 // PER_LINUX32
	a, ok := systemdArches[v.text]
	switch {
	case v.text == "" || ok && a == r.native:
		r.personality = 0
	case ok && a != abi.None && slices.Contains(r.native.Compat(), a):
		r.personality = linux32
	default:
		r.lose(v.off, "Personality=%s is none of this machine: systemd ignores it", v.text)
	}
}

// systemdLocal returns the ABIs that systemd makes filters for: those of the
// machine, native last. others are those that it knows and sysgate has no tables
// for.
func systemdLocal(native abi.ABI) (local []abi.ABI, others []string) {
	switch native {
	case abi.AMD64:
		return []abi.ABI{abi.I386, abi.X32, abi.AMD64}, nil
	case abi.X32:
		return []abi.ABI{abi.I386, abi.AMD64, abi.X32}, nil
	case abi.ARM64:
		return []abi.ABI{abi.ARM, abi.ARM64}, nil
	case abi.MIPS64:
		return []abi.ABI{abi.MIPS, abi.MIPS64}, []string{"mips64-n32"}
	case abi.MIPS64LE:
		return []abi.ABI{abi.MIPSLE, abi.MIPS64LE}, []string{"mips64-le-n32"}
	case abi.PPC64, abi.PPC64LE:
		return []abi.ABI{native}, []string{"ppc"}
	case abi.S390X:
		return []abi.ABI{native}, []string{"s390"}
	}
	return []abi.ABI{native}, nil
}

// lower returns the policy that the filters amount to.
func (r *systemdReader) lower() *policy.Policy {
	local, others := systemdLocal(r.native)
	allow := policy.Action{Kind: abi.Allow}
	p := &policy.Policy{Version: 1, BadArch: &allow, Load: r.load}
	if r.arches != nil {
		// libseccomp's answer to an architecture that its filter does not list.
		kill := policy.Action{Kind: abi.KillThread}
		p.BadArch, p.X32 = &kill, &kill
		local = slices.DeleteFunc(local, func(a abi.ABI) bool { return a != r.native && !r.arches[a] })
	} else {
		for _, other := range others {
			r.losses = append(r.losses, Loss{Msg: fmt.Sprintf("systemd filters the calls of %s too; here they get through", other)})
		}
	}
	for _, a := range slices.Backward(local) {
		p.ABIs = append(p.ABIs, a)
	}
	s := r.stack(local)
	unknown := s.rest(r.native)
	p.Default = s.known(r.native, r.version, unknown)
	if p.Default != unknown {
		p.Unknown = &unknown
	}
	p.Rules = append(p.Rules, r.x32Bit(s, local)...)
	p.Rules = append(p.Rules, s.rules(p.ABIs, func(_ abi.ABI, known bool) policy.Action {
		if known {
			return p.Default
		}
		return unknown
	})...)
	return p
}

// known returns what most calls get that no list names, to have it as the
// default.
func (s stack) known(native abi.ABI, v systemdVersion, unknown policy.Action) policy.Action {
	count := make(map[policy.Action]int)
	all, _ := v.set("@known")
	for _, name := range all {
		nr, ok := native.Lookup(name)
		if !ok {
			continue
		}
		if c := s.clauses(native, nr); len(c) == 1 && c[0].action.Kind != abi.Allow {
			count[c[0].action]++
		}
	}
	best := unknown
	for _, action := range slices.SortedFunc(maps.Keys(count), func(a, b policy.Action) int { return strings.Compare(a.String(), b.String()) }) {
		if unknown.Kind != abi.Allow && count[action] > count[best] {
			best = action
		}
	}
	return best
}

// x32Bit is about amd64's numbers from the x32 bit on that are no x32 calls: to
// libseccomp they are x32's.
func (r *systemdReader) x32Bit(s stack, local []abi.ABI) []policy.Rule {
	if !slices.Contains(local, abi.AMD64) {
		return nil
	}
	action := policy.Action{Kind: abi.KillThread}
	if slices.Contains(local, abi.X32) {
		action = s.rest(abi.X32)
	}
	if action == s.rest(abi.AMD64) {
		return nil
	}
	return []policy.Rule{{Action: action, Reason: "libseccomp: from the x32 bit on, another architecture", Calls: []policy.Pattern{
		{ABI: abi.AMD64, Numbers: &policy.NumberRange{Lo: 0x80000000, Hi: 0xbfffffff}},
	}}}
}
