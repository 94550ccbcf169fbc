package image

import (
	"bytes"
	"encoding/binary"
	"path"
	"path/filepath"
	"strings"

	"github.com/sysgate/sysgate/abi"
)

// A librarySearch is where a dynamic loader looks for libraries that are needed
// by name: ld.so(8) for glibc, musl's ldso/dynlink.c for musl.
type librarySearch struct {
	root    rootFS
	machine abi.ABI
	musl    bool
	soft    bool     // of arm: floats are passed in general registers
	first   []string // of LD_LIBRARY_PATH

	ready    bool
	cache    map[string][]string // of ld.so.cache
	dirs     []string            // after the cache
	variants map[string]bool     // names that the cache also has for newer processors
	relative []string            // modules that name folders relative to where the program is started
}

// A placeNames is how distributions call the folders of a machine's libraries.
type placeNames struct {
	triplet, lib string // lib/TRIPLET of Debian, lib64 of others
	platform     string // $PLATFORM
	musl         string // of ld-musl-NAME.path
	loader       string // glibc's
}

var places = map[abi.ABI]placeNames{
	abi.AMD64: {"x86_64-linux-gnu", "lib64", "x86_64", "x86_64", "/lib64/ld-linux-x86-64.so.2"},
	abi.I386:  {"i386-linux-gnu", "lib32", "i686", "i386", "/lib/ld-linux.so.2"},
	abi.ARM64: {"aarch64-linux-gnu", "lib64", "aarch64", "aarch64", "/lib/ld-linux-aarch64.so.1"},

	abi.ARM: {"arm-linux-gnueabihf", "lib", "v7l", "armhf", "/lib/ld-linux-armhf.so.3"},

	abi.RISCV64: {"riscv64-linux-gnu", "lib64/lp64d", "riscv64", "riscv64", "/lib/ld-linux-riscv64-lp64d.so.1"},
}

// softLoader is the file name of glibc's loader for arm without registers for floats.
const softLoader = "ld-linux.so.3"

// prepare reads the configuration.
func (s *librarySearch) prepare() {
	if s.ready {
		return
	}
	s.ready = true
	p := places[s.machine]
	if s.musl {
		s.dirs = []string{"/lib", "/usr/local/lib", "/usr/lib"}
		if b := s.root.read("/etc/ld-musl-" + p.musl + ".path"); b != nil {
			s.dirs = strings.FieldsFunc(string(b), func(r rune) bool { return r == ':' || r == '\n' })
		}
		return
	}
	s.cache, s.variants = parseCache(s.root.read("/etc/ld.so.cache"))
	s.dirs = s.configured("/etc/ld.so.conf", 0)
	if s.soft {
		p.triplet = "arm-linux-gnueabi"
	}
	for _, d := range []string{"lib/" + p.triplet, p.lib, "lib"} {
		s.dirs = append(s.dirs, "/"+d, "/usr/"+d)
	}
}

// parseCache reads the loader's cache (glibc, sysdeps/generic/dl-cache.h): the
// paths of each library, best first. Those for certain processors only are left
// out; variants are their names.
func parseCache(b []byte) (paths map[string][]string, variants map[string]bool) {
	const magic, header, entry = "glibc-ld.so.cache1.1", 48, 24
	i := bytes.Index(b, []byte(magic))
	if i < 0 || len(b)-i < header {
		return nil, nil
	}
	b = b[i:]
	n := uint64(binary.LittleEndian.Uint32(b[20:]))
	if n > uint64(len(b)-header)/entry {
		return nil, nil
	}
	paths, variants = map[string][]string{}, map[string]bool{}
	for k := range n {
		e := b[header+entry*k:]
		name := cstring(b, uint64(binary.LittleEndian.Uint32(e[4:])))
		if binary.LittleEndian.Uint64(e[16:]) != 0 {
			variants[name] = true
			continue
		}
		paths[name] = append(paths[name], cstring(b, uint64(binary.LittleEndian.Uint32(e[8:]))))
	}
	return paths, variants
}

