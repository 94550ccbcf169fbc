package cli

import (
	"os"
	"slices"
	"strings"

	"github.com/sysgate/sysgate/internal/profile"
	"github.com/sysgate/sysgate/internal/refine"
	"github.com/sysgate/sysgate/policy"
)

// autoPolicy profiles the program at path, and those of --with, and returns the
// policy that allows what they can call. What cannot be profiled soundly is an
// error: a guess would let an attacker in, or stop the service.
func (e *env) autoPolicy(f *runFlags, path string, o refine.Options) (*policy.Policy, error) {
	options, err := f.libraries.options(profile.Options{Args: f.strict.args, Environment: os.Environ()})
	if err != nil {
		return nil, err
	}
	programs, err := e.profile(files(append([]string{path}, f.with...)...), f.assume, options)
	if err != nil {
		return nil, explainRefusal(err)
	}
	if err := unsound(programs, "sysgate run --policy auto"); err != nil {
		return nil, err
	}
	all, err := sets(programs)
	if err != nil {
		return nil, err
	}
	p, elsewhere := refine.FromSets(all, o)
	e.elsewhere(elsewhere)
	e.openArgs(all)
	if starts := starts(programs, p); len(starts) > 0 && len(f.with) == 0 {
		e.warningf("the program can start others (%s), and the filter holds for them too", strings.Join(starts, ", "))
		e.hintf("--with BINARY allows what another program needs; --deny %s keeps it from starting any", strings.Join(starts, ","))
	}
	return p, nil
}

// starts returns the calls by which the programs can start others and that p
// allows.
func starts(programs []profiled, p *policy.Policy) []string {
	allowed := refine.Allowed(p)
	var names []string
	for _, program := range programs {
		for _, name := range program.Starts {
			// Where only programs of one ABI make it, the policy says which.
			if slices.Contains(allowed, name) || slices.Contains(allowed, program.Set.ABI.String()+":"+name) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// whoStarts returns the programs that can start others by a call, and of which it is not
// known what they start.
func whoStarts(programs []profiled, call string) []string {
	var who []string
	for _, program := range programs {
		if !program.followed && slices.Contains(program.Starts, call) {
			who = append(who, program.label)
		}
	}
	return who
}
