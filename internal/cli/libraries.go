package cli

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/sysgate/sysgate/internal/cache"
	"github.com/sysgate/sysgate/internal/profile"
)

// libraryFlags say where the libraries of programs lie, which they open while they
// run, and whether what is known of them from before is taken.
type libraryFlags struct {
	root   string
	opened []string
	fresh  bool
	phase  string
}

// noLibraries is what --dlopen calls the absence of libraries.
const noLibraries = "none"

// phaseWhole is what --phase calls profile.PhaseWhole.
const phaseWhole = "whole"

func (f *libraryFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.root, "root", "", "look for libraries and their configuration in `DIR`, the root of the file system that the programs run in")
	cmd.Flags().StringArrayVar(&f.opened, "dlopen", nil, "the programs open `LIB` while they run, besides libraries with constant names: a name, a path, or a folder for all in and below it; none: they open no others")
	cmd.Flags().BoolVar(&f.fresh, "no-cache", false, "look at every library anew, and keep nothing of them for the next program")
}

// addPhase adds --phase, for commands whose outcome is not for a filter that they
// load themselves.
func (f *libraryFlags) addPhase(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.phase, "phase", phaseWhole, "what of the programs' lives: `PHASE` whole, or main: what they call once main was entered, for a filter that they load themselves there")
	_ = cmd.RegisterFlagCompletionFunc("phase", cobra.FixedCompletions([]string{phaseWhole, string(profile.PhaseMain)}, cobra.ShellCompDirectiveNoFileComp))
}

// given reports that one of the flags is.
func (f *libraryFlags) given() bool { return f.root != "" || len(f.opened) > 0 || f.fresh }

// options puts the flags into o.
func (f *libraryFlags) options(o profile.Options) (profile.Options, error) {
	o.Root, o.Libraries, o.NoLibraries = f.root, f.opened, false
	if slices.Contains(f.opened, noLibraries) {
		if len(f.opened) > 1 {
			return o, usageError(errors.New("--dlopen none excludes libraries"))
		}
		o.Libraries, o.NoLibraries = nil, true
	}
	if !f.fresh {
		o.Cache = cache.User("libraries", profile.CacheLimit)
	}
	switch f.phase {
	case "", phaseWhole:
	case string(profile.PhaseMain):
		o.Phase = profile.PhaseMain
	default:
		return o, usageError(fmt.Errorf("unknown phase %q: whole or main", f.phase))
	}
	return o, nil
}
