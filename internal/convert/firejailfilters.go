package convert

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
)

// lowWord is what Firejail's filters compare of an argument.
const lowWord = 1<<32 - 1

// firejailKeep are the calls that Firejail makes after its filter is in place
// (@default-keep).
var firejailKeep = []string{"execveat", "execve", "prctl"}

// stack returns the filters in the order in which Firejail 0.9.72 loads them.
func (r *firejailReader) stack() stack {
	allow := policy.Action{Kind: abi.Allow}
	var s stack
	add := func(a abi.ABI, why string, rest policy.Action, fill func(f *filter)) {
		f := newFilter(a, why, rest)
		f.at = r.at[why]
		fill(f)
		s = append(s, f)
	}
	if len(r.protocols) > 0 {
		for _, a := range []abi.ABI{abi.AMD64, abi.I386} {
			add(a, "protocol", allow, r.socketProtocols)
		}
	}
	native, secondary := r.lists["seccomp"], r.lists["seccomp.32"]
	drop, keep := r.lists["seccomp.drop"], r.lists["seccomp.keep"]
	drop32, keep32 := r.lists["seccomp.32.drop"], r.lists["seccomp.32.keep"]
	if r.blockSecondary {
		add(abi.AMD64, "seccomp.block-secondary", allow, r.fixedPersonality)
		add(abi.I386, "seccomp.block-secondary", r.denial, func(*filter) {})
	}
	has32 := secondary != nil || drop32 != nil || keep32 != nil
	has64 := native != nil || drop != nil || keep != nil || r.blockSecondary
	if has64 {
		switch {
		case keep != nil:
			add(abi.AMD64, "seccomp.keep", r.denial, func(f *filter) { r.keepList(f, *keep) })
		case drop != nil:
			add(abi.AMD64, "seccomp.drop", allow, func(f *filter) { r.dropList(f, *drop, false) })
		default:
			if native == nil {
				native = &word{}
			}
			if !r.blockSecondary && !has32 {
				add(abi.I386, "seccomp", allow, func(f *filter) { r.denyGroup(f, firejailSecondary, *native) })
			}
			add(abi.AMD64, "seccomp", allow, func(f *filter) { r.dropList(f, *native, true) })
		}
	}
	switch {
	case keep32 != nil:
		r.lose(keep32.off, "Firejail 0.9.72 makes a filter for amd64 of seccomp.32.keep")
		add(abi.AMD64, "seccomp.32.keep", r.denial, func(f *filter) { r.keepList(f, *keep32) })
	case has32 && !has64:
		at := cmp.Or(drop32, secondary)
		r.lose(at.off, "Firejail 0.9.72 denies its own list on 386, not this one, where there is no seccomp line besides")
		add(abi.I386, "seccomp.32", allow, func(f *filter) { r.denyGroup(f, firejailSecondary, *at) })
	case drop32 != nil:
		add(abi.I386, "seccomp.32.drop", allow, func(f *filter) { r.dropList(f, *drop32, false) })
	case secondary != nil:
		add(abi.I386, "seccomp.32", allow, func(f *filter) { r.dropList(f, *secondary, true) })
	}
	for _, a := range []abi.ABI{abi.AMD64, abi.I386} {
		if r.mdwe {
			add(a, "memory-deny-write-execute", allow, r.denyWriteExecute)
		}
	}
	for _, a := range []abi.ABI{abi.AMD64, abi.I386} {
		if r.restrict {
			add(a, "restrict-namespaces", allow, r.restrictNamespaces)
		}
	}
	return s
}

// number returns the number of a call, as Firejail looks it up: by the name in
// the kernel's headers.
func (f *filter) number(name string) (uint32, bool) { return named(f.abi, name) }

// A firejailItem is one member of a list.
type firejailItem struct {
	at      place
	numbers []uint32
	except  bool
	action  *policy.Action // of its own
}

