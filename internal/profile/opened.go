package profile

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/image"
)

// openedLibraries are what a program loads while it runs.
type openedLibraries struct {
	names       map[string]bool // of libraries, as code names them
	assumptions []string
	lost        []lostSite      // where a name is computed
	held        map[string]bool // names that were looked for in libc, and whether it holds them
	open, look  []asker         // of a static program
	own         map[string]bool // libraries that its C library opens by constant names
}

// The functions that open a library and that look up a symbol in one, and the
// argument that is the name.
var (
	opens   = []nameArgument{{"dlopen", 0}, {"dlmopen", 1}, {"__libc_dlopen_mode", 0}}
	lookups = []nameArgument{{"dlsym", 1}, {"dlvsym", 1}, {"__libc_dlsym", 1}}
)

type nameArgument struct {
	function string
	argument int
}

// argumentRegisters are the first registers in which arguments are passed: on 386
// only to functions of the same file.
var argumentRegisters = map[abi.ABI][]image.Reg{
	abi.I386:  {image.RAX, image.RDX, image.RCX},
	abi.AMD64: {image.RDI, image.RSI, image.RDX, image.RCX, image.R8, image.R9},
	abi.ARM64: {0, 1, 2, 3, 4, 5},
	abi.ARM:   {0, 1, 2, 3},

	abi.RISCV64: {10, 11, 12, 13, 14, 15}, // a0 to a5
}

// argument is argument n of a native function, one of the first, as its code finds
// it.
func (a *analysis) argument(n int) atom {
	if a.prog.ABI == abi.I386 {
		return atom{kind: stacked, n: int64(4 * (n + 1))}
	}
	return atom{kind: parameter, reg: argumentRegisters[a.prog.ABI][n]}
}

const noOpened = "it opens no library at run time whose name is computed"

// findOpened follows what opens libraries and looks up symbols at run time: the
// names are constants, or the user says. It adds what is opened and looked up to
// what can run, and returns the libraries that are needed and not loaded.
func (a *analysis) findOpened(o Options) (more []string) {
	if len(a.prog.Modules) == 0 {
		return nil
	}
	a.opened.open, a.opened.look = a.staticAskers()
	if a.static() && len(a.opened.open) == 0 {
		return nil
	}
	for _, name := range slices.Concat(o.Libraries, o.found) {
		if m := a.prog.Named(name); m != nil {
			a.activate(m)
		}
	}
	for {
		// Values rest on what can run.
		a.slicers, a.opened = map[int]*slicer{}, &openedLibraries{names: map[string]bool{}, own: map[string]bool{}, held: a.opened.held, open: a.opened.open, look: a.opened.look}
		before := a.reach.reachedFunctions()
		if a.setFlags() {
			continue // more can run
		}
		a.openByName()
		a.openInside(o)
		for _, name := range slices.Sorted(maps.Keys(a.opened.names)) {
			if m := a.prog.Named(name); m != nil {
				a.activate(m)
			} else if !slices.Contains(a.prog.Missing, name) && !slices.Contains(a.prog.GoLibraries, name) {
				more = append(more, name)
			}
		}
		if len(more) > 0 {
			return more
		}
		a.lookUp(o)
		a.reach.settle()
		if a.reach.reachedFunctions() == before {
			break
		}
	}
	for _, name := range a.prog.Missing {
		if a.opened.names[name] {
			a.opened.assumptions = append(a.opened.assumptions, fmt.Sprintf("the library %s, which it opens if it is there, is not", name))
		}
	}
	for _, name := range a.prog.GoLibraries {
		if !a.opened.names[name] && !slices.Contains(o.found, name) {
			continue
		}
		if o.NoLibraries {
			a.opened.assumptions = append(a.opened.assumptions, fmt.Sprintf("the Go library %s, which it opens, is profiled on its own", name))
			continue
		}
		entry, _ := a.prog.Find(a.prog.File.Entry)
		a.lost = append(a.lost, lostSite{at: &link{fn: entry, addr: a.prog.File.Entry}, opens: true, why: unknown{
			reason: fmt.Sprintf("opens the Go library %s, which is a program of its own: add --with %s --dlopen none", name, name), fn: entry, at: a.prog.File.Entry,
		}})
	}
	switch {
	case len(a.opened.lost) == 0:
	case o.NoLibraries:
		a.opened.assumptions = append(a.opened.assumptions, noOpened)
	case len(o.Libraries) > 0:
		if missing := slices.DeleteFunc(slices.Clone(a.prog.Missing), func(name string) bool { return a.opened.names[name] }); len(o.found) > 0 && len(missing) > 0 {
			a.opened.assumptions = append(a.opened.assumptions, "no library that needs one of these, which are not there, can be opened: "+strings.Join(missing, ", "))
		}
		a.opened.assumptions = append(a.opened.assumptions, "of libraries whose names are computed it opens only "+strings.Join(o.Libraries, ", "))
	default:
		a.lost = append(a.lost, a.opened.lost...)
	}
	return nil
}

