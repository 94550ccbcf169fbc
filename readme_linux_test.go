package sysgate_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/sysgate/sysgate/internal/testkit"
)

// TestReadmeEmbed builds and runs what the README says about embedding, word for
// word, with a main function around it.
func TestReadmeEmbed(t *testing.T) {
	testkit.NeedFilters(t)
	testkit.Need(t, testkit.Filter)
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)\n## Embed it\n\n```go\n(.*?)```").FindSubmatch(readme)
	if block == nil {
		t.Fatal("README.md has no Go source under \"Embed it\"")
	}
	dir, err := filepath.Abs("testdata/readme")
	if err != nil {
		t.Fatal(err)
	}
	source := strings.ReplaceAll(`package main

import (
	"embed"
	"fmt"
	"os"

	"github.com/sysgate/sysgate"
	"github.com/sysgate/sysgate/policy"
)

EMBED

func main() {
	if err := sandbox(); err != nil {
		fmt.Println("sandbox:", err)
		return
	}
	_, err := os.Open("policy.yaml")
	fmt.Println("open:", err)
}
`, "EMBED", string(block[1]))
	tmp := t.TempDir()
	overlay := map[string]map[string]string{"Replace": {
		filepath.Join(dir, "main.go"): filepath.Join(tmp, "main.go"),
	}}
	config, err := json.Marshal(overlay)
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string]string{"main.go": source, "overlay.json": string(config)} {
		if err := os.WriteFile(filepath.Join(tmp, name), []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	program := filepath.Join(tmp, "program")
	if out, err := exec.Command("go", "build", "-overlay", filepath.Join(tmp, "overlay.json"), "-o", program, "./testdata/readme").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s\n%s", err, out, source)
	}
	out, err := exec.Command(program).CombinedOutput()
	if got, want := strings.TrimSpace(string(out)), "open: open policy.yaml: operation not permitted"; err != nil || got != want {
		t.Errorf("%v: %q, want %q", err, got, want)
	}
}
