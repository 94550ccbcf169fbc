package container

import (
	"slices"
	"strings"
)

// isShell reports whether a program of this name takes -c COMMAND, or a script.
func isShell(name string) bool {
	return slices.Contains([]string{"sh", "ash", "bash", "dash", "ksh", "mksh", "zsh"}, strings.TrimPrefix(name, "-"))
}

// shell follows a shell: the commands of -c whose program is written out, and the
// first argument of a script.
func (f *follower) shell(e environment, by string, args []string) error {
	command := false
	for len(args) > 0 && len(args[0]) > 1 && (args[0][0] == '-' || args[0][0] == '+') {
		option := args[0]
		args = args[1:]
		switch {
		case option == "--":
		case strings.HasPrefix(option, "--"):
			if option == "--rcfile" || option == "--init-file" {
				args = args[min(1, len(args)):]
			}
			continue
		case option[0] == '-' && strings.Contains(option, "c"):
			command = true
			fallthrough
		default:
			if strings.HasSuffix(option, "o") || strings.HasSuffix(option, "O") {
				args = args[min(1, len(args)):] // -o pipefail
			}
			continue
		}
		break
	}
	if len(args) == 0 {
		return nil
	}
	if !command {
		// A script that the shell is told to read. Its own line, if any, is a comment.
		f.unfollowed(args[0], "a script: what it starts itself is not followed")
		return f.mayStart(e, args[1:], "argument of "+args[0])
	}
	where := by + " -c " + quoted(args[0])
	commands, unclear := parseCommands(args[0])
	for _, argv := range commands {
		switch {
		case argv[0] == "cd" && len(argv) == 2:
			e.dir = f.absolute(e, argv[1])
		case isBuiltin(argv[0]):
		case argv[0] == "." || argv[0] == "source" || argv[0] == "eval":
			unclear = append(unclear, strings.Join(argv, " "))
		default:
			if err := f.started(e, where, argv); err != nil {
				return err
			}
		}
	}
	for _, what := range unclear {
		f.unfollowed(where, "not clear what "+quoted(what)+" starts")
	}
	return nil
}

// builtins are commands of shells (POSIX's, and those that bash and busybox share)
// that start no program.
var builtins = strings.Fields(`: [ alias bg break cd continue declare dirs echo exit export false fc fg getopts hash
	help history jobs kill let local logout popd printf pushd pwd read readonly return set shift shopt test times trap
	true type typeset ulimit umask unalias unset wait`)

// isBuiltin reports whether shells run name themselves. Such a command may also be
// a program, which they do not start.
func isBuiltin(name string) bool { return slices.Contains(builtins, name) }

// A lexeme is a word of a shell's command, or an operator.
type lexeme struct {
	text     string
	operator bool
	literal  bool // nothing in it is expanded
}

// parseCommands returns the simple commands of a shell's command line whose
// program is written out: their words, up to the first that is not. unclear is
// what is not understood, and commands whose program is the result of an
// expansion.
func parseCommands(line string) (commands [][]string, unclear []string) {
	lexemes, odd := lex(line)
	unclear = odd
	for len(lexemes) > 0 {
		end := slices.IndexFunc(lexemes, func(l lexeme) bool { return l.operator })
		if end < 0 {
			end = len(lexemes)
		}
		words := lexemes[:end]
		lexemes = lexemes[min(end+1, len(lexemes)):]
		argv, what := simpleCommand(words)
		if len(argv) > 0 {
			commands = append(commands, argv)
		}
		if what != "" {
			unclear = append(unclear, what)
		}
	}
	return commands, unclear
}

// simpleCommand returns the program and its arguments of one command, without what
// stands before: keywords, assignments, exec. unclear is what is not understood.
func simpleCommand(words []lexeme) (argv []string, unclear string) {
	for len(words) > 0 {
		w := words[0]
		name, _, assigns := strings.Cut(w.text, "=")
		switch {
		case !w.literal && !(assigns && isName(name)):
			return nil, w.text
		case assigns && isName(name):
		case slices.Contains([]string{"if", "then", "elif", "else", "while", "until", "do", "!", "{", "time", "builtin", "command"}, w.text):
		case w.text == "exec":
			// exec has options: -c, -l, and -a NAME.
			for len(words) > 1 && strings.HasPrefix(words[1].text, "-") {
				if strings.HasSuffix(words[1].text, "a") && len(words) > 2 {
					words = words[1:]
				}
				words = words[1:]
			}
		case slices.Contains([]string{"fi", "done", "}", "esac"}, w.text):
			return nil, ""
		case slices.Contains([]string{"for", "select"}, w.text):
			return nil, "" // its words are no commands; what follows "do" is
		case slices.Contains([]string{"case", "function", "coproc"}, w.text):
			return nil, w.text
		default:
			for _, word := range words {
				if !word.literal {
					break
				}
				argv = append(argv, word.text)
			}
			return argv, ""
		}
		words = words[1:]
	}
	return nil, ""
}

// isName reports whether s is the name of a variable.
func isName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c != '_' && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}

// lex splits a shell's command line (POSIX, Shell Command Language, 2.3).
// Redirections are left out. odd are substitutions and documents, in which there
// may be commands.
func lex(line string) (lexemes []lexeme, odd []string) {
	l := &lexer{rest: line}
	for l.next() {
	}
	return l.lexemes, l.odd
}

