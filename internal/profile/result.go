package profile

import (
	"slices"
	"strconv"
	"time"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/cache"
	"github.com/sysgate/sysgate/internal/image"
	"github.com/sysgate/sysgate/internal/observe"
)

// Options adjust a profile. The zero value is the strict default.
type Options struct {
	// Assume settles undetermined sites: by the name of their function
	// (Site.Func) the names of the calls that they make. A function without an
	// undetermined site, or a name that amd64 does not have, is an error.
	Assume map[string][]string
	// Every are the calls of which every chain is wanted (Result.Chains), by name
	// or decimal number.
	Every []string
	// Args asks for what is known of the calls' arguments (observe.Call.Args), and
	// Sites for the places of each call (observe.Call.Sites).
	Args, Sites bool
	// Inventory asks for Result.Linked.
	Inventory bool
	// Progress, if set, is told how far each stage is. It is called from several
	// goroutines, one at a time.
	Progress func(stage string, done, total int)
	// Root is the folder that stands for the root of the file system in which the
	// program runs: its libraries are looked for there, and files below it are
	// called as the program sees them. "" is this system's own.
	Root string
	// Libraries are those that the program opens at run time (dlopen), besides those
	// whose names are constants. One with a slash may be a folder, for all libraries in
	// and below it that can be loaded. NoLibraries says that there are no others.
	Libraries   []string
	NoLibraries bool
	// Environment are the variables that the program is started with, as NAME=VALUE:
	// of those that are for the dynamic loader LD_PRELOAD and LD_LIBRARY_PATH are
	// followed. Without it the profile assumes that there are none of these.
	Environment []string
	// Cache keeps what is found of each library for the next program that loads it;
	// nil: nothing is kept.
	Cache *cache.Cache
	// Phase is the part of the program's life that is asked about.
	Phase Phase

	found []string // the libraries in folders
}

// A Result is the static profile of one program.
type Result struct {
	File string // as it was named
	// Set holds the calls and whether they are all. With undetermined sites it
	// is not sound, and no policy may be made of it.
	Set   observe.Set
	Build image.BuildInfo
	// Phase is the part of the program's life that Set is of; with PhaseMain, Before are
	// the names of the calls that it makes only earlier, by number.
	Phase  Phase
	Before []string
	// Files are what was looked at: the program, then its libraries and its loader.
	Files []Source
	// Undetermined are the sites whose number could not be found, ascending by
	// address; beyond 200 the last stands for the rest.
	Undetermined []Site
	// Assumed are the sites that Options.Assume settled.
	Assumed []Site
	// Sites counts the system-call instructions, Functions all functions.
	Sites, Functions int
	// StartsPrograms reports that the program can execute others, which run
	// under the same filter; Starts are the names of the calls that do it.
	StartsPrograms bool
	Starts         []string
	// MakesCode are places in code of Go where memory is made executable: code that the
	// program makes there at run time is not in the profile.
	MakesCode []string
	// OtherSockets reports that socketcall of 386 may be for more than the calls
	// that Path knows.
	OtherSockets bool
	// Linked are the functions of Go's own packages that the program holds and
	// that other packages can name, by package, sorted: "os" has "(*File).Read".
	// It is nil without Options.Inventory.
	Linked map[string][]string
	Stages []Stage

	paths    map[string][]Step
	chains   map[string][][]Step
	unlisted int // undetermined sites beyond the budget
}

// A Site is a place where a system call is made, or a number handed to a
// wrapper, whose number is not known.
type Site struct {
	Func   string // the function, as --assume takes it
	Addr   uint64
	Reason string
	// Opens says that no number is unknown here, but the name of a library that is
	// opened, or of a function that is looked up in one: Options.Libraries and
	// NoLibraries settle it.
	Opens bool
	// Path leads from an entry point over Func to the system-call instruction.
	Path []Step
}

// Place returns where the site is in the source code, "" if that is unknown.
func (s Site) Place() string {
	for _, step := range s.Path {
		if step.Addr == s.Addr && step.File != "" {
			return step.Place()
		}
	}
	return ""
}

// A Stage is the time that one part of the work took.
type Stage struct {
	Name string
	Time time.Duration
}

// Path returns the shortest path from an entry point of the program to the
// instruction that makes the call. The first step is main.main where it reaches
// the call, else a package initialiser, else the runtime's entry. A call that
// no path explains has one step with EdgeKept; one that no instruction makes,
// or that the profile does not hold, has none: its Evidence says why. On 386 the
// name may also be one of the calls that socketcall is for.
func (r *Result) Path(name string) []Step { return r.paths[name] }

// A Source is a file that code was found in.
type Source struct {
	Path   string // as steps have it
	Size   int64  // in bytes
	SHA256 string // in hexadecimal
}

// Own returns the module of the program's own code: that of package main, or the
// program's file where it is not Go.
func (r *Result) Own() image.GoModule {
	if r.Build.Version == "" && len(r.Files) > 0 {
		return image.GoModule{Path: r.Files[0].Path}
	}
	return Brought(&r.Build, "main")
}

// Bringer returns the module that brings the call at the end of a path of the
// program, as the function of this name does; for C code of the program's own file
// [Result.Own].
func (r *Result) Bringer(steps []Step) image.GoModule {
	m := Bringer(steps)
	if len(r.Files) > 0 && m.Path == r.Files[0].Path {
		return r.Own()
	}
	return m
}

// PathOf is Path for a call of the set, also one without a name.
func (r *Result) PathOf(c observe.Call) []Step { return r.paths[pathKey(c)] }

// wants reports that every chain of a call is wanted.
func (o *Options) wants(on abi.ABI, c observe.Call) bool {
	return slices.ContainsFunc(o.Every, func(name string) bool {
		nr, ok := on.Lookup(name)
		return ok && nr == c.NR || name == strconv.FormatUint(uint64(c.NR), 10)
	})
}

// Chains returns every way in which the program makes a call that Options.Every
// names, shortest first: each site with each place that hands it the number, and
// the shortest path there. There are at most [MaxChains], and more reports that
// there were more.
func (r *Result) Chains(name string) (chains [][]Step, more bool) {
	all := r.chains[name]
	return all[:min(len(all), MaxChains)], len(all) > MaxChains
}

// MaxChains bounds the chains of one call.
const MaxChains = 1000

// brief returns a path as one line: its ends, and how many steps lie between.
func brief(steps []Step) string {
	last := steps[len(steps)-1]
	for i := len(steps) - 1; i > 0 && steps[i].Edge == EdgeNumber; i-- {
		last = steps[i-1]
	}
	s := last.Func
	if first := steps[0]; first.Edge == EdgeKept {
		s += " (" + string(EdgeKept) + ")"
	} else if first.Func != last.Func {
		s = first.Func + " → " + s
		if n := len(steps); n > 2 && steps[1].Func != last.Func {
			s = first.Func + " → … → " + last.Func
		}
	}
	if last.File != "" {
		s += " (" + last.Place() + ")"
	}
	return s
}
