package compile

import (
	"math/bits"
	"slices"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
)

// The cost of a program is the mean number of instructions that a call executes,
// plus a price for each instruction that it has. Costs are integers, so that they
// are the same on every machine: one instruction executed on every call of an ABI
// weighs perCall.
const perCall = 1 << 32

// Prices of an instruction. What the filter of a large program costs beside what
// it executes is memory and cache; where few calls run it, size matters more.
const (
	priceCached    = perCall / 64
	priceUncached  = perCall / 40
	priceFrequency = perCall / 333
	priceSize      = perCall << 8 // more than any number of executed ones
)

// In mode Cached, the weights of a number: how rare it is, by what the kernel and
// the program make of it.
const (
	weightRun    = frequencyScale / 10_000     // that the filter runs for
	weightDenied = frequencyScale / 100_000    // that the policy denies
	weightCached = frequencyScale / 10_000_000 // that the bitmap answers
)

// weigh gives every run of numbers its weight, and every decision list the sum of
// its runs'. The numbers of each ABI weigh perCall together. Where the kernel keeps
// no bitmap, mode Cached is Uncached.
func weigh(u *unit) error {
	frequency := u.options.Frequency
	if frequency == nil {
		var err error
		if frequency, err = shipped(); err != nil {
			return err
		}
	}
	bitmap := slices.ContainsFunc(u.policy.ABIs, func(s policy.ResolvedABI) bool { return HasBitmap(s.ABI) })
	if u.options.Mode == Cached && !bitmap {
		u.options.Mode = Uncached
	}
	u.price = price(u.options)
	for i := range u.policy.ABIs {
		s := &u.policy.ABIs[i]
		at := slices.IndexFunc(u.axes, func(a axis) bool { return a.arch == s.ABI.AuditArch() })
		w := weigher{unit: u, section: s, runs: u.axes[at].runs}
		w.weigh(frequency)
	}
	u.weights = make([]int64, len(u.lists))
	for _, a := range u.axes {
		for _, r := range a.runs {
			u.weights[r.list] += r.weight
		}
	}
	return nil
}

func price(o Options) int64 {
	switch {
	case o.Mode == Size:
		return priceSize
	case o.Mode == Cached:
		return priceCached
	case o.Frequency != nil:
		return priceFrequency
	default:
		return priceUncached
	}
}

// A weigher weighs the numbers of one ABI.
type weigher struct {
	*unit
	section *policy.ResolvedABI
	runs    []run
}

func (w *weigher) weigh(frequency *Frequency) {
	known := w.known()
	made := w.made()
	shares := w.shares(frequency)
	weights := make([]int64, len(w.runs))
	if w.options.Mode == Cached && HasBitmap(w.section.ABI) {
		for i, r := range w.runs {
			switch {
			case w.constAllow(r):
				weights[i] = known[i] * weightCached
			case made[i]:
				weights[i] = shares[i] + known[i]*weightRun
			default:
				weights[i] = known[i] * weightDenied
			}
		}
	} else {
		uniform := int64(perCall / 2)
		if w.options.Frequency != nil {
			uniform = perCall / 20
		}
		for i := range made {
			if !made[i] {
				shares[i] = 0
			}
		}
		scale(shares, perCall-uniform)
		scale(known, uniform)
		for i := range weights {
			weights[i] = shares[i] + known[i]
		}
	}
	scale(weights, perCall)
	for i := range w.runs {
		w.runs[i].weight += weights[i]
	}
}

// known returns how many known numbers are in each run.
func (w *weigher) known() []int64 {
	counts := make([]int64, len(w.runs))
	for _, k := range w.section.Known {
		for i := find(w.runs, k.Lo); i < len(w.runs) && w.runs[i].lo <= k.Hi; i++ {
			lo, hi := max(k.Lo, w.runs[i].lo), k.Hi
			if i+1 < len(w.runs) {
				hi = min(hi, w.runs[i+1].lo-1)
			}
			counts[i] += int64(hi) - int64(lo) + 1
		}
	}
	return counts
}

// shares returns the share of calls in each run. A name that the ABI lacks counts
// for the call that does its work there.
func (w *weigher) shares(f *Frequency) []int64 {
	shares := make([]int64, len(w.runs))
	for _, s := range f.shares {
		nr, ok := w.section.ABI.Lookup(s.name)
		for _, other := range w.section.ABI.Group(s.name) {
			if ok {
				break
			}
			nr, ok = w.section.ABI.Lookup(other)
		}
		if ok {
			shares[find(w.runs, nr)] += s.weight
		}
	}
	return shares
}

// made reports for each run whether programs are expected to make its calls: those
// that their policy does not always deny, and those that a rule names, because it
// is to deny them in another way. Ranges that are not all of known calls name
// nothing: they are for calls of the future.
func (w *weigher) made() []bool {
	made := make([]bool, len(w.runs))
	for i, r := range w.runs {
		l := w.lists[r.list]
		made[i] = l.rule != nil || !l.action.Stricter(abi.UserNotify)
	}
	for i := range w.section.Rules {
		for _, n := range w.section.Rules[i].Numbers {
			known := func(k policy.NumberRange) bool { return k.Lo <= n.Lo && n.Hi <= k.Hi }
			if !slices.ContainsFunc(w.section.Known, known) {
				continue
			}
			for at := find(w.runs, n.Lo); at < len(w.runs) && w.runs[at].lo <= n.Hi; at++ {
				made[at] = true
			}
		}
	}
	return made
}

func (w *weigher) constAllow(r run) bool {
	l := w.lists[r.list]
	return l.rule == nil && l.action == abi.Allow
}

// scale makes the weights add up to about sum, if they are not all 0. It works in
// place.
func scale(weights []int64, sum int64) {
	var total uint64
	for _, w := range weights {
		total += uint64(w)
	}
	if total == 0 {
		return
	}
	for i, w := range weights {
		hi, lo := bits.Mul64(uint64(w), uint64(sum))
		q, _ := bits.Div64(hi, lo, total)
		weights[i] = int64(q)
	}
}
