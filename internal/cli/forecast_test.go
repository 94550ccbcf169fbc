package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sysgate/sysgate/internal/gate"
	"github.com/sysgate/sysgate/internal/profile"
	"github.com/sysgate/sysgate/internal/proof"
)

// What a forecast says of a program that an older release built is what a build
// with this release then has, no more and no less. The releases are those that
// are installed.
func TestForecastIsWhatComes(t *testing.T) {
	if os.Getenv("SYSGATE_LONG") == "" {
		t.Skip("long: SYSGATE_LONG=1")
	}
	source := filepath.Join(t.TempDir(), "main.go")
	const text = `package main

import (
	"net/http"
	"os"
	"os/exec"
	"time"
)

func main() {
	exec.Command(os.Args[1]).Run()
	time.Sleep(1)
	http.ListenAndServe(":0", http.FileServer(http.Dir(".")))
}
`
	if err := os.WriteFile(source, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	current, err := toolchainAt(goSetting("GOROOT"))
	if err != nil {
		t.Fatal(err)
	}
	tried := 0
	for _, release := range []string{"go1.21", "go1.22", "go1.23", "go1.24", "go1.25"} {
		old, ok := findToolchain(release)
		if !ok {
			t.Logf("%s is not installed", release)
			continue
		}
		tried++
		before, after := buildWith(t, old, source), buildWith(t, current, source)
		dir := t.TempDir()
		file, missing, err := current.build(t.Context(), gate.NewProbe(before), before.Set.ABI, dir)
		if err != nil {
			t.Fatal(err)
		}
		probe, err := profile.File(file, profile.Options{})
		if err != nil {
			t.Fatal(err)
		}
		s := proof.NewSpace(proof.Budget{})
		side, err := gate.Programs(s, "old", false, before)
		if err != nil {
			t.Fatal(err)
		}
		forecast, err := gate.ForecastGo(s, side, before, probe, gate.Options{})
		if err != nil {
			t.Fatal(err)
		}
		now, err := gate.Programs(s, "new", false, after)
		if err != nil {
			t.Fatal(err)
		}
		came, err := gate.Compare(s, side, now, gate.Options{})
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range came.New {
			if f.Cause != gate.Go {
				t.Errorf("%s: %s is put down to %q %v", release, f.Name, f.Cause, f.Module)
			}
		}
		if diff := cmp.Diff(foundNames(came.New), foundNames(forecast.New)); diff != "" {
			t.Errorf("%s: what came, and what was foreseen with %d functions missing:\n%s", release, missing, diff)
		}
		t.Logf("%s: %v", old.version, foundNames(came.New))
	}
	if tried == 0 {
		t.Skip("no older toolchain is installed")
	}
}

func foundNames(findings []gate.Finding) []string {
	var names []string
	for _, f := range findings {
		names = append(names, f.Name)
	}
	slices.Sort(names)
	return names
}

// buildWith builds a program with a toolchain and profiles it.
func buildWith(t *testing.T, tool toolchain, source string) *profile.Result {
	t.Helper()
	file := filepath.Join(t.TempDir(), "program")
	cmd := exec.CommandContext(t.Context(), filepath.Join(tool.root, "bin", "go"), "build", "-o", file, source)
	cmd.Dir = filepath.Dir(source)
	cmd.Env = append(os.Environ(), "GOROOT="+tool.root, "GOTOOLCHAIN=local", "GO111MODULE=off", "GOFLAGS=", "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	r, err := profile.File(file, profile.Options{Inventory: true})
	if err != nil {
		t.Fatal(err)
	}
	return r
}
