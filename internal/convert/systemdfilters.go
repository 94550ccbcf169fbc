package convert

import (
	"maps"
	"slices"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
)

// stack returns the filters of the unit in the order in which systemd loads them
// (src/core/exec-invoke.c, src/shared/seccomp-util.c).
func (r *systemdReader) stack(local []abi.ABI) stack {
	var s stack
	each := func(key string, rest policy.Action, fill func(f *filter) bool) {
		for _, a := range local {
			f := newFilter(a, r.why(key), rest)
			f.at = r.last(key)
			if fill(f) {
				s = append(s, f)
			}
		}
	}
	allow, eperm := policy.Action{Kind: abi.Allow}, policy.Action{Kind: abi.Errno, Errno: "EPERM"}
	names := func(key string, deny ...string) {
		if !r.flags[key] {
			return
		}
		each(key, allow, func(f *filter) bool {
			for _, name := range deny {
				f.addKnown(r.version, eperm, name)
			}
			return true
		})
	}
	set := func(name string) []string { all, _ := r.version.set(name); return all }

	names("ProtectHostname", "sethostname", "setdomainname")
	if r.families.allow || len(r.families.values) > 0 {
		each("RestrictAddressFamilies", allow, r.families.fill)
	}
	if r.flags["MemoryDenyWriteExecute"] {
		r.lose(r.mdwe, "MemoryDenyWriteExecute= is a filter where the kernel has no PR_SET_MDWE: from Linux 6.3 and systemd 253 on, the kernel itself denies much the same")
		each("MemoryDenyWriteExecute", allow, denyWriteExecute)
	}
	if r.flags["RestrictRealtime"] {
		each("RestrictRealtime", allow, restrictRealtime)
	}
	if r.flags["RestrictSUIDSGID"] || r.flags["DynamicUser"] {
		key := "RestrictSUIDSGID"
		if !r.flags[key] {
			key = "DynamicUser"
		}
		each(key, allow, r.restrictSUIDSGID)
	}
	if all := r.allNamespaces(); r.namespaces >= 0 && r.namespaces&all != all {
		each("RestrictNamespaces", allow, r.fillNamespaces)
	}
	names("ProtectKernelTunables", "_sysctl")
	names("ProtectKernelModules", set("@module")...)
	names("ProtectKernelLogs", "syslog")
	names("ProtectClock", set("@clock")...)
	names("PrivateDevices", set("@raw-io")...)
	if r.flags["LockPersonality"] {
		each("LockPersonality", allow, func(f *filter) bool {
			return f.add(eperm, "personality", ociArg{0, "SCMP_CMP_NE", r.personality, 0})
		})
	}
	if r.log.allow || len(r.log.names) > 0 {
		listed, rest := policy.Action{Kind: abi.Log}, allow
		if !r.log.allow {
			listed, rest = rest, listed
		}
		each("SystemCallLog", rest, func(f *filter) bool { return r.fillList(f, r.log, listed) })
	}
	if r.filter.allow || len(r.filter.names) > 0 {
		denied := r.errno
		if denied == (policy.Action{}) {
			denied = policy.Action{Kind: abi.KillProcess}
		}
		if !r.filter.allow {
			each("SystemCallFilter", allow, func(f *filter) bool { return r.fillList(f, r.filter, denied) })
			return s
		}
		rest, known := policy.Action{Kind: abi.Errno, Errno: "ENOSYS"}, set("@known")
		if !r.version.unknown {
			rest, known = denied, nil
		}
		each("SystemCallFilter", rest, func(f *filter) bool {
			r.fillList(f, r.filter, allow)
			f.at = place{}
			for _, name := range known {
				if _, listed := r.filter.names[name]; !listed {
					f.addKnown(r.version, denied, name)
				}
			}
			return true
		})
	}
	return s
}

func (f *filter) addKnown(v systemdVersion, action policy.Action, name string) {
	if v.knows(name) {
		f.add(action, name)
	}
}

// fillList has the names of l get its action, or that of their own.
func (r *systemdReader) fillList(f *filter, l systemdList, listed policy.Action) bool {
	for _, name := range slices.Sorted(maps.Keys(l.names)) {
		action := listed
		word := l.names[name]
		if word.action != nil {
			action = *word.action
		}
		f.at = word.at
		f.add(action, name)
	}
	return true
}

// fill denies sockets of other families. Where socket is a sub-call of
// socketcall, libseccomp refuses the rules, and systemd leaves it.
func (l systemdFamilies) fill(f *filter) bool {
	action := policy.Action{Kind: abi.Errno, Errno: "EAFNOSUPPORT"}
	switch f.abi {
	case abi.I386, abi.S390X, abi.PPC64, abi.PPC64LE, abi.MIPS, abi.MIPSLE:
		return false
	}
	equal := func(af uint64) { f.add(action, "socket", ociArg{0, "SCMP_CMP_EQ", af, 0}) }
	if !l.allow {
		for _, af := range slices.Sorted(maps.Keys(l.values)) {
			equal(af)
		}
		return true
	}
	allowed := slices.DeleteFunc(slices.Sorted(maps.Keys(l.values)), func(af uint64) bool { return af == 0 })
	if len(allowed) == 0 {
		return f.add(action, "socket")
	}
	first, last := allowed[0], allowed[len(allowed)-1]
	f.add(action, "socket", ociArg{0, "SCMP_CMP_LT", first, 0})
	f.add(action, "socket", ociArg{0, "SCMP_CMP_GT", last, 0})
	for af := first; af < last; af++ {
		if !l.values[af] {
			equal(af)
		}
	}
	return true
}

