package container

import (
	"slices"
	"strconv"

	"mvdan.cc/sh/v3/syntax"
)

// A scope is the positional parameters of a function, or of the script.
type scope struct {
	lists  []parameters // what they can be
	shifts []shift
}

// parameters are one list that positional parameters can be.
type parameters struct {
	words []string
	by    []*syntax.CallExpr // the commands (set) that made it, one from the other
	moment
}

// A shift is a command that takes parameters away.
type shift struct {
	call   *syntax.CallExpr
	count  int  // -1: not known
	always bool // no condition decides whether it runs
	until  uint // when a set replaces what it left, wherever it ran; 0: none does
	moment
}

// shifts notes the shift commands that run whenever the statements do.
func (s *script) shifts(stmts []*syntax.Stmt, in *syntax.FuncDecl, from origin) {
	for _, stmt := range stmts {
		if call, ok := stmt.Cmd.(*syntax.CallExpr); ok && from.at == 0 && isShift(call) {
			s.shift(shift{call: call, count: count(call), always: true, moment: moment{in: in, at: from.moment(call)}})
		}
	}
}

// resets notes the shift commands behind which, in the same list of statements, a set
// replaces the parameters.
func (s *script) resets(stmts []*syntax.Stmt, from origin) {
	var shifts []*syntax.CallExpr
	for _, stmt := range stmts {
		call, ok := stmt.Cmd.(*syntax.CallExpr)
		switch {
		case !ok || len(call.Args) == 0:
		case isShift(call):
			shifts = append(shifts, call)
		case call.Args[0].Lit() == "set" && len(call.Args) > 1 && call.Args[1].Lit() == "--":
			for _, n := range shifts {
				s.until[n] = from.moment(call)
			}
			shifts = nil
		}
	}
}

func isShift(call *syntax.CallExpr) bool { return len(call.Args) > 0 && call.Args[0].Lit() == "shift" }

// count returns how many parameters a shift takes away.
func count(call *syntax.CallExpr) int {
	switch len(call.Args) {
	case 1:
		return 1
	case 2:
		if n, err := strconv.Atoi(call.Args[1].Lit()); err == nil && n >= 0 {
			return n
		}
	}
	return -1
}

func (s *script) shift(n shift) {
	of := s.scopes[n.in]
	n.until = s.until[n.call]
	if !slices.ContainsFunc(of.shifts, func(have shift) bool { return have.call == n.call }) {
		of.shifts = append(of.shifts, n)
		slices.SortFunc(of.shifts, func(a, b shift) int { return int(a.at) - int(b.at) })
		s.changed = true
	}
}

// maxRepeated bounds what a list may begin with twice.
const maxRepeated = 8

// pass adds a list that the positional parameters can be.
func (s *script) pass(in *syntax.FuncDecl, p parameters) {
	// "set -- server -f "$@"" is for lists that do not begin with it: what a program is
	// told to start does not change by it.
	for n := 1; n <= maxRepeated && 2*n <= len(p.words); n++ {
		for 2*n <= len(p.words) && slices.Equal(p.words[:n], p.words[n:2*n]) {
			p.words = p.words[n:]
		}
	}
	of := s.scopes[in]
	same := func(q parameters) bool { return slices.Equal(p.words, q.words) && p.at == q.at }
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
func (s *script) lists(when moment) [][]string {
	of := s.scopes[when.in]
	lists := of.lists
	if s.given != nil {
		lists = []parameters{*s.given}
	}
	var all [][]string
	for _, p := range lists {
		for i, left := range p.left(of.shifts, when) {
			if left {
				all = append(all, p.words[i:])
			}
		}
	}
	return atMost(all, []string{unknown})
}

// left says of each number of parameters whether so many of the first may have been
// taken away.
func (p parameters) left(shifts []shift, when moment) []bool {
	left := make([]bool, len(p.words)+1)
	left[0] = true
	for _, n := range shifts {
		switch {
		case n.at < p.at && !p.loop && !when.loop, n.until > p.at && n.until < when.at && !n.loop && !when.loop:
			continue
		case when.at == 0 || n.count < 0, n.loop && (when.loop || n.at <= when.at):
			for i := range left {
				left[i] = true
			}
			return left
		case n.at > when.at, n.at < p.at:
			continue
		}
		before := slices.Clone(left)
		if n.always {
			clear(left)
		}
		for i, may := range before {
			if may && i+n.count < len(left) {
				left[i+n.count] = true
			} else if may {
				left[i] = true // there are not so many
			}
		}
	}
	return left
}

// atMost returns a list, or more in place of one that is too long.
func atMost[T any](list []T, more T) []T {
	if len(list) <= maxAlternatives {
		return list
	}
	return append(slices.Clone(list[:maxAlternatives]), more)
}
