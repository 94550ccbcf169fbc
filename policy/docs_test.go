package policy

import (
	"os"
	"strings"
	"testing"

	"github.com/sysgate/sysgate/abi"
)

// Every policy of docs/policy.md can be read and resolved, and none has a
// finding but the one that the text is about.
func TestDocs(t *testing.T) {
	data, err := os.ReadFile("../docs/policy.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(data), "\n```yaml\n")
	if len(blocks) < 6 {
		t.Fatalf("%d examples", len(blocks)-1)
	}
	for _, block := range blocks[1:] {
		text, _, _ := strings.Cut(block, "```")
		p, err := Parse("docs/policy.md", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		_, warnings, err := p.Resolve(Options{Native: abi.AMD64})
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range warnings {
			if !strings.Contains(w.Msg, "mmap on 386") {
				t.Errorf("%v", w)
			}
		}
	}
}
