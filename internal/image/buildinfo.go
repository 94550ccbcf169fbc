package image

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"runtime/debug"
	"strconv"
	"strings"
)

// BuildInfo is what the Go linker wrote about the build.
type BuildInfo struct {
	Version string // of the Go release, "go1.26.8"
	Minor   int    // 26
	// Path is the main package; Main its module with the version. Both are
	// empty where the build left no module information.
	Path, Main string
	// Deps are the modules that the main one was built with, as go.sum would
	// have them; none where the build left no module information.
	Deps     []GoModule
	Settings map[string]string // CGO_ENABLED, -buildmode, GOAMD64, …
}

// A GoModule is a Go module with its version: "(devel)" for one under development,
// with what replaces it behind "=>" where a go.mod file says so.
type GoModule struct{ Path, Version string }

// buildModes are those of which there is no profile, with what to do instead.
var buildModes = map[string]string{
	"plugin":  "record what runs of the program that opens it call (sysgate record -- COMMAND), or build the code into the program",
	"shared":  "build the program with -buildmode=exe: then its packages are in it",
	"archive": "profile the program that it is linked into",
}

// Newer reports that the Go release is newer than those whose tables and calling
// convention are verified: its tables are where they were, or the program is
// refused.
func (b *BuildInfo) Newer() bool { return b.Minor > maxMinor }

// The releases whose tables and calling convention are verified.
const (
	minMinor = 16
	maxMinor = 27
)

var buildInfoMagic = []byte("\xff Go buildinf:")

// buildInfo reads the build information, which sits 16-byte aligned in
// writable data: since Go 1.18 two strings in place, before two pointers to
// string headers (debug/buildinfo documents both).
func (f *File) buildInfo() (*BuildInfo, error) {
	if b := f.findBuildInfo(); b != nil {
		return f.parseBuildInfo(b)
	}
	if f.packed() {
		return nil, &RefusedError{Path: f.Path, Reason: "packed with UPX", Hint: "unpack it with upx -d"}
	}
	return nil, &RefusedError{
		Path: f.Path, Reason: "no Go build information: not a Go program (C, Rust, …), which is not supported yet, or packed",
		Hint: "record what runs call: sysgate record -- COMMAND",
	}
}

func (f *File) findBuildInfo() []byte {
	for _, s := range f.Segments {
		for at := 0; s.Write && at < len(s.Data); {
			i := bytes.Index(s.Data[at:], buildInfoMagic)
			if i < 0 {
				break
			}
			at += i
			if (s.Addr+uint64(at))%16 == 0 && len(s.Data)-at >= 32 {
				return s.Data[at:]
			}
			at += len(buildInfoMagic)
		}
	}
	return nil
}

func (f *File) parseBuildInfo(b []byte) (*BuildInfo, error) {
	var version, module string
	var ok bool
	if b[15]&2 != 0 {
		rest := b[32:]
		if version, rest, ok = varintString(rest); ok {
			module, _, ok = varintString(rest)
		}
	} else if uint64(b[14]) == f.word && b[15]&1 == 0 {
		if version, ok = f.stringAt(f.ReadWord(b[16:])); ok {
			module, ok = f.stringAt(f.ReadWord(b[16+f.word:]))
		}
	}
	if !ok {
		return nil, &RefusedError{Path: f.Path, Reason: "malformed Go build information"}
	}
	info := &BuildInfo{Version: version, Settings: map[string]string{}}
	// 16 bytes of marker on either side enclose the module text.
	if len(module) >= 33 && module[len(module)-17] == '\n' {
		if bi, err := debug.ParseBuildInfo(module[16 : len(module)-16]); err == nil {
			info.Path = bi.Path
			if bi.Main.Path != "" {
				info.Main = strings.TrimSpace(bi.Main.Path + " " + bi.Main.Version)
			}
			for _, d := range bi.Deps {
				m := GoModule{d.Path, d.Version}
				if r := d.Replace; r != nil {
					// A folder has no version of its own.
					m.Version = strings.TrimSpace(m.Version + " => " + r.Path + " " + strings.TrimPrefix(r.Version, "(devel)"))
				}
				info.Deps = append(info.Deps, m)
			}
			for _, s := range bi.Settings {
				info.Settings[s.Key] = s.Value
			}
		}
	}
	_, release, found := strings.Cut(version, "go1.")
	digits := release[:len(release)-len(strings.TrimLeft(release, "0123456789"))]
	minor, err := strconv.Atoi(digits)
	if !found || err != nil {
		return nil, &RefusedError{Path: f.Path, Reason: fmt.Sprintf("unknown Go version %q (the build information is obfuscated)", version), Hint: "record what runs call: sysgate record -- COMMAND"}
	}
	info.Minor = minor
	if minor < minMinor {
		return nil, &RefusedError{
			Path: f.Path, Reason: fmt.Sprintf("built with %s: Go before 1.%d is not supported", version, minMinor),
			Hint: "build it with a later one, or record what runs call: sysgate record -- COMMAND",
		}
	}
	mode := info.Settings["-buildmode"]
	if hint, refused := buildModes[mode]; refused {
		return nil, &RefusedError{Path: f.Path, Reason: "built with -buildmode=" + mode + ": no Go program of its own", Hint: hint}
	}
	if info.Settings["-linkshared"] == "true" {
		return nil, &RefusedError{Path: f.Path, Reason: "built with -linkshared: Go packages in shared libraries, which is not supported", Hint: "build it without -linkshared"}
	}
	return info, nil
}

// packed reports that the file is UPX's, which unpacks the program at its start.
func (f *File) packed() bool {
	head, tail := f.data[:min(len(f.data), 4096)], f.data[max(0, len(f.data)-4096):]
	return bytes.Contains(head, []byte("UPX!")) || bytes.Contains(tail, []byte("UPX!"))
}

func varintString(b []byte) (s string, rest []byte, ok bool) {
	n, size := binary.Uvarint(b)
	if size <= 0 || n > uint64(len(b)-size) {
		return "", nil, false
	}
	return string(b[size:][:n]), b[size:][n:], true
}

// stringAt reads the Go string whose header lies at addr.
func (f *File) stringAt(addr uint64) (string, bool) {
	p, ok := f.Word(addr)
	n, ok2 := f.Word(addr + f.word)
	if !ok || !ok2 {
		return "", false
	}
	b := f.Bytes(p)
	if n > uint64(len(b)) {
		return "", n == 0
	}
	return string(b[:n]), true
}