// configured returns the folders that a configuration file of ldconfig names.
func (s *librarySearch) configured(file string, depth int) (dirs []string) {
	const maxDepth, maxDirs = 8, 1024
	if depth > maxDepth {
		return nil
	}
	for line := range strings.Lines(string(s.root.read(file))) {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		switch {
		case len(words) == 0 || words[0] == "hwcap" || len(dirs) > maxDirs:
		case words[0] == "include":
			for _, pattern := range words[1:] {
				if !strings.HasPrefix(pattern, "/") {
					pattern = path.Join(path.Dir(file), pattern)
				}
				for _, f := range s.glob(pattern) {
					dirs = append(dirs, s.configured(f, depth+1)...)
				}
			}
		default:
			dir, _, _ := strings.Cut(words[0], "=")
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

// glob returns the files inside the root whose last element matches.
func (s *librarySearch) glob(pattern string) (out []string) {
	dir, err := s.root.host(path.Dir(pattern))
	if err != nil {
		return nil
	}
	found, err := filepath.Glob(filepath.Join(dir, path.Base(pattern)))
	if err != nil {
		return nil
	}
	for _, f := range found {
		out = append(out, path.Join(path.Dir(pattern), filepath.Base(f)))
	}
	return out
}

// candidates returns the paths at which the library name may be, best first.
// Chain is the module that needs it, the one that needs that, and so on.
func (s *librarySearch) candidates(name string, chain []*Module) (paths []string) {
	s.prepare()
	if strings.Contains(name, "/") {
		return s.expand(name, chain[0])
	}
	look := func(m *Module, list []string) {
		for _, dir := range list {
			for _, d := range s.expand(dir, m) {
				// What is relative depends on where the program is started.
				if strings.HasPrefix(d, "/") {
					paths = append(paths, strings.TrimSuffix(d, "/")+"/"+name)
				} else {
					s.relative = append(s.relative, m.Path)
				}
			}
		}
	}
	add := func(m *Module, list uint64) { look(m, strings.Split(m.object.str(list), ":")) }
	program := chain[len(chain)-1]
	if s.musl {
		look(program, s.first)
	}
	for i, m := range chain {
		d := m.object.dynamic
		switch {
		case d == nil:
		case s.musl && d.runpath != 0:
			add(m, d.runpath)
		case d.rpath != 0 && d.runpath == 0 && (i == 0 || s.musl || chain[0].object.dynamic.runpath == 0):
			add(m, d.rpath)
		}
	}
	if !s.musl {
		look(program, s.first)
	}
	if d := chain[0].object.dynamic; d != nil && d.runpath != 0 && !s.musl {
		add(chain[0], d.runpath)
	}
	paths = append(paths, s.cache[name]...)
	for _, dir := range s.dirs {
		paths = append(paths, strings.TrimSuffix(dir, "/")+"/"+name)
	}
	return paths
}

// setFirst has the folders of LD_LIBRARY_PATH looked at. To glibc an empty one is
// where the program is started.
func (s *librarySearch) setFirst(list string) {
	if s.musl {
		s.first = strings.FieldsFunc(list, func(r rune) bool { return r == ':' || r == '\n' })
		return
	}
	s.first = strings.Split(strings.ReplaceAll(list, ";", ":"), ":")
}

// expand replaces $ORIGIN, $LIB and $PLATFORM in a path of module m. What $LIB
// is the loader was built with: all that are in use are tried.
func (s *librarySearch) expand(p string, m *Module) []string {
	if !strings.Contains(p, "$") {
		return []string{p}
	}
	names := places[s.machine]
	var out []string
	for _, lib := range []string{"lib/" + names.triplet, names.lib, "lib"} {
		r := strings.NewReplacer(
			"${ORIGIN}", m.origin, "$ORIGIN", m.origin,
			"${LIB}", lib, "$LIB", lib,
			"${PLATFORM}", names.platform, "$PLATFORM", names.platform,
		)
		out = append(out, r.Replace(p))
		if !strings.Contains(p, "LIB") {
			break
		}
	}
	return out
}

// muslNames are the libraries that musl's loader is itself.
var muslNames = []string{"c.", "pthread.", "rt.", "m.", "dl.", "util.", "xnet."}

// isLoader reports that the needed library is musl's loader.
func (s *librarySearch) isLoader(name string) bool {
	rest, ok := strings.CutPrefix(name, "lib")
	if !s.musl || !ok {
		return false
	}
	for _, n := range muslNames {
		if strings.HasPrefix(rest, n) {
			return true
		}
	}
	return strings.HasPrefix(rest, "c.musl-")
}
