package cli

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/sysgate/sysgate/internal/lint"
	"github.com/sysgate/sysgate/policy"
)

// writeFindings writes findings for people: place, what, why, and what to do. The
// reason and the remedy of a code stand at its first finding in a file.
func writeFindings(w io.Writer, all []*checked, notes bool) error {
	codes := codesByID()
	var b strings.Builder
	for _, c := range all {
		told := map[string]bool{}
		for _, f := range c.findings {
			// --kernel asks for what SG024 says.
			if f.Severity == lint.Note && !notes && f.Code != "SG024" {
				continue
			}
			code := codes[f.Code]
			fmt.Fprintf(&b, "%s: %s: %s [%s %s]\n", f.Pos, f.Severity, f.Msg, f.Code, code.Name)
			if f.Source != "" && f.Pos.Col > 0 {
				writeCaret(&b, f)
			}
			if f.Fix != "" {
				fmt.Fprintf(&b, "  fix: %s\n", f.Fix)
			}
			if told[f.Code] {
				continue
			}
			told[f.Code] = true
			fmt.Fprintf(&b, "  why: %s\n", code.Why)
			if f.Fix == "" {
				fmt.Fprintf(&b, "  fix: %s\n", code.Remedy)
			}
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// writeCaret writes the line of a finding with carets under what is meant.
func writeCaret(b *strings.Builder, f lint.Finding) {
	col := min(f.Pos.Col-1, len(f.Source))
	width := min(f.Width, len(f.Source)-col)
	blank := func(r rune) rune {
		if r == '\t' {
			return r
		}
		return ' '
	}
	fmt.Fprintf(b, "%5d | %s\n      | %s%s\n", f.Pos.Line, f.Source,
		strings.Map(blank, f.Source[:col]), strings.Repeat("^", max(utf8.RuneCountInString(f.Source[col:col+width]), 1)))
}

func codesByID() map[string]lint.Code {
	all := map[string]lint.Code{}
	for _, c := range lint.Codes() {
		all[c.ID] = c
	}
	return all
}

// invalidFindings makes the errors of a policy findings of code SG000.
func invalidFindings(c *checked) []lint.Finding {
	var many policy.Errors
	var one *policy.Error
	switch {
	case c.invalid == nil:
		return nil
	case errors.As(c.invalid, &many):
	case errors.As(c.invalid, &one):
		many = policy.Errors{one}
	default:
		return []lint.Finding{{Code: invalidCode.ID, Severity: lint.Error, Pos: policy.Pos{File: c.name}, Width: 1, Msg: c.invalid.Error()}}
	}
	var all []lint.Finding
	for _, e := range many {
		pos := e.Pos
		pos.File = c.name
		all = append(all, lint.Finding{Code: invalidCode.ID, Severity: lint.Error, Pos: pos, Width: max(e.Width, 1), Source: e.Source, Msg: e.Msg, Fix: e.Hint})
	}
	return all
}

// invalidCode is the code of what is no policy at all.
var invalidCode = lint.Code{
	ID: "SG000", Name: "invalid", Severity: lint.Error, What: "the policy cannot be enforced as it stands",
	Why: "nothing is compiled or loaded from a file with an error", Remedy: "correct it",
}

func writeFindingsJSON(w io.Writer, all []*checked) error {
	type finding struct {
		Code     string `json:"code"`
		Name     string `json:"name"`
		Severity string `json:"severity"`
		Line     int    `json:"line,omitempty"`
		Column   int    `json:"column,omitempty"` // in bytes
		Width    int    `json:"width,omitempty"`
		Message  string `json:"message"`
		Why      string `json:"why"`
		Fix      string `json:"fix"`
		Fixable  bool   `json:"fixable,omitempty"`
	}
	type file struct {
		File     string    `json:"file"`
		Valid    bool      `json:"valid"`
		Findings []finding `json:"findings"`
	}
	codes := codesByID()
	codes[invalidCode.ID] = invalidCode
	out := []file{}
	for _, c := range all {
		one := file{c.name, c.invalid == nil, []finding{}}
		for _, f := range append(invalidFindings(c), c.findings...) {
			code := codes[f.Code]
			fix := f.Fix
			if fix == "" {
				fix = code.Remedy
			}
			item := finding{
				Code: f.Code, Name: code.Name, Severity: f.Severity.String(), Line: f.Pos.Line, Column: f.Pos.Col,
				Message: f.Msg, Why: code.Why, Fix: fix, Fixable: f.Needless != lint.Part{},
			}
			if f.Pos.Line > 0 {
				item.Width = f.Width
			}
			one.Findings = append(one.Findings, item)
		}
		out = append(out, one)
	}
	return writeIndented(w, out)
}

// The parts of SARIF 2.1.0 (OASIS) that findings need.
type (
	sarifText struct {
		Text string `json:"text"`
	}
	sarifRule struct {
		ID            string         `json:"id"`
		Name          string         `json:"name"`
		Short         sarifText      `json:"shortDescription"`
		Full          sarifText      `json:"fullDescription"`
		Help          sarifText      `json:"help"`
		Configuration map[string]any `json:"defaultConfiguration"`
	}
	sarifRegion struct {
		StartLine   int `json:"startLine"`
		StartColumn int `json:"startColumn"`
		EndColumn   int `json:"endColumn"`
	}
	sarifPhysical struct {
		Artifact map[string]string `json:"artifactLocation"`
		Region   *sarifRegion      `json:"region,omitempty"`
	}
	sarifLocation struct {
		Physical sarifPhysical `json:"physicalLocation"`
	}
	sarifResult struct {
		RuleID    string          `json:"ruleId"`
		RuleIndex int             `json:"ruleIndex"`
		Level     string          `json:"level"`
		Message   sarifText       `json:"message"`
		Locations []sarifLocation `json:"locations"`
	}
)

func writeSARIF(w io.Writer, all []*checked) error {
	var rules []sarifRule
	index := map[string]int{}
	for _, c := range append([]lint.Code{invalidCode}, lint.Codes()...) {
		index[c.ID] = len(rules)
		rules = append(rules, sarifRule{
			ID: c.ID, Name: c.Name, Short: sarifText{c.What}, Full: sarifText{c.Why}, Help: sarifText{c.Remedy},
			Configuration: map[string]any{"level": c.Severity.String()},
		})
	}
	results := []sarifResult{}
	for _, c := range all {
		for _, f := range append(invalidFindings(c), c.findings...) {
			text := f.Msg
			if f.Fix != "" {
				text += " (" + f.Fix + ")"
			}
			results = append(results, sarifResult{
				RuleID: f.Code, RuleIndex: index[f.Code], Level: f.Severity.String(), Message: sarifText{text},
				Locations: []sarifLocation{{sarifPhysical{Artifact: map[string]string{"uri": fileURI(c.name)}, Region: sarifRegionOf(f)}}},
			})
		}
	}
	return writeIndented(w, map[string]any{
		"$schema": "https://json.schemastore.org/sarif-2.1.0.json",
		"version": "2.1.0",
		"runs": []any{map[string]any{
			"tool": map[string]any{"driver": map[string]any{
				"name": "sysgate", "informationUri": "https://github.com/sysgate/sysgate", "rules": rules,
			}},
			"columnKind": "unicodeCodePoints",
			"results":    results,
		}},
	})
}

// sarifRegionOf returns the place of f, in characters; nil where it is the file.
func sarifRegionOf(f lint.Finding) *sarifRegion {
	if f.Pos.Line == 0 {
		return nil
	}
	at := max(f.Pos.Col-1, 0)
	start, width := at, f.Width
	if at <= len(f.Source) {
		rest := f.Source[at:]
		start = utf8.RuneCountInString(f.Source[:at])
		width = utf8.RuneCountInString(rest[:min(f.Width, len(rest))])
	}
	return &sarifRegion{f.Pos.Line, start + 1, start + 1 + max(width, 1)}
}

// fileURI returns a file's name as a URI reference: relative names stay relative.
func fileURI(name string) string {
	u := url.URL{Path: filepath.ToSlash(name)}
	if filepath.IsAbs(name) {
		u.Scheme = "file"
	}
	return u.String()
}
