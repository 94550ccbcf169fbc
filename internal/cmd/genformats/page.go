package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/sysgate/sysgate/internal/convert"
)

const intro = `# Formats

<!-- Made by "go generate ./internal/convert". Do not edit. -->

` + "`sysgate convert --from A --to B`" + ` rewrites a policy. Each reader gives a file the meaning that
its own runtime gives it; each result is read again in the same way and compared with the policy, by proof,
for every call. What differs is reported with a call as an example, and a result that would let through what the policy
stops is not written unless ` + "`--allow-looser`" + ` says so.

Every command that reads policies takes all of these formats. The format is found out by the file's content, where that tells it;
the two dialects of minijail share one syntax and are never guessed: ` + "`sysgate check minijail-c:FILE`" + ` names one, as any
format before a file. One file often depends on the machine: ` + "`--abi`, `--kernel` and `--caps`" + `
name it, ` + "`--name`" + ` one of several filters.
`

// formats returns all formats by name, sysgate's own first.
func formats() []convert.Format {
	all := slices.Clone(convert.Formats())
	slices.SortFunc(all[1:], func(a, b convert.Format) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// page returns the text of docs/formats.md.
func page() ([]byte, error) {
	var b bytes.Buffer
	b.WriteString(intro)
	b.WriteString("\n| format | what it is | read | written | found out |\n| --- | --- | --- | --- | --- |\n")
	yes := func(ok bool) string {
		if ok {
			return "yes"
		}
		return "–"
	}
	for _, f := range formats() {
		found := yes(f.Detect != nil)
		switch f.Name {
		case "sysgate", "libbeat": // both are what package policy parses
			found = "where nothing else fits"
		case "snap":
			found = "its binary form"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", f.Name, f.Title, yes(f.Read != nil), yes(f.Write != nil), found)
	}
	b.WriteString("\n## What they can say\n\n| format | actions | default | calls newer than its tables | arguments | of several rules | ABIs |\n| --- | --- | --- | --- | --- | --- | --- |\n")
	for _, f := range formats() {
		s := f.Says
		fmt.Fprintf(&b, "| `%s` | %s |\n", f.Name, strings.Join([]string{s.Actions, s.Default, s.Unknown, s.Arguments, s.Order, s.ABIs}, " | "))
	}
	b.WriteString(`
## What they carry

Found by writing a policy for amd64 with the feature, and comparing what comes back for the calls that the feature is about: **yes** is a
proof that they get the same verdicts, *other* that some get another one, which conversion reports, and – that the format cannot be
written with it. What cannot be read back is not compared (·).
`)
	for _, table := range tables {
		if err := table.write(&b); err != nil {
			return nil, err
		}
	}
	err := writeOrigins(&b)
	return b.Bytes(), err
}
