package cli

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sysgate/sysgate/internal/image"
	"github.com/sysgate/sysgate/internal/image/container"
	"github.com/sysgate/sysgate/internal/observe"
	"github.com/sysgate/sysgate/internal/profile"
)

// assumeFlag adds --assume to cmd.
func assumeFlag(cmd *cobra.Command, assume *[]string) {
	cmd.Flags().StringArrayVar(assume, "assume", nil, "take it that the unresolved system calls of a function are those named: `FUNC=NAME,…`")
}

// A profiled program is one that the command line named.
type profiled struct {
	program
	*profile.Result
	took time.Duration
}

// profile profiles the programs and says of each what it found. assume is what
// --assume got; each has to settle something in one of the programs.
func (e *env) profile(list []program, assume []string, o profile.Options) ([]profiled, error) {
	settle, err := newSettling(assume)
	if err != nil {
		return nil, err
	}
	programs, err := e.profileWith(list, settle, o)
	if err != nil {
		return nil, err
	}
	return programs, settle.idle()
}

// A settling is what --assume says.
type settling struct {
	names  map[string][]string // by function, of the calls that it makes
	unused map[string][]string // where nothing was to be settled so far
}

func newSettling(assume []string) (*settling, error) {
	names, err := parseAssume(assume)
	return &settling{names, maps.Clone(names)}, err
}

// idle returns an error if a part of it settled nothing.
func (s *settling) idle() error {
	for _, fn := range slices.Sorted(maps.Keys(s.unused)) {
		return withHint(fmt.Errorf("--assume %s: no unresolved system call is made there", fn), "leave it out")
	}
	return nil
}

// profileWith is profile for a part of all programs.
func (e *env) profileWith(list []program, settle *settling, o profile.Options) (programs []profiled, err error) {
	for _, one := range list {
		p := profiled{program: one}
		start := time.Now()
		progress := newProgress(e.stderr, filepath.Base(p.name), e.quiet)
		o.Assume, o.Progress = nil, progress.report
		p.Result, err = one.profile(o)
		// A function that is settled has to be open in this very program.
		if mine := settles(p.Result, settle.names); err == nil && len(mine) > 0 {
			o.Assume = mine
			p.Result, err = one.profile(o)
			maps.DeleteFunc(settle.unused, func(fn string, _ []string) bool { return mine[fn] != nil })
		}
		progress.clear()
		if err != nil {
			return nil, err
		}
		p.took = time.Since(start)
		e.infof("profile: %s", p)
		programs = append(programs, p)
	}
	return programs, nil
}

// openProfile profiles the program in a file, or reads the profile that is saved there.
func (e *env) openProfile(file string, o profile.Options) (*profile.Result, error) {
	all, _, err := e.openProfiles(file, o, imageFlags{})
	switch {
	case err != nil:
		return nil, err
	case len(all) > 1:
		return nil, fmt.Errorf("%s: the profiles of %s, where one is wanted", file, count(len(all), "program"))
	}
	return all[0], nil
}

// openProfiles profiles the program in a file, or those that an image runs, or reads the
// profiles that are saved there.
func (e *env) openProfiles(file string, o profile.Options, f imageFlags) (all []*profile.Result, saved bool, err error) {
	if container.Names(file) {
		all, err = e.profilesOfImage(file, o, f)
		return all, false, err
	}
	if name := f.given(); name != "" {
		return nil, false, usageError(fmt.Errorf("--%s is for images", name))
	}
	if all, err = e.readSaved(file); err != nil || len(all) > 0 {
		return all, true, err
	}
	progress := newProgress(e.stderr, filepath.Base(file), e.quiet)
	o.Progress = progress.report
	r, err := profile.File(file, o)
	progress.clear()
	return []*profile.Result{r}, false, err
}

// maxSaved bounds a saved profile, in bytes: those of the largest programs have a
// fiftieth.
const maxSaved = 64 << 20

// readSaved reads the saved profiles that a file holds; none if it is something
// else.
func (e *env) readSaved(file string) ([]*profile.Result, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	head := make([]byte, 512)
	n, err := io.ReadFull(f, head)
	if !profile.IsSaved(head[:n]) {
		return nil, nil // what reads the file next says what is wrong with it
	}
	data := head[:n]
	if err == nil {
		rest, err := io.ReadAll(io.LimitReader(f, maxSaved))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		if data = append(data, rest...); len(data) > maxSaved {
			return nil, fmt.Errorf("%s: a saved profile larger than %d MiB", file, maxSaved>>20)
		}
	}
	return profile.Load(file, data)
}

// results returns what is known of the programs.
func results(programs []profiled) []*profile.Result {
	all := make([]*profile.Result, len(programs))
	for i, p := range programs {
		all[i] = p.Result
	}
	return all
}