// items reads a list. Names that the ABI does not have are ignored, as Firejail
// does, and reported where no ABI has them.
func (r *firejailReader) items(f *filter, list word, drop bool) []firejailItem {
	var all []firejailItem
	for _, w := range r.commas(list) {
		item := firejailItem{at: place{pos: r.pos(w.off)}}
		name, except := strings.CutPrefix(w.text, "!")
		item.except = except
		name, suffix, hasAction := strings.Cut(name, ":")
		if hasAction {
			a, ok := firejailAction(suffix, false)
			switch {
			case suffix == "log":
				r.lose(w.off, "%s: Firejail 0.9.72 does not read :log, and lets the call through", w.text)
				continue
			case !ok:
				r.fail(w, "kill or the name of an error", "unknown error %q", suffix)
				continue
			case strings.HasPrefix(name, "@"):
				r.fail(w, "give each call its error", "a group takes no error: Firejail refuses it")
				continue
			}
			item.action = &a
		}
		switch {
		case strings.HasPrefix(name, "@") && except:
			continue // Firejail ignores it
		case strings.HasPrefix(name, "@"):
			numbers, err := r.groups(f.abi, name)
			if err != nil {
				r.fail(w, "", "%v", err)
				continue
			}
			item.numbers, item.at.set = numbers, name
		case strings.HasPrefix(name, "$"):
			n, err := strconv.ParseUint(name[1:], 0, 32)
			if err != nil {
				r.fail(w, "", "%q is no number", name)
				continue
			}
			if drop && f.abi.SyscallName(uint32(n)) == "" {
				r.lose(w.off, "%s: no call has this number: Firejail ignores it", w.text)
				continue
			}
			item.numbers = []uint32{uint32(n)}
		default:
			nr, ok := f.number(name)
			if !ok {
				if !abi.Known(name) {
					r.lose(w.off, "unknown system call %s: Firejail ignores it", name)
				}
				continue
			}
			item.numbers = []uint32{nr}
		}
		all = append(all, item)
	}
	return all
}

// dropList denies a list of calls, and with defaults those that Firejail denies
// unless told otherwise: exceptions and errors first, then the lists. What
// Firejail itself still has to call is denied by a library in the program.
func (r *firejailReader) dropList(f *filter, list word, defaults bool) {
	items := r.items(f, list, true)
	for _, item := range items {
		f.at = item.at
		for _, nr := range item.numbers {
			switch {
			case item.except:
				f.rule(policy.Action{Kind: abi.Allow}, nr, nil)
			case item.action != nil:
				f.rule(*item.action, nr, nil)
			}
		}
	}
	if defaults {
		group := "@default-nodebuggers"
		if r.debuggers {
			group = "@default"
		}
		f.at = r.at[f.why]
		r.denyGroup(f, group, list)
	}
	for _, item := range items {
		f.at = item.at
		for _, nr := range item.numbers {
			if item.except || item.action != nil {
				continue
			}
			if slices.Contains(firejailKeep, f.abi.SyscallName(nr)) {
				r.lose(list.off, "%s is denied by a library that Firejail preloads, which a static program does not load: here it gets through", f.abi.SyscallName(nr))
				continue
			}
			f.rule(r.denial, nr, nil)
		}
	}
}

// denyGroup denies the calls of a group, which at asks for.
func (r *firejailReader) denyGroup(f *filter, group string, at word) {
	numbers, err := r.groups(f.abi, group)
	if err != nil {
		r.fail(at, "", "%v", err)
	}
	if f.at.set = group; group == firejailSecondary {
		f.at.set = ""
	}
	for _, nr := range numbers {
		f.rule(r.denial, nr, nil)
	}
}

// keepList denies all calls but those of a list and what Firejail itself still has
// to call.
func (r *firejailReader) keepList(f *filter, list word) {
	items := r.items(f, list, false)
	for _, item := range items {
		f.at = item.at
		for _, nr := range item.numbers {
			switch {
			case item.except:
				f.rule(r.denial, nr, nil)
			case item.action != nil:
				f.rule(*item.action, nr, nil)
			}
		}
	}
	f.at = place{set: "@default-keep"}
	for _, name := range firejailKeep {
		if nr, ok := f.number(name); ok {
			f.rule(policy.Action{Kind: abi.Allow}, nr, nil)
		}
	}
	for _, item := range items {
		f.at = item.at
		for _, nr := range item.numbers {
			if !item.except {
				f.rule(policy.Action{Kind: abi.Allow}, nr, nil)
			}
		}
	}
}

// firejailFamilies are the words of protocol.
var firejailFamilies = map[string]string{
	"unix": "AF_UNIX", "inet": "AF_INET", "inet6": "AF_INET6", "netlink": "AF_NETLINK", "packet": "AF_PACKET", "bluetooth": "AF_BLUETOOTH",
}

