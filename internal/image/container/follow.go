package container

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"syscall"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// A Program is one that a container runs, as far as that can be followed.
type Program struct {
	Path string // in the image, without links
	File string // on this machine, below Root.Dir
	// Roles say why it runs: "entry point", "interpreter of /entrypoint.sh",
	// "started by /sbin/tini".
	Roles []string
	// Others says that it may start programs that are not among these, for reasons of its
	// own: it is neither a shell nor a starter, of which the plan says what they start.
	Others bool
}

// Unfollowed is where a container starts programs that are not known.
type Unfollowed struct {
	Where string // "/entrypoint.sh:12", `sh -c "$START"`
	Why   string
}

// A Plan is what a container runs.
type Plan struct {
	Programs   []Program // each once, in the order in which they were found
	Unfollowed []Unfollowed
	// Absent is what scripts start and the image does not have. Where it is not mounted
	// into containers, it does not run.
	Absent []Absent
}

// Absent is a program that is not there, or cannot be executed.
type Absent struct {
	Where string // "/entrypoint.sh:12"
	Name  string
	Why   string
}

// Follow finds the programs that a container of the configuration runs: those of
// Entrypoint and Cmd, of the health check, and extra, each the path or the name of
// a program of the image.
//
// A path without a slash is looked up in PATH of the image's Env, another one from
// WorkingDir, both inside the image. A script leads to the interpreter of its "#!"
// line, through as many scripts as the kernel allows; env, tini, dumb-init and
// others like them (starters), busybox and a shell's -c to the programs that they
// are told to start. Of a shell script every command is followed whose name is
// written out or can be found from what the script assigns, the image's Env and
// the arguments; the script's conditions do not count. The first argument of
// another script leads to a program if it is the name of one.
func (r *Root) Follow(c v1.Config, extra ...string) (*Plan, error) {
	f := &follower{root: r, plan: &Plan{}, seen: map[string]bool{}, read: map[string]bool{}, told: map[string]bool{}, programs: map[placed]int{}, scripts: map[string]*script{}}
	f.env = environment{searchPath(c.Env), c.WorkingDir, variables(c.Env)}
	argv := slices.Concat(c.Entrypoint, c.Cmd)
	if len(argv) == 0 && len(extra) == 0 {
		return nil, errNoCommand
	}
	if len(argv) > 0 {
		if err := f.start(f.env, argv, "entry point"); err != nil {
			return nil, fmt.Errorf("the entry point %w", err)
		}
	}
	if err := f.healthcheck(c); err != nil {
		return nil, err
	}
	for _, name := range extra {
		if err := f.start(f.env, []string{name}, "named"); err != nil {
			return nil, err
		}
	}
	return f.plan, nil
}

var errNoCommand = errors.New("the image has neither Entrypoint nor Cmd")

// IsNoCommand reports whether an error of Follow says that the image does not know
// what to run.
func IsNoCommand(err error) bool { return errors.Is(err, errNoCommand) }

// defaultPath is what container engines set where Env has no PATH.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// searchPath returns PATH of an environment: runtimes take the last one.
func searchPath(env []string) string {
	found := defaultPath
	for _, e := range env {
		if value, ok := strings.CutPrefix(e, "PATH="); ok {
			found = value
		}
	}
	return found
}

// variables returns the variables of an environment.
func variables(env []string) map[string]string {
	all := map[string]string{}
	for _, e := range env {
		if name, value, ok := strings.Cut(e, "="); ok {
			all[name] = value
		}
	}
	return all
}

type follower struct {
	root     *Root
	plan     *Plan
	env      environment
	depth    int             // of programs that start each other
	steps    int             // in all
	seen     map[string]bool // what was followed already
	read     map[string]bool // scripts whose commands were
	programs map[placed]int  // where they are in the plan
	told     map[string]bool // arguments of interpreters, which were reported
	work     int             // that scripts took

	scripts map[string]*script // by what they are and how they run
}

const (
	// maxDepth bounds the programs that one after the other start the next.
	maxDepth = 100
	// maxSteps bounds all that are followed: scripts can branch.
	maxSteps = 100_000
)

// healthcheck follows the program of a health check, which engines run in the
// container (Docker's Dockerfile reference, HEALTHCHECK and SHELL). One that cannot
// run keeps no container from running.
func (f *follower) healthcheck(c v1.Config) error {
	h := c.Healthcheck
	if h == nil || len(h.Test) < 2 {
		return nil
	}
	var argv []string
	switch h.Test[0] {
	case "CMD":
		argv = h.Test[1:]
	case "CMD-SHELL":
		if argv = append(argv, c.Shell...); len(argv) == 0 {
			argv = []string{"/bin/sh", "-c"}
		}
		argv = append(argv, h.Test[1])
	default:
		return nil
	}
	return f.attempt(f.env, "the health check", "health check", argv)
}

// start follows a command whose program is looked up as execvp(3) does.
func (f *follower) start(e environment, argv []string, role string) error {
	name, err := f.lookup(e, argv[0])
	if err != nil {
		return fmt.Errorf("%q: %w", argv[0], err)
	}
	return f.exec(e, name, argv, role, 0)
}

var (
	errNotExecutable = errors.New("not executable")
	errNotRegular    = errors.New("not a regular file")
	errNoFormat      = errors.New(`neither an ELF program nor a script with "#!"`)
	errScripts       = errors.New(`too many "#!" lines lead to each other`)
	errEndless       = errors.New("it starts itself, without an end")
)

