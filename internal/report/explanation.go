package report

import (
	_ "embed"
	"html/template"
	"io"
)

// An Explanation is how a policy became a filter.
type Explanation struct {
	Title   string // the policy's file
	Summary string // size, times
	Phases  []Phase
	Calls   []Call
}

// A Phase is one step of the compilation, and the text of what it made.
type Phase struct{ Name, Why, Text string }

// A Call is one system call of an ABI of the policy.
type Call struct {
	ABI, Name string
	Number    uint32
	Verdict   string // with all arguments 0
	Executed  int    // instructions for that
	Cached    bool   // the kernel answers it without the filter
	Why       string // it does not
}

//go:embed explanation.html
var explanationPage string

// WriteHTML writes the explanation as a page: every phase side by side, what is
// typed into its field marked in all of them, and every call with its cost.
func (e Explanation) WriteHTML(w io.Writer) error {
	page, err := template.New("explanation").Parse(explanationPage)
	if err != nil {
		return err
	}
	return page.Execute(w, e)
}
