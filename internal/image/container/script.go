package container

import (
	"slices"
	"strings"
)

// scriptCommands returns the names that stand where a shell script has commands,
// each once, in their order: not all, since shells have more syntax than this
// knows, and maybe words of texts.
func scriptCommands(text string) []string {
	var names []string
	add := func(words []string) {
		for len(words) > 0 {
			word := strings.Trim(words[0], `"'`)
			name, _, assigns := strings.Cut(word, "=")
			switch {
			case assigns && isName(name), slices.Contains(prefixes, word):
				words = words[1:]
				continue
			case isProgramName(word) && !isBuiltin(word):
				if !slices.Contains(names, word) {
					names = append(names, word)
				}
				if i := starterOf(word); i >= 0 {
					words = starters[i].command(words[1:])
					continue
				}
			}
			return
		}
	}
	for line := range strings.Lines(strings.ReplaceAll(text, "\\\n", " ")) {
		if i := strings.Index(" "+line, " #"); i >= 0 {
			line = line[:i]
		}
		for part := range strings.FieldsFuncSeq(line, func(c rune) bool { return strings.ContainsRune(";&|()`{}", c) }) {
			add(strings.Fields(part))
		}
	}
	return names
}

// prefixes are words that another command follows.
var prefixes = []string{"!", "builtin", "command", "do", "elif", "else", "exec", "if", "then", "time", "until", "while"}

// isProgramName reports whether a word can be a program's name without expansion.
func isProgramName(word string) bool {
	letter := false
	for _, c := range word {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z':
			letter = true
		case c >= '0' && c <= '9', strings.ContainsRune("_./+-", c):
		default:
			return false
		}
	}
	return letter && word[0] != '-'
}
