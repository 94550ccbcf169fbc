package policy

import (
	"fmt"
	"strings"
)

// didYouMean returns a hint with the candidate nearest to word, "" if none is
// near.
func didYouMean(word string, candidates []string) string {
	if best := nearest(word, candidates); best != "" {
		return fmt.Sprintf("did you mean %q?", best)
	}
	return ""
}

// nearest returns the candidate with the fewest edits to word, the first of
// several; "" if all differ in more than a third of their letters.
func nearest(word string, candidates []string) string {
	best, bestEdits := "", 0
	for _, c := range candidates {
		limit := max(1, (max(len(word), len(c))+1)/3)
		if len(word)-len(c) > limit || len(c)-len(word) > limit {
			continue
		}
		edits := distance(strings.ToLower(word), strings.ToLower(c))
		if edits <= limit && (best == "" || edits < bestEdits) {
			best, bestEdits = c, edits
		}
	}
	return best
}

// distance is the number of insertions, deletions, replacements and swaps of
// neighbours that turn a into b.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return max(len(a), len(b))
	}
	rows := [3][]int{make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)}
	older, old, row := rows[0], rows[1], rows[2]
	for j := range old {
		old[j] = j
	}
	for i := range len(a) {
		row[0] = i + 1
		for j := range len(b) {
			replace := old[j]
			if a[i] != b[j] {
				replace++
			}
			row[j+1] = min(replace, old[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], older[j-1]+1)
			}
		}
		older, old, row = old, row, older
	}
	return old[len(b)]
}