// expected returns the libraries that a program may well open for the C library's sake:
// to load them at once saves a second look. Loaded is what it needs, itself first.
func expected(loaded []*image.Module, root string) (out []string) {
	exe := loaded[0]
	holds := func(m *image.Module, texts ...string) bool {
		names := m.Names()
		return slices.ContainsFunc(texts, func(t string) bool { return bytes.Contains(names, []byte(t)) })
	}
	if len(exe.Needed) == 0 {
		return expectedStatic(exe.Contents(), root)
	}
	if !holds(exe, "libc.so.6") {
		return nil
	}
	if holds(exe, "getpw", "getgr", "getaddrinfo", "gethostby", "getserv", "libselinux.so", "libacl.so", "libcurl", "libcap.so") {
		out = serviceLibraries(root, false)
	}
	// For names of hosts that are not ASCII (inet/idna.c).
	if slices.ContainsFunc(loaded, func(m *image.Module) bool { return !isLibc(m) && holds(m, "getaddrinfo", "getnameinfo") }) {
		out = append(out, "libidn2.so.0")
	}
	return append(out, "libgcc_s.so.1") // to end threads (misc/unwind-link.c)
}

func (g *graph) reachedFunctions() (n int) {
	for fn := range g.a.prog.Funcs {
		if g.dist[fn] != unreached {
			n++
		}
	}
	return n
}

// ask returns the constants that callers pass as the names of a list of
// functions, or for other demands, and where they pass something else.
func (a *analysis) ask(list []nameArgument, more ...demand) (found map[uint32][]*link, lost []lostSite) {
	demands := more
	for _, f := range list {
		for _, s := range a.lookup(f.function) {
			if fn, ok := a.entryOf(s.Addr); ok && a.reached(fn) {
				demands = append(demands, demand{demandKey{fn, a.argument(f.argument)}, &link{fn: fn, addr: s.Addr}})
			}
		}
	}
	return a.askAll(demands)
}

// askAll is ask for parameters of functions.
func (a *analysis) askAll(demands []demand) (found map[uint32][]*link, lost []lostSite) {
	b := *a
	b.forget()
	b.named = true
	for _, d := range demands {
		if !b.demand[d.demandKey] {
			b.demand[d.demandKey] = true
			b.demands = append(b.demands, d)
		}
	}
	b.meetAll(func(int, int) {})
	a.steps, a.decoded = b.steps, b.decoded
	return b.numbers, b.lost
}

// openByName collects the libraries whose names are passed to dlopen.
func (a *analysis) openByName() {
	found, lost := a.askStatic(opens, a.opened.open, false)
	for _, addr := range slices.Sorted(maps.Keys(found)) {
		name, ok := a.text(uint64(addr))
		switch {
		case addr == 0, ok && name == "": // the program itself
		case ok:
			a.opened.names[name] = true
		default:
			lost = append(lost, lostSite{at: found[addr][0], why: unknown{reason: "the name is in memory that changes"}})
		}
	}
	for _, l := range lost {
		l.why.reason, l.opens = fmt.Sprintf("opens a library whose name is computed (%s)", l.why.reason), true
		if l.why.at == 0 {
			l.why.fn, l.why.at = l.at.fn, l.at.addr
		}
		a.opened.lost = append(a.opened.lost, l)
	}
}

