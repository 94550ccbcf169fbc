package cli

import (
	"context"
	"errors"
	"fmt"
	"go/version"
	"os"
	"strings"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/gate"
	"github.com/sysgate/sysgate/internal/image/container"
	"github.com/sysgate/sysgate/internal/profile"
)

// forecast says what an upgrade would bring to a program.
func (e *env) forecast(ctx context.Context, f *gateFlags, old, file string) error {
	pass, err := f.passing()
	if err != nil {
		return err
	}
	if len(f.forecast) > 1 {
		return usageError(errors.New("one --forecast at a time"))
	}
	what, spec, ok := strings.Cut(f.forecast[0], "=")
	if !ok || what != "go" && what != "libc" || spec == "" {
		return usageError(withHint(fmt.Errorf("--forecast %q", f.forecast[0]), "--forecast go=1.27, go=PATH or libc=FOLDER"))
	}
	r, err := e.newSideReader(f)
	if err != nil {
		return err
	}
	var was, is *gate.Side
	if old == file {
		if is, err = r.read(file); err == nil {
			was, err = is, r.settle.idle()
		}
	} else {
		was, is, err = r.readSides(old, file)
	}
	if err != nil {
		return err
	}
	if len(is.Programs) != 1 {
		return usageError(fmt.Errorf("%s: a forecast is for one program", file))
	}
	program, compare := is.Programs[0], gate.ForecastGo
	var upgraded *profile.Result
	if what == "go" {
		upgraded, err = e.upgradedGo(ctx, spec, program)
	} else {
		upgraded, err = e.upgradedLibraries(spec, file, program, r.options)
		compare = gate.ForecastLibraries
	}
	if err != nil {
		return err
	}
	report, err := compare(r.space, was, program, upgraded, gate.Options{Accept: pass.accept})
	if err != nil {
		return err
	}
	return e.finishGate(f, newGateReport(report, pass))
}

// upgradedLibraries profiles a program with the libraries below a folder.
func (e *env) upgradedLibraries(root, file string, p *profile.Result, o profile.Options) (*profile.Result, error) {
	info, err := os.Stat(root)
	switch {
	case err != nil:
		return nil, err
	case !info.IsDir():
		return nil, withHint(fmt.Errorf("%s is no folder", root), "give the root of a file system that has the new libraries where the old ones lie: an unpacked image, a chroot")
	case len(p.Files) == 1:
		return nil, fmt.Errorf("%s uses no library", file)
	}
	if kind, err := kindOf(file); err != nil || kind != kindProgram || container.Names(file) {
		return nil, errors.Join(err, withHint(fmt.Errorf("%s is no program in a file", file), "give the program itself"))
	}
	o.Root = root
	return profile.File(file, o)
}

// upgradedGo returns the profile that shows what the Go release that spec means
// brings to p.
func (e *env) upgradedGo(ctx context.Context, spec string, p *profile.Result) (*profile.Result, error) {
	switch {
	case p.Build.Version == "":
		return nil, fmt.Errorf("%s: not a Go program", p.File)
	case p.Linked == nil:
		return nil, withHint(fmt.Errorf("%s: the saved profile does not list the functions that the program links", p.File), "sysgate profile --json PROGRAM")
	}
	info, err := os.Stat(spec)
	switch {
	case err == nil && info.IsDir():
		t, err := toolchainAt(spec)
		if err != nil {
			return nil, withHint(fmt.Errorf("%s is no Go toolchain: %w", spec, err), "give its GOROOT, which has VERSION and bin/go")
		}
		return e.probe(ctx, t, p)
	case err == nil:
		other, err := e.openProfile(spec, profile.Options{})
		switch {
		case err != nil:
			return nil, err
		case other.Build.Version == "":
			return nil, fmt.Errorf("%s: not a Go program", spec)
		case other.Set.ABI != p.Set.ABI:
			return nil, fmt.Errorf("%s is for %v and %s for %v", spec, other.Set.ABI, p.File, p.Set.ABI)
		}
		return gate.Restrict(other, p), nil
	}
	want := "go" + strings.TrimPrefix(spec, "go")
	if !version.IsValid(want) {
		return nil, withHint(err, "give a version such as 1.27, a GOROOT, a program built with it, or a saved profile of one")
	}
	t, ok := findToolchain(want)
	if !ok {
		err := fmt.Errorf("no toolchain of %s is installed, and there is no such file", want)
		return nil, withHint(err, "GOTOOLCHAIN=%s go version downloads it; or --forecast go=PATH with a GOROOT, a program built with it, or a saved profile of one", firstRelease(want))
	}
	return e.probe(ctx, t, p)
}

// firstRelease returns the first version of a Go release, or a version as it is: from
// 1.21 on the first has a third number, too (go.dev/doc/toolchain).
func firstRelease(v string) string {
	if version.Lang(v) == v && version.Compare(v, "go1.21") >= 0 {
		return v + ".0"
	}
	return v
}

// probe builds the probe of p with a toolchain and profiles it.
func (e *env) probe(ctx context.Context, t toolchain, p *profile.Result) (*profile.Result, error) {
	if p.Set.ABI == abi.X32 {
		return nil, fmt.Errorf("%s: Go has no port for %v", p.File, p.Set.ABI)
	}
	dir, err := os.MkdirTemp("", "sysgate-probe-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	probe := gate.NewProbe(p)
	file, missing, err := t.build(ctx, probe, p.Set.ABI, dir)
	if err != nil {
		return nil, err
	}
	upgraded, err := profile.File(file, profile.Options{})
	if err != nil {
		return nil, fmt.Errorf("the probe of %s: %w", t.version, err)
	}
	e.infof("probe of %s: %s of the standard library that %s links", t.version, count(probe.Functions-missing, "function"), p.File)
	if missing > 0 {
		e.infof("%s has not %s of them", t.version, count(missing, "other"))
	}
	if p.Build.Settings["CGO_ENABLED"] == "1" {
		e.warningf("%s was built with cgo, the probe is not: what cgo brings is not foreseen", p.File)
	}
	return upgraded, nil
}
