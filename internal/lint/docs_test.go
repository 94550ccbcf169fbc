package lint

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/lints.md")

// TestDocs holds docs/lints.md to the table: go test ./internal/lint -run TestDocs -update
func TestDocs(t *testing.T) {
	const file = "../../docs/lints.md"
	var b strings.Builder
	b.WriteString(`# Findings of sysgate check

` + "`sysgate check`" + ` reports these about policies and filters. Codes are stable: they are never given a new meaning. An
error is a rule that does not hold, or what cannot be enforced; a warning is a likely mistake; a note is a fact worth
knowing. The exit code is 3 from the severity of ` + "`--fail-on`" + ` on, which is error by default.

` + "`--fix`" + ` applies a remedy only where it changes no verdict, which is proved before anything is written.

SG000 stands in JSON and SARIF for a policy that is not valid.
`)
	for _, c := range Codes() {
		fix := ""
		if c.Fixable {
			fix = " `--fix` takes it out."
		}
		fmt.Fprintf(&b, "\n## %s %s\n\n%s: %s.\n\nWhy: %s.\n\nRemedy: %s.%s\n", c.ID, c.Name, upper(c.Severity.String()), c.What, c.Why, c.Remedy, fix)
	}
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != b.String() {
		t.Error("docs/lints.md is not what the table says: go test ./internal/lint -run TestDocs -update")
	}
}

func upper(s string) string { return strings.ToUpper(s[:1]) + s[1:] }
