package profile

import (
	"fmt"

	"github.com/sysgate/sysgate/internal/observe"
)

// savedArg is what a saved profile says of one argument: its values, or why they
// are not known.
type savedArg struct {
	Index  int          `json:"index"`
	Name   string       `json:"name"`
	Bits   string       `json:"bits,omitempty"` // that are known
	Values []savedValue `json:"values,omitempty"`
	Open   string       `json:"open,omitempty"`
}

type savedValue struct {
	Value string   `json:"value"`
	Sites []string `json:"sites"`
}

func saveArgs(c observe.Call) []savedArg {
	var all []savedArg
	for _, a := range c.Args {
		s := savedArg{Index: a.Index, Name: a.Name, Bits: hexadecimal(a.Mask)}
		for _, v := range a.Values {
			s.Values = append(s.Values, savedValue{hexadecimal(v.N), v.Sites})
		}
		all = append(all, s)
	}
	for _, o := range c.Open {
		all = append(all, savedArg{Index: o.Index, Name: o.Name, Open: o.Why})
	}
	return all
}

// loadArgs is the inverse of saveArgs.
func loadArgs(c *observe.Call, args []savedArg) error {
	for _, s := range args {
		if s.Index < 0 || s.Index > 5 {
			return fmt.Errorf("argument %d", s.Index)
		}
		if s.Open != "" {
			c.Open = append(c.Open, observe.OpenArg{Index: s.Index, Name: s.Name, Why: s.Open})
			continue
		}
		a := observe.Arg{Index: s.Index, Name: s.Name}
		var err error
		if a.Mask, err = parseHexadecimal(s.Bits); err != nil {
			return fmt.Errorf("argument %s: %w", s.Name, err)
		}
		for i, v := range s.Values {
			n, err := parseHexadecimal(v.Value)
			switch {
			case err != nil:
				return fmt.Errorf("argument %s: value %q", s.Name, v.Value)
			case n&^a.Mask != 0 || i > 0 && n <= a.Values[i-1].N:
				return fmt.Errorf("argument %s: value %s is not where it can be", s.Name, v.Value)
			}
			a.Values = append(a.Values, observe.ArgValue{N: n, Sites: v.Sites})
		}
		if len(a.Values) == 0 {
			return fmt.Errorf("argument %s: no values", s.Name)
		}
		c.Args = append(c.Args, a)
	}
	return nil
}
