package proof

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
)

// ErrInexpressible is wrapped by the error for a function that no policy is: one
// that decides on what a policy cannot ask of, or that needs more patterns than
// are written.
var ErrInexpressible = errors.New("no policy can say this")

// maxText bounds a decompiled policy: half of what [policy.Parse] reads.
const maxText = 1 << 19

// Effect returns the action that the kernel takes for a return word: an action
// that it does not know kills the process, an errno is at most MAX_ERRNO, and data
// that means nothing is none (seccomp(2), kernel/seccomp.c).
func Effect(word abi.Action) abi.Action {
	switch {
	case !word.Known():
		return abi.KillProcess
	case word.Kind() == abi.Errno:
		return abi.Errno.WithData(min(word.Data(), abi.MaxErrno))
	case word.TakesData():
		return word
	}
	return word.Kind()
}

// Effects returns f with what the kernel makes of each word in its place.
func (s *Space) Effects(f Function) Function {
	words := s.d.actions()
	return Function{s.d.mapWords(f.root, func(r ref) ref { return s.d.word(uint32(Effect(words[r]))) })}
}

// Decompile returns a policy whose Eval gives every call what f gives it, by its
// effect. It establishes that: the policy is resolved and compared with f before
// it is returned. prefer is the ABI that it lists where f treats all alike, and
// the first that it lists where f decides it. The error wraps ErrInexpressible or
// ErrUnknown.
func (s *Space) Decompile(f Function, prefer abi.ABI) (*policy.Policy, error) {
	w := &decompiler{Space: s, f: s.Effects(f), words: map[ref]abi.Action{}}
	for r, a := range s.d.actions() {
		w.words[r] = a
	}
	p, err := w.policy(prefer)
	if err := cmp.Or(s.Err(), err); err != nil {
		return nil, err
	}
	if n := len(p.Format()); n > maxText {
		return nil, fmt.Errorf("%w that can be read: it takes %d KiB", ErrInexpressible, n>>10)
	}
	r, warnings, err := p.Resolve(policy.Options{})
	if err != nil {
		return nil, fmt.Errorf("internal error: the decompiled policy does not resolve: %w", err)
	}
	if slices.ContainsFunc(warnings, func(w policy.Warning) bool { return w.Code == policy.CodeGroup }) {
		for i := range p.Rules { // it does what f does, groups or not
			p.Rules[i].Only = true
		}
	}
	g, err := s.Policy(r)
	if err != nil {
		return nil, err
	}
	if c, differ := s.Difference(w.f, g); differ {
		return nil, fmt.Errorf("%w: in the closest policy, %s gets another action", ErrInexpressible, policy.FormatCall(c))
	}
	return p, nil
}

type decompiler struct {
	*Space
	f     Function
	words map[ref]abi.Action

	listed   []abi.ABI
	known    map[abi.ABI][]policy.NumberRange
	defaults struct{ known, unknown ref }
	layers   []layer
}

// A layer is rules of which no two match the same call; a call that none of them
// matches goes on to the next layer.
type layer []clause

// A clause is one pattern with its action.
type clause struct {
	action  ref
	pattern policy.Pattern
}

