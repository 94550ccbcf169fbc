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
	unclear  []string        // commands whose program is not known
	missing  map[string][]string
	changed  bool
}

// A command is a simple command and the function that it stands in.
type command struct {
	call *syntax.CallExpr
	in   *syntax.FuncDecl
	loop bool // it stands in a loop
}

// An assigned value is one that a variable can have.
type assigned struct {
	word    *syntax.Word
	each    bool // each field of word, in a loop
	array   *syntax.ArrayExpr
	append  bool // array stands behind what is there
	unknown bool
	in      *syntax.FuncDecl
}

// A scope is the positional parameters of a function, or of the script.
type scope struct {
	lists  []parameters // what they can be
	shifts bool         // so each end of a list, too
}

// parameters are one list that positional parameters can be.
type parameters struct {
	words []string
	by    []*syntax.CallExpr // the commands (set) that made it, one from the other
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
	// maxRuns bounds in how many ways one script is started.
	maxRuns = 8
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
	return &script{
		f: f, e: e, where: where, lang: lang, dirs: []string{e.dir},
		variables: map[string][]assigned{}, scopes: map[*syntax.FuncDecl]*scope{nil: {}}, functions: map[string][]*syntax.FuncDecl{},
		busy: map[string]bool{}, included: map[string]bool{}, missing: map[string][]string{},
	}
}

// follow finds the programs that the text starts, and follows them.
func (s *script) follow(text string, args []string) error {
	if s.f.runs[s.where]++; s.f.runs[s.where] > maxRuns {
		s.f.unfollowed(s.where, "started in more ways than are followed")
		return nil
	}
	s.pass(nil, parameters{words: args})
	if err := s.include(text, nil, false); err != nil {
		s.f.unfollowed(s.where, "not understood: "+err.Error())
		return s.f.mayStart(s.e, args, "argument of "+s.where)
	}
	for round := 0; ; round++ {
		s.changed = false
		for i := 0; i < len(s.commands); i++ { // which may become more
			s.learn(s.commands[i])
		}
		if !s.changed {
			break
		}
		if round == maxRounds || len(s.commands) > maxCommands || s.f.work > maxWork {
			s.f.unfollowed(s.where, tooMuch)
			break
		}
	}
	for _, c := range s.commands {
		s.start(c)
	}
	if s.f.work > maxWork {
		s.f.unfollowed(s.where, tooMuch)
	}
	for _, what := range s.unclear {
		s.f.unfollowed(s.where, "a command is computed: "+shortened(what))
	}
	for _, why := range slices.Sorted(maps.Keys(s.missing)) {
		s.f.unfollowed(s.where, strings.Join(s.missing[why], ", ")+", which it is to start: "+why)
	}
	return nil
}

// include adds the commands of a text, which runs in function in.
func (s *script) include(text string, in *syntax.FuncDecl, loop bool) error {
	if s.included[text] {
		return nil
	}
	s.included[text], s.changed = true, true
	file, err := syntax.NewParser(syntax.Variant(s.lang)).Parse(strings.NewReader(text), "")
	if err != nil {
		return err
	}
	s.collect(file, in, loop)
	return nil
}

// collect notes the commands, functions and assignments of a part of a script.
func (s *script) collect(part syntax.Node, in *syntax.FuncDecl, loop bool) {
	syntax.Walk(part, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.FuncDecl:
			if n.Name == nil {
				return true // zsh's without a name run at once
			}
			if s.scopes[n] == nil {
				s.scopes[n] = &scope{}
				s.functions[n.Name.Value] = append(s.functions[n.Name.Value], n)
				s.collect(n.Body, n, false)
			}
			return false
		case *syntax.ForClause:
			if !loop {
				s.collect(n, in, true)
				return false
			}
			if each, ok := n.Loop.(*syntax.WordIter); ok {
				for _, word := range each.Items {
					s.assign(each.Name.Value, assigned{word: word, each: true, in: in})
				}
				if !each.InPos.IsValid() { // for X; do: the parameters
					s.assign(each.Name.Value, assigned{unknown: true})
				}
			}
		case *syntax.WhileClause:
			if !loop {
				s.collect(n, in, true)
				return false
			}
		case *syntax.CallExpr:
			s.commands = append(s.commands, command{n, in, loop})
		case *syntax.Assign:
			if n.Name != nil {
				s.assignment(n, in)
			}
		case *syntax.DeclClause:
			for _, a := range n.Args { // a nameref, or what it declares is computed
				if word := a.Value; a.Name == nil && word != nil && !isOption(word) || word != nil && strings.HasPrefix(word.Lit(), "-n") || n.Variant.Value == "nameref" {
					s.tainted = true
				}
			}
		case *syntax.ParamExp: // ${X:=word}
			if n.Exp != nil && n.Param != nil && (n.Exp.Op == syntax.AssignUnset || n.Exp.Op == syntax.AssignUnsetOrNull) {
				s.assign(n.Param.Value, assigned{word: n.Exp.Word, in: in})
			}
		case *syntax.BinaryArithm:
			s.arithmetic(n.X)
		case *syntax.UnaryArithm:
			s.arithmetic(n.X)
		case *syntax.CoprocClause:
			s.assign("COPROC", assigned{unknown: true})
		}
		return true
	})
}

