package profile

import (
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/image"
	"github.com/sysgate/sysgate/internal/observe"
)

// The call by which glibc's loader profiles a library, and a text that it holds if it
// can.
const (
	profiler    = "setitimer"
	profileText = "is no correct profile data file"
)

// The calls that execute another program.
var starters = []string{"execve", "execveat"}

// File profiles the program at path, with its libraries and its dynamic loader.
// A file of which no sound profile can be made at all (for another machine,
// packed, damaged, without its libraries) is an *image.RefusedError. A profile
// with undetermined sites is a Result, not an error.
func File(path string, o Options) (*Result, error) {
	var r *Result
	err := guard(func() error {
		opened, err := inFolders(path, o) // libraries that the program opens, as far as is known
		if err != nil {
			return err
		}
		o.found = slices.Clone(opened)
		known := newSummaries(o.Cache)
		defer known.close()
		for {
			more, err := load(path, o, opened, known, &r)
			if err != nil || len(more) == 0 {
				return err
			}
			opened = append(opened, more...)
		}
	})
	if err != nil {
		return nil, err
	}
	return r, nil
}

// load profiles the program at path, loaded with the libraries opened.
func load(path string, o Options, opened []string, known *summaries, r **Result) (more []string, err error) {
	start := time.Now()
	optional := func(loaded []*image.Module) []string { return append(expected(loaded, o.Root), opened...) }
	named := slices.DeleteFunc(slices.Clone(o.Libraries), func(name string) bool { return isFolder(o.Root, name) })
	p, err := image.Load(path, image.LoadOptions{Root: o.Root, Libraries: named, Optional: optional, Environment: o.Environment, Opened: known.opened, Layout: known.layout})
	if err != nil {
		return nil, err
	}
	defer p.Close()
	*r, more, err = analyse(p, o, known, start)
	return more, err
}

// analyse profiles a loaded program. If it opens libraries that are not loaded, it
// returns these, and no result.
func analyse(p *image.Program, o Options, known *summaries, start time.Time) (*Result, []string, error) {
	if o.Progress == nil {
		o.Progress = func(string, int, int) {}
	}
	r := &Result{File: p.Path, paths: map[string][]Step{}, chains: map[string][][]Step{}}
	stage := func(name string) {
		now := time.Now()
		r.Stages = append(r.Stages, Stage{name, now.Sub(start)})
		start = now
	}
	report := func(name string) func(int, int) {
		return func(done, total int) { o.Progress(name, done, total) }
	}
	stage("load")
	s, err := sweep(p, known, report("sweep"))
	if err != nil {
		return nil, nil, err
	}
	if len(s.sites) == 0 {
		return nil, nil, &image.RefusedError{Path: p.Path, Reason: "no system-call instruction found: no working program, or packed", Hint: "record what runs call: sysgate record -- COMMAND"}
	}
	stage("sweep")
	// The sweep keeps every core busy, what follows does not.
	hashes := make([]string, len(p.Modules))
	hashed := background(func() {
		for i, m := range p.Modules {
			h := known.digest(m)
			hashes[i] = hex.EncodeToString(h[:])
		}
	})
	a, err := newAnalysis(p, s)
	if err != nil {
		return nil, nil, errors.Join(err, <-hashed) // before the file can be unmapped
	}
	if o.Root != "" {
		a.root = filepath.Clean(o.Root)
	}
	stage("data")
	var g *graph
	drawn := background(func() { g = a.graph() })
	if a.native {
		// Only what can run counts. Otherwise paths do not depend on numbers.
		if err := <-drawn; err != nil {
			return nil, nil, errors.Join(err, <-hashed)
		}
		a.reach = g
		drawn = background(func() {})
		stage("reach")
		if more := a.findOpened(o); len(more) > 0 {
			return nil, more, <-hashed
		}
	}
	known.placed()
	err = guard(func() error {
		if a.native && p.Foreign() {
			a.checkMain()
		}
		a.vdso = a.reach != nil && a.findsVDSO()
		a.resolveAll(report("numbers"))
		a.doubts = a.findDoubts() // while the paths are drawn
		return nil
	})
	stage("numbers")
	if err := errors.Join(err, <-drawn, <-hashed); err != nil {
		return nil, nil, err
	}
	stage("paths")
	if o.Phase == PhaseMain {
		if err := guard(func() error { return r.onlyMain(a, &g, o) }); err != nil {
			return nil, nil, err
		}
		stage("phase")
	}
	r.Build, r.Sites, r.Functions = p.Build, len(s.sites)-a.dead, len(p.Funcs)
	r.Set.ABI = p.ABI
	for i, m := range p.Modules {
		if !a.active[m] {
			continue
		}
		r.Files = append(r.Files, Source{a.seen(m.Path), m.Size(), hashes[i]})
		if i == 0 && p.Build.Version != "" {
			r.Set.Sources = append(r.Set.Sources, fmt.Sprintf("%s (%s, %d bytes, sha256:%s)", filepath.Base(p.Path), p.Build.Version, m.Size(), hashes[i]))
		} else {
			r.Set.Sources = append(r.Set.Sources, fmt.Sprintf("%s (%d bytes, sha256:%s)", a.seen(m.Path), m.Size(), hashes[i]))
		}
	}
	r.collect(a, g, o)
	if o.Inventory {
		r.Linked = linkedNames(p)
	}
	if err := r.assume(o.Assume); err != nil {
		return nil, nil, err
	}
	r.finish(a)
	return r, nil, nil
}

