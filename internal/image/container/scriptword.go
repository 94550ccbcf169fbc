package container

import (
	"path"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// unknown stands in a word for what is not known of it.
const unknown = "\x00"

// words returns what a command's words can be, each list once.
func (s *script) words(c command) [][]string {
	all := [][]string{nil}
	for _, word := range c.call.Args {
		alternatives := s.fields(word, c.moment)
		if len(all) > 1 && len(all)*len(alternatives) > maxAlternatives {
			alternatives = [][]string{{unknown}}
		}
		var next [][]string
		for _, before := range all {
			for _, fields := range alternatives {
				next = append(next, slices.Concat(before, fields))
			}
		}
		all = next
	}
	var once [][]string
	for _, list := range all {
		if !slices.ContainsFunc(once, func(other []string) bool { return slices.Equal(list, other) }) {
			once = append(once, list)
		}
	}
	return once
}

// fields returns what the shell makes of a word: each list of words that it can
// become.
func (s *script) fields(word *syntax.Word, when moment) [][]string {
	if word == nil {
		return [][]string{nil}
	}
	if s.f.work++; s.f.work > maxWork {
		return [][]string{{unknown}}
	}
	if p := alone(word); p != nil {
		if lists := s.list(p, when); lists != nil {
			return lists
		}
	}
	split := slices.ContainsFunc(word.Parts, func(part syntax.WordPart) bool {
		switch part.(type) {
		case *syntax.ParamExp, *syntax.CmdSubst:
			return true
		}
		return false
	})
	var lists [][]string
	for _, value := range s.parts(word.Parts, when, false, true) {
		fields := []string{value}
		if split {
			fields = strings.Fields(value)
		}
		lists = append(lists, s.expand(fields)...)
	}
	return lists
}

// expand returns what the shell makes of fields some of which may be patterns: the
// files of the image, and others that may be there later.
func (s *script) expand(fields []string) [][]string {
	if !slices.ContainsFunc(fields, isPattern) {
		return [][]string{fields}
	}
	var here, later []string
	for _, field := range fields {
		if !isPattern(field) {
			here, later = append(here, field), append(later, field)
			continue
		}
		later = append(later, unknown)
		if strings.Contains(field, unknown) {
			here = append(here, unknown)
			continue
		}
		var files []string
		for _, dir := range s.dirs {
			files = append(files, s.f.root.tree.glob(s.f.absolute(environment{dir: dir}, asPattern(field)))...)
		}
		if here = append(here, files...); len(files) == 0 {
			here = append(here, unknown)
		}
	}
	return [][]string{here, later}
}

// Stand for "*" and "?" where they are not quoted.
const (
	anyText = "\x01"
	anyByte = "\x02"
)

func isPattern(field string) bool { return strings.ContainsAny(field, anyText+anyByte) }

// asPattern returns a field as path.Match has it.
func asPattern(field string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`, anyText, "*", anyByte, "?").Replace(field)
}

// alone returns the parameter that a word is, in quotes or not; nil if it is more.
func alone(word *syntax.Word) *syntax.ParamExp {
	if len(word.Parts) != 1 {
		return nil
	}
	part := word.Parts[0]
	if q, ok := part.(*syntax.DblQuoted); ok && len(q.Parts) == 1 {
		part = q.Parts[0]
	}
	p, _ := part.(*syntax.ParamExp)
	return p
}

// list returns what a parameter that may be several words can be; nil if p is one
// word.
func (s *script) list(p *syntax.ParamExp, when moment) [][]string {
	if p.Param == nil {
		return nil
	}
	name := p.Param.Value
	var lists [][]string
	switch index := p.Index.(type) {
	case nil:
		if name == "@" || name == "*" {
			lists = s.lists(when)
		}
	case *syntax.Word:
		if lit := index.Lit(); lit == "@" || lit == "*" {
			lists = s.arrays(name)
		}
	}
	switch {
	case odd(p) || p.Slice != nil:
		if lists != nil {
			return [][]string{{unknown}}
		}
		return nil
	case p.Exp == nil:
		return lists
	case p.Exp.Op == syntax.AlternateUnset || p.Exp.Op == syntax.AlternateUnsetOrNull:
		return append(s.fields(p.Exp.Word, when), nil) // ${1+"$@"}
	case lists == nil:
		return nil
	case p.Exp.Op == syntax.DefaultUnset || p.Exp.Op == syntax.DefaultUnsetOrNull:
		return append(lists, s.fields(p.Exp.Word, when)...)
	}
	return [][]string{{unknown}}
}

// odd reports whether an expansion is of a kind that is not followed.
func odd(p *syntax.ParamExp) bool {
	return p.Excl || p.Length || p.Width || p.IsSet || p.Flags != nil || p.Repl != nil || p.Names != 0 || len(p.Modifiers) > 0 || p.NestedParam != nil
}

// arrays returns what an array can hold.
func (s *script) arrays(name string) [][]string {
	if s.busy[name] {
		return [][]string{{unknown}}
	}
	s.busy[name] = true
	defer delete(s.busy, name)
	var first, more [][]string
	empty := true // where nothing but what is appended is assigned
	for _, v := range s.variables[name] {
		var lists [][]string
		switch {
		case v.unknown:
			lists = [][]string{{unknown}}
		case v.array == nil:
			lists = s.fields(v.word, v.moment)
		default:
			lists = [][]string{nil}
			for _, e := range v.array.Elems {
				fields := s.fields(e.Value, v.moment)
				if len(fields) != 1 {
					fields = [][]string{{unknown}}
				}
				for i := range lists {
					lists[i] = slices.Concat(lists[i], fields[0])
				}
			}
		}
		if v.append {
			more = append(more, lists...)
			continue
		}
		empty = false
		first = append(first, lists...)
	}
	if empty {
		first = append(first, nil)
	}
	if s.tainted {
		first = append(first, []string{unknown})
	}
	if len(more) == 0 {
		return atMost(first, []string{unknown})
	}
	all := slices.Clone(first)
	for _, list := range first {
		if len(list) > 0 {
			all = append(all, slices.Concat(list, []string{unknown}))
			continue
		}
		for _, behind := range more {
			all = append(all, slices.Concat(behind, []string{unknown}))
		}
	}
	return atMost(all, []string{unknown})
}

// texts returns what a word can be that is not split.
func (s *script) texts(word *syntax.Word, when moment) []string {
	if word == nil {
		return []string{""}
	}
	return s.parts(word.Parts, when, false, false)
}

// parts returns what parts of a word can be together. With patterns, what the shell
// looks for files by is marked; else it is unknown.
func (s *script) parts(parts []syntax.WordPart, when moment, quoted, patterns bool) []string {
	if s.f.work += 1 + len(parts); s.f.work > maxWork {
		return []string{unknown}
	}
	all := []string{""}
	for i, part := range parts {
		var values []string
		switch part := part.(type) {
		case *syntax.Lit:
			value := literal(part.Value, quoted, i == 0)
			if !patterns && isPattern(value) {
				value = unknown
			}
			values = []string{value}
		case *syntax.SglQuoted:
			values = []string{part.Value}
			if part.Dollar && strings.Contains(part.Value, `\`) {
				values = []string{unknown}
			}
		case *syntax.DblQuoted:
			values = s.parts(part.Parts, when, true, false)
		case *syntax.ParamExp:
			values = s.parameter(part, when)
		case *syntax.CmdSubst:
			values = s.output(part, when)
		default:
			values = []string{unknown}
		}
		if len(all)*len(values) > maxAlternatives {
			values = []string{unknown}
		}
		var next []string
		for _, before := range all {
			for _, v := range values {
				next = append(next, before+v)
			}
		}
		all = next
	}
	return once(all)
}

func once(list []string) []string {
	slices.Sort(list)
	return slices.Compact(list)
}

// literal returns the value of text of the script: without its escapes, "*" and "?"
// marked, and unknown where the shell looks for files otherwise, or expands braces or a
// "~".
func literal(text string, quoted, first bool) string {
	if !quoted {
		open, list := strings.IndexByte(text, '['), strings.IndexByte(text, '{')
		switch {
		case strings.ContainsAny(text, anyText+anyByte),
			open >= 0 && strings.IndexByte(text[open:], ']') > 0,
			list >= 0 && (strings.Contains(text[list:], ",") || strings.Contains(text[list:], "..")),
			first && strings.HasPrefix(text, "~"):
			return unknown
		}
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\' && i+1 < len(text) && (!quoted || strings.IndexByte("$`\"\\\n", text[i+1]) >= 0):
			if i++; text[i] != '\n' {
				b.WriteByte(text[i])
			}
		case c == '*' && !quoted:
			b.WriteString(anyText)
		case c == '?' && !quoted:
			b.WriteString(anyByte)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// parameter returns what ${…} can be, as one word.
