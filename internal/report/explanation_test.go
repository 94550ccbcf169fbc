package report

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
)

// TestExplanation sees that the page holds everything, escaped, and asks for
// nothing from elsewhere.
func TestExplanation(t *testing.T) {
	e := Explanation{
		Title:   "a <b>.yaml",
		Summary: "3 instructions",
		Phases: []Phase{
			{"split", "runs", "0 read: allow\n1 write: rule 0 </div><script>alert(1)</script>"},
			{"layout", "code", "0: ld nr"},
		},
		Calls: []Call{
			{ABI: "amd64", Number: 0, Name: "read", Verdict: "allow", Executed: 4, Cached: true},
			{ABI: "amd64", Number: 1, Name: "write", Verdict: "errno(EPERM)", Executed: 7, Why: "instruction 5, ld args[0].lo: it depends"},
		},
	}
	var out bytes.Buffer
	if err := e.WriteHTML(&out); err != nil {
		t.Fatal(err)
	}
	page := out.String()
	for _, want := range []string{
		"<h1>a &lt;b&gt;.yaml</h1>", "3 instructions", "0 read: allow\n1 write: rule 0 &lt;/div&gt;&lt;script&gt;alert(1)", "0: ld nr",
		"<td>read</td><td>allow</td><td class=\"n\">4</td><td>yes</td>", "no: instruction 5, ld args[0].lo: it depends",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if n := strings.Count(page, "<script>"); n != 1 {
		t.Errorf("%d scripts", n)
	}
	if found := regexp.MustCompile(`(?i)(src|href|url)\s*[=(]|https?:|@import`).FindString(page); found != "" {
		t.Errorf("the page asks for %q", found)
	}
}
