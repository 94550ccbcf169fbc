package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/convert"
	"github.com/sysgate/sysgate/policy"
)

const originsIntro = `
## Where rules come from

A converted policy says as comments which lines of the input its rules come from, where the format has comments:
` + "`web.yaml:5, 7-9`" + `, or ` + "`@systemd/timer, web.yaml:5`" + ` for the calls of a set. A rule of many names that stand together
says it once. A policy of sysgate's own, and one as libbeat documents it, keeps its comments when it is written as such, and gets no new ones.
Filters have no lines of policy, a saved profile has none, nor has the result of --candidate.

| format | says it |
| --- | --- |
`

// writeOrigins writes which formats say where their rules come from, as found by
// converting a policy to them.
func writeOrigins(w io.Writer) error {
	io.WriteString(w, originsIntro)
	p, err := policy.Parse("web.yaml", []byte("version: 1\nabis: [amd64]\ndefault_action: errno(EPERM)\nsyscalls:\n- action: allow\n  names: [read]\n"))
	if err != nil {
		return err
	}
	for _, format := range formats() {
		if format.Write == nil {
			continue
		}
		e, err := convert.Export(format, p, convert.Options{Native: abi.AMD64})
		if err != nil {
			return fmt.Errorf("%s: %w", format.Name, err)
		}
		says := "–"
		switch line := lineWith(string(e.Data), "web.yaml:6"); {
		case format.Name == "sysgate":
			says = "of other formats: `- read # web.json:6`"
		case line != "":
			says = "`" + line + "`"
		}
		fmt.Fprintf(w, "| `%s` | %s |\n", format.Name, says)
	}
	return nil
}

// lineWith returns the first line of text that holds part.
func lineWith(text, part string) string {
	for line := range strings.Lines(text) {
		if strings.Contains(line, part) {
			return strings.TrimSpace(line)
		}
	}
	return ""
}
