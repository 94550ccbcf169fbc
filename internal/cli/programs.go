package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/image"
	"github.com/sysgate/sysgate/internal/observe"
	"github.com/sysgate/sysgate/internal/profile"
)

// A program is one that the command line names, or that an image runs.
type program struct {
	file  string // that is profiled
	name  string // in messages and reports
	label string // in a policy, where it says who makes a call: short, of one program

	// Of a program of an image.
	image       string   // the argument that named it
	root        string   // the folder that is its root
	source      string   // what a policy's head says of the image
	assumed     []string // likewise
	environment []string
	followed    bool // what it starts is among the programs, or was reported
}

// profile profiles the program.
func (p program) profile(o profile.Options) (*profile.Result, error) {
	if p.root != "" {
		if o.Root != "" {
			return nil, usageError(fmt.Errorf("--root and the image %s: it is its programs' root", p.image))
		}
		o.Root, o.Environment = p.root, slices.Concat([]string{}, p.environment)
	}
	r, err := p.read(o)
	if err != nil {
		return nil, p.renamed(err)
	}
	r.File, r.Set.Programs = p.name, []string{p.label}
	if p.root != "" {
		// Of the image, not of where it was unpacked.
		for _, list := range [][]string{r.Set.Sources, r.Set.Assumptions} {
			for i := range list {
				list[i] = printable(strings.ReplaceAll(list[i], p.root, ""), "")
			}
		}
		for i := range r.Set.Calls {
			r.Set.Calls[i].Evidence = strings.ReplaceAll(r.Set.Calls[i].Evidence, p.root, "")
		}
	}
	if p.source != "" {
		r.Set.Sources = append([]string{p.source}, r.Set.Sources...)
		r.Set.Assumptions = append(r.Set.Assumptions, p.assumed...)
	}
	return r, nil
}

// read profiles the program's file. Which program of an image opens the libraries that
// are given is not said: those do that open some whose names are not known.
func (p program) read(o profile.Options) (*profile.Result, error) {
	if p.root == "" || len(o.Libraries) == 0 {
		return profile.File(p.file, o)
	}
	without := o
	without.Libraries = nil
	r, err := profile.File(p.file, without)
	if err != nil || !slices.ContainsFunc(r.Undetermined, func(s profile.Site) bool { return s.Opens }) {
		return r, err
	}
	return profile.File(p.file, o)
}

// renamed returns an error about a file of an image with the names that it has
// there.
func (p program) renamed(err error) error {
	if p.root == "" || err == nil {
		return err
	}
	inImage := func(file string) string {
		if rest, ok := strings.CutPrefix(file, p.root); ok {
			return p.image + ":" + filepath.ToSlash(rest)
		}
		return file
	}
	if refused := new(image.RefusedError); errors.As(err, &refused) {
		refused.Path = inImage(refused.Path)
		refused.Reason = strings.ReplaceAll(refused.Reason, p.root, "")
	}
	if where := new(fs.PathError); errors.As(err, &where) {
		where.Path = inImage(where.Path)
	}
	return err
}

// A programList is the programs that a command line names. Close it when they have
// been read.
type programList struct {
	programs []program
	temp     string // of the files of images; "" without any
	signals  chan os.Signal
}

// files returns the programs in files of this machine.
func files(paths ...string) []program {
	list := make([]program, len(paths))
	for i, p := range paths {
		list[i] = program{file: p, name: p}
	}
	label(list)
	return list
}

// programs returns the programs that arguments name: files, and what the
// containers of images run. with are further ones: programs of the image, if there
// is one, else files.
func (e *env) programs(args, with []string, f imageFlags) (_ *programList, err error) {
	var images int
	for _, arg := range args {
		if isImage(arg) {
			images++
		}
	}
	switch {
	case images == 0 && f.given() != "":
		return nil, usageError(fmt.Errorf("--%s is for images", f.given()))
	case images > 1 && len(with) > 0:
		return nil, usageError(withHint(errors.New("--with and several images: which of them has the program?"), "profile each of them alone, then sysgate merge --union"))
	}
	l := &programList{}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.close())
		}
	}()
	for _, arg := range args {
		if !isImage(arg) {
			l.programs = append(l.programs, program{file: arg, name: arg})
			continue
		}
		more, err := e.imagePrograms(l, arg, with, f)
		if err != nil {
			return nil, explainImage(arg, err)
		}
		l.programs = append(l.programs, more...)
	}
	if images == 0 {
		for _, file := range with {
			l.programs = append(l.programs, program{file: file, name: file})
		}
	}
	label(l.programs)
	return l, nil
}

// makeTemp makes the directory for the files of images. It is removed by close, or
// by a signal that ends this process.
func (l *programList) makeTemp() (err error) {
	if l.temp != "" {
		return nil
	}
	if l.temp, err = os.MkdirTemp("", "sysgate-profile-*"); err != nil {
		return err
	}
	l.signals = make(chan os.Signal, 1)
	signal.Notify(l.signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		s, ok := <-l.signals
		if !ok {
			return
		}
		_ = os.RemoveAll(l.temp)
		signal.Reset(s)
		if self, err := os.FindProcess(os.Getpid()); err == nil {
			_ = self.Signal(s)
		}
	}()
	return nil
}

// close removes the files of images.
func (l *programList) close() error {
	if l.temp == "" {
		return nil
	}
	signal.Stop(l.signals)
	close(l.signals)
	return os.RemoveAll(l.temp)
}

// label gives each program a label: the last part of its name, all of it where
// several have the same.
func label(list []program) {
	count := map[string]int{}
	for _, p := range list {
		count[path.Base(p.name)]++
	}
	for i := range list {
		p := &list[i]
		if p.label = path.Base(p.name); count[p.label] > 1 {
			p.label = p.name
		}
	}
}

// runtimeABI returns the ABI by which a container runtime starts programs of the
// sets: the machine's own, where it runs them, else theirs.
func runtimeABI(sets []*observe.Set) abi.ABI {
	native := abi.Native()
	for _, s := range sets {
		if s.ABI != native && !slices.Contains(native.Compat(), s.ABI) {
			return sets[0].ABI
		}
	}
	return native
}
