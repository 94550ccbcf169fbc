package policy

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// A lexer cuts the small notations (actions, call patterns, constants) into
// tokens.
type lexer struct {
	text string
	off  int
	held *token // peeked
}

type tokenKind uint8

const (
	tokenEnd    tokenKind = iota
	tokenName             // socket, AF_UNIX, _
	tokenSet              // @systemd/io-event
	tokenNumber           // 39, 0x10; not yet checked
	tokenMark             // operators and brackets
	tokenBad
)

type token struct {
	kind tokenKind
	text string
	off  int
}

// marks are the operators and brackets, longer ones first.
var marks = []string{"...", "…", "==", "!=", "<=", ">=", "<<", ">>", "&&", "||", "(", ")", "{", "}", ",", ":", "|", "~", "-", "&", "<", ">", "=", "!"}

func (l *lexer) peek() token {
	if l.held == nil {
		t := l.scan()
		l.held = &t
	}
	return *l.held
}

func (l *lexer) next() token {
	t := l.peek()
	l.held = nil
	return t
}

func (l *lexer) scan() token {
	for l.off < len(l.text) && strings.IndexByte(" \t\n", l.text[l.off]) >= 0 {
		l.off++
	}
	start := l.off
	rest := l.text[start:]
	if rest == "" {
		return token{tokenEnd, "", start}
	}
	kind, length := tokenBad, 0
	switch c := rest[0]; {
	case isDigit(c):
		kind, length = tokenNumber, span(rest, isWord)
	case isWord(c):
		kind, length = tokenName, span(rest, isWord)
	case c == '@':
		kind, length = tokenSet, 1+span(rest[1:], isSetByte)
	default:
		for _, m := range marks {
			if strings.HasPrefix(rest, m) {
				kind, length = tokenMark, len(m)
				break
			}
		}
	}
	if kind == tokenBad {
		_, length = utf8.DecodeRuneInString(rest)
	}
	l.off += length
	return token{kind, rest[:length], start}
}

func span(s string, in func(byte) bool) int {
	n := 0
	for n < len(s) && in(s[n]) {
		n++
	}
	return n
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
func isWord(c byte) bool {
	return isDigit(c) || c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}
func isSetByte(c byte) bool { return isWord(c) || c == '/' || c == '-' || c == '.' }

// want takes the mark that has to come next.
func (l *lexer) want(mark string) *mistake {
	if t := l.next(); t.kind != tokenMark || t.text != mark {
		return t.mistake("", "want %q, got %s", mark, t)
	}
	return nil
}

// accept takes mark if it comes next.
func (l *lexer) accept(mark string) bool {
	if t := l.peek(); t.kind != tokenMark || t.text != mark {
		return false
	}
	l.next()
	return true
}

// end checks that nothing follows.
func (l *lexer) end() *mistake {
	if t := l.next(); t.kind != tokenEnd {
		return t.mistake("", "unexpected %s", t)
	}
	return nil
}

// String names t in a message.
func (t token) String() string {
	if t.kind == tokenEnd {
		return "the end"
	}
	return fmt.Sprintf("%q", t.text)
}

// number returns t's value.
func (t token) number() (uint64, *mistake) {
	if t.kind != tokenNumber {
		return 0, t.mistake("", "want a number, got %s", t)
	}
	n, hint, err := parseNumber(t.text)
	if err != nil {
		return 0, t.mistake(hint, "%v", err)
	}
	return n, nil
}

// A mistake is an error at a place of a notation, before it is known where that
// stands.
type mistake struct {
	off, width int
	hint, msg  string
}

func (t token) mistake(hint, format string, args ...any) *mistake {
	return &mistake{t.off, len(t.text), hint, fmt.Sprintf(format, args...)}
}

// in returns m as an error about text, which stands in no file.
func (m *mistake) in(text string) *Error {
	src := newSource("", []byte(text))
	line := 1 + strings.Count(text[:m.off], "\n")
	col := m.off - strings.LastIndexByte(text[:m.off], '\n')
	return &Error{Pos{"", line, col}, m.msg, m.hint, src.line(line), m.width}
}
