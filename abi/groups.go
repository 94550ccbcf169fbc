package abi

// A subcall is a service that a call carries as its argument 0.
type subcall struct {
	mux, name uint16 // in syscallNames
	nr        uint8
	abis      uint16 // bit set of the ABIs that have the multiplexer
}

// Multiplexed returns the call that carries the service called name on a, and
// the value of its argument 0, under its read mask: on 386, bind is sub-call 2
// of socketcall. The ABI may have a call of that name besides ([ABI.Lookup]), or
// not: 386 has send only here.
func (a ABI) Multiplexed(name string) (mux uint32, sub uint64, ok bool) {
	id, ok := syscallNames.find(name)
	if !ok {
		return 0, 0, false
	}
	for _, s := range subcalls {
		if int(s.name) == id && s.abis>>a&1 != 0 {
			t := a.table()
			return t.numbers[t.index[s.mux]-1], uint64(s.nr), true
		}
	}
	return 0, 0, false
}

// Group returns the real names of the calls on a that do the service of the
// call that name denotes, that one included, sorted: setuid and setuid32 on 386.
// It is nil if a has no such call. A multiplexer is in no group; see
// [ABI.Multiplexed].
func (a ABI) Group(name string) []string {
	t := a.table()
	i, ok := t.named(name)
	if !ok {
		return nil
	}
	id := t.names[i]
	start := groupOf[id]
	if start == 0 {
		return []string{syscallNames.at(int(id))}
	}
	var group []string
	for _, member := range groups[start:] {
		if member == 0 {
			break
		}
		if t.has(member - 1) {
			group = append(group, syscallNames.at(int(member-1)))
		}
	}
	return group
}

// has reports whether the name with position id is real in t, not an alias.
func (t *table) has(id uint16) bool {
	i := t.index[id]
	return i != 0 && t.names[i-1] == id
}