// lookUp adds the functions whose names are passed to dlsym, and those that
// libraries which are opened are known for.
func (a *analysis) lookUp(o Options) {
	g := a.reach
	found, lost := a.askStatic(lookups, a.opened.look, false)
	for _, addr := range slices.Sorted(maps.Keys(found)) {
		name, ok := a.text(uint64(addr))
		if !ok {
			lost = append(lost, lostSite{at: found[addr][0], why: unknown{reason: "the name is in memory that changes"}})
			continue
		}
		for _, s := range a.lookup(name) {
			by := found[addr][0].fn
			if fn, ok := a.prog.Find(s.Addr); ok {
				g.take(fn, int32(by), g.dist[by]+costValue)
			} else {
				g.relax(g.node(s.Addr), int32(by), g.dist[by]+costValue)
			}
		}
	}
	for _, l := range lost {
		l.why.reason, l.opens = fmt.Sprintf("looks up a function whose name is computed (%s)", l.why.reason), true
		if l.why.at == 0 {
			l.why.fn, l.why.at = l.at.fn, l.at.addr
		}
		a.opened.lost = append(a.opened.lost, l)
	}
	if len(lost) > 0 {
		a.opened.assumptions = append(a.opened.assumptions, "symbols that it looks up by computed names are of the libraries that it opens")
	}
	var opened []*image.Module
	given := map[*image.Module]bool{}
	for _, name := range slices.Concat(o.Libraries, o.found) {
		given[a.prog.Named(name)] = true
	}
	isOpened := map[*image.Module]bool{}
	for name := range a.opened.names {
		isOpened[a.prog.Named(name)] = true
	}
	for _, m := range a.prog.Modules {
		// What is neither, another library needs.
		if m.Extra && a.active[m] && (given[m] || isOpened[m]) {
			opened = append(opened, m)
		}
	}
	held := a.libcHolds(opened)
	for _, m := range opened {
		inside := a.libcOpens(m, held)
		for s := range m.Symbols {
			switch {
			case !s.Exported || s.Kind == image.SymbolOther:
			case given[m], !inside && len(lost) > 0, inside && (a.serves(s.Name) || held[s.Name]):
				g.root(root{s.Addr, costRuntime})
			}
		}
	}
}

// serves reports that symbol is the function of a name service that is asked for.
func (a *analysis) serves(symbol string) bool {
	name, ok := serviceFunction(symbol)
	return ok && a.reach.native.services.wanted[name]
}

// libcOpens reports that the C library opens module m for itself; held are strings
// that it holds, in a static program with those of the program.
func (a *analysis) libcOpens(m *image.Module, held map[string]bool) bool {
	return strings.HasPrefix(m.Soname, nssPrefix) || a.opened.own[m.Soname] || held[m.Soname] && !a.static()
}

// libcHolds returns of the names of modules, and of what they export, whether the C
// library holds them as strings.
func (a *analysis) libcHolds(modules []*image.Module) map[string]bool {
	if a.opened.held == nil {
		a.opened.held = map[string]bool{}
	}
	held := a.opened.held
	var first [256]byte // 1: a name starts with it
	asked := false
	note := func(name string) {
		if _, known := held[name]; !known && len(name) >= minName && len(name) < maxText {
			held[name], first[name[0]], asked = false, 1, true
		}
	}
	for _, m := range modules {
		note(m.Soname)
		for s := range m.Symbols {
			if s.Exported && s.Kind != image.SymbolOther {
				note(s.Name)
			}
		}
	}
	for _, s := range a.prog.Segments {
		if m := a.prog.ModuleAt(s.Addr); !asked || s.Write || !a.opensItself(m) {
			continue
		}
		before := byte(0)
		for i, c := range s.Data {
			// One condition, that is hardly ever met: code is full of zeros.
			if before|(first[c]^1) == 0 {
				name, _, _ := bytes.Cut(s.Data[i:min(i+maxText, len(s.Data))], []byte{0})
				if _, named := held[string(name)]; named {
					held[string(name)] = true
				}
			}
			before = c
		}
	}
	return held
}

