package profile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/image"
	"github.com/sysgate/sysgate/internal/observe"
)

// Schema marks a saved profile. Fields may be added to it; one that changes its
// meaning changes the number. docs/profiling.md describes it.
const Schema = "sysgate/profile/1"

// saved is the JSON form of a Result.
type saved struct {
	Schema      string              `json:"schema"`
	File        string              `json:"file"`
	ABI         string              `json:"abi"`
	Tables      string              `json:"tables"` // of system calls, that the names are from
	Go          string              `json:"go,omitempty"`
	Main        string              `json:"main,omitempty"`
	Package     string              `json:"package,omitempty"`
	Modules     []savedModule       `json:"modules,omitempty"`
	Files       []savedFile         `json:"files"`
	Sources     []string            `json:"sources"`
	Phase       Phase               `json:"phase,omitempty"`
	Before      []string            `json:"before,omitempty"`
	Sound       bool                `json:"sound"`
	Assumptions []string            `json:"assumptions,omitempty"`
	Sites       int                 `json:"sites"`
	Functions   int                 `json:"functions"`
	Starts      []string            `json:"starts_programs_by,omitempty"`
	Calls       []savedCall         `json:"calls"`
	Unresolved  []savedSite         `json:"unresolved,omitempty"`
	Assumed     []savedSite         `json:"assumed,omitempty"`
	Linked      map[string][]string `json:"std,omitempty"`
}

type savedFile struct {
	Path   string `json:"path"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

type savedModule struct {
	Path    string `json:"path"`
	Version string `json:"version,omitempty"`
}

type savedCall struct {
	Name     string      `json:"name,omitempty"`
	NR       uint32      `json:"nr"`
	Class    string      `json:"class"`
	Evidence string      `json:"evidence"`
	Path     []savedStep `json:"path,omitempty"`
	Args     []savedArg  `json:"args,omitempty"`
	Sites    []string    `json:"sites,omitempty"`
}

type savedSite struct {
	Func   string      `json:"func"`
	Addr   string      `json:"addr"`
	Reason string      `json:"reason"`
	Opens  bool        `json:"opens,omitempty"`
	Path   []savedStep `json:"path,omitempty"`
}

type savedStep struct {
	Edge    string `json:"edge"`
	Func    string `json:"func"`
	Addr    string `json:"addr"`
	Offset  uint64 `json:"offset"`
	File    string `json:"file,omitempty"`
	Line    int    `json:"line,omitempty"`
	Module  string `json:"module,omitempty"`
	Version string `json:"version,omitempty"`
}

// Save writes results as JSON, an array with an object for each program, for
// [Load] to read.
func Save(w io.Writer, results ...*Result) error {
	all := make([]saved, len(results))
	for i, r := range results {
		all[i] = r.saved()
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(all)
}

func (r *Result) saved() saved {
	s := saved{
		Schema: Schema, File: r.File, ABI: r.Set.ABI.String(), Tables: abi.Tables, Go: r.Build.Version, Main: r.Build.Main, Package: r.Build.Path,
		Sources: r.Set.Sources, Phase: r.Phase, Before: r.Before, Sound: r.Set.Sound, Assumptions: r.Set.Assumptions, Sites: r.Sites, Functions: r.Functions,
		Starts: r.Starts, Calls: []savedCall{}, Unresolved: saveSites(r.Undetermined), Assumed: saveSites(r.Assumed), Linked: r.Linked,
	}
	for _, f := range r.Files {
		s.Files = append(s.Files, savedFile(f))
	}
	for _, m := range r.Build.Deps {
		s.Modules = append(s.Modules, savedModule(m))
	}
	for _, c := range r.Set.Calls {
		s.Calls = append(s.Calls, savedCall{c.Name, c.NR, c.Class.String(), c.Evidence, saveSteps(r.PathOf(c)), saveArgs(c), c.Sites})
	}
	return s
}

func saveSites(sites []Site) []savedSite {
	var all []savedSite
	for _, s := range sites {
		all = append(all, savedSite{s.Func, hexadecimal(s.Addr), s.Reason, s.Opens, saveSteps(s.Path)})
	}
	return all
}

func saveSteps(steps []Step) []savedStep {
	var all []savedStep
	for _, s := range steps {
		all = append(all, savedStep{string(s.Edge), s.Func, hexadecimal(s.Addr), s.Offset, s.File, s.Line, s.Module.Path, s.Module.Version})
	}
	return all
}

// MarshalJSON writes a step as saved profiles have it.
func (s Step) MarshalJSON() ([]byte, error) { return json.Marshal(saveSteps([]Step{s})[0]) }

func hexadecimal(addr uint64) string { return fmt.Sprintf("%#x", addr) }

// IsSaved recognises a saved profile by its beginning.
func IsSaved(data []byte) bool {
	head := bytes.TrimLeft(data[:min(len(data), 256)], "[{ \t\r\n")
	return bytes.HasPrefix(head, []byte(`"schema"`)) && bytes.Contains(head, []byte(`"sysgate/profile/`))
}

