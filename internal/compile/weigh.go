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
	weightRun    = frequencyScale / 10_000     // that the filter runs for, beside its share
	weightDenied = frequencyScale / 100_000    // that no rule names
	weightCached = frequencyScale / 10_000_000 // that the bitmap answers
)

// weigh gives every run of numbers its weight, and every decision list the sum of
// its runs'. The numbers of each ABI weigh perCall together.
func weigh(u *unit) error {
	frequency := u.options.Frequency
	if frequency == nil {
		var err error
		if frequency, err = shipped(); err != nil {
			return err
		}
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
	shares := w.shares(frequency)
	weights := make([]int64, len(w.runs))
	if w.options.Mode == Cached && HasBitmap(w.section.ABI) {
		for i, r := range w.runs {
			switch {
			case w.constAllow(r):
				weights[i] = known[i] * weightCached
			case w.named(r):
				weights[i] = shares[i] + known[i]*weightRun
			default:
				weights[i] = known[i] * weightDenied
			}
		}
	} else {
		// The program makes the calls that rules name; those that it does not make
		// count as much as all others of the table's half, or twentieth.
		uniform := int64(perCall / 2)
		if w.options.Frequency != nil {
			uniform = perCall / 20
		}
		for i, r := range w.runs {
			if !w.named(r) {
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

// named reports whether rules decide r.
func (w *weigher) named(r run) bool {
	l := w.lists[r.list]
	return l.rule != nil || l.action != w.section.Default && l.action != w.section.Unknown
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
