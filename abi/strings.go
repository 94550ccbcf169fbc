package abi

// A stringTable is a list of sorted strings that costs nothing at start-up: the
// linker lays it out, and a string is a slice of one text.
type stringTable struct {
	text  string
	ends  []uint32 // of each string in text
	slots []uint16 // open-addressing hash table of 1 + position; a power of two
}

// at returns string i.
func (t *stringTable) at(i int) string {
	start := uint32(0)
	if i > 0 {
		start = t.ends[i-1]
	}
	return t.text[start:t.ends[i]]
}

// find returns the position of s.
func (t *stringTable) find(s string) (int, bool) {
	hash := uint32(2166136261) // FNV-1a
	for i := range len(s) {
		hash = (hash ^ uint32(s[i])) * 16777619
	}
	mask := uint32(len(t.slots) - 1)
	for slot := hash & mask; t.slots[slot] != 0; slot = (slot + 1) & mask {
		if i := int(t.slots[slot]) - 1; t.at(i) == s {
			return i, true
		}
	}
	return 0, false
}