// denyWriteExecute denies memory that is writable and executable, and making
// memory executable.
func denyWriteExecute(f *filter) bool {
	const protWrite, protExec, shmExec = 2, 4, 0o100000
	eperm := policy.Action{Kind: abi.Errno, Errno: "EPERM"}
	bits := func(name string, mask uint64) bool {
		return f.add(eperm, name, ociArg{2, "SCMP_CMP_MASKED_EQ", mask, mask})
	}
	mmap := "mmap"
	shmat := false // where it is no sub-call of ipc
	switch f.abi {
	case abi.I386:
		mmap = "mmap2"
	case abi.ARM:
		mmap, shmat = "mmap2", true
	case abi.AMD64, abi.X32, abi.ARM64, abi.RISCV64, abi.LOONG64:
		shmat = true
	case abi.PPC64, abi.PPC64LE, abi.S390X:
	default:
		return false
	}
	bits(mmap, protWrite|protExec)
	if f.abi == abi.I386 {
		f.add(eperm, "mmap")
	}
	bits("mprotect", protExec)
	if !bits("pkey_mprotect", protExec) {
		return false
	}
	return !shmat || bits("shmat", shmExec)
}

// restrictRealtime denies scheduling policies but SCHED_OTHER, SCHED_BATCH and
// SCHED_IDLE.
func restrictRealtime(f *filter) bool {
	const idle = 5
	eperm := policy.Action{Kind: abi.Errno, Errno: "EPERM"}
	for _, denied := range []uint64{1, 2, 4} { // FIFO, RR, ISO
		f.add(eperm, "sched_setscheduler", ociArg{1, "SCMP_CMP_EQ", denied, 0})
	}
	return f.add(eperm, "sched_setscheduler", ociArg{1, "SCMP_CMP_GT", idle, 0})
}

// restrictSUIDSGID denies giving a file the set-user-ID or set-group-ID bit.
// openat2's mode lies behind a pointer.
func (r *systemdReader) restrictSUIDSGID(f *filter) bool {
	eperm := policy.Action{Kind: abi.Errno, Errno: "EPERM"}
	creat, _ := r.native.Constant("O_CREAT") // systemd is compiled for the native ABI
	_, hasOpen := r.native.Lookup("open")
	for _, bit := range []uint64{0o4000, 0o2000} {
		for _, c := range []struct {
			name  string
			mode  int
			flags int // where a mode counts only with O_CREAT; -1: it always does
		}{
			{"chmod", 1, -1},
			{"fchmod", 1, -1},
			{"fchmodat", 2, -1},
			{"fchmodat2", 2, -1},
			{"mkdir", 1, -1},
			{"mkdirat", 2, -1},
			{"mknod", 1, -1},
			{"mknodat", 2, -1},
			{"open", 2, 1},
			{"openat", 3, 2},
			{"creat", 1, -1},
		} {
			args := []ociArg{{c.mode, "SCMP_CMP_MASKED_EQ", bit, bit}}
			if c.flags >= 0 {
				args = append([]ociArg{{c.flags, "SCMP_CMP_MASKED_EQ", creat, creat}}, args...)
			}
			if r.version.knows(c.name) && (c.name != "open" || hasOpen) {
				f.add(eperm, c.name, args...)
			}
		}
	}
	f.addKnown(r.version, policy.Action{Kind: abi.Errno, Errno: "ENOSYS"}, "openat2")
	return true
}

// fillNamespaces denies making and entering the namespaces that are not retained.
// clone3's flags lie behind a pointer.
func (r *systemdReader) fillNamespaces(f *filter) bool {
	eperm := policy.Action{Kind: abi.Errno, Errno: "EPERM"}
	f.addKnown(r.version, policy.Action{Kind: abi.Errno, Errno: "ENOSYS"}, "clone3")
	if r.namespaces&r.allNamespaces() == 0 {
		f.add(eperm, "setns")
	} else {
		f.add(eperm, "setns", ociArg{1, "SCMP_CMP_EQ", 0, 0})
	}
	clone := 0
	if f.abi == abi.S390X {
		clone = 1
	}
	for _, n := range systemdNamespaces {
		flag, _ := f.abi.Constant(n.constant)
		if r.namespaces&int64(flag) != 0 {
			continue
		}
		for _, c := range []struct {
			name string
			arg  int
		}{{"unshare", 0}, {"clone", clone}, {"setns", 1}} {
			f.add(eperm, c.name, ociArg{c.arg, "SCMP_CMP_MASKED_EQ", flag, flag})
		}
	}
	return true
}
