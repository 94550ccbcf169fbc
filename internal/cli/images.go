package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/image/container"
	"github.com/sysgate/sysgate/internal/profile"
)

// imageFlags say what of an image is profiled.
type imageFlags struct {
	abi     string   // "" is the native one
	command string   // "" is the image's own
	cmd     string   // takes the place of the image's Cmd
	set     []string // variables, as NAME=VALUE
}

func (f *imageFlags) add(cmd *cobra.Command) {
	abiFlag(cmd, &f.abi)
	cmd.Flags().Lookup("abi").Usage = "of an image for several platforms, take that of `ABI`"
	cmd.Flags().StringVar(&f.command, "command", "", "take it that containers run `COMMAND`, a program and its arguments, not the image's Entrypoint and Cmd")
	cmd.Flags().StringVar(&f.cmd, "cmd", "", "take it that containers get `ARGUMENTS` in the place of the image's Cmd, as from docker run IMAGE ARGUMENTS")
	cmd.Flags().StringArrayVar(&f.set, "env", nil, "take it that containers have `NAME=VALUE` in their environment, besides the image's Env")
}

// given returns the name of a flag that is for images alone and is given; "" if none
// is.
func (f *imageFlags) given() string {
	switch {
	case f.command != "":
		return "command"
	case f.cmd != "":
		return "cmd"
	case len(f.set) > 0:
		return "env"
	}
	return ""
}

// apply puts what the flags say into the configuration of an image.
func (f *imageFlags) apply(image *container.Image) error {
	c := &image.Config
	switch {
	case f.command != "" && f.cmd != "":
		return usageError(withHint(errors.New("--command and --cmd exclude each other"), "--command is the whole command, --cmd what follows the image's Entrypoint"))
	case f.command != "":
		c.Entrypoint, c.Cmd = container.Words(f.command), nil
	case f.cmd != "":
		c.Cmd = container.Words(f.cmd)
	}
	for _, v := range f.set {
		name, _, ok := strings.Cut(v, "=")
		if !ok || name == "" {
			return usageError(withHint(fmt.Errorf("--env %q", v), "--env NAME=VALUE"))
		}
		c.Env = append(slices.DeleteFunc(slices.Clone(c.Env), func(have string) bool { return strings.HasPrefix(have, name+"=") }), v)
	}
	return nil
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
	from := arg
	if isInput(arg) {
		arg = "standard input" + strings.TrimPrefix(arg, "-")
	}
	progress := newProgress(e.stderr, arg, e.quiet)
	defer progress.clear()
	opened, err := container.Open(context.Background(), from, container.Options{
		ABI: on, Temp: l.temp, Name: arg, Input: e.stdin,
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
	if err := f.apply(opened); err != nil {
		return nil, err
	}
	plan, err := root.Follow(opened.Config, with...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", arg, err)
	}
	e.infof("image: %s (linux/%v): runs %s", arg, on, strings.Join(summaries(plan), ", "))
	var assumed []string
	for _, u := range plan.Unfollowed {
		what := printable(u.Where+": "+u.Why, "")
		e.warningf("%s: %s", arg, what)
		assumed = append(assumed, "no program starts that was not looked at: "+what)
	}
	if len(plan.Unfollowed) > 0 {
		e.hintf("--with PROGRAM profiles a program of the image too, by its path or name there; --env NAME=VALUE and --cmd say how it is started")
	}
	if names := absent(plan); len(names) > 0 {
		for _, a := range plan.Absent {
			e.detailf("%s: %s", arg, printable(a.Where+" starts "+a.Name+": "+a.Why, ""))
		}
		e.infof("scripts start programs that the image does not have: %s", listed(names, ""))
		assumed = append(assumed, "programs that scripts start and the image does not have are not put there: "+strings.Join(names, ", "))
	}
	source := "image " + arg
	if opened.Digest != "" {
		source += " (" + opened.Digest + ")"
	}
	var programs []program
	for _, p := range plan.Programs {
		programs = append(programs, program{file: p.File, name: arg + ":" + printable(p.Path, ""), image: arg, root: root.Dir, environment: opened.Config.Env, followed: !p.Others})
	}
	programs[0].source, programs[0].assumed = source, assumed // once is enough
	return programs, nil
}

// absent returns the names of what scripts start and the image does not have, sorted.
func absent(plan *container.Plan) []string {
	var names []string
	for _, a := range plan.Absent {
		names = append(names, printable(a.Name, ""))
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// isImage reports whether an argument names an image: "-" and "-:NAME" are in an archive
// on standard input.
func isImage(arg string) bool { return isInput(arg) || container.Names(arg) }

func isInput(arg string) bool { return arg == "-" || strings.HasPrefix(arg, "-:") }

// profilesOfImage profiles the programs that the containers of an image run.
func (e *env) profilesOfImage(arg string, o profile.Options, f imageFlags) (all []*profile.Result, err error) {
	list, err := e.programs([]string{arg}, nil, f)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, list.close()) }()
	for _, p := range list.programs {
		progress := newProgress(e.stderr, p.label, e.quiet)
		o.Progress = progress.report
		r, err := p.profile(o)
		progress.clear()
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, nil
}

// summaries describes the programs of an image in a few words each.
func summaries(plan *container.Plan) []string {
	var list []string
	for _, p := range plan.Programs {
		list = append(list, printable(p.Path+" ("+strings.Join(p.Roles, ", ")+")", ""))
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
	case errors.As(err, &choice) && len(choice.Has) > 0 && isInput(arg):
		return withHint(err, "-- -:%s", choice.Has[0]) // else it is taken for a flag
	case errors.As(err, &choice) && len(choice.Has) > 0:
		return withHint(err, "%s:%s", strings.TrimSuffix(arg, ":"+choice.Want), choice.Has[0])
	case errors.As(err, &registry) && registry.Denied():
		return withHint(err, "docker login %s", registry.Registry)
	case container.IsNoCommand(err):
		return withHint(err, "--command 'PROGRAM ARGUMENT…', or --with PROGRAM")
	}
	return err
}
