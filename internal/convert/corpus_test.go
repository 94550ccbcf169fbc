package convert

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"testing"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
)

// A corpus is real policies of one format.
type corpus struct {
	name    string
	format  string
	files   func(t *testing.T) []string
	holding string  // only files with this
	least   int     // so many of them can be read
	on      abi.ABI // of the machine; None: amd64
}

// A tally counts what becomes of policies that are written in a format.
type tally struct{ equal, stricter, looser, refused int }

// TestCorpus reads real policies and writes them in their own format, in
// sysgate's and as filters. In the last two, nothing is lost; what is lost in the
// first is counted. SYSGATE_CORPUS names a directory with policies of your own to do
// this with instead: below a folder with the name of a format or of an ABI, files
// are in that format and for that machine; elsewhere the format is detected.
func TestCorpus(t *testing.T) {
	all := corpora
	if dir := os.Getenv("SYSGATE_CORPUS"); dir != "" {
		all = ownCorpora(t, dir)
	} else if os.Getenv("SYSGATE_LONG") == "" {
		t.Skip("only long tests (SYSGATE_LONG=1) read the policies of whole packages")
	}
	for _, c := range all {
		t.Run(c.name, func(t *testing.T) {
			o := Options{Native: c.on}
			if c.on == abi.None {
				o.Native = abi.AMD64
			}
			read, refused := 0, map[string]int{}
			count := map[string]*tally{"sysgate": {}, "bpf": {}, c.format: {}}
			for _, file := range c.files(t) {
				data, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				for part := range bytes.SplitSeq(data, []byte("\n---\n")) { // of a manifest with several objects
					if !bytes.Contains(part, []byte(c.holding)) {
						continue
					}
					for _, o.Name = range filtersIn(c.format, part) {
						p, _, err := format(t, c.format).Read(file, part, o)
						if err != nil {
							refused[err.Error()]++
							continue
						}
						read++
						for name, n := range count {
							n.add(t, file, format(t, name), p, o)
						}
					}
				}
			}
			for text, n := range refused {
				t.Logf("%d refused: %.300s", n, text)
			}
			if read < c.least {
				t.Errorf("only %d can be read", read)
			}
			for name, n := range count {
				t.Logf("%d policies as %s: %d equal, %d stricter, %d looser, %d refused", read, name, n.equal, n.stricter, n.looser, n.refused)
				if name != c.format && n.equal < read {
					t.Errorf("as %s, %d of %d are not equal", name, read-n.equal, read)
				}
			}
		})
	}
}

// filtersIn returns the names of the filters in a file for several threads.
func filtersIn(format string, data []byte) []string {
	var threads map[string]any
	if format != "firecracker" && format != "seccompiler" || json.Unmarshal(data, &threads) != nil {
		return []string{""}
	}
	return slices.Sorted(maps.Keys(threads))
}

func (n *tally) add(t *testing.T, file string, f Format, p *policy.Policy, o Options) {
	t.Helper()
	e, err := Export(f, p, o)
	switch {
	case err != nil:
		n.refused++
		t.Logf("%s as %s: %v", file, f.Name, err)
	case len(e.Different) == 0:
		n.equal++
	case e.Looser():
		n.looser++
		t.Logf("%s as %s: %s", file, f.Name, example(e))
	default:
		n.stricter++
		t.Logf("%s as %s: %s", file, f.Name, example(e))
	}
}

// example returns one difference of e.
func example(e *Exported) string {
	r := e.Different[0]
	return fmt.Sprintf("%s is %v, %v as written; %d regions differ", policy.FormatCall(r.Witness), r.A, r.B, len(e.Different))
}
