package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/gate"
	"github.com/sysgate/sysgate/internal/image/container"
	"github.com/sysgate/sysgate/internal/observe"
	"github.com/sysgate/sysgate/internal/profile"
	"github.com/sysgate/sysgate/internal/proof"
	"github.com/sysgate/sysgate/internal/source"
)

// sideHelp says in the help of a command what its sides can be.
const sideHelp = `Each is a program, a container image, a profile of programs saved by "sysgate
profile --json", a recording ("sysgate record --evidence"), or whatever "sysgate
check" reads: a policy in any format (FORMAT:FILE names it), a filter, "@set", "pid:N".`

// A sideReader reads what is compared. A policy that lists no ABI is for that of
// the programs on the other side.
type sideReader struct {
	*env
	space   *proof.Space
	settle  *settling
	options profile.Options
	native  abi.ABI // None: the machine's

	image imageFlags // of images
	with  []string   // further programs of images
}

func (e *env) newSideReader(f *gateFlags) (*sideReader, error) {
	settle, err := newSettling(f.assume)
	if err != nil {
		return nil, err
	}
	o, err := f.libraries.options(profile.Options{Inventory: true, Args: f.args})
	if err != nil {
		return nil, err
	}
	return &sideReader{env: e, space: proof.NewSpace(proof.Budget{}), settle: settle, options: o, image: f.image, with: f.with}, nil
}

// read reads one side from files of one kind; several are programs.
func (r *sideReader) read(files ...string) (*gate.Side, error) {
	var programs []*profile.Result
	for _, file := range files {
		side, results, err := r.one(file)
		switch {
		case err != nil:
			return nil, err
		case side != nil && len(files) > 1:
			return nil, usageError(fmt.Errorf("%s: one of several, and not a program", file))
		case side != nil:
			return side, nil
		}
		programs = append(programs, results...)
	}
	name := files[0]
	if len(files) > 1 {
		name = count(len(files), "program")
	}
	return gate.Programs(r.space, name, r.options.Args, programs...)
}

func (r *sideReader) one(file string) (*gate.Side, []*profile.Result, error) {
	format, bare := source.SplitFormat(file)
	if format == nil && container.Names(file) {
		return r.programsOf(file)
	}
	kind, err := kindOf(file)
	if err != nil {
		return nil, nil, err
	}
	switch kind {
	case kindProfile:
		results, err := r.readSaved(bare)
		return nil, results, err
	case kindRuns:
		side, err := r.runs(file)
		return side, nil, err
	case kindPolicy:
		side, err := r.policy(file)
		return side, nil, err
	}
	return r.programsOf(file)
}

// programsOf profiles a program, or those of an image.
func (r *sideReader) programsOf(file string) (*gate.Side, []*profile.Result, error) {
	var f imageFlags
	var with []string
	if container.Names(file) {
		f, with = r.image, r.with
	}
	list, err := r.programs([]string{file}, with, f)
	if err != nil {
		return nil, nil, err
	}
	programs, err := r.profileWith(list.programs, r.settle, r.options)
	if err := errors.Join(err, list.close()); err != nil {
		return nil, nil, explainRefusal(err)
	}
	return nil, results(programs), nil
}

func (r *sideReader) runs(file string) (*gate.Side, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	runs, err := observe.ReadRuns(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	for _, run := range runs {
		if run.Lost > 0 {
			r.warningf("%s: %d calls of a run were lost: it may have made others", file, run.Lost)
		}
	}
	return gate.Runs(r.space, file, runs...)
}

func (r *sideReader) policy(file string) (*gate.Side, error) {
	in, err := r.readInput(file, source.Options{Native: r.native})
	if err != nil {
		return nil, err
	}
	f, err := in.Function(r.space)
	if err != nil {
		return nil, err
	}
	side, err := gate.Policy(r.space, in.Name, f, in.ABIs(r.space, f))
	if err == nil && in.Policy != nil {
		side.Release = in.Policy.Release()
	}
	return side, err
}

// A kind is what a file holds.
type kind int

const (
	kindProgram kind = iota // or an image of them
	kindProfile
	kindRuns
	kindPolicy
)

// kindOf looks at the beginning of a file, or at the format that it is said to have.
func kindOf(file string) (kind, error) {
	if file == "-" || len(file) > 0 && file[0] == '@' || len(file) > 4 && file[:4] == "pid:" {
		return kindPolicy, nil
	}
	switch format, bare := source.SplitFormat(file); {
	case format != nil && format.Name == "profile" && bare != "-":
		return kindProfile, nil
	case format != nil:
		return kindPolicy, nil
	case container.Names(file):
		return kindProgram, nil
	}
	f, err := os.Open(file)
	if errors.Is(err, os.ErrNotExist) {
		return kindProgram, nil // what is no file may be an image
	}
	if err != nil {
		return 0, err
	}
	defer f.Close()
	head := make([]byte, 512)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return 0, fmt.Errorf("%s: %w", file, err)
	}
	head = head[:n]
	switch {
	case bytes.HasPrefix(head, []byte("\x7fELF")), bytes.HasPrefix(head, []byte("#!")):
		return kindProgram, nil
	case profile.IsSaved(head):
		return kindProfile, nil
	case observe.IsStream(head):
		return kindRuns, nil
	}
	return kindPolicy, nil
}

// readSides reads both sides, programs first: a policy is for their ABI.
func (r *sideReader) readSides(old string, now ...string) (was, is *gate.Side, err error) {
	kinds := []kind{0, 0}
	for i, file := range []string{old, now[0]} {
		if kinds[i], err = kindOf(file); err != nil {
			return nil, nil, err
		}
	}
	if source.IsStdin(old) && slices.ContainsFunc(now, source.IsStdin) {
		return nil, nil, usageError(errors.New("standard input can be read once"))
	}
	// Policies restrict arguments.
	r.options.Args = r.options.Args || kinds[0] == kindPolicy
	first := func() error { was, err = r.read(old); return err }
	second := func() error { is, err = r.read(now...); return err }
	if kinds[0] == kindPolicy {
		first, second = second, first
	}
	if err := first(); err != nil {
		return nil, nil, err
	}
	for _, side := range []*gate.Side{was, is} {
		if side != nil && !side.IsPolicy() && len(side.ABIs) > 0 {
			r.native = side.ABIs[0]
		}
	}
	if err := second(); err != nil {
		return nil, nil, err
	}
	if err := r.settle.idle(); err != nil {
		return nil, nil, err
	}
	for _, on := range is.ABIs {
		if was.IsPolicy() && !slices.Contains(was.ABIs, on) {
			r.warningf("%s is not for %v: every call of %s there is stopped", was.Name, on, is.Name)
		}
	}
	return was, is, nil
}
