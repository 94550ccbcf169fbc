package container

import (
	"path"
	"slices"
	"strings"
)

// A starter is a program that starts the one that its arguments name.
type starter struct {
	names []string
	// valued are the options whose value is the next argument: "-n", "--signal".
	valued []string
	// operands is how many arguments stand before the program's name.
	operands int
	// helpers are programs that it starts besides.
	helpers []string
}

// The starters, each by its manual page or its README.
var starters = []starter{
	{names: []string{"catatonit", "nohup", "pgrphack", "s6-fghack", "linux32", "linux64", "i386", "x86_64"}},                            // catatonit(1), nohup(1), s6, setarch(8)
	{names: []string{"choom"}, valued: []string{"-n", "-p", "--adjust", "--pid"}},                                                       // choom(1)
	{names: []string{"chpst"}, valued: strings.Fields("-u -U -b -e -/ -n -l -L -m -d -o -p -f -c -r -t")},                               // chpst(8)
	{names: []string{"chroot"}, operands: 1},                                                                                            // chroot(1)
	{names: []string{"chrt"}, valued: []string{"-D", "-P", "-T", "--sched-deadline", "--sched-period", "--sched-runtime"}, operands: 1}, // chrt(1)
	{names: []string{"dbus-run-session"}, valued: []string{"--config-file", "--dbus-daemon"}, helpers: []string{"dbus-daemon"}},         // dbus-run-session(1)
	{names: []string{"doas"}, valued: []string{"-C", "-u"}},                                                                             // doas(1)
	{names: []string{"dumb-init"}, valued: []string{"-r", "--rewrite"}},                                                                 // Yelp/dumb-init
	{names: []string{"flock"}, valued: []string{"-w", "-E", "--timeout", "--wait", "--conflict-exit-code"}, operands: 1},                // flock(1)
	{names: []string{"gosu", "su-exec", "setuidgid", "envuidgid", "envdir"}, operands: 1},                                               // tianon/gosu, ncopa/su-exec, daemontools, s6
	{names: []string{"ionice"}, valued: []string{"-c", "-n", "--class", "--classdata"}},                                                 // ionice(1)
	{names: []string{"nice"}, valued: []string{"-n", "--adjustment"}},                                                                   // nice(1)
	{names: []string{"nsenter"}, valued: []string{"-t", "-S", "-G", "--target", "--setuid", "--setgid"}},                                // nsenter(1)
	{names: []string{"numactl"}, valued: []string{"-i", "-N", "-C", "-m", "-p"}},                                                        // numactl(8)
	{names: []string{"prlimit"}, valued: []string{"-o", "-p", "--output", "--pid"}},                                                     // prlimit(1)
	{names: []string{"s6-applyuidgid"}, valued: []string{"-u", "-g", "-G"}},                                                             // s6
	{names: []string{"s6-envdir"}, valued: []string{"-c"}, operands: 1},                                                                 // s6
	{names: []string{"s6-envuidgid"}, operands: 1},                                                                                      // s6
	{names: []string{"s6-notifyoncheck"}, valued: strings.Fields("-3 -s -T -t -w -n -c"), helpers: []string{"execlineb"}},               // s6
	{names: []string{"s6-setlock"}, valued: []string{"-t"}, operands: 1},                                                                // s6
	{names: []string{"s6-setsid"}, valued: []string{"-d"}},                                                                              // s6
	{names: []string{"s6-setuidgid"}, operands: 1, helpers: []string{"s6-envuidgid", "s6-applyuidgid"}},
	{names: []string{"s6-softlimit", "softlimit"}, valued: strings.Fields("-a -c -d -f -l -m -o -p -r -s -t")}, // s6, daemontools
	{names: []string{"setarch"}},                         // setarch(8)
	{names: []string{"setpriv"}, valued: setprivOptions}, // setpriv(1)
	{names: []string{"setsid"}},                          // setsid(1)
	{names: []string{"stdbuf"}, valued: []string{"-i", "-o", "-e", "--input", "--output", "--error"}},                                         // stdbuf(1)
	{names: []string{"sudo"}, valued: strings.Fields("-C -D -g -h -p -R -r -T -t -U -u --chdir --close-from --group --host --prompt --user")}, // sudo(8)
	{names: []string{"taskset"}, operands: 1},                                                           // taskset(1)
	{names: []string{"time"}, valued: []string{"-f", "-o", "--format", "--output"}},                     // time(1)
	{names: []string{"timeout"}, valued: []string{"-k", "-s", "--kill-after", "--signal"}, operands: 1}, // timeout(1)
	{names: []string{"tini", "tini-static", "docker-init"}, valued: []string{"-p", "-e"}},               // krallin/tini
	{names: []string{"unshare"}, valued: []string{"-S", "-G", "-R", "-w", "-l", "--setuid", "--setgid", "--root", "--wd", "--load-interp", "--map-user", "--map-group", "--map-users", "--map-groups"}}, // unshare(1)
	{names: []string{"xargs"}, valued: strings.Fields("-a -d -E -I -L -n -P -s --arg-file --delimiter --max-args --max-chars --max-lines --max-procs --replace")},                                       // xargs(1)
}

