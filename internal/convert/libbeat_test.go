package convert

import (
	"strings"
	"testing"
)

func TestLibbeat(t *testing.T) {
	const head = "version: 1\nabis: [amd64]\n"
	for name, rules := range map[string]string{
		"names":  `{action: allow, names: [read, write]}`,
		"values": `{action: allow, calls: ["socket(domain in {AF_UNIX, AF_INET}, type & 0xf == SOCK_STREAM)", "ioctl(cmd != TIOCSTI)", "kill(pid > 0)", "read(count < 1000)", "write(fd >= 3, fd <= 6)"]}`,
		"masks":  `{action: allow, calls: ["mmap(prot & PROT_EXEC == 0)", "openat(flags & 0x41 != 0)", "clone(flags & 0x30000 == 0x10000)"]}`,
		"mixed":  `{action: trap, calls: ["ioctl(cmd == 5)"]}` + "\n- {action: log, names: [ioctl, dup]}\n- {action: trace, names: [ptrace]}\n- {action: kill_thread, names: [bind]}",
	} {
		t.Run(name, func(t *testing.T) {
			data := string(carries(t, "libbeat", head+"default_action: errno(EPERM)\nsyscalls:\n- "+rules))
			carries(t, "libbeat", head+"default_action: allow\nsyscalls:\n- "+strings.Replace(rules, "action: allow", "action: errno", 1))
			for _, own := range []string{"version", "abis", " calls:", "unknown_action", "kernel"} {
				if strings.Contains(data, own) {
					t.Errorf("%q is no documented key\n%s", own, data)
				}
			}
		})
	}
	carries(t, "libbeat", head+"default_action: errno(EPERM)\nsyscalls: []")
	// What cannot be said is found.
	for rules, want := range map[string]string{
		`{action: errno(ENOSYS), names: [clone3]}`:           "clone3",
		`{action: allow, calls: ["socket(domain:64 == 1)"]}`: "socket",
		`{action: user_notify, names: [connect]}`:            "connect",
		`{action: allow, calls: ["read(ip == 5)"]}`:          "read",
		`{action: trap(5), names: [bind]}`:                   "bind",
	} {
		e, err := Export(format(t, "libbeat"), parse(t, head+"default_action: errno(EPERM)\nsyscalls:\n- "+rules), Options{})
		if err != nil {
			t.Fatal(err)
		}
		if named := e.Named(); len(named) != 1 || named[0].Name != want || e.Looser() {
			t.Errorf("%s: looser %t %+v\n%s", rules, e.Looser(), named, e.Data)
		}
	}
	refused(t, "libbeat", "version: 1\ndefault_action: allow\nsyscalls: []", "sysgate's own")
}
