package proof

import "github.com/sysgate/sysgate/abi"

// Combine returns the function that gives each call what choose makes of the
// words that f and g give it.
func (s *Space) Combine(f, g Function, choose func(f, g abi.Action) abi.Action) Function {
	words := s.d.actions()
	return Function{s.d.apply(f.root, g.root, func(a, b ref) ref {
		return s.d.word(uint32(choose(words[a], words[b])))
	})}
}

// Stack returns what the kernel makes of two filters on one task: the stricter
// action, of two equal ones the newer filter's, with its data.
func Stack(older, newer abi.Action) abi.Action {
	if older.Stricter(newer) {
		return older
	}
	return newer
}

// Stricter returns the stricter of two actions, a of two equally strict ones.
func Stricter(a, b abi.Action) abi.Action {
	if b.Stricter(a) {
		return b
	}
	return a
}

// Looser returns the action that lets through more, a of two equally strict ones.
func Looser(a, b abi.Action) abi.Action {
	if a.Stricter(b) {
		return b
	}
	return a
}

// apply returns the function that is, for each call, leaf of the terminals that
// a and b have for it.
func (d *diagram) apply(a, b ref, leaf func(a, b ref) ref) ref {
	type pair struct{ a, b ref }
	done := map[pair]ref{}
	var walk func(a, b ref) ref
	walk = func(a, b ref) ref {
		if out, ok := done[pair{a, b}]; ok {
			return out
		}
		if !d.spend(stepsPerVisit) {
			return no
		}
		m, n := d.nodes[a], d.nodes[b]
		level := min(m.level, n.level)
		var out ref
		if level == inputBits {
			out = leaf(a, b)
		} else {
			a0, a1 := m.split(level, a)
			b0, b1 := n.split(level, b)
			out = d.branch(level, walk(a0, b0), walk(a1, b1))
		}
		done[pair{a, b}] = out
		return out
	}
	return walk(a, b)
}
