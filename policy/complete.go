package policy

// CheckComplete returns an error about a policy that says complete: false, for
// whatever would enforce it.
func (p *Policy) CheckComplete() error {
	if !p.Incomplete {
		return nil
	}
	e := &Error{
		Msg:  "the policy is incomplete: its program makes calls that it does not list",
		Hint: "add what is missing (its first lines say where), then take out the line complete: false",
	}
	if p.src != nil {
		e.Pos.File = p.src.name
	}
	return e
}