type lexer struct {
	rest    string
	lexemes []lexeme
	odd     []string
	skip    bool // the next word is the target of a redirection
}

// next reads one lexeme; it returns false at the end.
func (l *lexer) next() bool {
	l.rest = strings.TrimLeft(l.rest, " \t\r")
	if l.rest == "" {
		return false
	}
	if strings.HasPrefix(l.rest, "\\\n") {
		l.rest = l.rest[2:]
		return true
	}
	switch c := l.rest[0]; c {
	case '#':
		if i := strings.IndexByte(l.rest, '\n'); i >= 0 {
			l.rest = l.rest[i:]
		} else {
			l.rest = ""
		}
	case '\n', ';', '|', '(', ')':
		l.operator(1)
	case '&':
		if strings.HasPrefix(l.rest, "&>") {
			l.rest = l.rest[1:]
			l.redirect()
		} else {
			l.operator(1)
		}
	case '<', '>':
		l.redirect()
	default:
		l.word()
	}
	return l.rest != ""
}

func (l *lexer) operator(n int) {
	l.lexemes = append(l.lexemes, lexeme{text: l.rest[:n], operator: true})
	l.rest, l.skip = l.rest[n:], false
}

// redirect reads a redirection's operator; the word that follows is its target.
func (l *lexer) redirect() {
	if strings.HasPrefix(l.rest, "<<") && !strings.HasPrefix(l.rest, "<<<") || strings.HasPrefix(l.rest, "<(") || strings.HasPrefix(l.rest, ">(") {
		l.giveUp()
		return
	}
	l.rest = strings.TrimLeft(l.rest, "<>&|")
	l.skip = true
}

// giveUp takes the rest of the line as not understood.
func (l *lexer) giveUp() {
	l.odd = append(l.odd, l.rest)
	l.rest = ""
}

func (l *lexer) word() {
	var b strings.Builder
	literal := true
	s := l.rest
	i := 0
	for i < len(s) {
		switch c := s[i]; c {
		case ' ', '\t', '\r', '\n', ';', '&', '|', '(', ')':
			l.emit(b.String(), literal, s[i:])
			return
		case '<', '>':
			// 2>file: the number belongs to the redirection.
			if strings.Trim(b.String(), "0123456789") == "" && literal {
				l.rest = s[i:]
				return
			}
			l.emit(b.String(), literal, s[i:])
			return
		case '\\':
			i++
			if i < len(s) && s[i] != '\n' {
				b.WriteByte(s[i])
			}
			i++
		case '\'':
			end := strings.IndexByte(s[i+1:], '\'')
			if end < 0 {
				l.rest = s
				l.giveUp()
				return
			}
			b.WriteString(s[i+1 : i+1+end])
			i += end + 2
		case '"':
			text, plain, n, ok := doubleQuoted(s[i+1:])
			if !ok {
				l.rest = s
				l.giveUp()
				return
			}
			b.WriteString(text)
			literal = literal && plain
			i += 1 + n
			l.substitutions(text, plain)
		case '`':
			l.rest = s
			l.giveUp()
			return
		case '$':
			if strings.HasPrefix(s[i:], "$(") {
				l.rest = s
				l.giveUp()
				return
			}
			if strings.HasPrefix(s[i:], "${") {
				if end := strings.IndexByte(s[i:], '}'); end > 0 && !strings.ContainsAny(s[i:i+end], "`(") {
					b.WriteString(s[i : i+end+1])
					literal = false
					i += end + 1
					continue
				}
				l.rest = s
				l.giveUp()
				return
			}
			literal = false
			b.WriteByte(c)
			i++
		case '*', '?', '[', '~', '{':
			// "[" alone is a command, "{" a keyword.
			if alone := i+1 == len(s) || strings.IndexByte(" \t\n;", s[i+1]) >= 0; !alone || b.Len() > 0 || c != '[' && c != '{' {
				literal = false
			}
			b.WriteByte(c)
			i++
		default:
			b.WriteByte(c)
			i++
		}
	}
	l.emit(b.String(), literal, "")
}

// emit ends a word.
func (l *lexer) emit(text string, literal bool, rest string) {
	if !l.skip {
		l.lexemes = append(l.lexemes, lexeme{text: text, literal: literal})
	}
	l.rest, l.skip = rest, false
}

// doubleQuoted reads up to the closing quote: the text, whether nothing in it is
// expanded, and how many bytes that was.
func doubleQuoted(s string) (text string, plain bool, n int, ok bool) {
	var b strings.Builder
	plain = true
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case '"':
			return b.String(), plain, i + 1, true
		case '\\':
			if i+1 < len(s) && strings.IndexByte("$`\"\\\n", s[i+1]) >= 0 {
				i++
			}
			if s[i] != '\n' {
				b.WriteByte(s[i])
			}
		case '$', '`':
			plain = false
			b.WriteByte(c)
		default:
			b.WriteByte(c)
		}
	}
	return "", false, 0, false
}

// substitutions notes commands in double quotes.
func (l *lexer) substitutions(text string, plain bool) {
	if !plain && (strings.Contains(text, "$(") || strings.Contains(text, "`")) {
		l.odd = append(l.odd, text)
	}
}