func (s *script) parameter(p *syntax.ParamExp, when moment) []string {
	if p.Param != nil && p.Param.Value == "BASH_SOURCE" && p.Exp == nil && !odd(p) {
		return append([]string{s.name}, s.files...)
	}
	if odd(p) || p.Param == nil || p.Index != nil || p.Slice != nil {
		return []string{unknown}
	}
	values := s.named(p.Param.Value, when)
	if p.Exp == nil {
		return values
	}
	switch p.Exp.Op {
	case syntax.AlternateUnset, syntax.AlternateUnsetOrNull:
		return append(s.texts(p.Exp.Word, when), "")
	case syntax.DefaultUnset, syntax.DefaultUnsetOrNull, syntax.AssignUnset, syntax.AssignUnsetOrNull:
		return atMost(once(slices.Concat(values, s.texts(p.Exp.Word, when))), unknown)
	case syntax.ErrorUnset, syntax.ErrorUnsetOrNull:
		return values
	case syntax.RemSmallPrefix, syntax.RemLargePrefix, syntax.RemSmallSuffix, syntax.RemLargeSuffix:
		patterns := []string{""}
		if p.Exp.Word != nil {
			patterns = s.parts(p.Exp.Word.Parts, when, false, true)
		}
		if len(patterns) == 1 && !strings.Contains(patterns[0], unknown) {
			return each(values, func(v string) string { return without(v, patterns[0], p.Exp.Op) })
		}
	}
	return []string{unknown}
}

