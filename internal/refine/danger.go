package refine

import (
	"slices"

	"github.com/sysgate/sysgate/policy"
)

// dangers are calls that are not to be admitted because some program was seen to
// make them: each reaches beyond the program, or past its policy. The first that
// has a name gives the reason.
var dangers = []struct {
	calls []string // names and sets
	why   string
}{
	{[]string{"execve", "execveat"}, "it starts other programs"},
	{[]string{"@systemd/debug", "process_madvise", "kcmp"}, "it reaches into other processes"},
	{[]string{"@systemd/module"}, "it loads code into the kernel"},
	{[]string{"@systemd/raw-io"}, "it reaches the hardware"},
	{[]string{"@systemd/reboot", "@systemd/swap", "acct", "quotactl", "quotactl_fd", "syslog", "vhangup", "nfsservctl"}, "it administers the machine"},
	{[]string{"@systemd/mount", "mknod", "mknodat"}, "it changes what file system the program sees"},
	{[]string{"open_by_handle_at", "name_to_handle_at"}, "it opens files past their directories"},
	{[]string{"setns", "unshare"}, "it changes namespaces, and a new user namespace opens up more of the kernel"},
	{[]string{"io_uring_setup", "io_uring_enter", "io_uring_register"}, "it makes calls that no filter sees"},
	{[]string{"bpf", "userfaultfd", "fanotify_init", "fanotify_mark"}, "it hooks into the kernel"},
	{[]string{"@systemd/cpu-emulation"}, "it reaches parts of the kernel that emulate old processors"},
	{[]string{"@systemd/clock"}, "it sets the machine's clock"},
	{[]string{"@systemd/keyring"}, "it reaches the kernel's keys, which containers share"},
	{[]string{"@systemd/setuid", "capset"}, "it changes the user or the privileges"},
	{[]string{"personality", "seccomp"}, "it changes how the program itself is protected"},
}

// Danger returns why a call is not admitted without being asked for by name, ""
// if nothing speaks against it.
func Danger(name string) string {
	for _, d := range dangers {
		for _, entry := range d.calls {
			members, isSet := policy.Set(entry)
			if entry == name || isSet && slices.Contains(members, name) {
				return d.why
			}
		}
	}
	return ""
}