// Load reads what Save wrote, also with several arrays or objects one after
// another. Names of calls are those of the tables that the profile was made with.
// name is for errors.
func Load(name string, data []byte) ([]*Result, error) {
	var all []*Result
	dec := json.NewDecoder(bytes.NewReader(data))
	for {
		var one json.RawMessage
		if err := dec.Decode(&one); errors.Is(err, io.EOF) && len(all) > 0 {
			return all, nil
		} else if err != nil {
			return nil, fmt.Errorf("%s: no saved profile: %w", name, err)
		}
		var programs []saved
		if one[0] != '[' {
			one = slices.Concat([]byte{'['}, one, []byte{']'})
		}
		if err := json.Unmarshal(one, &programs); err != nil {
			return nil, fmt.Errorf("%s: no saved profile: %w", name, err)
		}
		if len(programs) == 0 {
			return nil, fmt.Errorf("%s: a saved profile of no program", name)
		}
		for i := range programs {
			r, err := programs[i].result()
			if err != nil {
				return nil, fmt.Errorf("%s: program %d: %w", name, len(all)+1, err)
			}
			all = append(all, r)
		}
	}
}

func (s *saved) result() (*Result, error) {
	if s.Schema != Schema {
		return nil, fmt.Errorf("schema %q, where this sysgate reads %q", s.Schema, Schema)
	}
	on, ok := abi.Parse(s.ABI)
	if !ok {
		return nil, fmt.Errorf("unknown ABI %q", s.ABI)
	}
	if s.Phase != PhaseWhole && s.Phase != PhaseMain {
		return nil, fmt.Errorf("unknown phase %q", s.Phase)
	}
	var err error
	r := &Result{
		File: s.File, Phase: s.Phase, Before: s.Before,
		Set:   observe.Set{ABI: on, Sources: s.Sources, Sound: s.Sound, Assumptions: s.Assumptions},
		Build: image.BuildInfo{Version: s.Go, Main: s.Main, Path: s.Package, Settings: map[string]string{}},
		Sites: s.Sites, Functions: s.Functions, StartsPrograms: len(s.Starts) > 0, Starts: s.Starts, Linked: s.Linked,
		paths: map[string][]Step{}, chains: map[string][][]Step{},
	}
	for _, f := range s.Files {
		r.Files = append(r.Files, Source(f))
	}
	for _, m := range s.Modules {
		r.Build.Deps = append(r.Build.Deps, image.GoModule(m))
	}
	if r.Undetermined, err = loadSites(s.Unresolved); err != nil {
		return nil, err
	}
	if r.Assumed, err = loadSites(s.Assumed); err != nil {
		return nil, err
	}
	if s.Sound && len(s.Unresolved) > 0 {
		return nil, errors.New("sound, with unresolved sites")
	}
	for i, c := range s.Calls {
		if i > 0 && c.NR <= s.Calls[i-1].NR {
			return nil, fmt.Errorf("call %d: the numbers do not ascend", i+1)
		}
		class, ok := observe.ParseClass(c.Class)
		if !ok {
			return nil, fmt.Errorf("call %d: unknown class %q", i+1, c.Class)
		}
		call := observe.Call{NR: c.NR, Name: c.Name, Class: class, Evidence: c.Evidence, Sites: c.Sites}
		if err := loadArgs(&call, c.Args); err != nil {
			return nil, fmt.Errorf("call %d: %w", i+1, err)
		}
		r.Set.Calls = append(r.Set.Calls, call)
		if r.paths[pathKey(call)], err = loadSteps(c.Path); err != nil {
			return nil, fmt.Errorf("call %d: %w", i+1, err)
		}
	}
	return r, nil
}

func loadSites(sites []savedSite) ([]Site, error) {
	var all []Site
	for i, s := range sites {
		addr, err := parseHexadecimal(s.Addr)
		if err != nil {
			return nil, fmt.Errorf("site %d: %w", i+1, err)
		}
		path, err := loadSteps(s.Path)
		if err != nil {
			return nil, fmt.Errorf("site %d: %w", i+1, err)
		}
		all = append(all, Site{s.Func, addr, s.Reason, s.Opens, path})
	}
	return all, nil
}

func loadSteps(steps []savedStep) ([]Step, error) {
	var all []Step
	for _, s := range steps {
		addr, err := parseHexadecimal(s.Addr)
		if err != nil {
			return nil, err
		}
		all = append(all, Step{Edge(s.Edge), s.Func, addr, s.Offset, s.File, s.Line, image.GoModule{Path: s.Module, Version: s.Version}})
	}
	return all, nil
}

func parseHexadecimal(text string) (uint64, error) {
	digits, ok := strings.CutPrefix(text, "0x")
	addr, err := strconv.ParseUint(digits, 16, 64)
	if !ok || err != nil {
		return 0, fmt.Errorf("address %q", text)
	}
	return addr, nil
}
