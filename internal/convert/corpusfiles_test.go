package convert

import (
	"encoding/json"
	"go/ast"
	goparser "go/parser"
	gotoken "go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/sysgate/sysgate/abi"
)

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

// printContainerd prints containerd's default profile for a container with the
// capabilities that it is given: code makes it.
const printContainerd = `package main

import (
	"encoding/json"
	"os"

	"github.com/containerd/containerd/v2/contrib/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"
)

func main() {
	if err := json.NewEncoder(os.Stdout).Encode(seccomp.DefaultProfile(&specs.Spec{
		Process: &specs.Process{Capabilities: &specs.LinuxCapabilities{Bounding: os.Args[1:]}},
	})); err != nil {
		panic(err)
	}
}
`

// containerd returns containerd's default profile for containers with different
// capabilities.
func containerd(t *testing.T) []string {
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata/containerd")); err != nil { // go.mod and go.sum
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(printContainerd), 0o644); err != nil {
		t.Fatal(err)
	}
	var files []string
	for i, caps := range [][]string{nil, {"CAP_SYS_CHROOT", "CAP_SYS_PTRACE"}, {"CAP_SYS_ADMIN", "CAP_BPF", "CAP_SYS_MODULE"}} {
		run := exec.Command("go", append([]string{"run", "."}, caps...)...)
		run.Dir = dir
		text, err := run.Output()
		if err != nil {
			t.Skipf("containerd cannot be downloaded: %v", err)
		}
		files = append(files, filepath.Join(dir, strconv.Itoa(i)+".json"))
		if err := os.WriteFile(files[i], text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// snapd returns the templates of snapd's interfaces, which are constants of its
// source.
func snapd(t *testing.T) []string {
	dir := t.TempDir()
	var files []string
	for _, file := range inModule("github.com/snapcore/snapd@v0.0.0-20201005140838-501d14ac146e", "interfaces/*/*.go")(t) {
		source, err := goparser.ParseFile(gotoken.NewFileSet(), file, nil, goparser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(source, func(n ast.Node) bool {
			constant, ok := n.(*ast.ValueSpec)
			if !ok || len(constant.Values) != 1 || !strings.HasSuffix(strings.ToLower(constant.Names[0].Name), "seccomp") {
				return true
			}
			if literal, ok := constant.Values[0].(*ast.BasicLit); ok && literal.Kind == gotoken.STRING && literal.Value[0] == '`' {
				files = append(files, filepath.Join(dir, constant.Names[0].Name))
				if err := os.WriteFile(files[len(files)-1], []byte(strings.Trim(literal.Value, "`")), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			return true
		})
	}
	return files
}

// ownCorpora returns the policies below a directory, by format and ABI.
func ownCorpora(t *testing.T, dir string) []corpus {
	t.Helper()
	var all []corpus
	files := map[string][]string{} // by name
	err := filepath.WalkDir(dir, func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		c := corpus{on: abi.AMD64}
		for folder := range strings.SplitSeq(filepath.ToSlash(filepath.Dir(file)), "/") {
			if _, ok := ByName(folder); ok {
				c.format = folder
			}
			if a, ok := abi.Parse(folder); ok {
				c.on = a
			}
		}
		if c.format == "" {
			data, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			f, ok := Detect(file, data)
			if !ok {
				t.Errorf("%s: the format is not detected", file)
				return nil
			}
			c.format = f.Name
		}
		c.name = c.format + " on " + c.on.String()
		if files[c.name] == nil {
			c.files = func(*testing.T) []string { return files[c.name] }
			all = append(all, c)
		}
		files[c.name] = append(files[c.name], file)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(all, func(a, b corpus) int { return strings.Compare(a.name, b.name) })
	return all
}

var corpora = []corpus{
	{"profiles of the benchmark", "oci", glob("../../testdata/policies/P*.json"), "", 4, abi.None},
	{"podman's default profile", "podman", of("golang-github-containers-common", "/usr/share/containers/seccomp.json", "/usr/share/containers/seccomp.json"), "", 1, abi.None},
	{"units of systemd", "systemd", of("systemd", "/usr/lib/systemd/system/systemd-logind.service", "/usr/lib/systemd/system/*.service"), "SystemCallFilter", 10, abi.None},
	{"profiles of Firejail", "firejail", of("firejail-profiles", "/etc/firejail/firefox.profile", "/etc/firejail/[a-f]*.profile"), "seccomp", 50, abi.None},
	{"Docker's default profile", "docker", inModule("github.com/moby/profiles/seccomp@v0.3.0", "default.json"), "", 1, abi.None},
	{"podman's default profile of a release", "podman", inModule("github.com/containers/common@v0.60.4", "pkg/seccomp/seccomp.json"), "", 1, abi.None},
	{"samples of the operator", "spo", inModule("sigs.k8s.io/security-profiles-operator@v0.9.1", "examples/*profile*.yaml"), "\nkind: SeccompProfile\n", 6, abi.None},
	{"containerd's default profile", "oci", containerd, "", 3, abi.None},
	{"interfaces of snapd", "snap", snapd, "", 58, abi.None},
	{"policy of go-seccomp-bpf's example", "libbeat", inModule("github.com/elastic/go-seccomp-bpf@v1.6.0", "cmd/sandbox/seccomp.yml"), "", 1, abi.None},
	{"policies of the examples", "go-source", glob("../../examples/beat/include/seccomp_linux_amd64.go"), "", 1, abi.None},
}
