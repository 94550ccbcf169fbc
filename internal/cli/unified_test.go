package cli

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestUnified has patch(1) make of the old text and the change the new text.
func TestUnified(t *testing.T) {
	patch, err := exec.LookPath("patch")
	if err != nil {
		t.Skipf("needs patch: %v (Debian: patch)", err)
	}
	var long []string
	for i := range 40 {
		long = append(long, fmt.Sprintf("line %d", i))
	}
	text := func(lines ...string) string { return strings.Join(lines, "\n") + "\n" }
	with := func(at int, more ...string) []string {
		return append(append(append([]string(nil), long[:at]...), more...), long[at:]...)
	}
	for name, pair := range map[string][2]string{
		"one line":       {text(long...), text(with(20, "new")...)},
		"at the start":   {text(long...), text(with(0, "new", "newer")...)},
		"at the end":     {text(long...), text(with(40, "new")...)},
		"far apart":      {text(long...), text(append(with(5, "new"), "last")...)},
		"near":           {text(long...), text(append(append(with(5, "new")[:10:10], "also"), with(5, "new")[10:]...)...)},
		"replaced":       {text(long...), text(append(append([]string(nil), long[:10]...), long[20:]...)...)},
		"all":            {text(long...), "x\n"},
		"from nothing":   {"", text(long[:3]...)},
		"to an end":      {"a\nb", "a\nb\nc\n"},
		"without an end": {"a\nb\n", "a\nx\nb"},
	} {
		dir := t.TempDir()
		file := filepath.Join(dir, "file")
		if err := os.WriteFile(file, []byte(pair[0]), 0o644); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(patch, "--quiet", "--fuzz=0", file)
		cmd.Stdin = strings.NewReader(unified("file", pair[0], pair[1]))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s\n%s", name, err, out, unified("file", pair[0], pair[1]))
			continue
		}
		got, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != pair[1] {
			t.Errorf("%s:\n%s\nbecomes %q, want %q", name, unified("file", pair[0], pair[1]), got, pair[1])
		}
	}
}
