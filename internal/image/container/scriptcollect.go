package container

import (
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// collect notes the commands, functions and assignments of a part of a script.
func (s *script) collect(part syntax.Node, in *syntax.FuncDecl, loop bool, from origin) {
	when := func(n syntax.Node) moment { return moment{in, from.moment(n), loop} }
	syntax.Walk(part, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.FuncDecl:
			if n.Name == nil {
				return true // zsh's without a name run at once
			}
			if s.scopes[n] == nil {
				s.scopes[n] = &scope{}
				s.functions[n.Name.Value] = append(s.functions[n.Name.Value], n)
				if block, ok := n.Body.Cmd.(*syntax.Block); ok {
					s.resets(block.Stmts, from)
					s.shifts(block.Stmts, n, from)
				}
				s.collect(n.Body, n, false, from)
			}
			return false
		case *syntax.Block:
			s.resets(n.Stmts, from)
		case *syntax.IfClause:
			s.resets(n.Then, from)
		case *syntax.CaseItem:
			s.resets(n.Stmts, from)
		case *syntax.ForClause:
			if !loop {
				s.collect(n, in, true, from)
				return false
			}
			if each, ok := n.Loop.(*syntax.WordIter); ok {
				for _, word := range each.Items {
					s.assign(each.Name.Value, assigned{word: word, each: true, moment: when(n)})
				}
				if !each.InPos.IsValid() { // for X; do
					s.assign(each.Name.Value, assigned{given: true, moment: when(n)})
				}
			}
		case *syntax.WhileClause:
			if !loop {
				s.collect(n, in, true, from)
				return false
			}
		case *syntax.CallExpr:
			s.commands = append(s.commands, command{n, when(n), from})
		case *syntax.BinaryCmd:
			if n.Op == syntax.Pipe {
				s.pipe(n, when(n), from)
			}
		case *syntax.Assign:
			if n.Name != nil {
				s.assignment(n, when(n))
				if n.Value != nil {
					s.f.loads(s.placeOf(n, from), n.Name.Value, source(n.Value))
				}
			}
		case *syntax.DeclClause:
			for _, a := range n.Args {
				switch {
				case n.Variant.Value == "nameref" || a.Value != nil && isOption(a.Value) && strings.Contains(a.Value.Lit(), "n"):
					s.tainted = true // variables have other names
				case a.Name == nil && a.Value != nil && !isOption(a.Value):
					s.declared = append(s.declared, declared{a.Value, when(n)})
				}
			}
		case *syntax.ParamExp: // ${X:=word}
			if n.Exp != nil && n.Param != nil && (n.Exp.Op == syntax.AssignUnset || n.Exp.Op == syntax.AssignUnsetOrNull) {
				s.assign(n.Param.Value, assigned{word: n.Exp.Word, moment: when(n)})
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

func (s *script) assignment(a *syntax.Assign, when moment) {
	switch {
	case a.Naked:
	case a.Append && a.Array == nil || a.Index != nil:
		s.assign(a.Name.Value, assigned{unknown: true})
	default:
		s.assign(a.Name.Value, assigned{word: a.Value, array: a.Array, append: a.Append, moment: when})
	}
}

func (s *script) assign(name string, v assigned) {
	if !slices.Contains(s.variables[name], v) {
		s.variables[name] = append(s.variables[name], v)
		s.changed = true
	}
}

// declare notes what a declaration whose name is computed can assign to.
func (s *script) declare(d declared) {
	for _, text := range s.texts(d.word, d.moment) {
		name, value, assigns := strings.Cut(text, "=")
		switch {
		case strings.Contains(name, unknown):
			if !s.tainted {
				s.tainted, s.changed = true, true
			}
		case assigns && syntax.ValidName(name):
			s.assign(name, assigned{text: value})
		}
	}
}

// moment returns when a part of the text is evaluated.
func (o origin) moment(n syntax.Node) uint {
	if o.at > 0 {
		return o.at
	}
	return n.Pos().Offset() + 1
}