var libraryName = regexp.MustCompile(`^lib[A-Za-z0-9_+.-]+\.so(\.[0-9]+)*$`)

// What the C library's own code opens, by the strings that the code refers to:
// name services (nss/nss_module.c) and character sets (iconv/gconv_dl.c).
const (
	nssFormat    = "libnss_%s.so%s"
	nssPrefix    = "libnss_"
	gconvFunc    = "gconv_init"
	nssSwitch    = "/etc/nsswitch.conf"
	maxText      = 256
	minName      = 4 // of a function or library that libc looks up
	nssRevision  = ".so.2"
	gconvAssumed = "character sets are those of libc's own code, or their converters (gconv modules) make no system call"
	nssAssumed   = "name services are those of " + nssSwitch + " as it was looked at"
)

// openInside collects what the C library opens for itself.
func (a *analysis) openInside(o Options) {
	nss, gconv := false, false
	s := a.survey
	for fn := range a.prog.Funcs {
		if !a.reached(fn) {
			continue
		}
		m := a.prog.Module(fn)
		if !a.opensItself(m) {
			continue
		}
		for _, r := range s.refs[s.refAt[fn]:s.refAt[fn+1]] {
			addr, kind := s.ref(r)
			if kind != refTaken {
				continue
			}
			switch text, ok := a.textBytes(addr); {
			case !ok:
			case string(text) == nssFormat, string(text) == nssPrefix:
				nss = true
			case string(text) == gconvFunc:
				gconv = true
			case bytes.HasPrefix(text, []byte("lib")) && isLibc(m) && libraryName.Match(text):
				a.opened.names[string(text)] = true
			}
		}
	}
	// What a static program's own C library opens by a computed name are services and
	// character sets.
	found, _ := a.askStatic(nil, a.opened.open, true)
	for addr := range found {
		if name, ok := a.text(uint64(addr)); ok && libraryName.MatchString(name) {
			a.opened.names[name], a.opened.own[name] = true, true
		}
	}
	if nss {
		for _, library := range serviceLibraries(o.Root, a.static() && a.address([]byte(builtinText)) != 0) {
			a.opened.names[library] = true
		}
		a.opened.assumptions = append(a.opened.assumptions, nssAssumed)
	}
	if gconv {
		a.opened.assumptions = append(a.opened.assumptions, gconvAssumed)
	}
}

// text returns the string at addr, if it cannot change.
func (a *analysis) text(addr uint64) (string, bool) {
	b, ok := a.textBytes(addr)
	return string(b), ok
}

// textBytes is text without a copy: valid until the files are closed.
func (a *analysis) textBytes(addr uint64) ([]byte, bool) {
	if a.prog.Segment(addr) == nil || a.prog.Writable(addr) {
		return nil, false
	}
	b := a.prog.Bytes(addr)
	b = b[:min(len(b), maxText)]
	n := bytes.IndexByte(b, 0)
	if n < 0 {
		return nil, false
	}
	return b[:n], true
}

// nameServices returns the services that nsswitch.conf(5) names, those that are
// left to libc where there is none.
func nameServices(root string) []string {
	text, err := os.ReadFile(filepath.Join(root, nssSwitch))
	if err != nil {
		return []string{"files", "dns"}
	}
	found := map[string]bool{}
	brackets := strings.NewReplacer("[", " [ ", "]", " ] ")
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "#")
		_, list, ok := strings.Cut(line, ":")
		if !ok {
			continue
		}
		action := false
		for _, word := range strings.Fields(brackets.Replace(list)) {
			switch {
			case word == "[":
				action = true
			case word == "]":
				action = false
			case !action && path.Base(word) == word:
				found[word] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}
