package gate

import (
	"cmp"
	"slices"
	"strings"

	"github.com/sysgate/sysgate/internal/image"
	"github.com/sysgate/sysgate/internal/observe"
	"github.com/sysgate/sysgate/internal/profile"
)

// A Cause says what brought a new call.
type Cause string

// The causes.
const (
	Unknown  Cause = ""         // the old side is no program, to compare with
	Program  Cause = "program"  // the program's own code
	New      Cause = "new"      // a module that the old program has not
	Upgraded Cause = "upgraded" // a module of which it has another version
	Go       Cause = "go"       // another Go release
	Libc     Cause = "libc"     // another C library, or dynamic loader
)

// Drift reports that the program and its modules did not bring it.
func (c Cause) Drift() bool { return c == Go || c == Libc }

// explain finds out what brought the call.
func (f *Finding) explain(old, now *Side) {
	own := profile.Choosing(f.Path)
	if f.Program == nil {
		return
	}
	f.Module = f.Program.Bringer(f.Path)
	if len(old.Programs) == 0 {
		return
	}
	was := counterpart(old.Programs, f.Program)
	library, before, isLibrary := f.library(own, was)
	switch {
	case isLibrary:
		f.Cause, f.Module, f.Was = Libc, library, before
	case was.Build.Version != f.Program.Build.Version && f.toolchain(own, was):
		f.Cause, f.Module, f.Was = Go, image.GoModule{Path: profile.Std, Version: f.Program.Build.Version}, was.Build.Version
	default:
		f.Cause, f.Module, f.Was = brought(own, f.Program, was)
	}
}

// counterpart returns the old program that p is another version of: the one of the
// same package, of the same file name, or the first.
func counterpart(old []*profile.Result, p *profile.Result) *profile.Result {
	for _, same := range []func(o *profile.Result) bool{
		func(o *profile.Result) bool { return o.Build.Path == p.Build.Path && base(o.File) == base(p.File) },
		func(o *profile.Result) bool { return o.Build.Path == p.Build.Path && p.Build.Path != "" },
		func(o *profile.Result) bool { return base(o.File) == base(p.File) },
	} {
		if i := slices.IndexFunc(old, same); i >= 0 {
			return old[i]
		}
	}
	return old[0]
}

func base(file string) string { return file[strings.LastIndexByte(file, '/')+1:] }

// toolchain reports that another Go release brought the call: its path is all in
// Go's own packages, or comes through a function of theirs that the old program
// has, too. There it did not lead to the call: the old program cannot make it. A
// call that the runtime makes without an instruction of its own comes with Go.
func (f *Finding) toolchain(own []profile.Step, was *profile.Result) bool {
	if len(own) == 0 {
		return f.Class == observe.Implicit
	}
	all, foreign := true, true
	for _, s := range own {
		if s.Module.Path != profile.Std {
			all, foreign = false, true
			continue
		}
		pkg := profile.PackageOf(s.Func)
		function := strings.TrimPrefix(s.Func, pkg+".")
		if _, linked := slices.BinarySearch(was.Linked[pkg], function); linked {
			return true
		}
		if foreign && !all && pkg == "runtime" && !profile.Exported(function) {
			return true // called by the compiler's will, not the program's
		}
		foreign = false
	}
	return all
}

// library reports that another build of a C library or dynamic loader brought the
// call: the path enters it by a function that the old program uses, too, or the
// program did not change, or nothing but the loader is on the path.
func (f *Finding) library(own []profile.Step, was *profile.Result) (m image.GoModule, before string, ok bool) {
	entry := len(own)
	for entry > 0 && profile.Interface(own[entry-1].Module.Path) && own[entry-1].Module.Version == "" {
		entry--
	}
	if entry == len(own) {
		return m, "", false
	}
	m = own[len(own)-1].Module
	now, had := fileOf(f.Program, m.Path), fileOf(was, m.Path)
	if now == nil || had == nil || now.SHA256 == had.SHA256 {
		return m, "", false
	}
	same := entry == 0 || f.Program.Files[0] == was.Files[0] || uses(was, own[entry].Func)
	return m, checksum(had), same
}

// fileOf returns the file of a program that has the name of a library, wherever it
// lies; nil if it has none.
func fileOf(r *profile.Result, library string) *profile.Source {
	i := slices.IndexFunc(r.Files, func(f profile.Source) bool { return base(f.Path) == base(library) })
	if i < 0 {
		return nil
	}
	return &r.Files[i]
}

// checksum stands for the version of a library.
func checksum(f *profile.Source) string { return "sha256:" + f.SHA256[:min(12, len(f.SHA256))] }

// uses reports that a function is on the path to one of the program's calls.
func uses(r *profile.Result, function string) bool {
	return slices.ContainsFunc(r.Set.Calls, func(c observe.Call) bool {
		return slices.ContainsFunc(r.PathOf(c), func(s profile.Step) bool { return s.Func == function })
	})
}

func passes(m image.GoModule) int {
	if profile.Interface(m.Path) {
		return 1
	}
	return 0
}

// brought returns the module on the path, nearest to the site, that is new or has
// another version, else the one nearest to the site, as the program's own doing.
func brought(own []profile.Step, now, was *profile.Result) (Cause, image.GoModule, string) {
	main := now.Own()
	versions := map[string]string{}
	for _, m := range was.Build.Deps {
		versions[m.Path] = m.Version
	}
	var upgraded []image.GoModule
	for _, m := range profile.Modules(own) {
		old, had := versions[m.Path]
		file := fileOf(now, m.Path)
		if file != nil && m.Version == "" { // a library
			if profile.Interface(m.Path) {
				continue
			}
			if m.Version = checksum(file); fileOf(was, m.Path) != nil {
				old, had = checksum(fileOf(was, m.Path)), true
				versions[m.Path] = old
			}
		}
		switch {
		case m.Path == profile.Std || m.Path == main.Path || m.Version == "" || file != nil && file == &now.Files[0]:
		case !had:
			return New, m, ""
		case old != m.Version:
			upgraded = append(upgraded, m)
		}
	}
	// What only passes calls on is the last to be the cause.
	slices.SortStableFunc(upgraded, func(a, b image.GoModule) int {
		return cmp.Compare(passes(a), passes(b))
	})
	if len(upgraded) > 0 {
		return Upgraded, upgraded[0], versions[upgraded[0].Path]
	}
	m := now.Bringer(own)
	if m.Path == "" || m.Path == profile.Std {
		m = main
	}
	return Program, m, ""
}
