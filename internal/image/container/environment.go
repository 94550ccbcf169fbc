package container

import (
	"maps"
	"slices"
	"strings"
)

// An environment is what decides which file a name is.
type environment struct {
	path, dir string
	variables map[string]string // other than PATH
}

// pathUnset is where programs are looked for without PATH (execvp(3)).
const pathUnset = "/bin:/usr/bin"

// with returns e with a variable set; one whose value is not known is not known.
func (e environment) with(name, value string) environment {
	e = e.without(name)
	switch {
	case name == "PATH":
		e.path = value
	case !strings.Contains(value, unknown):
		e.variables[name] = value
	}
	return e
}

// without returns e with a variable removed.
func (e environment) without(name string) environment {
	if name == "PATH" {
		e.path = pathUnset
	}
	e.variables = maps.Clone(e.variables)
	if e.variables == nil {
		e.variables = map[string]string{}
	}
	delete(e.variables, name)
	return e
}

// loaderVariables say to the dynamic loader which libraries it loads.
var loaderVariables = []string{"LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT"}

// loads reports that a variable is set by which the dynamic loader finds libraries: the
// image's Env alone is followed.
func (f *follower) loads(where, name, value string) {
	if slices.Contains(loaderVariables, name) && value != "" && value != f.env.variables[name] {
		f.unfollowed(where, name+" is set: what the dynamic loader finds by it is not looked at, but with --env "+name+"=VALUE")
	}
}