// without returns v without what a pattern matches at one of its ends, as little or as
// much as can be.
func without(v, pattern string, op syntax.ParExpOperator) string {
	suffix := op == syntax.RemSmallSuffix || op == syntax.RemLargeSuffix
	small := op == syntax.RemSmallPrefix || op == syntax.RemSmallSuffix
	for i := range len(v) + 1 {
		n := i
		if !small {
			n = len(v) - i
		}
		if suffix && matches(pattern, v[len(v)-n:]) {
			return v[:len(v)-n]
		}
		if !suffix && matches(pattern, v[:n]) {
			return v[n:]
		}
	}
	return v
}

// matches reports whether a pattern matches a text.
func matches(pattern, text string) bool {
	back, again := -1, 0 // behind the last anyText, and where it is to be tried again
	i, j := 0, 0
	for j < len(text) {
		switch {
		case i < len(pattern) && pattern[i] == anyText[0]:
			back, again = i+1, j
			i++
		case i < len(pattern) && (pattern[i] == anyByte[0] || pattern[i] == text[j]):
			i, j = i+1, j+1
		case back >= 0:
			again++
			i, j = back, again
		default:
			return false
		}
	}
	return strings.Trim(pattern[i:], anyText) == ""
}

func each(values []string, f func(string) string) []string {
	var all []string
	for _, v := range values {
		if !strings.Contains(v, unknown) {
			v = f(v)
		}
		all = append(all, v)
	}
	return once(all)
}

// named returns what a parameter can be.
func (s *script) named(name string, when moment) []string {
	switch {
	case name == "0":
		return []string{s.name}
	case name == "@" || name == "*":
		var all []string
		for _, list := range s.lists(when) {
			all = append(all, strings.Join(list, " "))
		}
		return once(all)
	case len(name) == 1 && name[0] >= '1' && name[0] <= '9':
		all := []string{}
		for _, list := range s.lists(when) {
			if i := int(name[0] - '1'); i < len(list) {
				all = append(all, list[i])
			} else {
				all = append(all, "")
			}
		}
		return once(all)
	case !syntax.ValidName(name):
		return []string{unknown}
	}
	return s.variable(name)
}