func (w *decompiler) policy(prefer abi.ABI) (*policy.Policy, error) {
	p := &policy.Policy{Version: 1}
	badArch, x32, err := w.list(prefer)
	if err != nil {
		return nil, err
	}
	p.ABIs = w.listed
	empty := policy.Policy{ABIs: w.listed, Default: policy.Action{Kind: abi.Allow}}
	r, _, err := empty.Resolve(policy.Options{})
	if err != nil {
		return nil, err
	}
	w.known = map[abi.ABI][]policy.NumberRange{}
	for i := range r.ABIs {
		w.known[r.ABIs[i].ABI] = r.ABIs[i].Known
	}
	var pieces []piece
	for _, a := range w.listed {
		of, err := w.pieces(a)
		if err != nil {
			return nil, err
		}
		pieces = append(pieces, of...)
	}
	w.chooseDefaults(pieces)
	for _, one := range pieces {
		if err := w.rules(one); err != nil {
			return nil, err
		}
	}
	p.Default = w.action(w.defaults.known)
	if w.defaults.unknown != w.defaults.known {
		unknown := w.action(w.defaults.unknown)
		p.Unknown = &unknown
	}
	if badArch != abi.KillProcess {
		a := w.actionOf(badArch)
		p.BadArch = &a
	}
	if x32 != nil {
		if a := w.actionOf(*x32); a != (policy.Action{Kind: abi.Errno, Errno: "ENOSYS"}) {
			p.X32 = &a
		}
	}
	w.write(p)
	return p, nil
}

// list settles the ABIs that the policy lists: those that f does not treat as it
// treats every architecture that has no ABI.
func (w *decompiler) list(prefer abi.ABI) (badArch abi.Action, x32 *abi.Action, err error) {
	foreign := Set{yes}
	for _, a := range abi.All() {
		foreign = w.Without(foreign, w.Through(a))
	}
	elsewhere := w.Outcomes(w.f, foreign)
	if len(elsewhere) != 1 {
		if err := w.Err(); err != nil {
			return 0, nil, err
		}
		return 0, nil, fmt.Errorf("%w: it decides architectures that have no ABI: %v", ErrInexpressible, outcomeText(elsewhere))
	}
	badArch = elsewhere[0].Action
	constant := map[abi.ABI]*abi.Action{}
	for _, a := range abi.All() {
		all := w.Outcomes(w.f, w.Through(a))
		if len(all) == 1 {
			constant[a] = &all[0].Action
		}
		if a != abi.X32 && (len(all) != 1 || all[0].Action != badArch) {
			w.listed = append(w.listed, a)
		}
	}
	wide := slices.Contains(w.listed, abi.AMD64)
	if constant[abi.X32] == nil || !wide && *constant[abi.X32] != badArch {
		w.listed = append(w.listed, abi.X32)
	} else if wide {
		x32 = constant[abi.X32]
	}
	if len(w.listed) == 0 {
		w.listed = []abi.ABI{prefer}
		x32 = &badArch
	}
	if i := slices.Index(w.listed, prefer); i > 0 {
		w.listed = slices.Insert(slices.Delete(w.listed, i, i+1), 0, prefer)
	}
	for _, a := range w.listed {
		if a.BigEndian() != w.listed[0].BigEndian() {
			return 0, nil, fmt.Errorf("%w: it decides %s and %s, which no machine has both", ErrInexpressible, w.listed[0], a)
		}
	}
	return badArch, x32, nil
}

func outcomeText(all []Outcome) string {
	text := ""
	for i, o := range all {
		if i > 0 {
			text += ", "
		}
		if i == 3 {
			return text + "…"
		}
		text += fmt.Sprintf("%s gets %v", policy.FormatCall(o.Witness), o.Action)
	}
	return text
}

// A piece is numbers of one ABI that f decides by the same function of the
// arguments. If the policy's kernel knows one of them, it is the only one; and so
// is one of which only the tables know the arguments, where these decide.
type piece struct {
	abi     abi.ABI
	numbers []policy.NumberRange
	known   bool
	to      ref
}