// managers start what their configuration says.
var managers = []string{
	"anacron", "cron", "crond", "dinit", "init", "monit", "my_init", "openrc", "runit", "runit-init", "runsv", "runsvdir", "s6-rc", "s6-svscan",
	"s6-supervise", "supercronic", "supervisord", "svscan", "systemd", "tmux", "screen", "watch", "script", "inetd", "xinetd", "sshd", "dropbear",
}

var setprivOptions = []string{
	"--ambient-caps", "--inh-caps", "--bounding-set", "--ruid", "--euid", "--reuid", "--rgid", "--egid", "--regid",
	"--groups", "--securebits", "--pdeathsig", "--selinux-label", "--apparmor-profile",
}

// arguments follows what a program starts that its arguments tell to. name is the
// path that it was started by, which says what busybox is.
func (f *follower) arguments(e environment, name, real string, argv []string) error {
	base, args := applet(name, argv[1:])
	switch {
	case base == "env":
		return f.envCommand(e, name, args)
	case isShell(base):
		return f.shell(e, name, base, args)
	}
	switch {
	case isInterpreter(base):
		for _, arg := range args {
			f.told[arg] = true
		}
		f.unfollowed(strings.Join(append([]string{name}, args[:min(len(args), 3)]...), " "), "a program that "+base+" interprets: what it starts is not followed")
		return nil
	case slices.Contains(managers, base):
		f.unfollowed(name, "what it starts is in its configuration, and is not followed")
		return nil
	case base == "find":
		return f.findCommands(e, name, args)
	case base == "start-stop-daemon":
		return f.daemon(e, name, args)
	case base == "su" || base == "runuser":
		return f.userCommand(e, name, base, args)
	case base == "capsh":
		if i := slices.Index(args, "--"); i >= 0 {
			return f.started(e, name, append([]string{"/bin/bash"}, args[i+1:]...))
		}
		return nil
	}
	i := starterIndex(base)
	if i < 0 {
		return nil
	}
	if base == "setarch" && len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		args = args[1:] // the architecture may stand before options
	}
	rest := starters[i].command(args)
	switch {
	case len(rest) == 0 && base == "xargs":
		rest = []string{"echo"}
	case len(rest) == 0:
		return nil
	case base == "flock" && len(rest) > 1 && (rest[0] == "-c" || rest[0] == "--command"):
		rest = []string{"/bin/sh", "-c", rest[1]}
	}
	for _, helper := range starters[i].helpers {
		if err := f.started(e, name, []string{helper}); err != nil {
			return err
		}
	}
	return f.started(e, name, rest)
}

// applet returns the name by which a program knows what it is, and its arguments: those
// of one that is many have the name of a part first.
func applet(name string, args []string) (string, []string) {
	base := path.Base(name)
	if (base == "busybox" || base == "toybox") && len(args) > 0 {
		return args[0], args[1:]
	}
	return base, args
}

func starterIndex(base string) int {
	return slices.IndexFunc(starters, func(s starter) bool { return slices.Contains(s.names, base) })
}

// isFollowed reports whether arguments follows what a program starts, or reports it.
func isFollowed(name string, args []string) bool {
	base, _ := applet(name, args)
	return isShell(base) || isInterpreter(base) || slices.Contains(managers, base) || starterIndex(base) >= 0 ||
		slices.Contains([]string{"env", "find", "start-stop-daemon", "su", "runuser", "capsh"}, base)
}

// findCommands follows the commands of find(1), each up to ";" or "+".
func (f *follower) findCommands(e environment, by string, args []string) error {
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		if !slices.Contains([]string{"-exec", "-execdir", "-ok", "-okdir"}, arg) {
			continue
		}
		end := slices.IndexFunc(args, func(arg string) bool { return arg == ";" || arg == "+" })
		if end < 0 {
			end = len(args)
		}
		if end > 0 {
			if err := f.started(e, by, args[:end]); err != nil {
				return err
			}
		}
		args = args[end:]
	}
	return nil
}

// interpreters run programs that are not machine code.
var interpreters = []string{
	"Rscript", "beam.smp", "bun", "deno", "dotnet", "erl", "escript", "execlineb", "guile", "java", "julia", "lua", "luajit", "node", "nodejs", "perl", "php",
	"php-cgi", "php-fpm", "pwsh", "pypy", "python", "ruby", "tclsh", "wish",
}

