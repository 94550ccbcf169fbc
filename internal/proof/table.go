package proof

import "github.com/sysgate/sysgate/abi"

// A Table is a function for the calls through one ABI, by number.
type Table struct {
	d     *diagram
	words map[ref]abi.Action
	f     ref
	abi   abi.ABI
}

// Table returns f for the calls through a.
func (s *Space) Table(f Function, a abi.ABI) Table {
	return Table{s.d, s.d.actions(), s.d.given(f.root, wordArch, a.AuditArch()), a}
}

// Actions returns what the calls with number nr can get, each action once, by
// their smallest calls. One action means that the arguments do not matter.
func (t Table) Actions(nr uint32) []abi.Action {
	var all []abi.Action
	for _, terminal := range t.d.terminals(t.d.given(t.f, wordNR, nr)) {
		all = append(all, t.words[terminal])
	}
	return all
}
