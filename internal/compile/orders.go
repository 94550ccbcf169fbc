package compile

import (
	"slices"

	"github.com/sysgate/sysgate/policy"
)

// maxPermuted is the number of words up to which all their orders are tried.
const maxPermuted = 3

// orders returns the orders of variables to try for a list of rules. The
// variables of one word stay together, the high half first, so that a word is
// loaded once.
func orders(rules []*policy.ResolvedRule) [][]variable {
	byWord := make(map[uint8][]variable)
	uses := make(map[uint8]int)
	var words []uint8
	for _, r := range rules {
		for _, all := range r.Any {
			for _, t := range all {
				if uses[t.Word]++; uses[t.Word] == 1 {
					words = append(words, t.Word)
				}
				for _, v := range variables(t) {
					if !slices.Contains(byWord[t.Word], v) {
						byWord[t.Word] = append(byWord[t.Word], v)
					}
				}
			}
		}
	}
	for _, vars := range byWord {
		slices.SortStableFunc(vars, func(a, b variable) int { return int(a.word) - int(b.word) })
	}
	var out [][]variable
	add := func(words []uint8) {
		var vars []variable
		for _, w := range words {
			vars = append(vars, byWord[w]...)
		}
		out = append(out, vars)
	}
	if len(words) <= maxPermuted {
		permute(words, 0, add)
		return out
	}
	add(words)
	slices.Reverse(words)
	add(words)
	slices.SortStableFunc(words, func(a, b uint8) int { return uses[b] - uses[a] })
	add(words)
	return out
}

// permute calls f with every order of s in which the first n elements stay.
func permute(s []uint8, n int, f func([]uint8)) {
	if n >= len(s) {
		f(s)
		return
	}
	for i := n; i < len(s); i++ {
		s[n], s[i] = s[i], s[n]
		permute(s, n+1, f)
		s[n], s[i] = s[i], s[n]
	}
}
