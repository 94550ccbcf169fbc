package abi

import "strings"

// Suggest returns the known name that was most likely meant by name, "" if none
// is near. Headers' prefixes (__NR_, SYS_) and capitals do not count.
func Suggest(name string) string {
	name = strings.ToLower(name)
	for _, prefix := range []string{"__nr_", "sys_", "__x64_sys_", "__scmp_sys_"} {
		if rest, ok := strings.CutPrefix(name, prefix); ok {
			name = rest
			break
		}
	}
	if len(name) > 64 {
		return ""
	}
	best, distance := "", 1+len(name)/3
	for i := range syscallNames.ends {
		known := syscallNames.at(i)
		if max(len(known)-len(name), len(name)-len(known)) >= distance {
			continue // so many insertions or deletions at the least
		}
		if d := Edits(name, known); d < distance {
			best, distance = known, d
		}
	}
	return best
}

// Edits returns how many insertions, deletions, replacements and swaps of neighbours
// make b of a. The letters that it compares are bytes.
func Edits(a, b string) int {
	rows := [3][]int{make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)}
	before, last, row := rows[0], rows[1], rows[2]
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			replace := last[j-1]
			if a[i-1] != b[j-1] {
				replace++
			}
			row[j] = min(replace, last[j]+1, row[j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
