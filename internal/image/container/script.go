package container

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// A script is what is known of a shell script: which commands it has, and which
// values its variables and parameters can have. The order of commands and the
// outcome of conditions do not count: a variable can have any value that is
// assigned anywhere, and every command can run.
type script struct {
	f     *follower
	e     environment
	where string   // for reports
	name  string   // $0
	shell string   // that runs it
	files []string // that it sources
	lang  syntax.LangVariant

	commands  []command
	variables map[string][]assigned
	scopes    map[*syntax.FuncDecl]*scope // nil is what is outside functions
	functions map[string][]*syntax.FuncDecl
	dirs      []string // that it may change to
	lost      bool     // it may change to a directory that is not known
	tainted   bool     // something may have changed any variable
	busy      map[string]bool
	given     *parameters // the only list to look at, where one is

	included map[string]bool // texts that are part of it: files, eval, trap
	declared []declared
	listings map[*syntax.CallExpr]command // of find, by the read that gets them
	until    map[*syntax.CallExpr]uint    // of shift
	changed  bool
	running  bool
}

// A command is a simple command and the function that it stands in.
type command struct {
	call *syntax.CallExpr
	moment
	from origin
}

// An origin is the text that a command stands in.
type origin struct {
	file string // "" for one that no file has
	line uint   // that all of it stands for, of eval; 0: each command its own
	at   uint   // likewise, of moment
}

// A moment is when something in a script is evaluated.
type moment struct {
	in   *syntax.FuncDecl
	at   uint // what is larger is later, where there is no loop; 0: not known
	loop bool // it stands in a loop
}

// An assigned value is one that a variable can have.
type assigned struct {
	word    *syntax.Word
	text    string // where word is nil
	each    bool   // each field of word, in a loop
	given   bool   // each positional parameter
	array   *syntax.ArrayExpr
	append  bool // array stands behind what is there
	unknown bool
	moment
}

// A declared variable is one whose name and value are computed: export "$x=$y".
type declared struct {
	word *syntax.Word
	moment
}

const (
	// maxAlternatives bounds the values of a word, and the lists of words.
	maxAlternatives = 64
	// maxRounds bounds how often values are looked for, each time knowing more.
	maxRounds = 12
	// maxCommands bounds the commands of a script with what it includes.
	maxCommands = 20000
	// maxWork bounds the parts of words that are looked at, for all scripts.
	maxWork = 1 << 20
	// maxDirs bounds the directories that it may change to.
	maxDirs = 8
)

const tooMuch = "it computes more than is followed"

var (
	errUnknown   = errors.New("its name is computed")
	errNotScript = errors.New("not a text that was looked at")
)

func newScript(f *follower, e environment, where, shell string) *script {
	lang := syntax.LangBash // that the others are nearly part of
	switch strings.TrimPrefix(shell, "-") {
	case "ksh", "mksh":
		lang = syntax.LangMirBSDKorn
	case "zsh":
		lang = syntax.LangZsh
	}
	e.variables = maps.Clone(e.variables)
	return &script{
		f: f, e: e, where: where, shell: shell, lang: lang, dirs: []string{e.dir},
		variables: map[string][]assigned{}, scopes: map[*syntax.FuncDecl]*scope{nil: {}}, functions: map[string][]*syntax.FuncDecl{},
		busy: map[string]bool{}, included: map[string]bool{}, listings: map[*syntax.CallExpr]command{}, until: map[*syntax.CallExpr]uint{},
	}
}