func isOption(word *syntax.Word) bool {
	return strings.HasPrefix(word.Lit(), "-") || strings.HasPrefix(word.Lit(), "+")
}

// arithmetic notes that an expression may assign to x.
func (s *script) arithmetic(x syntax.ArithmExpr) {
	if word, ok := x.(*syntax.Word); ok && syntax.ValidName(word.Lit()) {
		s.assign(word.Lit(), assigned{unknown: true})
	}
}

func (s *script) assignment(a *syntax.Assign, in *syntax.FuncDecl) {
	switch {
	case a.Naked:
	case a.Append && a.Array == nil || a.Index != nil:
		s.assign(a.Name.Value, assigned{unknown: true})
	default:
		s.assign(a.Name.Value, assigned{word: a.Value, array: a.Array, append: a.Append, in: in})
	}
}

func (s *script) assign(name string, v assigned) {
	if !slices.Contains(s.variables[name], v) {
		s.variables[name] = append(s.variables[name], v)
		s.changed = true
	}
}

// pass adds a list that the positional parameters can be.
func (s *script) pass(in *syntax.FuncDecl, p parameters) {
	// "set -- server "$@"" is for lists that do not begin with it: what a program is
	// told to start does not change by it.
	for len(p.words) > 1 && p.words[0] == p.words[1] {
		p.words = p.words[1:]
	}
	of := s.scopes[in]
	same := func(q parameters) bool { return slices.Equal(p.words, q.words) }
	if slices.ContainsFunc(of.lists, same) || len(of.lists) > maxAlternatives {
		return
	}
	if len(of.lists) == maxAlternatives {
		p.words = []string{unknown}
	}
	of.lists = append(of.lists, p)
	s.changed = true
}

// lists returns what the positional parameters can be.
func (s *script) lists(in *syntax.FuncDecl) [][]string {
	of := s.scopes[in]
	lists := of.lists
	if s.given != nil {
		lists = []parameters{*s.given}
	}
	var all [][]string
	for _, p := range lists {
		all = append(all, p.words)
		for i := 0; of.shifts && i < len(p.words); i++ {
			all = append(all, p.words[i+1:])
		}
	}
	return atMost(all, []string{unknown})
}

// atMost returns a list, or more in place of one that is too long.
func atMost[T any](list []T, more T) []T {
	if len(list) <= maxAlternatives {
		return list
	}
	return append(slices.Clone(list[:maxAlternatives]), more)
}

// program follows a command of the script: the words from the program's name on.
func (s *script) program(argv []string, text string) {
	name := argv[0]
	switch {
	case name == "" || name[0] == '-':
		return // options of what is not there
	case strings.Contains(name, unknown) || s.lost && isRelative(name):
		s.notClear(text)
		return
	}
	var found bool
	var failed error
	for _, dir := range s.dirs {
		for _, path := range s.paths() {
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
			if err := s.f.exec(e, file, argv, "started by "+s.where, 0); err != nil {
				s.fail(name, err)
			}
		}
		if strings.HasPrefix(name, "/") {
			break
		}
	}
	if !found {
		s.fail(name, failed)
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

// fail notes that a program cannot be started.
func (s *script) fail(name string, err error) {
	why, name := fmt.Sprint(err), quoted(name)
	if !slices.Contains(s.missing[why], name) {
		s.missing[why] = append(s.missing[why], name)
	}
}

func (s *script) notClear(what string) {
	if !slices.Contains(s.unclear, what) {
		s.unclear = append(s.unclear, what)
	}
}