// settles returns the part of settle that is about open sites of r.
func settles(r *profile.Result, settle map[string][]string) map[string][]string {
	mine := map[string][]string{}
	if r != nil {
		for _, site := range r.Undetermined {
			if names, ok := settle[site.Func]; ok {
				mine[site.Func] = names
			}
		}
	}
	return mine
}

// parseAssume reads FUNC=NAME,…. Names of functions can hold commas and
// brackets, names of calls no "=".
func parseAssume(assume []string) (map[string][]string, error) {
	settle := map[string][]string{}
	for _, a := range assume {
		i := strings.LastIndexByte(a, '=')
		if i <= 0 || i == len(a)-1 {
			return nil, usageError(withHint(fmt.Errorf("--assume %q", a), "--assume 'FUNC=NAME,…'"))
		}
		settle[a[:i]] = append(settle[a[:i]], strings.Split(a[i+1:], ",")...)
	}
	return settle, nil
}

// String returns the summary of a profile in one line.
func (p profiled) String() string {
	what := p.Build.Version
	if what == "" {
		what = fmt.Sprintf("%v, %s", p.Set.ABI, count(len(p.Files), "file"))
	}
	s := fmt.Sprintf("%s (%s): %s", filepath.Base(p.name), what, count(len(p.Set.Calls), "system call"))
	if p.Phase == profile.PhaseMain {
		s += " from main on (only before: " + listed(p.Before, "none") + ")"
	}
	if p.Set.Sound {
		s += ", sound, no unresolved site"
	} else {
		s += ", NOT sound, " + count(len(p.Undetermined), "unresolved site")
	}
	return s + "; took " + took(p.took)
}

// sets returns what the programs can call, one set for each of their ABIs.
func sets(programs []profiled) ([]*observe.Set, error) {
	all := make([]*observe.Set, len(programs))
	for i, p := range programs {
		all[i] = &p.Set
	}
	return observe.MergeABIs(all...)
}

// unsound returns the error that lists the sites of the programs whose system call
// is not known; nil if there is none.
func unsound(programs []profiled, command string) error {
	var problems []error
	for _, p := range programs {
		if len(p.Undetermined) > 0 {
			problems = append(problems, unresolved(p, command))
		}
	}
	return errors.Join(problems...)
}

// unresolved lists the sites of p whose system call is not known.
func unresolved(p profiled, command string) error {
	var b strings.Builder
	opens := 0
	for _, site := range p.Undetermined {
		if site.Opens {
			opens++
		}
	}
	var what []string
	if n := len(p.Undetermined) - opens; n > 0 {
		what = append(what, count(n, "system call")+" whose number cannot be found")
	}
	if opens > 0 {
		what = append(what, fmt.Sprintf("libraries may be opened, or functions looked up, by computed names in %s", count(opens, "place")))
	}
	fmt.Fprintf(&b, "%s: %s", p.name, strings.Join(what, ", "))
	var functions []string
	for _, site := range p.Undetermined {
		b.WriteString("\n  " + siteText(site))
		if !site.Opens && !slices.Contains(functions, site.Func) {
			functions = append(functions, site.Func)
		}
	}
	err := errors.New(b.String())
	if opens > 0 {
		all := ""
		if p.root != "" {
			all = " (/ is any library of the image)"
		}
		err = withHint(err, "say what it opens with --dlopen LIB or FOLDER%s, or with --dlopen none that it opens no such library", all)
	}
	for _, fn := range functions {
		err = withHint(err, "if you know what it calls: %s --assume '%s=NAME,…'", command, fn)
	}
	return err
}

// siteText describes a site whose system call is not known.
func siteText(s profile.Site) string {
	where := fmt.Sprintf("%s, at %#x: ", s.Func, s.Addr)
	if place := s.Place(); place != "" {
		where += place + ": "
	}
	return where + s.Reason
}

// explainRefusal adds what a refused file can still be used with.
func explainRefusal(err error) error {
	if refused := new(image.RefusedError); errors.As(err, &refused) {
		return withHint(err, "sysgate run --deny LIST works on any program")
	}
	return err
}

// A progress shows on a terminal how far a profile is.
type progress struct {
	w     io.Writer
	name  string
	last  time.Time
	shown bool
}

// progressEvery is how long a line stays before the next replaces it, and how
// long a profile has to take before there is one.
const progressEvery = 150 * time.Millisecond

func newProgress(w io.Writer, name string, quiet bool) *progress {
	if quiet || !isTerminal(w) {
		w = nil
	}
	return &progress{w: w, name: name, last: time.Now()}
}

func (p *progress) report(stage string, done, total int) {
	if p.w == nil || time.Since(p.last) < progressEvery {
		return
	}
	p.last, p.shown = time.Now(), true
	fmt.Fprintf(p.w, "\r\x1b[Ksysgate: profile: %s: %s %d of %d", p.name, stage, done, total)
}

func (p *progress) clear() {
	if p.shown {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}
