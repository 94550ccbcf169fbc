package cli

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/sysgate/sysgate/internal/observe"
	"github.com/sysgate/sysgate/internal/profile"
)

// A report is the JSON form of a profile.
type report struct {
	File        string       `json:"file"`
	Go          string       `json:"go"`
	Sound       bool         `json:"sound"`
	Assumptions []string     `json:"assumptions,omitempty"`
	Sites       int          `json:"sites"`
	Functions   int          `json:"functions"`
	Starts      []string     `json:"starts_programs_by,omitempty"`
	Calls       []reportCall `json:"calls"`
	Unresolved  []reportSite `json:"unresolved,omitempty"`
}

type reportCall struct {
	Name     string       `json:"name,omitempty"`
	NR       uint32       `json:"nr"`
	Class    string       `json:"class"`
	Evidence string       `json:"evidence"`
	Path     []reportStep `json:"path,omitempty"`
}

type reportSite struct {
	Func   string       `json:"func"`
	Addr   string       `json:"addr"`
	Reason string       `json:"reason"`
	Path   []reportStep `json:"path,omitempty"`
}

type reportStep struct {
	Edge string `json:"edge"`
	Func string `json:"func"`
	File string `json:"file,omitempty"`
	Line int    `json:"line,omitempty"`
}

func writeReports(w io.Writer, programs []profiled) error {
	reports := make([]report, len(programs))
	for i, p := range programs {
		r := report{
			File: p.name, Go: p.Build.Version, Sound: p.Set.Sound, Assumptions: p.Set.Assumptions,
			Sites: p.Sites, Functions: p.Functions, Starts: p.Starts, Calls: []reportCall{},
		}
		for _, c := range p.Set.Calls {
			r.Calls = append(r.Calls, reportCall{c.Name, c.NR, c.Class.String(), c.Evidence, reportPath(pathOf(p, c))})
		}
		for _, s := range p.Undetermined {
			r.Unresolved = append(r.Unresolved, reportSite{s.Func, fmt.Sprintf("%#x", s.Addr), s.Reason, reportPath(s.Path)})
		}
		reports[i] = r
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(reports)
}

func pathOf(p profiled, c observe.Call) []profile.Step {
	if c.Name == "" {
		return p.Path(fmt.Sprint(c.NR))
	}
	return p.Path(c.Name)
}

func reportPath(steps []profile.Step) []reportStep {
	path := make([]reportStep, len(steps))
	for i, s := range steps {
		path[i] = reportStep{string(s.Edge), s.Func, s.File, s.Line}
	}
	return path
}
