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
}

// The starters, each by its manual page or its README.
var starters = []starter{
	{names: []string{"catatonit"}},           // catatonit(1)
	{names: []string{"chroot"}, operands: 1}, // chroot(1)
	{names: []string{"chrt"}, valued: []string{"-D", "-P", "-T", "--sched-deadline", "--sched-period", "--sched-runtime"}, operands: 1}, // chrt(1)
	{names: []string{"dumb-init"}, valued: []string{"-r", "--rewrite"}},                                                                 // Yelp/dumb-init
	{names: []string{"gosu", "su-exec"}, operands: 1},                                                                                   // tianon/gosu, ncopa/su-exec
	{names: []string{"ionice"}, valued: []string{"-c", "-n", "--class", "--classdata"}},                                                 // ionice(1)
	{names: []string{"nice"}, valued: []string{"-n", "--adjustment"}},                                                                   // nice(1)
	{names: []string{"nohup"}},                           // nohup(1)
	{names: []string{"setpriv"}, valued: setprivOptions}, // setpriv(1)
	{names: []string{"setsid"}},                          // setsid(1)
	{names: []string{"stdbuf"}, valued: []string{"-i", "-o", "-e", "--input", "--output", "--error"}},                                                                                   // stdbuf(1)
	{names: []string{"sudo"}, valued: []string{"-C", "-D", "-g", "-h", "-p", "-R", "-r", "-T", "-t", "-U", "-u", "--chdir", "--close-from", "--group", "--host", "--prompt", "--user"}}, // sudo(8)
	{names: []string{"taskset"}, operands: 1},                                                           // taskset(1)
	{names: []string{"timeout"}, valued: []string{"-k", "-s", "--kill-after", "--signal"}, operands: 1}, // timeout(1)
	{names: []string{"tini", "tini-static", "docker-init"}, valued: []string{"-p", "-e"}},               // krallin/tini
	{names: []string{"xargs"}, valued: []string{"-a", "-d", "-E", "-I", "-L", "-n", "-P", "-s", "--arg-file", "--delimiter", "--max-args", "--max-chars", "--max-lines", "--max-procs", "--replace"}}, // xargs(1)
}

var setprivOptions = []string{
	"--ambient-caps", "--inh-caps", "--bounding-set", "--ruid", "--euid", "--reuid", "--rgid", "--egid", "--regid",
	"--groups", "--securebits", "--pdeathsig", "--selinux-label", "--apparmor-profile",
}

// arguments follows what a program starts that its arguments tell to. name is the
// path that it was started by, which says what busybox is.
func (f *follower) arguments(e environment, name, real string, argv []string) error {
	base, args := path.Base(name), argv[1:]
	if base == "busybox" && len(args) > 0 {
		base, args = args[0], args[1:] // the applet, in the same program
	}
	switch {
	case base == "env":
		return f.envCommand(e, name, args)
	case isShell(base):
		return f.shell(e, name, base, args)
	}
	if isInterpreter(base) && len(args) > 0 {
		f.unfollowed(name+" "+args[0], "a program that "+base+" interprets: what it starts is not followed")
		return nil
	}
	if base == "find" {
		return f.findCommands(e, name, args)
	}
	i := slices.IndexFunc(starters, func(s starter) bool { return slices.Contains(s.names, base) })
	if i < 0 {
		return nil
	}
	rest := starters[i].command(args)
	if len(rest) == 0 {
		return nil
	}
	return f.started(e, name, rest)
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
var interpreters = []string{"java", "lua", "node", "perl", "php", "python", "ruby", "tclsh", "wish"}

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
			e.path = "/bin:/usr/bin" // execvp(3), without PATH
		case arg == "-u" || arg == "--unset":
			if value() == "PATH" {
				e.path = "/bin:/usr/bin"
			}
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
			if path, ok := strings.CutPrefix(arg, "PATH="); ok {
				e.path = path
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
