package cli

import (
	"errors"
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
}

// noLibraries is what --dlopen calls the absence of libraries.
const noLibraries = "none"

func (f *libraryFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.root, "root", "", "look for libraries and their configuration in `DIR`, the root of the file system that the programs run in")
	cmd.Flags().StringArrayVar(&f.opened, "dlopen", nil, "the programs open `LIB` while they run, besides libraries with constant names; none: they open no others")
	cmd.Flags().BoolVar(&f.fresh, "no-cache", false, "look at every library anew, and keep nothing of them for the next program")
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
	return o, nil
}