// pieces cuts what f does with the calls through a.
func (w *decompiler) pieces(a abi.ABI) ([]piece, error) {
	outside := otherWord
	class := w.Through(a).root
	f := w.d.given(w.d.ite(class, w.f.root, outside), wordArch, a.AuditArch())
	runs, ok := w.d.runs(f, wordNR)
	if !ok {
		return nil, fmt.Errorf("%w: it cuts %s's numbers into more than %d ranges", ErrInexpressible, a, maxRuns)
	}
	var all []piece
	unknown := map[ref]int{}
	for _, r := range runs {
		if r.to == outside {
			continue
		}
		next := uint64(r.Lo)
		gap := func(end uint64) {
			if next == end {
				return
			}
			n := policy.NumberRange{Lo: uint32(next), Hi: uint32(end - 1)}
			if i, ok := unknown[r.to]; ok {
				all[i].numbers = append(all[i].numbers, n)
				return
			}
			unknown[r.to] = len(all)
			all = append(all, piece{a, []policy.NumberRange{n}, false, r.to})
		}
		for nr := range a.Syscalls() {
			known := slices.ContainsFunc(w.known[a], func(n policy.NumberRange) bool { return n.Lo <= nr && nr <= n.Hi })
			if nr < r.Lo || nr > r.Hi || !known && w.d.nodes[r.to].level == inputBits {
				continue
			}
			gap(uint64(nr))
			all = append(all, piece{a, []policy.NumberRange{{Lo: nr, Hi: nr}}, known, r.to})
			next = uint64(nr) + 1
		}
		gap(uint64(r.Hi) + 1)
	}
	return all, nil
}

// chooseDefaults takes the action that most known calls get, whatever their
// arguments, for the default, and of the other numbers the one of most ranges,
// since each of the rest is a pattern.
func (w *decompiler) chooseDefaults(pieces []piece) {
	known, unknown := map[ref]uint64{}, map[ref]uint64{}
	for _, p := range pieces {
		for _, t := range w.d.terminals(p.to) {
			// Where arguments decide, each action counts a little: the default saves
			// its description.
			weight := uint64(2)
			if t == p.to {
				weight = 8
			}
			if p.known {
				known[t] += weight
			} else {
				unknown[t] += weight * uint64(len(p.numbers))
			}
		}
	}
	w.defaults.known = w.most(known)
	if r := w.most(unknown); r != no && w.words[r].Stricter(abi.UserNotify) {
		// What is not known is stopped: a list of what is allowed, not of what is not.
		for t := range known {
			if !w.words[t].Stricter(abi.UserNotify) && len(known) > 1 {
				delete(known, t)
			}
		}
		w.defaults.known = w.most(known)
	}
	if _, ok := unknown[w.defaults.known]; ok {
		unknown[w.defaults.known]++ // one field less to read
	}
	w.defaults.unknown = w.most(unknown)
	if w.defaults.known == no {
		w.defaults.known = w.defaults.unknown
	}
	if w.defaults.unknown == no {
		w.defaults.unknown = w.defaults.known
	}
}

// most returns the key of the largest count, the stricter action of several.
func (w *decompiler) most(counts map[ref]uint64) ref {
	best := no
	for t, n := range counts {
		switch {
		case best == no || n > counts[best]:
			best = t
		case n == counts[best] && (w.words[t].Stricter(w.words[best]) || !w.words[best].Stricter(w.words[t]) && w.words[t] < w.words[best]):
			best = t
		}
	}
	return best
}

