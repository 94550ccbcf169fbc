package gate

import (
	"fmt"
	"slices"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/observe"
	"github.com/sysgate/sysgate/internal/profile"
	"github.com/sysgate/sysgate/internal/proof"
	"github.com/sysgate/sysgate/internal/refine"
	"github.com/sysgate/sysgate/policy"
)

// A Side is one of two that are compared.
type Side struct {
	Name     string            // for people
	Programs []*profile.Result // none of a policy and of recordings
	Calls    []Reach           // ascending by ABI and number; each once for each program
	ABIs     []abi.ABI         // that the side is about
	Release  abi.Kernel        // of a policy: whose calls it knows; zero: not known

	decides proof.Function // of a policy
	through proof.Set      // all of its calls
}

// IsPolicy reports that the side is a policy or filter.
func (side *Side) IsPolicy() bool { return side.decides != proof.Function{} }

// A Reach is a call that a side makes, can make or admits.
type Reach struct {
	ABI  abi.ABI
	NR   uint32
	Name string // "" of a number that no table has
	// Class and Evidence say how it is known; Class is 0 but for programs.
	Class    observe.Class
	Evidence string
	Path     []profile.Step  // of a program, to the instruction that makes it
	Program  *profile.Result // that makes it; nil but for programs

	args []observe.Arg // known ones
	open bool          // it was made, or can be, with some of set, and which is not known
	set  proof.Set
}

// Call returns the call in the notation of patterns: "bind", "386:bind" where the
// ABI is not native, "nr:600" for a number without a name.
func (r *Reach) Call(native abi.ABI) string {
	v := observe.Violation{ABI: r.ABI, NR: r.NR, Name: r.Name}
	return v.Call(native)
}

// Programs returns the side of what programs can call; with args, only with the
// arguments that they are known to pass, where those are known.
func Programs(s *proof.Space, name string, args bool, results ...*profile.Result) (*Side, error) {
	side := &Side{Name: name, Programs: results}
	for _, r := range results {
		for _, c := range r.Set.Calls {
			reach := Reach{
				ABI: r.Set.ABI, NR: c.NR, Name: r.Set.ABI.SyscallName(c.NR), Class: c.Class, Evidence: c.Evidence,
				Path: r.PathOf(c), Program: r, open: true,
			}
			var p policy.Pattern
			if args {
				reach.args, p.Conditions = c.Args, refine.Conditions(r.Set.ABI, c)
			}
			if err := side.add(s, reach, p); err != nil {
				return nil, err
			}
		}
	}
	return side, side.finish(s)
}

// Runs returns the side of what runs were seen to call.
func Runs(s *proof.Space, name string, runs ...*observe.Run) (*Side, error) {
	side := &Side{Name: name}
	for _, run := range runs {
		for _, m := range run.Calls {
			reach := Reach{ABI: m.ABI, NR: m.NR, Name: m.Name, Evidence: "seen in " + run.Source}
			if err := side.addMade(s, reach, m); err != nil {
				return nil, err
			}
		}
	}
	return side, side.finish(s)
}

// addMade adds a call that was seen, with the values of its arguments where they
// are all known.
func (side *Side) addMade(s *proof.Space, reach Reach, m observe.Made) error {
	masks, modes := observe.Modes(m.ABI, m.NR)
	if !modes || m.Open || len(m.Values) == 0 {
		reach.open = true
		return side.add(s, reach, policy.Pattern{})
	}
	for _, v := range m.Values {
		var p policy.Pattern
		for i, mask := range masks {
			if mask != 0 {
				value := fmt.Sprintf("%#x", v.Args[i])
				p.Conditions = append(p.Conditions, policy.Condition{Index: i, Op: policy.Equal, Values: []string{value}})
			}
		}
		if err := side.add(s, reach, p); err != nil {
			return err
		}
	}
	return nil
}

// Policy returns the side of what a policy or filter lets through on the ABIs that
// it lists.
func Policy(s *proof.Space, name string, f proof.Function, listed []abi.ABI) (*Side, error) {
	side := &Side{Name: name, decides: f, ABIs: listed, through: s.Where(f, Lets)}
	for _, on := range listed {
		for nr, call := range on.Syscalls() {
			reach := Reach{ABI: on, NR: nr, Name: call, Evidence: "let through by " + name}
			set, err := numbered(s, reach, policy.Pattern{})
			if err != nil {
				return nil, err
			}
			if reach.set = s.Intersection(set, side.through); !reach.set.Empty() {
				side.Calls = append(side.Calls, reach)
			}
		}
	}
	return side, s.Err()
}

// Lets reports that a call happens which gets an action.
func Lets(a abi.Action) bool { return proof.Allowed.Holds(a, 0) }

// numbered returns the calls of a number that a pattern's conditions hold for.
func numbered(s *proof.Space, r Reach, p policy.Pattern) (proof.Set, error) {
	p.ABI, p.Numbers = r.ABI, &policy.NumberRange{Lo: r.NR, Hi: r.NR}
	return s.Calls(r.ABI, p)
}

func (side *Side) add(s *proof.Space, r Reach, p policy.Pattern) (err error) {
	if r.set, err = numbered(s, r, p); err != nil {
		return fmt.Errorf("%s: %s: %w", side.Name, r.Call(abi.None), err)
	}
	side.through = s.Union(side.through, r.set)
	i := slices.IndexFunc(side.Calls, func(have Reach) bool { return have.ABI == r.ABI && have.NR == r.NR && have.Program == r.Program })
	if i >= 0 {
		side.Calls[i].set = s.Union(side.Calls[i].set, r.set)
		return nil
	}
	side.Calls = append(side.Calls, r)
	if !slices.Contains(side.ABIs, r.ABI) {
		side.ABIs = append(side.ABIs, r.ABI)
	}
	return nil
}

func (side *Side) finish(s *proof.Space) error {
	slices.SortStableFunc(side.Calls, func(a, b Reach) int {
		if a.ABI != b.ABI {
			return int(a.ABI) - int(b.ABI)
		}
		return int(int64(a.NR) - int64(b.NR))
	})
	return s.Err()
}
