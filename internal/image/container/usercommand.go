package container

import (
	"slices"
	"strings"
)

// An optionParser takes options from a command, as getopt_long(3) does.
type optionParser struct {
	args   []string
	short  string   // the short options with a value
	valued []string // the long ones
}

// next returns the next option, short or long with its hyphens, and its value; "" where
// the operands begin, which are left.
func (p *optionParser) next() (option, value string) {
	if len(p.args) == 0 || len(p.args[0]) < 2 || p.args[0][0] != '-' {
		return "", ""
	}
	arg := p.args[0]
	p.args = p.args[1:]
	take := func() (v string) {
		if len(p.args) > 0 {
			v, p.args = p.args[0], p.args[1:]
		}
		return v
	}
	switch {
	case arg == "--":
		return "", ""
	case strings.HasPrefix(arg, "--"):
		name, value, ok := strings.Cut(arg, "=")
		if !ok && slices.Contains(p.valued, name) {
			value = take()
		}
		return name, value
	case strings.IndexByte(p.short, arg[1]) < 0:
		if len(arg) > 2 { // several in one
			p.args = slices.Concat([]string{"-" + arg[2:]}, p.args)
		}
		return arg[:2], ""
	case len(arg) > 2:
		return arg[:2], arg[2:]
	}
	return arg, take()
}

// userCommand follows su(1) and runuser(1), which start a shell, or the program that is
// named behind -u.
func (f *follower) userCommand(e environment, by, base string, args []string) error {
	p := optionParser{args, "cgGswTu", []string{"--command", "--session-command", "--group", "--supp-group", "--shell", "--whitelist-environment", "--user"}}
	shell, command, direct := "/bin/sh", "", false
	for {
		option, value := p.next()
		switch {
		case option == "" && len(p.args) > 0 && p.args[0] == "-":
			p.args = p.args[1:]
		case option == "":
			return f.userShell(e, by, shell, command, direct, p.args)
		case option == "-c" || option == "--command" || option == "--session-command":
			command = value
		case option == "-s" || option == "--shell":
			shell = value
		case base == "runuser" && (option == "-u" || option == "--user"):
			direct = true
		}
	}
}

func (f *follower) userShell(e environment, by, shell, command string, direct bool, args []string) error {
	switch {
	case direct && len(args) == 0:
		return nil
	case direct:
		return f.started(e, by, args)
	}
	if len(args) > 0 {
		args = args[1:] // the user; what follows, -c too, is the shell's
	}
	argv := []string{shell}
	if command != "" {
		argv = append(argv, "-c", command)
	}
	if shell == "/bin/sh" {
		f.unfollowed(by, "the user's shell is taken for /bin/sh")
	}
	return f.started(e, by, append(argv, args...))
}

// daemon follows start-stop-daemon(8).
func (f *follower) daemon(e environment, by string, args []string) error {
	p := optionParser{args, "xpunksgacRdrINP", []string{
		"--exec", "--pid", "--ppid", "--pidfile", "--user", "--name", "--signal", "--retry", "--startas", "--chuid", "--group", "--chroot", "--chdir",
		"--nicelevel", "--procsched", "--iosched", "--umask", "--output", "--notify-timeout",
	}}
	program := ""
	for {
		option, value := p.next()
		switch option {
		case "-a", "--startas":
			program = value
		case "-x", "--exec":
			if program == "" {
				program = value
			}
		case "":
			if program == "" {
				return nil // it stops one
			}
			return f.started(e, by, append([]string{program}, p.args...))
		}
	}
}
