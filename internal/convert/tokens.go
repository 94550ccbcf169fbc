package convert

import (
	"strings"

	"github.com/sysgate/sysgate/policy"
)

// Bounds of a text: more than any policy, and little memory.
const (
	maxText   = 1 << 20
	maxTokens = 1 << 19
)

// A token is a word, a number, an operator or a text in quotes, with its place.
type token struct {
	kind     rune   // 'a' word, '0' number, '"' text, '.' operator, 0 the end
	text     string // without the quotes
	off, end int
}

// A lexicon is what the words of a language look like.
type lexicon struct {
	operators []string // the longer ones first
	comments  []string // each until the end of the line
	block     bool     // /* comments */ too
	inWord    string   // what a word can hold besides letters, digits and "_"
	quotes    bool     // texts in "quotes"
	negative  bool     // a number can start with "-"
}

// tokens cuts text, which starts at off in d, into tokens. The last one is the
// end.
func (d *document) tokens(l lexicon, text string, off int) ([]token, *policy.Error) {
	var all []token
	isWord := func(c byte) bool {
		return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
	}
	for i := 0; i < len(text); {
		rest := text[i:]
		start := i
		if len(all) > maxTokens {
			return nil, d.errorf(off+i, off+i+1, "", "more than %d words: too large for a policy", maxTokens)
		}
		switch c := text[i]; {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			i++
			continue
		case hasAnyPrefix(rest, l.comments) != "":
			if n := strings.IndexByte(rest, '\n'); n >= 0 {
				i += n
			} else {
				i = len(text)
			}
			continue
		case l.block && strings.HasPrefix(rest, "/*"):
			n := strings.Index(rest[2:], "*/")
			if n < 0 {
				return nil, d.errorf(off+i, off+i+2, "", "the comment has no end")
			}
			i += n + 4
			continue
		case c >= '0' && c <= '9', l.negative && c == '-' && len(rest) > 1 && rest[1] >= '0' && rest[1] <= '9':
			for i++; i < len(text) && isWord(text[i]); i++ {
			}
			all = append(all, token{'0', text[start:i], off + start, off + i})
		case isWord(c):
			for i++; i < len(text) && (isWord(text[i]) || strings.IndexByte(l.inWord, text[i]) >= 0); i++ {
			}
			all = append(all, token{'a', text[start:i], off + start, off + i})
		case l.quotes && c == '"':
			n := strings.IndexAny(rest[1:], "\"\n")
			if n < 0 || rest[1+n] != '"' {
				return nil, d.errorf(off+i, off+i+1, "", "the quotes are not closed")
			}
			i += n + 2
			all = append(all, token{'"', rest[1 : 1+n], off + start, off + i})
		default:
			operator := hasAnyPrefix(rest, l.operators)
			if operator == "" {
				return nil, d.errorf(off+i, off+i+1, "", "unexpected %q", firstRune(rest))
			}
			i += len(operator)
			all = append(all, token{'.', operator, off + start, off + i})
		}
	}
	return append(all, token{0, "", off + len(text), off + len(text)}), nil
}

func hasAnyPrefix(s string, prefixes []string) string {
	for _, p := range prefixes {
		if strings.HasPrefix(s, p) {
			return p
		}
	}
	return ""
}

func firstRune(s string) string {
	for _, r := range s {
		return string(r)
	}
	return ""
}

// A parser goes through tokens. Its first error ends it: what it reads after that
// is the end.
type parser struct {
	*document
	all []token
	err *policy.Error
}

func (p *parser) peek() token {
	if p.err != nil {
		return token{}
	}
	return p.all[0]
}

// next returns the next token; of the end there is no next one.
func (p *parser) next() token {
	t := p.peek()
	if t.kind != 0 {
		p.all = p.all[1:]
	}
	return t
}

// accept takes the next token if it is the operator or word text.
func (p *parser) accept(text string) bool {
	t := p.peek()
	if (t.kind != '.' && t.kind != 'a') || t.text != text {
		return false
	}
	p.next()
	return true
}

// expect takes the next token, which has to be the operator or word text.
func (p *parser) expect(text string) {
	if t := p.peek(); !p.accept(text) {
		p.fail(t, "", "want %q%s", text, p.instead(t))
	}
}

// word takes the next token, which has to be a word.
func (p *parser) word(what string) token {
	t := p.peek()
	if t.kind != 'a' {
		p.fail(t, "", "want %s%s", what, p.instead(t))
	}
	return p.next()
}

func (p *parser) instead(t token) string {
	if t.kind == 0 {
		return " at the end"
	}
	return ", not \"" + t.text + "\""
}

func (p *parser) fail(t token, hint, format string, args ...any) {
	if p.err == nil {
		p.err = p.errorf(t.off, t.end, hint, format, args...)
	}
}
