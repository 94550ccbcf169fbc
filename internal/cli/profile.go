package cli

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sysgate/sysgate/internal/convert"
	"github.com/sysgate/sysgate/internal/image/container"
	"github.com/sysgate/sysgate/internal/profile"
	"github.com/sysgate/sysgate/internal/refine"
	"github.com/sysgate/sysgate/policy"
)

type profileFlags struct {
	libraries     libraryFlags
	format, file  string
	json, partial bool
	verify        string
	lists         listFlags
	assume        []string
	with          []string
	strict        strictFlags
	sites         bool // shown
	defaultAction string
	runtime       string
	image         imageFlags
	template      templateFlags
}

func newProfileCmd(e *env) *cobra.Command {
	var f profileFlags
	cmd := &cobra.Command{
		Use:   "profile BINARY|IMAGE…",
		Short: "Find the system calls that programs can make, and print a policy",
		Long: `Find the system calls that compiled programs can make, from their machine code,
and print a policy that allows those and no others. Several programs (and those
that --with names; shared libraries, too) give one policy for all, of several ABIs too: it says which of
them makes a call, where not all do.

  policy  sysgate's own form, with the reason of each call as a comment
  names   one allowed call a line
  oci     a profile for containers (Docker, runc): what the runtime itself calls
          under it is allowed too, unless --runtime none

Each call has a verdict: certain (an instruction makes it), implicit (the kernel, the
vDSO or the dynamic loader makes it), conditional (only code makes it for which
evidence says that it is not used) or assumed. docs/profiling.md is the guide, and
docs/limits.md says which programs are taken. The policy is for the ABI of the
program. Where the number of a system call cannot be found, no policy is
printed, the places are listed, and the exit code is 3; --assume settles them. With
--partial there is a policy that says complete: false, which cannot be enforced
until that line is taken out; "sysgate run --mode log" shows what it lacks.

With --verify, what the programs can call is compared with a policy or filter in any
form that "sysgate check" reads, by proof: denied is what it never lets through, with
the path to each call, and makes the exit code 3; partly what depends on arguments
that are not known; then what it lets through for nothing. BINARY can be a profile
saved by --json, here and in "sysgate gate", which compares more.

An IMAGE is an archive of docker save or of an OCI layout, a layout directory
(PATH:NAME for one of several; "-" is standard input, as PATH), or a reference to a
registry: docker://NAME, or HOST/NAME:TAG where HOST has a dot or a port. Its profile is
that of the programs that a container runs: Entrypoint, Cmd and health check are
followed through "#!" lines, env, tini, the commands of shell scripts and the like.
--with names further programs of the image; --cmd, --command and --env say how it is
started.

What is found of libraries is kept in the user's cache folder for the next program
that loads them; --no-cache looks at them anew. The result is the same.

--phase main is for programs that load the filter themselves, first thing in main: what
only start-up code calls (the dynamic loader, constructors, the bring-up of Go's
runtime) is left out; what it leaves behind for later, as handlers and threads, is not.

Lists (--allow, --deny and their files) hold names of any ABI; those that this
one does not have are counted. An allowed call is in the policy even if it is
denied too.`,
		Example: `  sysgate profile ./server -o server.yaml
  sysgate profile --format oci ./server -o server.json
  sysgate profile --format names ./server ./client
  sysgate profile --verify /etc/docker/seccomp.json ./server
  sysgate profile image.tar --with git --format oci -o seccomp.json
  sysgate profile --format go --package include -o 'include/seccomp_linux_{{.GOARCH}}.go' ./server
  sysgate profile --no-cache /usr/bin/curl -o curl.yaml
  sysgate profile --deny-file denied.txt --assume 'main.raw=getpid' ./tool`,
		Args: usageArgs(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if f.verify != "" {
				return e.verifyProfile(cmd, &f, args)
			}
			if f.format, err = f.template.form(cmd, f.format); err != nil {
				return err
			}
			return e.printProfile(&f, args)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.format, "format", "policy", "`FORM`: policy, names, oci or go")
	outputFlag(cmd, &f.file)
	flags.BoolVar(&f.json, "json", false, "print all that was found as JSON, instead of a policy")
	f.lists.add(cmd)
	assumeFlag(cmd, &f.assume)
	f.libraries.add(cmd)
	f.libraries.addPhase(cmd)
	flags.StringVar(&f.verify, "verify", "", "print no policy, but which of the calls `POLICY` denies, and what it lets through for nothing")
	flags.BoolVar(&f.partial, "partial", false, "with unresolved sites, print a policy that says complete: false; the exit code is 3 all the same")
	f.strict.add(cmd)
	flags.BoolVar(&f.sites, "show-sites", false, "say of each call every place that makes it")
	flags.StringVar(&f.defaultAction, "default-action", "", "`ACTION` for calls that are not allowed; errno(ENOSYS) if absent")
	flags.StringVar(&f.runtime, "runtime", "", "allow what the container `RUNTIME` calls to start the program: runc, crun or none; with oci runc if absent, else none")
	flags.StringArrayVar(&f.with, "with", nil, "also profile `BINARY`, a program that the others start")
	f.image.add(cmd)
	f.template.add(cmd)
	return cmd
}

func (e *env) printProfile(f *profileFlags, paths []string) error {
	if f.partial && (f.format != "policy" || f.json) {
		return usageError(errors.New("--partial is for --format policy: no other form can say that it is incomplete"))
	}
	if f.libraries.phase == string(profile.PhaseMain) && (f.format == "oci" || f.runtime != "" && f.runtime != "none") {
		return usageError(withHint(errors.New("--phase main: a container's filter is there from the start"), "leave it out, or write a policy that the program loads itself"))
	}
	write, err := e.profileWriter(f)
	if err != nil {
		return err
	}
	options, err := f.options()
	if err != nil {
		return err
	}
	list, err := e.programs(paths, f.with, f.image)
	if err != nil {
		return err
	}
	o, err := f.libraries.options(profile.Options{Inventory: f.json, Args: f.strict.args || f.json, Sites: f.sites})
	if err != nil {
		return errors.Join(err, list.close())
	}
	programs, err := e.profile(list.programs, f.assume, o)
	if err := errors.Join(err, list.close()); err != nil {
		return err
	}
	open := unsound(programs, "sysgate profile")
	if open != nil {
		if !f.partial {
			open = withHint(open, "--partial writes what is known, as a policy that says complete: false")
		}
		open = findingsError(open)
	}
	if f.json {
		return errors.Join(e.output(f.file, func(w io.Writer) error { return profile.Save(w, results(programs)...) }), open)
	}
	if open != nil && !f.partial {
		return open
	}
	all, err := sets(programs)
	if err != nil {
		return err
	}
	if f.format == "go" && len(all) > 1 {
		return withHint(fmt.Errorf("--format go: Go source is for one ABI, and the programs are for %v and %v", all[0].ABI, all[1].ABI), "profile those of each ABI alone")
	}
	options.RuntimeABI = runtimeABI(all)
	p, elsewhere := refine.FromSets(all, options)
	e.elsewhere(elsewhere)
	e.openArgs(all)
	if open != nil {
		markIncomplete(p, programs)
	}
	e.summarize(programs, all, p)
	for _, program := range programs {
		if n := len(program.MakesCode); n > 0 {
			e.warningf("%s: memory becomes executable in %s (%s): code that it makes at run time is not in the profile", program.label, program.MakesCode[0], count(n, "such place"))
		}
	}
	for _, name := range starts(programs, p) {
		if who := whoStarts(programs, name); len(who) > 0 {
			e.infof("%s can start other programs by %s, and a filter holds for them too", strings.Join(who, ", "), name)
		}
	}
	file, err := outputFile(f.file, all[0].ABI, f.format == "go")
	if err != nil {
		return err
	}
	return errors.Join(e.output(file, func(w io.Writer) error { return write(w, p) }), open)
}

// verifyProfile compares the programs with the policy of --verify.
func (e *env) verifyProfile(cmd *cobra.Command, f *profileFlags, files []string) error {
	for _, other := range []string{"format", "template", "package", "partial", "allow", "allow-file", "deny", "deny-file", "runtime", "default-action"} {
		if cmd.Flags().Changed(other) {
			return usageError(fmt.Errorf("--verify and --%s exclude each other", other))
		}
	}
	g := gateFlags{assume: f.assume, libraries: f.libraries, json: f.json, format: "text", file: f.file, image: f.image}
	if slices.ContainsFunc(files, container.Names) {
		g.with = f.with
	} else {
		files = append(files, f.with...)
	}
	return e.gate(&g, f.verify, files...)
}

// markIncomplete makes p a policy that says what it lacks.
func markIncomplete(p *policy.Policy, programs []profiled) {
	p.Incomplete = true
	for _, program := range programs {
		for _, site := range program.Undetermined {
			p.Comment += fmt.Sprintf("\nUnresolved in %s: %s", program.label, siteText(site))
		}
	}
}

func (f *profileFlags) options() (refine.Options, error) {
	allow, deny, err := f.lists.lists()
	if err != nil {
		return refine.Options{}, err
	}
	def, err := parseAction("--default-action", f.defaultAction)
	if err != nil {
		return refine.Options{}, err
	}
	o := refine.Options{Default: def, Allow: allow, Deny: deny, Everywhere: f.format == "oci", DropConditional: f.strict.conditional}
	switch runtime := f.runtime; {
	case runtime == "" && f.format == "oci":
		o.Runtime, _ = refine.RuntimeByName("runc")
	case runtime != "none" && runtime != "":
		var ok bool
		if o.Runtime, ok = refine.RuntimeByName(runtime); !ok {
			return refine.Options{}, usageError(fmt.Errorf("unknown runtime %q: %s or none", runtime, strings.Join(refine.RuntimeNames(), ", ")))
		}
	}
	return o, nil
}

// profileWriter returns what writes a policy in a form.
func (e *env) profileWriter(f *profileFlags) (func(io.Writer, *policy.Policy) error, error) {
	switch f.format {
	case "policy":
		return writePolicy, nil
	case "names":
		return writeNames, nil
	case "oci":
		return e.writeOCI, nil
	case "go":
		return f.template.writer()
	}
	return nil, usageError(fmt.Errorf("unknown form %q: policy, names, oci or go", f.format))
}

func writePolicy(w io.Writer, p *policy.Policy) error {
	_, err := w.Write(p.Format())
	return err
}

func writeNames(w io.Writer, p *policy.Policy) error {
	for _, call := range refine.Allowed(p) {
		if _, err := fmt.Fprintln(w, call); err != nil {
			return err
		}
	}
	return nil
}

func (e *env) writeOCI(w io.Writer, p *policy.Policy) error {
	format, _ := convert.ByName("oci")
	exported, err := convert.Export(format, p, convert.Options{})
	if err != nil {
		return err
	}
	for _, loss := range exported.Losses {
		e.warningf("%v", loss)
	}
	for _, r := range exported.Named() {
		e.warningf("%s: %s in the policy, %s under the container's runtime", r.Name, r.A, r.B)
	}
	_, err = w.Write(exported.Data)
	return err
}
