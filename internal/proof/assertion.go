package proof

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
)

// An Assertion claims something of every call that a pattern matches.
type Assertion struct {
	Claim   Claim
	Action  policy.Action // of Exactly
	Pattern policy.Pattern
	Text    string // as written
	Pos     policy.Pos
}

// A Claim is what an assertion says of its calls.
type Claim uint8

// The claims.
const (
	// Denied: the kernel does not make the call, on any ABI that a machine with
	// the policy's ABIs serves, listed or not, and not as the sub-call of a
	// multiplexer either: its action is errno, trap, kill_thread or kill_process.
	Denied Claim = iota + 1
	// Allowed: the kernel makes the call, on the listed ABIs: allow or log.
	Allowed
	// Exactly: the call gets this very action, with its data, on the listed ABIs.
	Exactly
)

// Holds reports whether action is what the claim says; exact is Exactly's.
func (c Claim) Holds(action, exact abi.Action) bool {
	switch c {
	case Denied:
		return action.Stricter(abi.UserNotify)
	case Allowed:
		return action.Kind() == abi.Allow || action.Kind() == abi.Log
	case Exactly:
		return action == exact
	}
	return false
}

// An Answer says whether an assertion holds.
type Answer struct {
	Verdict Verdict   // Proved; Different: it does not hold; Unknown, with Reason
	ABIs    []abi.ABI // that have such a call, and that it was asked of
	Witness abi.Call  // where Different: a call that contradicts it
	Got     abi.Action
	Through abi.ABI // the ABI of Witness
	Carried bool    // Witness carries the call as the sub-call of a multiplexer
	Reason  string  // where Unknown: why; where Proved: on which ABIs more was asked than was written
}

// Ask answers whether the assertion a holds of f. listed are the ABIs of the
// policy or filter that f is. The error is about the assertion itself: no ABI
// has such a call (ErrNoCalls), or the pattern cannot be asked (a
// [*policy.Error] with positions in the pattern's text).
func (s *Space) Ask(f Function, a Assertion, listed []abi.ABI) (Answer, error) {
	abis := listed
	if a.Claim == Denied {
		abis = Served(listed)
	}
	if a.Pattern.ABI != abi.None {
		abis = []abi.ABI{a.Pattern.ABI}
	}
	var answer Answer
	var whole []string
	var notAsked error
	var found []scope
	for _, on := range abis {
		w, err := s.scope(on, a)
		switch {
		case errors.Is(err, ErrUnknown):
			return Answer{Reason: s.Err().Error()}, nil
		case err != nil:
			notAsked = err
			// On this ABI the call has another shape: all calls of the name then.
			if w, err = s.scope(on, a.withoutConditions()); err != nil || len(w.sets) == 0 {
				continue
			}
			whole = append(whole, fmt.Sprintf("%s:%s", on, a.Pattern.Name))
		case len(w.sets) == 0:
			continue
		}
		found = append(found, w)
		answer.ABIs = append(answer.ABIs, on)
	}
	switch {
	case len(found) == len(whole) && notAsked != nil:
		return Answer{}, notAsked
	case len(found) == 0:
		return Answer{}, fmt.Errorf("%w: %s", ErrNoCalls, a.Pattern)
	}
	for _, w := range found {
		for i, set := range w.sets {
			for _, o := range s.Outcomes(f, set) {
				if !a.Claim.Holds(o.Action, w.exact) {
					answer.Verdict, answer.Witness, answer.Got = Different, o.Witness, o.Action
					answer.Through, answer.Carried = w.abi, i == 1
					return answer, nil
				}
			}
		}
	}
	if err := s.Err(); err != nil {
		return Answer{Reason: err.Error()}, nil
	}
	answer.Verdict = Proved
	if len(whole) > 0 {
		answer.Reason = "whatever the arguments are for " + strings.Join(whole, ", ")
	}
	return answer, nil
}

// A scope is what an assertion asks of on one ABI.
type scope struct {
	abi   abi.ABI
	sets  []Set // the calls themselves, then those that carry them; none if there are no such calls
	exact abi.Action
}

func (s *Space) scope(on abi.ABI, a Assertion) (scope, error) {
	w := scope{abi: on}
	set, err := s.match(on, a.Pattern)
	if err != nil {
		return w, err
	}
	var carriers Set
	if a.Claim == Denied {
		if carriers, err = s.Carriers(on, a.Pattern); err != nil {
			return w, err
		}
		carriers = s.Without(carriers, set)
	}
	if !set.Empty() || !carriers.Empty() {
		w.sets = []Set{set, carriers}
	}
	if a.Claim == Exactly {
		r, _, err := (&policy.Policy{ABIs: []abi.ABI{on}, Default: a.Action}).Resolve(policy.Options{})
		if err != nil {
			return w, err
		}
		w.exact = r.ABIs[0].Default
	}
	return w, s.Err()
}

func (a Assertion) withoutConditions() Assertion {
	a.Pattern.Conditions = nil
	return a
}

// Served returns the ABIs that a machine serves on which a policy for the listed
// ABIs can be in force: the listed ones and those of the same machines.
func Served(listed []abi.ABI) []abi.ABI {
	served := slices.Clone(listed)
	add := func(a abi.ABI) {
		if !slices.Contains(served, a) {
			served = append(served, a)
		}
	}
	for _, a := range listed {
		for _, machine := range abi.All() {
			if machine == a || slices.Contains(machine.Compat(), a) {
				add(machine)
				for _, other := range machine.Compat() {
					add(other)
				}
			}
		}
	}
	return served
}