// follow finds the programs that the text starts, and follows them. A script that was
// followed before goes on with what it knows, and the arguments that it has now, too.
func (s *script) follow(text string, from origin, e environment, args []string) {
	maps.DeleteFunc(s.e.variables, func(name, value string) bool {
		now, ok := e.variables[name]
		s.changed = s.changed || !ok || now != value
		return !ok || now != value
	})
	s.pass(nil, parameters{words: args})
	if err := s.include(text, nil, false, from); err != nil {
		s.f.unfollowed(s.where, "not understood: "+err.Error())
		s.f.mayStart(e, args, "argument of "+s.where)
		return
	}
	if s.running {
		return // it started itself: whoever follows it sees what changed
	}
	s.running = true
	defer func() { s.running = false }()
	for s.changed {
		s.rounds()
		for _, c := range s.commands {
			s.start(c)
		}
		if s.f.work > maxWork {
			s.f.unfollowed(s.where, tooMuch)
			return
		}
	}
}

// rounds learns from the commands until there is no more to learn.
func (s *script) rounds() {
	for round := 0; s.changed; round++ {
		if round == maxRounds || len(s.commands) > maxCommands || s.f.work > maxWork {
			s.f.unfollowed(s.where, tooMuch)
			s.changed = false
			return
		}
		s.changed = false
		for i := 0; i < len(s.commands); i++ { // which may become more
			s.learn(s.commands[i])
		}
		for _, d := range s.declared {
			s.declare(d)
		}
	}
}

// include adds the commands of a text, which runs in function in.
func (s *script) include(text string, in *syntax.FuncDecl, loop bool, from origin) error {
	if s.included[text] {
		return nil
	}
	s.included[text], s.changed = true, true
	file, err := syntax.NewParser(syntax.Variant(s.lang)).Parse(strings.NewReader(text), "")
	if err != nil {
		return err
	}
	s.resets(file.Stmts, from)
	s.shifts(file.Stmts, in, from)
	s.collect(file, in, loop, from)
	return nil
}

// program follows a command of the script: the words from the program's name on.
func (s *script) program(c command, argv []string) {
	name := argv[0]
	switch {
	case name == "" || name[0] == '-':
		return // options of what is not there
	case strings.Contains(name, unknown) || s.lost && isRelative(name):
		s.notClear(c)
		return
	}
	var found bool
	var failed error
	paths, known := s.paths()
	for _, dir := range s.dirs {
		for _, path := range paths {
			e := environment{path, dir, s.inherited()}
			file, err := s.f.lookup(e, name)
			if err == nil {
				err = s.f.executable(file)
			}
			if err != nil {
				if failed == nil {
					failed = err
				}
				continue
			}
			found = true
			err = s.f.exec(e, file, argv, "started by "+s.where, 0)
			if errors.Is(err, errNoFormat) { // the shell itself runs it
				err = s.f.shellScript(e, s.shell, slices.Concat([]string{file}, argv[1:]))
			}
			if err != nil {
				s.f.unfollowed(s.place(c), quoted(name)+": "+err.Error())
			}
		}
		if strings.HasPrefix(name, "/") {
			break
		}
	}
	switch {
	case found:
	case !known && !strings.Contains(name, "/"):
		s.f.unfollowed(s.place(c), quoted(name)+" may be in a part of PATH that is computed")
	default:
		s.f.absent(s.place(c), name, failed)
	}
}

// inherited returns the variables that what it starts has from the image: what the
// script assigns is not followed further.
func (s *script) inherited() map[string]string {
	all := maps.Clone(s.e.variables)
	maps.DeleteFunc(all, func(name, _ string) bool { return len(s.variables[name]) > 0 })
	return all
}

// isRelative reports whether a name is a path from the working directory.
func isRelative(name string) bool { return strings.Contains(name, "/") && name[0] != '/' }

// notClear reports a command whose program is not known.
func (s *script) notClear(c command) {
	s.f.unfollowed(s.place(c), "a command is computed: "+shortened(source(c.call)))
}

// place returns where a command stands, for reports.
func (s *script) place(c command) string { return s.placeOf(c.call, c.from) }

func (s *script) placeOf(n syntax.Node, from origin) string {
	line := n.Pos().Line()
	if from.line > 0 {
		line = from.line
	}
	if from.file == "" {
		return s.where
	}
	return fmt.Sprintf("%s:%d", from.file, line)
}