// variable returns what a variable can be: what the image's Env says, and whatever
// the script assigns. One that neither names may come from whoever starts the
// container.
func (s *script) variable(name string) []string {
	inherited, known := s.e.variables[name]
	if s.busy[name] { // X=$X…
		if name == "PATH" {
			return []string{s.e.path}
		}
		return []string{unknown}
	}
	var all []string
	switch {
	case name == "PATH":
		all = append(all, s.e.path)
	case known:
		all = append(all, inherited)
	}
	if name == "PWD" {
		all = append(all, s.dirs...)
	}
	if len(all)+len(s.variables[name]) == 0 || s.tainted && name != "PATH" {
		all = append(all, unknown)
	}
	s.busy[name] = true
	defer delete(s.busy, name)
	for _, v := range s.variables[name] {
		switch {
		case v.unknown || v.array != nil:
			all = append(all, unknown)
		case v.given:
			for _, list := range s.lists(v.moment) {
				all = append(all, list...)
			}
		case v.word == nil && v.text != "":
			all = append(all, v.text)
		case v.each:
			for _, list := range s.fields(v.word, v.moment) {
				all = append(all, list...)
			}
		default:
			all = append(all, s.texts(v.word, v.moment)...)
		}
	}
	return atMost(once(all), unknown)
}

// paths returns what PATH can be, and whether all of it is known.
func (s *script) paths() (all []string, known bool) {
	known = true
	for _, p := range s.variable("PATH") {
		dirs := strings.Split(p, ":")
		dirs = slices.DeleteFunc(dirs, func(dir string) bool {
			known = known && !strings.Contains(dir, unknown)
			return strings.Contains(dir, unknown)
		})
		if len(dirs) > 0 {
			all = append(all, strings.Join(dirs, ":"))
		}
	}
	return once(all), known
}

// output returns what the output of commands can be, for those that scripts find
// programs with: dirname, basename, readlink, realpath, which, command -v, echo,
// pwd, and pwd behind cd.
func (s *script) output(c *syntax.CmdSubst, when moment) []string {
	stmts := c.Stmts
	if len(stmts) == 1 {
		if b, ok := stmts[0].Cmd.(*syntax.BinaryCmd); ok && b.Op == syntax.AndStmt {
			stmts = []*syntax.Stmt{b.X, b.Y}
		}
	}
	var calls []command
	for _, stmt := range stmts {
		call, ok := stmt.Cmd.(*syntax.CallExpr)
		if !ok {
			return []string{unknown}
		}
		calls = append(calls, command{call: call, moment: when})
	}
	var all []string
	switch len(calls) {
	case 1:
		for _, argv := range s.words(calls[0]) {
			all = append(all, s.printed(argv))
		}
	case 2:
		if last := calls[1].call.Args; len(last) == 0 || last[0].Lit() != "pwd" {
			return []string{unknown}
		}
		for _, argv := range s.words(calls[0]) {
			if argv = operands(argv); len(argv) != 2 || argv[0] != "cd" || strings.Contains(argv[1], unknown) {
				return []string{unknown}
			}
			all = append(all, path.Clean(s.f.absolute(s.e, argv[1])))
		}
	}
	if len(all) == 0 {
		return []string{unknown}
	}
	return once(all)
}

// operands returns a command without its options.
func operands(argv []string) []string {
	return slices.DeleteFunc(slices.Clone(argv), func(arg string) bool { return len(arg) > 1 && arg[0] == '-' })
}

// printed returns what a command prints.
func (s *script) printed(argv []string) string {
	plain := operands(argv)
	if len(plain) == 0 || slices.ContainsFunc(argv, func(arg string) bool { return strings.Contains(arg, unknown) }) {
		return unknown
	}
	switch {
	case len(plain) == 1 && plain[0] == "pwd" && len(s.dirs) == 1 && !s.lost:
		return path.Clean("/" + s.dirs[0])
	case plain[0] == "echo" && len(plain) == len(argv):
		return strings.Join(argv[1:], " ")
	case len(plain) != 2:
	case plain[0] == "dirname":
		return path.Dir(plain[1])
	case plain[0] == "basename":
		return path.Base(plain[1])
	case plain[0] == "readlink" && len(argv) > 2, plain[0] == "realpath", plain[0] == "which", plain[0] == "command" && argv[1] == "-v":
		return plain[1]
	}
	return unknown
}