// background runs f in a goroutine and sends what became of it.
func background(f func()) <-chan error {
	done := make(chan error, 1)
	go func() { done <- guard(func() error { f(); return nil }) }()
	return done
}

// collect turns what the analysis found into calls and undetermined sites.
func (r *Result) collect(a *analysis, g *graph, o Options) {
	for _, nr := range slices.Sorted(maps.Keys(a.numbers)) {
		links, loader := a.besidesLoader(a.numbers[nr])
		c := observe.Call{NR: nr, Name: r.Set.ABI.SyscallName(nr), Class: observe.Certain}
		switch {
		case len(links) > 0:
		case slices.Contains(starters, c.Name):
			// The loader executes a program only where it is itself the command, and
			// then the program's own policy is not in question (glibc, elf/rtld.c,
			// rtld_chain_load).
			continue
		case c.Name == profiler && a.loaderHolds(profileText):
			// glibc's loader makes it to profile a library for LD_PROFILE
			// (elf/dl-profile.c), which the assumptions exclude.
			continue
		default:
			links, c.Class = loader, observe.Implicit
		}
		steps := g.best(links)
		if c.Evidence = brief(steps); c.Class == observe.Implicit {
			c.Evidence = fmt.Sprintf("the dynamic loader %s makes it, at %#x", a.prog.Loader, steps[len(steps)-1].Addr)
		}
		r.Set.Calls = append(r.Set.Calls, c)
		r.paths[pathKey(c)] = steps
		if o.wants(r.Set.ABI, c) {
			r.chains[pathKey(c)] = g.every(links)
		}
	}
	r.collectConditional(a)
	if o.Args {
		r.collectArgs(a)
	}
	if o.Sites {
		for i := range r.Set.Calls {
			c := &r.Set.Calls[i]
			c.Sites = a.places(a.numbers[c.NR])
		}
	}
	r.collectSockets(a, g, o)
	for _, c := range a.implicit() {
		r.add(c.name, observe.Implicit, c.reason)
	}
	r.unlisted = a.unlisted
	seen := map[string]bool{}
	for _, l := range a.lost {
		if a.modelled(l) {
			continue
		}
		s := Site{Func: a.prog.Name(l.at.fn), Addr: l.at.addr, Reason: l.why.reason, Opens: l.opens, Path: g.full(l.at)}
		if l.why.at != l.at.addr {
			if file, line := a.prog.Line(l.why.fn, l.why.at); file != "" {
				s.Reason += fmt.Sprintf(" (%s)", Step{File: file, Line: line}.Place())
			}
		}
		if key := fmt.Sprintf("%x %s", s.Addr, s.Reason); !seen[key] {
			seen[key] = true
			r.Undetermined = append(r.Undetermined, s)
		}
	}
	slices.SortStableFunc(r.Undetermined, func(x, y Site) int { return int(int64(x.Addr) - int64(y.Addr)) })
}

// pathKey is the name of a call, or its number where it has none.
func pathKey(c observe.Call) string {
	if c.Name == "" {
		return strconv.FormatUint(uint64(c.NR), 10)
	}
	return c.Name
}

