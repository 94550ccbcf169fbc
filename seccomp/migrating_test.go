package seccomp_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every command that docs/migrating.md gives as a replacement exists, with its
// flags. What is not yet there has no command.
func TestMigratingCommands(t *testing.T) {
	text, err := os.ReadFile("../docs/migrating.md")
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), "sysgate")
	if out, err := exec.Command("go", "build", "-o", program, "../cmd/sysgate").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	help := make(map[string]string)
	commands := regexp.MustCompile("`sysgate ([^`]+)`").FindAllStringSubmatch(string(text), -1)
	if len(commands) < 30 {
		t.Fatalf("%d commands", len(commands))
	}
	for _, m := range commands {
		name, rest, _ := strings.Cut(m[1], " ")
		if _, known := help[name]; !known {
			out, err := exec.Command(program, name, "--help").CombinedOutput()
			if err != nil || !strings.Contains(string(out), "sysgate "+name) {
				t.Errorf("sysgate %s: %v\n%s", m[1], err, out)
			}
			help[name] = string(out)
		}
		own, _, _ := strings.Cut(rest, " -- ") // the rest is the program's
		for _, flag := range regexp.MustCompile(`(^| )(--?[a-z-]+)`).FindAllStringSubmatch(own, -1) {
			if !regexp.MustCompile(`(^|[ ,])` + flag[2] + `[ ,]`).MatchString(help[name]) {
				t.Errorf("sysgate %s: the help has no %s", m[1], flag[2])
			}
		}
	}
}
