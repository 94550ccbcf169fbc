package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/image"
	"github.com/sysgate/sysgate/internal/image/container"
	"github.com/sysgate/sysgate/internal/observe"
	"github.com/sysgate/sysgate/internal/profile"
)

// A program is one that the command line names, or that an image runs.
type program struct {
	file  string // that is profiled
	name  string // in messages and reports
	label string // in a policy, where it says who makes a call: short, of one program

	// Of a program of an image.
	image   string   // the argument that named it
	root    string   // the folder that is its root
	source  string   // what a policy's head says of the image
	assumed []string // likewise
}

// profile profiles the program.
func (p program) profile(o profile.Options) (*profile.Result, error) {
	if p.root != "" {
		if o.Root != "" {
			return nil, usageError(fmt.Errorf("--root and the image %s: it is its programs' root", p.image))
		}
		o.Root = p.root
	}
	r, err := profile.File(p.file, o)
	if err != nil {
		return nil, p.renamed(err)
	}
	r.File, r.Set.Programs = p.name, []string{p.label}
	if p.root != "" {
		// Of the image, not of where it was unpacked.
		for _, list := range [][]string{r.Set.Sources, r.Set.Assumptions} {
			for i := range list {
				list[i] = strings.ReplaceAll(list[i], p.root, "")
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
	}
	if where := new(fs.PathError); errors.As(err, &where) {
		where.Path = inImage(where.Path)
	}
	return err
}

// imageFlags say what of an image is profiled.
type imageFlags struct {
	abi     string // "" is the native one
	command string // "" is the image's own
}

func (f *imageFlags) add(cmd *cobra.Command) {
	abiFlag(cmd, &f.abi)
	cmd.Flags().Lookup("abi").Usage = "of an image for several platforms, take that of `ABI`"
	cmd.Flags().StringVar(&f.command, "command", "", "take it that containers run `COMMAND`, a program and its arguments, not the image's Entrypoint and Cmd")
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
	case images == 0 && f.command != "":
		return nil, usageError(errors.New("--command is for images"))
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

// imagePrograms unpacks an image and returns what its containers run.
func (e *env) imagePrograms(l *programList, arg string, with []string, f imageFlags) ([]program, error) {
	on := abi.Native()
	if f.abi != "" {
		var err error
		if on, err = parseABI(f.abi); err != nil {
			return nil, err
		}
	}
	if err := l.makeTemp(); err != nil {
		return nil, err
	}
	from, err := e.imageFile(l, arg)
	if err != nil {
		return nil, err
	}
	if arg == "-" {
		arg = "standard input"
	}
	progress := newProgress(e.stderr, arg, e.quiet)
	defer progress.clear()
	opened, err := container.Open(context.Background(), from, container.Options{
		ABI: on, Temp: l.temp, Name: arg,
		Progress: func(stage string, done, total int64) { progress.report(stage+" MiB", int(done>>20), int(total>>20)) },
	})
	if err != nil {
		return nil, err
	}
	root, err := opened.Unpack()
	if err := errors.Join(err, opened.Close()); err != nil {
		return nil, err
	}
	progress.clear()
	config := opened.Config
	if f.command != "" {
		config.Entrypoint, config.Cmd = container.Words(f.command), nil
	}
	plan, err := root.Follow(config, with...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", arg, err)
	}
	e.infof("image: %s (linux/%v): runs %s", arg, on, strings.Join(summaries(plan), ", "))
	var assumed, maybe []string
	for _, u := range plan.Unfollowed {
		e.warningf("%s: %s: %s", arg, u.Where, u.Why)
		assumed = append(assumed, "no program starts that was not looked at: "+u.Where+": "+u.Why)
		for _, name := range u.Maybe {
			maybe = append(maybe, "--with "+name)
		}
	}
	switch {
	case len(maybe) > 0:
		slices.Sort(maybe)
		e.hintf("what scripts seem to start is profiled too with %s", strings.Join(slices.Compact(maybe), " "))
	case len(plan.Unfollowed) > 0:
		e.hintf("--with PROGRAM profiles a program of the image too, by its path or name there")
	}
	source := "image " + arg
	if opened.Digest != "" {
		source += " (" + opened.Digest + ")"
	}
	var programs []program
	for _, p := range plan.Programs {
		programs = append(programs, program{file: p.File, name: arg + ":" + p.Path, image: arg, root: root.Dir})
	}
	programs[0].source, programs[0].assumed = source, assumed // once is enough
	return programs, nil
}

// isImage reports whether an argument names an image: "-" is an archive on
// standard input.
func isImage(arg string) bool { return arg == "-" || container.Names(arg) }

// imageFile returns the argument, or the file that it keeps standard input in.
func (e *env) imageFile(l *programList, arg string) (string, error) {
	if arg != "-" {
		return arg, nil
	}
	file, err := os.Create(filepath.Join(l.temp, "stdin"))
	if err != nil {
		return "", err
	}
	_, err = io.Copy(file, e.stdin)
	return file.Name(), errors.Join(err, file.Close())
}

// profileOfImage profiles the only program that the containers of an image run.
func (e *env) profileOfImage(arg string, o profile.Options, f imageFlags) (*profile.Result, error) {
	list, err := e.programs([]string{arg}, nil, f)
	if err != nil {
		return nil, err
	}
	var r *profile.Result
	if len(list.programs) == 1 {
		progress := newProgress(e.stderr, list.programs[0].label, e.quiet)
		o.Progress = progress.report
		r, err = list.programs[0].profile(o)
		progress.clear()
	} else {
		last := list.programs[len(list.programs)-1]
		err = fmt.Errorf("%s: it runs %s, where one is wanted", arg, count(len(list.programs), "program"))
		err = withHint(err, "--command %s", strings.TrimPrefix(last.name, arg+":"))
	}
	return r, errors.Join(err, list.close())
}

// summaries describes the programs of an image in a few words each.
func summaries(plan *container.Plan) []string {
	var list []string
	for _, p := range plan.Programs {
		list = append(list, p.Path+" ("+strings.Join(p.Roles, ", ")+")")
	}
	return list
}

// explainImage adds what can be done where an image cannot be read.
func explainImage(arg string, err error) error {
	platform, choice, registry := new(container.PlatformError), new(container.ChoiceError), new(container.RegistryError)
	switch {
	case errors.As(err, &platform):
		for _, a := range platform.ABIs() {
			return withHint(err, "--abi %v", a)
		}
	case errors.As(err, &choice) && len(choice.Has) > 0:
		return withHint(err, "%s:%s", strings.TrimSuffix(arg, ":"+choice.Want), choice.Has[0])
	case errors.As(err, &registry) && registry.Denied():
		return withHint(err, "docker login %s", registry.Registry)
	case container.IsNoCommand(err):
		return withHint(err, "--command 'PROGRAM ARGUMENT…', or --with PROGRAM")
	}
	return err
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
