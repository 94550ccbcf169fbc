package cli

import (
	"strings"
	"testing"

	"github.com/sysgate/sysgate/internal/proof"
)

func TestIsTests(t *testing.T) {
	for data, want := range map[string]bool{
		"deny ptrace":                            true,
		"# a test\n\npolicy web.yaml\n":          true,
		"errno(EPERM) ptrace":                    true,
		"kill_process ptrace # all of it":        true,
		"property no-exec":                       true,
		"":                                       false,
		"default_action: allow\nsyscalls: []":    false,
		"# deny ptrace\nseccomp:\n":              false,
		"allow: x":                               false,
		"policy: {default_action: allow}":        false,
		`{"default_action": "allow"}`:            false,
		"\x20\x00\x00\x00\x04\x00\x00\x00":       false,
		"IAAAAAQAAAAVAAEAPgAAwAYAAAAAAACAIAAAAA": false,
	} {
		if got := isTests("f", []byte(data)); got != want {
			t.Errorf("%q: %v", data, got)
		}
	}
	if !isTests("web.test", []byte("dney ptrace")) {
		t.Error("a file named .test is none")
	}
}

func FuzzParseTests(f *testing.F) {
	f.Add("policy web.yaml\ndeny socket(AF_ALG), ptrace # x\nallow openat(flags & O_ACCMODE == O_RDONLY)\n")
	f.Add("errno(ENOSYS) clone3\nproperty no-exec, w^x\ntrap(3)\tread")
	f.Add("deny socket(domain in {1, 2}, _, 3), @systemd/mount")
	f.Fuzz(func(t *testing.T, text string) {
		tests, err := parseTests("f.test", []byte(text))
		if err != nil {
			if !strings.HasPrefix(err.Error(), "f.test:") {
				t.Fatalf("an error without its place: %v", err)
			}
			return
		}
		lines := strings.Count(text, "\n") + 1
		for _, c := range tests.claims {
			if c.Pos.Line < 1 || c.Pos.Line > lines || c.Text == "" || c.property == nil && c.Claim == 0 {
				t.Fatalf("%+v", c)
			}
			if c.property != nil {
				continue
			}
			// Text says the same again.
			again, err := parseTests("g.test", []byte(c.Text))
			if err != nil || len(again.claims) != 1 || again.claims[0].Claim != c.Claim || again.claims[0].Pattern.String() != c.Pattern.String() {
				t.Fatalf("%q: %+v, %v", c.Text, again, err)
			}
		}
	})
}

// The names of properties can stand in a line and in a list.
func TestPropertyNames(t *testing.T) {
	for _, p := range proof.Properties() {
		f, err := parseTests("f", []byte("property no-exec, "+p.Name))
		if err != nil || len(f.claims) != 2 || f.claims[1].property.Name != p.Name || p.Meaning == "" {
			t.Errorf("%s: %+v, %v", p.Name, f, err)
		}
	}
}