// isInterpreter reports whether a program of this name, with or without a version
// (python3.11), is an interpreter.
func isInterpreter(name string) bool {
	return slices.Contains(interpreters, strings.TrimRight(name, "0123456789.-"))
}

// command returns what the arguments of a starter say to start; nothing where they
// do not.
func (s starter) command(args []string) []string {
	args = skipOptions(args, s.valued)
	if len(args) <= s.operands {
		return nil
	}
	return args[s.operands:]
}

// skipOptions returns what follows the options, of which valued have their value
// in the next argument.
func skipOptions(args, valued []string) []string {
	for len(args) > 0 {
		arg := args[0]
		if arg == "--" {
			return args[1:]
		}
		if len(arg) < 2 || arg[0] != '-' {
			return args
		}
		args = args[1:]
		if slices.Contains(valued, arg) && len(args) > 0 {
			args = args[1:]
		}
	}
	return nil
}

// started follows a command that a starter starts.
func (f *follower) started(e environment, by string, argv []string) error {
	return f.attempt(e, by, "started by "+by, argv)
}

// attempt follows a command of which it is not certain that it ever runs: what
// decides may be set by whoever starts the container. So it is reported, not
// refused, where there is no such program.
func (f *follower) attempt(e environment, by, role string, argv []string) error {
	if strings.Contains(argv[0], unknown) {
		f.unfollowed(by, "what it is to start is computed")
		return nil
	}
	file, err := f.lookup(e, argv[0])
	if err == nil {
		err = f.executable(file)
	}
	if err != nil {
		f.unfollowed(by, quoted(argv[0])+", which it is to start: "+err.Error())
		return nil
	}
	return f.exec(e, file, argv, role, 0)
}

// envCommand follows env(1), which may change PATH and the directory.
func (f *follower) envCommand(e environment, by string, args []string) error {
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		value := func() (v string) {
			if len(args) > 0 {
				v, args = args[0], args[1:]
			}
			return v
		}
		switch {
		case arg == "--":
		case arg == "-" || arg == "-i" || arg == "--ignore-environment":
			e.path, e.variables = pathUnset, nil
		case arg == "-u" || arg == "--unset":
			e = e.without(value())
		case strings.HasPrefix(arg, "--unset="):
			e = e.without(arg[len("--unset="):])
		case arg == "-C" || arg == "--chdir":
			e.dir = f.absolute(e, value())
		case strings.HasPrefix(arg, "--chdir="):
			e.dir = f.absolute(e, arg[len("--chdir="):])
		case arg == "-S" || arg == "--split-string":
			args = append(Words(value()), args...)
		case strings.HasPrefix(arg, "--split-string="):
			args = append(Words(arg[len("--split-string="):]), args...)
		case isSplitOption(arg):
			// The kernel hands "-S python3 -u" over as one argument.
			i := strings.IndexByte(arg, 'S')
			args = append(Words(arg[i+1:]), args...)
		case strings.HasPrefix(arg, "-") && len(arg) > 1:
		case strings.Contains(arg, "="):
			if name, value, _ := strings.Cut(arg, "="); !strings.Contains(name, unknown) {
				e = e.with(name, value)
				f.loads(by, name, value)
			}
		default:
			return f.started(e, by, append([]string{arg}, args...))
		}
	}
	return nil
}

// isSplitOption reports whether arg is -S with its value, maybe behind other short
// options: "-vS python3".
func isSplitOption(arg string) bool {
	i := strings.IndexByte(arg, 'S')
	return i > 0 && arg[0] == '-' && strings.Trim(arg[1:i], "iv0") == "" && len(arg) > i+1
}

// Words splits a command into words as env -S does: at blanks, outside quotes. Of
// its escapes, those of blanks are blanks, others the character itself.
func Words(s string) []string {
	var words []string
	var word strings.Builder
	inWord := false
	var quote byte
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '\\' && i+1 < len(s) && quote != '\'':
			i++
			switch s[i] {
			case '_', 't', 'n':
				if quote == 0 {
					if inWord {
						words = append(words, word.String())
						word.Reset()
						inWord = false
					}
					continue
				}
				word.WriteByte(' ')
			default:
				word.WriteByte(s[i])
			}
			inWord = true
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '\'' || c == '"'):
			quote, inWord = c, true
		case quote == 0 && (c == ' ' || c == '\t' || c == '\n'):
			if inWord {
				words = append(words, word.String())
				word.Reset()
				inWord = false
			}
		default:
			word.WriteByte(c)
			inWord = true
		}
	}
	if inWord {
		words = append(words, word.String())
	}
	return words
}

func quoted(s string) string { return `"` + shortened(s) + `"` }

func shortened(s string) string {
	if len(s) > 100 {
		s = s[:100] + "…"
	}
	return s
}
