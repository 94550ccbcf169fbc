package observe

import (
	"cmp"
	"slices"
)

// An Arg is an argument of a call of which every place that makes the call is
// known to pass constants, and which.
type Arg struct {
	Index int
	Name  string
	// Mask is the bits that are known, of those that the kernel reads.
	Mask   uint64
	Values []ArgValue // ascending
}

// An ArgValue is one of the constants.
type ArgValue struct {
	N     uint64   // within the mask
	Sites []string // that pass it, one line each, sorted
}

// An OpenArg is an argument of which that is not known, and why.
type OpenArg struct {
	Index int
	Name  string
	Why   string // one line, with the place
}

// CloseOff makes all arguments of the call open, for what besides the known
// places makes it.
func (c *Call) CloseOff(why string) {
	for _, a := range c.Args {
		c.Open = append(c.Open, OpenArg{a.Index, a.Name, why})
	}
	c.Args = nil
	slices.SortFunc(c.Open, func(a, b OpenArg) int { return cmp.Compare(a.Index, b.Index) })
}

// withArgs returns c with what is known of the arguments of d too, which is the
// same call made by others.
func (c Call) withArgs(d Call) Call {
	if c.Args == nil && d.Args == nil {
		return c
	}
	var args []Arg
	for _, a := range c.Args {
		i := slices.IndexFunc(d.Args, func(b Arg) bool { return b.Index == a.Index && b.Mask == a.Mask })
		if i < 0 {
			c.Open = append(slices.Clip(c.Open), OpenArg{a.Index, a.Name, "another of the programs passes more"})
			continue
		}
		args = append(args, a.union(d.Args[i]))
	}
	for _, o := range d.Open {
		if !slices.ContainsFunc(c.Open, func(have OpenArg) bool { return have.Index == o.Index }) {
			c.Open = append(slices.Clip(c.Open), o)
		}
	}
	c.Args = args
	return c
}

func (a Arg) union(b Arg) Arg {
	a.Values = slices.Clone(a.Values)
	for _, v := range b.Values {
		i, found := slices.BinarySearchFunc(a.Values, v.N, func(w ArgValue, n uint64) int { return cmp.Compare(w.N, n) })
		if !found {
			a.Values = slices.Insert(a.Values, i, v)
			continue
		}
		a.Values[i].Sites = slices.Concat(a.Values[i].Sites, v.Sites)
		slices.Sort(a.Values[i].Sites)
		a.Values[i].Sites = slices.Compact(a.Values[i].Sites)
	}
	return a
}
