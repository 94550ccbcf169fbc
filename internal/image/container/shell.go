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
		f.unfollowed(by, "a shell that reads what it is to do from its input: what it starts is not followed")
		return nil
	case command:
		text, name := args[0], by
		if args = args[1:]; len(args) > 0 {
			name, args = args[0], args[1:]
		}
		f.script(e, by+" -c "+quoted(text), name, base, text, origin{}, args)
		return nil
	}
	// A script that the shell is told to read. Its own line, if any, is a comment.
	if err := f.shellScript(e, base, args); err != nil {
		f.unfollowed(args[0], "a script: what it starts itself is not followed: "+err.Error())
		return f.mayStart(e, args[1:], "argument of "+args[0])
	}
	return nil
}

// shellScript follows a script in a file, which the arguments begin with, as a shell
// reads it. The error says why the file cannot be read.
func (f *follower) shellScript(e environment, shell string, args []string) error {
	name := f.absolute(e, args[0])
	text, err := f.text(name)
	if err != nil {
		return err
	}
	f.read[name] = true
	f.script(e, args[0], args[0], shell, text, origin{file: args[0]}, args[1:])
	return nil
}

// script follows the text of a script, whose $0 is name.
func (f *follower) script(e environment, where, name, shell, text string, from origin, args []string) {
	key := strings.Join([]string{e.path, e.dir, name, shell, text}, "\x00")
	s := f.scripts[key]
	if s == nil {
		s = newScript(f, e, where, shell)
		s.name = name
		f.scripts[key] = s
	}
	s.follow(text, from, e, args)
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
