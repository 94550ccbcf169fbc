package cli

import (
	"context"
	"errors"
	"fmt"
	"go/version"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/gate"
)

// A toolchain is an installed Go release.
type toolchain struct{ root, version string }

// toolchainAt returns the toolchain whose GOROOT a folder is.
func toolchainAt(root string) (toolchain, error) {
	text, err := os.ReadFile(filepath.Join(root, "VERSION"))
	if err != nil {
		return toolchain{}, err
	}
	first, _, _ := strings.Cut(string(text), "\n")
	// One that the go command has downloaded but not yet run is not executable.
	if _, err := exec.LookPath(filepath.Join(root, "bin", "go")); err != nil {
		return toolchain{}, err
	}
	return toolchain{root, strings.TrimSpace(first)}, nil
}

// findToolchain returns the newest installed toolchain of a release ("1.27") or
// version ("1.27.1"): the go command's own, those that it downloaded, those of
// golang.org/dl and of distributions.
func findToolchain(want string) (toolchain, bool) {
	home, _ := os.UserHomeDir()
	roots := []string{goSetting("GOROOT")}
	for _, pattern := range []string{
		filepath.Join(goSetting("GOMODCACHE"), "golang.org", "toolchain@v0.0.1-go*."+runtime.GOOS+"-"+runtime.GOARCH),
		filepath.Join(home, "sdk", "go*"), "/usr/local/go*", "/usr/lib/go*", "/opt/go*",
	} {
		found, _ := filepath.Glob(pattern) // the patterns are well-formed
		roots = append(roots, found...)
	}
	var best toolchain
	for _, root := range roots {
		t, err := toolchainAt(root)
		if err != nil || t.version != want && version.Lang(t.version) != want {
			continue
		}
		if best.root == "" || version.Compare(t.version, best.version) > 0 {
			best = t
		}
	}
	return best, best.root != ""
}

// goSetting asks the go command; "" if there is none.
func goSetting(name string) string {
	out, err := exec.Command("go", "env", name).Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

// probeAttempts is how often functions that a release does not have are taken out.
const probeAttempts = 5

var compileError = regexp.MustCompile(`(?m)^\S*probe\.go:(\d+):`)

// build builds a probe for an ABI and returns the file, which is in dir, and how
// many functions the release does not have.
func (t toolchain) build(ctx context.Context, p gate.Probe, on abi.ABI, dir string) (file string, missing int, err error) {
	source, file := filepath.Join(dir, "probe.go"), filepath.Join(dir, "probe")
	lines := strings.Split(p.Source, "\n")
	var last string
	for range probeAttempts {
		if err := os.WriteFile(source, []byte(strings.Join(lines, "\n")), 0o644); err != nil {
			return "", 0, err
		}
		cmd := exec.CommandContext(ctx, filepath.Join(t.root, "bin", "go"), "build", "-trimpath", "-gcflags=-e", "-o", file, source)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GOROOT="+t.root, "GOTOOLCHAIN=local", "GOFLAGS=", "GOWORK=off", "GO111MODULE=off", "CGO_ENABLED=0",
			"GOOS=linux", "GOARCH="+on.String())
		out, err := cmd.CombinedOutput()
		last = strings.TrimSpace(string(out))
		if err == nil {
			return file, missing, nil
		}
		found := compileError.FindAllStringSubmatch(string(out), -1)
		if len(found) == 0 || ctx.Err() != nil {
			return "", 0, errors.Join(fmt.Errorf("build a probe with %s: %w\n%s", t.version, err, last), ctx.Err())
		}
		var bad []int
		for _, m := range found {
			n, _ := strconv.Atoi(m[1])
			bad = append(bad, n-1)
		}
		slices.Sort(bad)
		for _, n := range slices.Compact(bad) {
			if n < len(lines) && lines[n] != "" {
				if !strings.HasPrefix(lines[n], "import") {
					missing++
				}
				lines[n] = ""
			}
		}
	}
	return "", 0, fmt.Errorf("build a probe with %s: it does not compile:\n%s", t.version, last)
}
