package image

import "strings"

// variable returns the value of a variable of an environment, of which glibc's loader
// takes the last.
func variable(environment []string, name string) (found string) {
	for _, v := range environment {
		if value, ok := strings.CutPrefix(v, name+"="); ok {
			found = value
		}
	}
	return found
}

// names returns the names of a list in LD_PRELOAD or /etc/ld.so.preload (ld.so(8)).
func names(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return strings.ContainsRune(" \t\n:", r) })
}

// preload loads what the environment and the configuration want to be loaded before
// the program's libraries, and notes how the loader is told to behave otherwise.
// Libraries of LD_PRELOAD that are not there, it does without.
func (l *loading) preload() error {
	main := l.modules[0]
	if list := variable(l.environment, "LD_LIBRARY_PATH"); list != "" {
		l.note("LD_LIBRARY_PATH is %s", list)
		l.search.setFirst(list)
	}
	for _, name := range names(variable(l.environment, "LD_PRELOAD")) {
		m, why, err := l.find(name, main, false)
		switch {
		case err != nil:
			return err
		case m == nil:
			l.note("%s, which LD_PRELOAD names, is not there, and the loader does without it%s", name, why)
			continue
		}
		l.note("%s, which LD_PRELOAD names, is loaded before the program's libraries", name)
		if err := l.add(m, name); err != nil {
			return err
		}
	}
	if l.search.musl {
		return nil // musl has no configuration for it, nor auditing
	}
	for _, name := range names(variable(l.environment, "LD_AUDIT")) {
		l.note("%s, which LD_AUDIT names, makes no calls of its own: it was not looked at", name)
	}
	for _, name := range names(string(l.root.read("/etc/ld.so.preload"))) {
		l.note("%s, which /etc/ld.so.preload names, is loaded before the program's libraries", name)
		if err := l.need(name, main, false); err != nil {
			return err
		}
	}
	return nil
}

// loaderAssumption says what is taken for granted of the loader's variables.
func (l *loading) loaderAssumption() string {
	if l.environment != nil {
		return "no library is preloaded, put before the system's or profiled that the known environment does not ask for (LD_PRELOAD, LD_AUDIT, LD_LIBRARY_PATH, LD_PROFILE)"
	}
	return "no library is preloaded, put before the system's or profiled (LD_PRELOAD, LD_AUDIT, LD_LIBRARY_PATH, LD_PROFILE)"
}
