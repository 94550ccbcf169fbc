package compile

import (
	"slices"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
)

// maxPermuted is the number of words up to which all their orders are tried.
const maxPermuted = 3

// orders returns the orders of variables to try for a list of rules. The
// variables of one word stay together, so that a word is loaded once. The high half
// comes first: most conditions allow few values, which have it in common. Where
// most values are to be let through, the low half alone tells them, and orders in
// which it comes first are tried too.
func orders(rules []*policy.ResolvedRule, last abi.Action) [][]variable {
	byWord := make(map[uint8][]variable)
	uses := make(map[uint8]int)
	var words []uint8
	most := !last.Stricter(abi.UserNotify)
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
				if n := len(t.In); n > 0 && t.In[0].Lo>>32 != t.In[n-1].Hi>>32 {
					most = true
				}
			}
		}
	}
	halves := false // some word has both
	for _, vars := range byWord {
		slices.SortStableFunc(vars, func(a, b variable) int { return int(a.word) - int(b.word) })
		halves = halves || vars[0].word != vars[len(vars)-1].word
	}
	var out [][]variable
	add := func(words []uint8) {
		var vars, lowFirst []variable
		for _, w := range words {
			vars = append(vars, byWord[w]...)
			high := slices.IndexFunc(byWord[w], func(v variable) bool { return v.word == loWord(w) })
			if high < 0 {
				high = len(byWord[w])
			}
			lowFirst = append(append(lowFirst, byWord[w][high:]...), byWord[w][:high]...)
		}
		out = append(out, vars)
		if most && halves {
			out = append(out, lowFirst)
		}
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
