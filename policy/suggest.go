package policy

import (
	"fmt"
	"strings"

	"github.com/sysgate/sysgate/abi"
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
	if len(word) > 64 {
		return ""
	}
	best, bestEdits := "", 0
	for _, c := range candidates {
		limit := max(1, (max(len(word), len(c))+1)/3)
		if len(word)-len(c) > limit || len(c)-len(word) > limit {
			continue
		}
		edits := abi.Edits(strings.ToLower(word), strings.ToLower(c))
		if edits <= limit && (best == "" || edits < bestEdits) {
			best, bestEdits = c, edits
		}
	}
	return best
}
