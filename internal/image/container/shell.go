package container

import (
	"os"
	"slices"
	"strings"
)

// isShell reports whether a program of this name takes -c COMMAND, or a script.
func isShell(name string) bool {
	return slices.Contains([]string{"sh", "ash", "bash", "dash", "ksh", "mksh", "zsh"}, strings.TrimPrefix(name, "-"))
}

// shell follows a shell: what the commands of -c or those of a script start.
func (f *follower) shell(e environment, by, base string, args []string) error {
	command := false
	for len(args) > 0 && len(args[0]) > 1 && (args[0][0] == '-' || args[0][0] == '+') {
		option := args[0]
		args = args[1:]
		switch {
		case option == "--":
		case strings.HasPrefix(option, "--"):
			if option == "--rcfile" || option == "--init-file" {
				args = args[min(1, len(args)):]
			}
			continue
		case option[0] == '-' && strings.Contains(option, "c"):
			command = true
			fallthrough
		default:
			if strings.HasSuffix(option, "o") || strings.HasSuffix(option, "O") {
				args = args[min(1, len(args)):] // -o pipefail
			}
			continue
		}
		break
	}
	switch {
	case len(args) == 0:
		return nil
	case command:
		s := newScript(f, e, by+" -c "+quoted(args[0]), base)
		s.name, args = by, slices.Clone(args)
		text := args[0]
		if args = args[1:]; len(args) > 0 {
			s.name, args = args[0], args[1:]
		}
		return s.follow(text, args)
	}
	// A script that the shell is told to read. Its own line, if any, is a comment.
	name := f.absolute(e, args[0])
	text, err := f.text(name)
	if err != nil {
		f.unfollowed(args[0], "a script: what it starts itself is not followed: "+err.Error())
		return f.mayStart(e, args[1:], "argument of "+args[0])
	}
	s := newScript(f, e, args[0], base)
	s.name = args[0]
	f.read[name] = true
	return s.follow(text, args[1:])
}

// text returns the content of a script.
func (f *follower) text(name string) (string, error) {
	if strings.Contains(name, unknown) {
		return "", errUnknown
	}
	n, real, err := f.root.tree.walk(name, true, nil)
	switch {
	case err != nil:
		return "", err
	case n.kind != regular:
		return "", errNotRegular
	case n.file.empty:
		return "", nil
	case n.file.stored == "" || n.file.binary:
		return "", errNotScript
	}
	text, err := os.ReadFile(f.root.path(real))
	return string(text), err
}
