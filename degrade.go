package sysgate

import "github.com/sysgate/sysgate/policy"

// A Loss is something that was asked for and that a kernel lacks.
type Loss struct {
	Feature string // what is missing: "action kill_process", "flag log"
	Effect  string // what happens instead
}

// String returns both.
func (l Loss) String() string { return l.Feature + ": " + l.Effect }

// Degrade returns what p and o become on a kernel that has f and no more. It is
// pure, and the result is never looser.
func Degrade(p *policy.Policy, o Options, f FeatureSet) (*policy.Policy, Options, []Loss, error) {
	var losses []Loss
	if o.Log && !f.HasFlag("log") {
		o.Log = false
		losses = append(losses, Loss{"flag log", "what the filter denies is not logged"})
	}
	if o.SpecAllow && !f.HasFlag("spec_allow") {
		o.SpecAllow = false
		losses = append(losses, Loss{"flag spec_allow", "speculation mitigations are switched on"})
	}
	return p, o, losses, nil
}
