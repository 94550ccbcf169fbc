package container

import (
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// builtins are commands of shells (POSIX's, and those that bash and busybox share)
// that start no program.
var builtins = strings.Fields(`: [ alias bg bind break caller cd compgen complete compopt continue declare dirs disown echo
	enable exit export false fc fg getopts hash help history jobs kill let local logout mapfile popd printf pushd pwd read
	readarray readonly return set shift shopt suspend test times trap true type typeset ulimit umask unalias unset wait`)

// isBuiltin reports whether shells run name themselves. Such a command may also be
// a program, which they do not start.
func isBuiltin(name string) bool { return slices.Contains(builtins, name) }

// plain returns a command without what shells put before it; direct says that no
// function of the script is meant.
func plain(argv []string) (_ []string, direct bool) {
	for len(argv) > 0 {
		valued := ""
		switch argv[0] {
		case "exec":
			valued = "a" // -a NAME
		case "command":
			if len(argv) > 1 && (argv[1] == "-v" || argv[1] == "-V") {
				return nil, true // it asks for the name
			}
		case "builtin", "nocorrect", "noglob":
		default:
			return argv, direct
		}
		direct = true
		argv = argv[1:]
		for len(argv) > 0 && len(argv[0]) > 1 && argv[0][0] == '-' {
			option := argv[0]
			argv = argv[1:]
			if option == "--" {
				break
			}
			if valued != "" && strings.HasSuffix(option, valued) && len(argv) > 0 {
				argv = argv[1:]
			}
		}
	}
	return nil, direct
}

// learn notes what a command says about other commands.
func (s *script) learn(c command) {
	if len(c.call.Args) == 0 {
		return
	}
	// A command sets parameters once, from those before it. In a loop they become
	// anything.
	if slices.ContainsFunc(c.call.Args, func(w *syntax.Word) bool { return w.Lit() == "set" }) {
		for _, p := range s.scopes[c.in].lists {
			if slices.Contains(p.by, c.call) {
				continue
			}
			s.given = &p
			sets := false
			for _, argv := range s.words(c) {
				if argv, _ = plain(argv); len(argv) > 0 && argv[0] == "set" {
					sets = s.set(c, argv[1:], append(slices.Clone(p.by), c.call)) || sets
				}
			}
			s.given = nil
			if c.loop && sets {
				s.pass(c.in, parameters{[]string{unknown}, []*syntax.CallExpr{c.call}, c.moment})
			}
		}
		return
	}
	for _, argv := range s.words(c) {
		argv, direct := plain(argv)
		if len(argv) == 0 {
			continue
		}
		for _, f := range s.functions[argv[0]] {
			if !direct {
				s.pass(f, parameters{words: argv[1:]})
			}
		}
		s.builtin(c, argv)
	}
}

// builtin notes what a builtin of the shell does to what is known.
func (s *script) builtin(c command, argv []string) {
	args := argv[1:]
	known := !strings.Contains(strings.Join(args, ""), unknown)
	switch argv[0] {
	case "shift":
		n := shift{call: c.call, count: -1, moment: c.moment}
		if isShift(c.call) {
			n.count = count(c.call)
		}
		s.shift(n)
	case ".", "source":
		if len(args) > 0 {
			s.source(c, args[0])
		}
		if len(args) > 1 {
			s.pass(c.in, parameters{words: args[1:], moment: c.moment})
		}
	case "eval", "trap":
		if argv[0] == "trap" {
			args = operands(args)
			args = args[:min(1, len(args))] // what to do; signals follow
		}
		text := strings.Join(args, " ")
		if argv[0] == "trap" && (text == "-" || text == "") {
			return
		}
		// What is not known of the text may be anything; to read the rest, it is a
		// parameter of which nothing is known either.
		from := origin{c.from.file, c.call.Pos().Line(), c.at}
		if c.from.line > 0 {
			from.line = c.from.line
		}
		err := s.include(strings.ReplaceAll(text, unknown, "${?}"), c.in, c.loop, from)
		if err != nil || strings.Contains(text, unknown) {
			s.notClear(c)
		}
	case "unset":
		for _, name := range operands(args) {
			s.assign(name, assigned{})
		}
	case "read", "getopts", "mapfile", "readarray":
		from, isListing := s.listings[c.call]
		for _, name := range args {
			switch {
			case !syntax.ValidName(name):
			case isListing:
				s.listed(name, from)
			default:
				s.assign(name, assigned{unknown: true})
			}
		}
		if !known && !s.tainted {
			s.tainted, s.changed = true, true
		}
	case "printf":
		if len(args) > 1 && args[0] == "-v" {
			s.assign(args[1], assigned{unknown: true})
		}
	case "export", "readonly", "local", "declare", "typeset": // behind "command" or the like
		for _, arg := range args {
			if name, _, ok := strings.Cut(arg, "="); ok && syntax.ValidName(name) {
				s.assign(name, assigned{unknown: true})
			}
		}
	case "cd", "pushd":
		s.cd(operands(args))
	case "alias", "enable":
		if len(args) > 0 {
			s.notClear(c)
		}
	}
}

// set notes the parameters that "set" gives, and reports whether it gives any.
func (s *script) set(c command, args []string, by []*syntax.CallExpr) bool {
	for len(args) > 0 && len(args[0]) > 0 && (args[0][0] == '-' || args[0][0] == '+') {
		option := args[0]
		args = args[1:]
		if option == "--" || option == "-" {
			s.pass(c.in, parameters{args, by, c.moment})
			return true
		}
		if strings.HasSuffix(option, "o") && len(args) > 0 {
			args = args[1:] // set -o pipefail
		}
	}
	if len(args) > 0 {
		s.pass(c.in, parameters{args, by, c.moment})
	}
	return len(args) > 0
}

// cd notes a directory that the script changes to.
func (s *script) cd(args []string) {
	if len(args) == 0 || strings.Contains(args[0], unknown) || args[0] == "-" {
		s.lost = s.lost || len(args) == 0 || args[0] != "-"
		return
	}
	for _, dir := range slices.Clone(s.dirs) {
		next := s.f.absolute(environment{dir: dir}, args[0])
		if slices.Contains(s.dirs, next) {
			continue
		}
		if len(s.dirs) == maxDirs {
			s.lost = true
			return
		}
		s.dirs = append(s.dirs, next)
		s.changed = true
	}
}

// source adds another file's commands to the script.
func (s *script) source(c command, name string) {
	if strings.Contains(name, unknown) {
		s.notClear(c)
		return
	}
	files := []string{name}
	if !strings.HasPrefix(name, "/") {
		files = nil
		for _, dir := range s.dirs {
			files = append(files, s.f.absolute(environment{dir: dir}, name))
		}
	}
	for _, file := range files {
		if _, _, err := s.f.root.tree.walk(file, true, nil); err != nil {
			continue // nothing that could be read
		}
		text, err := s.f.text(file)
		if err == nil && !slices.Contains(s.files, file) {
			s.files = append(s.files, file)
			s.changed = true
		}
		if err == nil {
			err = s.include(text, c.in, c.loop, origin{file: file, at: c.at})
		}
		if err != nil {
			s.notClear(c)
		}
	}
}

// start follows the programs that a command can be.
func (s *script) start(c command) {
	for _, argv := range s.words(c) {
		argv, direct := plain(argv)
		switch {
		case len(argv) == 0:
		case !direct && len(s.functions[argv[0]]) > 0, isBuiltin(argv[0]), argv[0] == ".", argv[0] == "source", argv[0] == "eval":
		default:
			s.program(c, argv)
		}
	}
}

// source returns the text of a command or a word.
func source(n syntax.Node) string {
	var b strings.Builder
	if err := syntax.NewPrinter(syntax.SingleLine(true)).Print(&b, n); err != nil {
		return err.Error()
	}
	return b.String()
}