// rules adds the rules for one piece: each action but the last under its
// conditions, then the last without, unless that is the default.
func (w *decompiler) rules(p piece) error {
	base := w.defaults.unknown
	if p.known {
		base = w.defaults.known
	}
	terminals := w.d.terminals(p.to)
	if len(terminals) == 1 {
		if p.to != base {
			w.add(0, p.to, w.targets(p, nil)...)
		}
		return nil
	}
	described := map[ref][]policy.Pattern{}
	costs := map[ref]int{}
	sets := map[ref]ref{}
	for _, one := range w.d.split(p.to) {
		t := one.label
		sets[t] = one.set
		patterns, ok := w.d.patterns(p.abi, p.numbers, one.set, one.set)
		costs[t] = 1 << 20
		if ok {
			described[t], costs[t] = patterns, patternsCost(patterns)
		}
	}
	// The last action needs no conditions: the one that saves most.
	slices.SortFunc(terminals, func(x, y ref) int {
		costX, costY := costs[x], costs[y]
		if x == base {
			costX += 3 // it needs no rule either
		}
		if y == base {
			costY += 3
		}
		return cmp.Or(cmp.Compare(costX, costY), cmp.Compare(w.words[x], w.words[y]))
	})
	last := terminals[len(terminals)-1]
	before, depth := no, 0
	for _, t := range terminals[:len(terminals)-1] {
		set := sets[t]
		patterns, at := described[t], 0
		// What earlier rules decide may be matched again, if that is shorter.
		if wide, ok := w.d.patterns(p.abi, p.numbers, set, w.d.or(set, before)); ok && (patterns == nil || patternsCost(wide) < costs[t]) {
			depth++
			patterns, at = wide, depth
		}
		if patterns == nil {
			return fmt.Errorf("%w: %s depends on its arguments in a way that has no patterns", ErrInexpressible, w.pieceText(p))
		}
		before = w.d.or(before, set)
		w.add(at, t, patterns...)
	}
	if last != base {
		w.add(depth+1, last, w.targets(p, nil)...)
	}
	return nil
}

func (w *decompiler) targets(p piece, conditions []policy.Condition) []policy.Pattern {
	var all []policy.Pattern
	for _, n := range p.numbers {
		all = append(all, target(p.abi, n, conditions))
	}
	return all
}

func (w *decompiler) pieceText(p piece) string {
	return target(p.abi, p.numbers[0], nil).String()
}

func (w *decompiler) add(depth int, action ref, patterns ...policy.Pattern) {
	for len(w.layers) <= depth {
		w.layers = append(w.layers, nil)
	}
	for _, p := range patterns {
		w.layers[depth] = append(w.layers[depth], clause{action, p})
	}
}

// write turns the layers into rules, one for each action of a layer. A pattern
// that all listed ABIs with the call share is written once, for all of them.
func (w *decompiler) write(p *policy.Policy) {
	for _, l := range w.layers {
		type key struct {
			action ref
			text   string
		}
		on := map[key][]abi.ABI{}
		for _, c := range l {
			a := c.pattern.ABI
			c.pattern.ABI = abi.None
			k := key{c.action, c.pattern.String()}
			on[k] = append(on[k], a)
		}
		written := map[key]bool{}
		index := map[ref]int{}
		for _, c := range l {
			free := c.pattern
			free.ABI = abi.None
			k := key{c.action, free.String()}
			if w.shared(free, on[k]) {
				if written[k] {
					continue
				}
				written[k] = true
				c.pattern = free
			}
			i, ok := index[c.action]
			if !ok {
				i = len(p.Rules)
				index[c.action] = i
				p.Rules = append(p.Rules, policy.Rule{Action: w.action(c.action)})
			}
			p.Rules[i].Calls = append(p.Rules[i].Calls, c.pattern)
		}
	}
}

// shared reports whether p without an ABI means the same as on each of the ABIs.
func (w *decompiler) shared(p policy.Pattern, on []abi.ABI) bool {
	for _, a := range w.listed {
		_, _, carried := a.Multiplexed(p.Name)
		if (p.Numbers != nil || carried || len(a.Numbers(p.Name)) > 0) && !slices.Contains(on, a) {
			return false
		}
	}
	return true
}

func (w *decompiler) action(r ref) policy.Action { return w.actionOf(w.words[r]) }

// actionOf returns the action of a word, an errno by its name where all listed
// ABIs agree on it.
func (w *decompiler) actionOf(word abi.Action) policy.Action {
	a := policy.Action{Kind: word.Kind(), Data: word.Data()}
	if a.Kind != abi.Errno || a.Data == 0 {
		return a
	}
	name := w.listed[0].ErrnoName(a.Data)
	for _, on := range w.listed {
		if n, ok := on.Errno(name); !ok || n != a.Data {
			return a
		}
	}
	return policy.Action{Kind: abi.Errno, Errno: name}
}