// best returns the shortest of the paths that end in the given links.
func (g *graph) best(links []*link) []Step {
	return g.full(slices.MinFunc(links, g.nearer))
}

// add puts a call into the set, unless it is there for as good a reason, and
// reports whether it was not there.
func (r *Result) add(name string, class observe.Class, evidence string) bool {
	nr, ok := r.Set.ABI.Lookup(name)
	if !ok {
		return false
	}
	i, found := slices.BinarySearchFunc(r.Set.Calls, nr, func(c observe.Call, nr uint32) int { return int(int64(c.NR) - int64(nr)) })
	c := observe.Call{NR: nr, Name: r.Set.ABI.SyscallName(nr), Class: class, Evidence: evidence}
	switch {
	case !found:
		r.Set.Calls = slices.Insert(r.Set.Calls, i, c)
	case r.Set.Calls[i].Class == observe.Conditional:
		c.Args, c.Open, c.Sites = r.Set.Calls[i].Args, r.Set.Calls[i].Open, r.Set.Calls[i].Sites
		r.Set.Calls[i] = c
		fallthrough
	default:
		r.Set.Calls[i].CloseOff(evidence)
	}
	return !found
}

// assume settles undetermined sites by what the user says about them.
func (r *Result) assume(assume map[string][]string) error {
	for _, fn := range slices.Sorted(maps.Keys(assume)) {
		n := len(r.Undetermined)
		r.Undetermined = slices.DeleteFunc(r.Undetermined, func(s Site) bool {
			if s.Func != fn {
				return false
			}
			r.Assumed = append(r.Assumed, s)
			return true
		})
		if len(r.Undetermined) == n {
			return fmt.Errorf("assume %s: no undetermined system call is made there", fn)
		}
		for _, name := range assume[fn] {
			nr, ok := r.Set.ABI.Lookup(name)
			if !ok {
				hint := ""
				if s := abi.Suggest(name); s != "" {
					hint = fmt.Sprintf(" (did you mean %s?)", s)
				}
				return fmt.Errorf("assume %s: %v has no system call %q%s", fn, r.Set.ABI, name, hint)
			}
			if r.add(name, observe.Assumed, "for "+fn) {
				settled := slices.IndexFunc(r.Assumed, func(s Site) bool { return s.Func == fn })
				r.paths[r.Set.ABI.SyscallName(nr)] = r.Assumed[settled].Path
			}
		}
	}
	return nil
}

// finish derives what the set as a whole says.
func (r *Result) finish(a *analysis) {
	for _, name := range starters {
		if slices.ContainsFunc(r.Set.Calls, func(c observe.Call) bool { return c.Name == name }) {
			r.Starts = append(r.Starts, name)
		}
	}
	r.StartsPrograms = len(r.Starts) > 0
	r.MakesCode = a.makesCode()
	if r.unlisted > 0 {
		r.Undetermined = append(r.Undetermined, Site{Func: "elsewhere", Reason: fmt.Sprintf("%d more undetermined sites", r.unlisted)})
	}
	r.Set.Sound = len(r.Undetermined) == 0
	for i := range r.Set.Calls {
		if c := &r.Set.Calls[i]; !r.Set.Sound {
			c.CloseOff("a call whose number is not known may be this one, in " + r.Undetermined[0].Func)
		}
	}
	if r.Phase == PhaseMain {
		r.Set.Assumptions = append(r.Set.Assumptions, phaseAssumed)
		if len(a.active) > 1 {
			r.Set.Assumptions = append(r.Set.Assumptions, loaderHolds)
		}
	}
	r.Set.Assumptions = append(r.Set.Assumptions, a.assumptions(r.MakesCode)...)
	if r.StartsPrograms {
		r.Set.Assumptions = append(r.Set.Assumptions, "the programs it starts ("+strings.Join(r.Starts, ", ")+") are profiled on their own")
	}
	for _, s := range r.Assumed {
		r.Set.Assumptions = append(r.Set.Assumptions, fmt.Sprintf("%s makes only the calls that were named for it (at %#x)", s.Func, s.Addr))
	}
	r.Set.Assumptions = slices.Compact(r.Set.Assumptions)
}