// lookup returns the path of the file that name stands for, made absolute.
func (f *follower) lookup(e environment, name string) (string, error) {
	if name == "" {
		return "", syscall.ENOENT
	}
	if strings.Contains(name, "/") {
		return f.absolute(e, name), nil
	}
	var found error = fmt.Errorf("not in the image's PATH (%s)", e.path)
	for dir := range strings.SplitSeq(e.path, ":") {
		file := f.absolute(e, dir+"/"+name)
		if dir == "" {
			file = f.absolute(e, name)
		}
		err := f.executable(file)
		if err == nil {
			return file, nil
		}
		if errors.Is(err, errNotExecutable) {
			found = fmt.Errorf("%s: %w", file, err)
		}
	}
	return "", found
}

func (f *follower) absolute(e environment, name string) string {
	if strings.HasPrefix(name, "/") {
		return name
	}
	return "/" + e.dir + "/" + name // not path.Join: ".." is not the parent of a link
}

func (f *follower) executable(name string) error {
	n, _, err := f.root.tree.walk(name, true, nil)
	switch {
	case err != nil:
		return err
	case n.kind != regular:
		return errNotRegular
	case !n.file.executable:
		return errNotExecutable
	}
	return nil
}

// maxScripts is how many interpreters can lead to one another (exec_binprm in the
// kernel's fs/exec.c).
const maxScripts = 5

// exec follows execve(name, argv).
func (f *follower) exec(e environment, name string, argv []string, role string, scripts int) error {
	f.depth++
	defer func() { f.depth-- }()
	if f.steps++; f.depth > maxDepth || f.steps > maxSteps {
		return fmt.Errorf("%s: %w", name, errEndless)
	}
	if err := f.executable(name); err != nil {
		return fmt.Errorf("%s: %w", path.Clean(name), err)
	}
	n, real, err := f.root.tree.walk(name, true, nil)
	if err != nil {
		return fmt.Errorf("%s: %w", path.Clean(name), err)
	}
	name = path.Clean(name)
	key := strings.Join(append([]string{e.path, e.dir, name}, argv...), "\x00")
	seen := f.seen[key]
	f.seen[key] = true
	if n.file.binary {
		p := f.add(n.file, real, role)
		p.Others = p.Others || !isFollowed(name, argv[1:])
	}
	switch {
	case seen:
		return nil
	case n.file.binary:
		return f.arguments(e, name, real, argv)
	case n.file.line == "":
		return fmt.Errorf("%s: %w", name, errNoFormat)
	}
	interpreter, argument, ok := parseShebang(n.file.line)
	if !ok {
		return fmt.Errorf("%s: %w", name, errNoFormat)
	}
	if scripts++; scripts > maxScripts {
		return fmt.Errorf("%s: %w", name, errScripts)
	}
	next := []string{interpreter}
	if argument != "" {
		next = append(next, argument)
	}
	if err := f.exec(e, f.absolute(e, interpreter), slices.Concat(next, []string{name}, argv[1:]), "interpreter of "+name, scripts); err != nil {
		return fmt.Errorf("%s: its interpreter %w", name, err)
	}
	if f.read[name] {
		return nil
	}
	if !f.told[name] {
		f.unfollowed(name, "a script: what it starts itself is not followed")
	}
	return f.mayStart(e, argv[1:], "argument of "+name)
}

// mayStart follows the arguments of a script if they begin with the name of a
// program.
func (f *follower) mayStart(e environment, argv []string, role string) error {
	if len(argv) == 0 || argv[0] == "" || argv[0][0] == '-' {
		return nil
	}
	file, err := f.lookup(e, argv[0])
	if err != nil || f.executable(file) != nil {
		return nil // an argument like any other
	}
	return f.exec(e, file, argv, role, 0)
}

// A placed file is what a program is: hard links in one directory are the same.
type placed struct {
	file *file
	dir  string
}

// add adds a program to the plan. One with several names has the first of them.
func (f *follower) add(content *file, real, role string) *Program {
	key := placed{content, path.Dir(real)} // libraries are found by it
	i, ok := f.programs[key]
	if !ok {
		i = len(f.plan.Programs)
		f.programs[key] = i
		f.plan.Programs = append(f.plan.Programs, Program{Path: real, File: f.root.path(real)})
	}
	p := &f.plan.Programs[i]
	if !slices.Contains(p.Roles, role) {
		p.Roles = append(p.Roles, role)
	}
	return p
}

func (f *follower) unfollowed(where, why string) {
	report(&f.plan.Unfollowed, Unfollowed{known(where), known(why)})
}

// absent reports a program that a script starts and that cannot run.
func (f *follower) absent(where, name string, why error) {
	report(&f.plan.Absent, Absent{known(where), shortened(name), why.Error()})
}

// known returns a text with what is not known of it replaced for readers.
func known(text string) string { return strings.ReplaceAll(text, unknown, "…") }

func report[T comparable](list *[]T, entry T) {
	if !slices.Contains(*list, entry) {
		*list = append(*list, entry)
	}
}

// parseShebang reads the first line of a script as load_script in the kernel's
// fs/binfmt_script.c does: the interpreter's name ends at a blank, what follows is
// one argument. A name that does not end within what the kernel reads is none.
func parseShebang(line string) (interpreter, argument string, ok bool) {
	text, ended := strings.CutSuffix(line, "\n")
	text = strings.TrimLeft(strings.TrimPrefix(text, "#!"), " \t")
	if nul := strings.IndexByte(text, 0); nul >= 0 {
		text, ended = text[:nul], true
	}
	if !ended && !strings.ContainsAny(text, " \t") {
		return "", "", false
	}
	interpreter, argument = text, ""
	if i := strings.IndexAny(text, " \t"); i >= 0 {
		interpreter, argument = text[:i], strings.Trim(text[i:], " \t")
	}
	return interpreter, argument, interpreter != ""
}
