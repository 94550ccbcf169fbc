package cli

import (
	"bytes"
	"encoding/json"
	"net/url"
	"testing"

	"github.com/sysgate/sysgate/internal/lint"
	"github.com/sysgate/sysgate/policy"
)

// The log has what SARIF 2.1.0 requires, and its places are in characters.
func TestSARIF(t *testing.T) {
	all := []*checked{
		{name: "dir/a b.yaml", findings: []lint.Finding{
			{Code: "SG006", Severity: lint.Warning, Pos: policy.Pos{File: "dir/a b.yaml", Line: 3, Col: 8}, Width: 5, Source: "# §§ clone", Msg: "m", Fix: "f"},
			{Code: "SG019", Severity: lint.Note, Pos: policy.Pos{File: "dir/a b.yaml"}, Width: 1, Msg: "m"},
		}},
		{name: "/abs.yaml", invalid: policy.Errors{
			{Pos: policy.Pos{Line: 1, Col: 1}, Msg: "x", Source: "abc", Width: 9},
			{Pos: policy.Pos{Line: 2, Col: 7}, Msg: "y"},
		}},
	}
	var out bytes.Buffer
	if err := writeSARIF(&out, all); err != nil {
		t.Fatal(err)
	}
	var log struct {
		Version string
		Schema  string `json:"$schema"`
		Runs    []struct {
			Tool struct {
				Driver struct {
					Name  string
					Rules []struct {
						ID                   string
						DefaultConfiguration struct{ Level string }
					}
				}
			}
			ColumnKind string
			Results    []struct {
				RuleID    string
				RuleIndex int
				Level     string
				Message   struct{ Text string }
				Locations []struct {
					PhysicalLocation struct {
						ArtifactLocation struct{ URI string }
						Region           *struct{ StartLine, StartColumn, EndColumn int }
					}
				}
			}
		}
	}
	if err := json.Unmarshal(out.Bytes(), &log); err != nil {
		t.Fatal(err)
	}
	if log.Version != "2.1.0" || len(log.Runs) != 1 || log.Runs[0].Tool.Driver.Name == "" || log.Runs[0].ColumnKind != "unicodeCodePoints" {
		t.Fatalf("%s", out.String())
	}
	run := log.Runs[0]
	levels := map[string]bool{"note": true, "warning": true, "error": true}
	for _, r := range run.Tool.Driver.Rules {
		if r.ID == "" || !levels[r.DefaultConfiguration.Level] {
			t.Errorf("%+v", r)
		}
	}
	if len(run.Results) != 4 {
		t.Fatalf("%d results", len(run.Results))
	}
	for _, r := range run.Results {
		if run.Tool.Driver.Rules[r.RuleIndex].ID != r.RuleID || !levels[r.Level] || r.Message.Text == "" || len(r.Locations) != 1 {
			t.Errorf("%+v", r)
		}
		at := r.Locations[0].PhysicalLocation
		if _, err := url.Parse(at.ArtifactLocation.URI); err != nil || at.ArtifactLocation.URI == "" {
			t.Errorf("%+v: %v", at, err)
		}
		if g := at.Region; g != nil && (g.StartLine < 1 || g.StartColumn < 1 || g.EndColumn <= g.StartColumn) {
			t.Errorf("%+v", g)
		}
	}
	first := run.Results[0].Locations[0].PhysicalLocation
	if first.ArtifactLocation.URI != "dir/a%20b.yaml" || first.Region.StartColumn != 6 || first.Region.EndColumn != 11 {
		t.Errorf("%+v %+v", first, first.Region)
	}
	if run.Results[1].Locations[0].PhysicalLocation.Region != nil {
		t.Error("a finding about the file has a region")
	}
	if uri := run.Results[2].Locations[0].PhysicalLocation.ArtifactLocation.URI; uri != "file:///abs.yaml" {
		t.Error(uri)
	}
}
