package convert

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
)

// A corpus is real policies of one format.
type corpus struct {
	name    string
	format  string
	files   func(t *testing.T) []string
	holding string // only files with this
	least   int    // so many of them can be read
}

func glob(patterns ...string) func(t *testing.T) []string {
	return func(t *testing.T) []string {
		var all []string
		for _, pattern := range patterns {
			files, err := filepath.Glob(pattern)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, files...)
		}
		return all
	}
}

// of returns the files of a Debian package, which is downloaded where it is not
// installed.
func of(name, present, pattern string) func(t *testing.T) []string {
	return func(t *testing.T) []string { return glob(filepath.Join(debian(t, name, present), pattern))(t) }
}

// inModule returns files of a Go module, which is downloaded.
func inModule(module, pattern string) func(t *testing.T) []string {
	return func(t *testing.T) []string {
		out, err := exec.Command("go", "mod", "download", "-json", module).Output()
		var where struct{ Dir, Error string }
		if json.Unmarshal(out, &where) != nil || where.Dir == "" {
			t.Skipf("%s cannot be downloaded: %v %s", module, err, where.Error)
		}
		return glob(filepath.Join(where.Dir, pattern))(t)
	}
}

var corpora = []corpus{
	{"profiles of the benchmark", "oci", glob("../../testdata/policies/P*.json"), "", 4},
	{"podman's default profile", "podman", of("golang-github-containers-common", "/usr/share/containers/seccomp.json", "/usr/share/containers/seccomp.json"), "", 1},
	{"units of systemd", "systemd", of("systemd", "/usr/lib/systemd/system/systemd-logind.service", "/usr/lib/systemd/system/*.service"), "SystemCallFilter", 10},
	{"profiles of Firejail", "firejail", of("firejail-profiles", "/etc/firejail/firefox.profile", "/etc/firejail/[a-f]*.profile"), "seccomp", 50},
	{"Docker's default profile", "docker", inModule("github.com/moby/profiles/seccomp@v0.3.0", "default.json"), "", 1},
	{"podman's default profile of a release", "podman", inModule("github.com/containers/common@v0.60.4", "pkg/seccomp/seccomp.json"), "", 1},
	{"samples of the operator", "spo", inModule("sigs.k8s.io/security-profiles-operator@v0.9.1", "examples/*profile*.yaml"), "\nkind: SeccompProfile\n", 6},
	{"policies of the examples", "go-source", glob("../../examples/beat/include/seccomp_linux_amd64.go"), "", 1},
}

// A tally counts what becomes of policies that are written in a format.
type tally struct{ equal, stricter, looser, refused int }

// TestCorpus reads real policies and writes them in their own format, in
// sysgate's and as filters. In the last two, nothing is lost; what is lost in the
// first is counted.
func TestCorpus(t *testing.T) {
	if os.Getenv("SYSGATE_LONG") == "" {
		t.Skip("only long tests (SYSGATE_LONG=1) read the policies of whole packages")
	}
	for _, c := range corpora {
		t.Run(c.name, func(t *testing.T) {
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
					p, _, err := format(t, c.format).Read(file, part, Options{Native: abi.AMD64})
					if err != nil {
						refused[err.Error()]++
						continue
					}
					read++
					for name, n := range count {
						n.add(t, file, format(t, name), p)
					}
				}
			}
			for text, n := range refused {
				t.Logf("%d refused: %.200s", n, text)
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

func (n *tally) add(t *testing.T, file string, f Format, p *policy.Policy) {
	t.Helper()
	e, err := Export(f, p, Options{Native: abi.AMD64})
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