// socketProtocols denies sockets of other families.
func (r *firejailReader) socketProtocols(f *filter) {
	nr, ok := f.number("socket")
	if !ok {
		return
	}
	var families []uint64
	for _, w := range r.protocols {
		name, ok := firejailFamilies[w.text]
		if !ok {
			if f.abi == abi.AMD64 {
				r.fail(w, "unix, inet, inet6, netlink, packet, bluetooth", "unknown protocol %q", w.text)
			}
			continue
		}
		af, _ := f.abi.Constant(name)
		if !slices.Contains(families, af) {
			families = append(families, af)
			f.rule(policy.Action{Kind: abi.Allow}, nr, []ociArg{{0, "SCMP_CMP_MASKED_EQ", lowWord, af}})
		}
	}
	f.otherwise(policy.Action{Kind: abi.Errno, Errno: abi.AMD64.ErrnoName(95)}, nr)
}

// otherwise is what f does with a number where none of its rules' conditions hold.
func (f *filter) otherwise(action policy.Action, nr uint32) {
	if f.calls[nr] == nil {
		f.rule(action, nr, nil)
		return
	}
	f.calls[nr].steps = append(f.calls[nr].steps, step{nil, action, f.at})
}

// fixedPersonality denies personality(2) but for asking and for the usual one.
func (r *firejailReader) fixedPersonality(f *filter) {
	nr, _ := f.number("personality")
	for _, v := range []uint64{0, lowWord} {
		f.rule(policy.Action{Kind: abi.Allow}, nr, []ociArg{{0, "SCMP_CMP_EQ", v, 0}})
	}
	f.otherwise(r.denial, nr)
}

// denyWriteExecute denies memory that is writable and executable, and making
// memory executable.
func (r *firejailReader) denyWriteExecute(f *filter) {
	bits := func(name string, mask uint64) {
		if nr, ok := f.number(name); ok {
			f.rule(r.denial, nr, []ociArg{{2, "SCMP_CMP_MASKED_EQ", mask, mask}})
		}
	}
	all := func(name string) {
		if nr, ok := f.number(name); ok {
			f.rule(r.denial, nr, nil)
		}
	}
	const write, exec, shmExec = 2, 4, 0o100000
	if f.abi == abi.I386 {
		all("mmap")
		bits("mmap2", write|exec)
	} else {
		bits("mmap", write|exec)
	}
	bits("mprotect", exec)
	bits("pkey_mprotect", exec)
	bits("shmat", shmExec)
	all("memfd_create")
}

// firejailNamespaces are the words of restrict-namespaces.
var firejailNamespaces = map[string]string{
	"cgroup": "CLONE_NEWCGROUP", "ipc": "CLONE_NEWIPC", "net": "CLONE_NEWNET", "mnt": "CLONE_NEWNS",
	"pid": "CLONE_NEWPID", "time": "CLONE_NEWTIME", "user": "CLONE_NEWUSER", "uts": "CLONE_NEWUTS",
}

// restrictNamespaces denies making and entering namespaces.
func (r *firejailReader) restrictNamespaces(f *filter) {
	var constants []string
	for _, w := range r.namespaces {
		name, ok := firejailNamespaces[w.text]
		if !ok {
			if f.abi == abi.AMD64 {
				r.fail(w, "cgroup, ipc, net, mnt, pid, time, user, uts", "unknown kind of namespace %q", w.text)
			}
			continue
		}
		constants = append(constants, name)
	}
	if len(r.namespaces) == 0 {
		constants = slices.Collect(maps.Values(firejailNamespaces))
	}
	slices.Sort(constants)
	constants = slices.Compact(constants)
	for _, c := range []struct {
		name string
		arg  int
	}{{"clone", 0}, {"unshare", 0}, {"setns", 1}} {
		nr, ok := f.number(c.name)
		if !ok {
			continue
		}
		if c.name == "setns" {
			f.rule(r.denial, nr, []ociArg{{1, "SCMP_CMP_MASKED_EQ", lowWord, 0}})
		}
		for _, constant := range constants {
			if c.name == "clone" && constant == "CLONE_NEWTIME" { // in clone, part of the signal
				continue
			}
			flag, _ := f.abi.Constant(constant)
			f.rule(r.denial, nr, []ociArg{{c.arg, "SCMP_CMP_MASKED_EQ", flag, flag}})
		}
	}
	if nr, ok := f.number("clone3"); ok {
		f.rule(policy.Action{Kind: abi.Errno, Errno: "ENOSYS"}, nr, nil)
	}
}
