package profile

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"github.com/sysgate/sysgate/internal/image"
	"github.com/sysgate/sysgate/internal/observe"
)

// addLoader adds the calls of the dynamic loader at path, which the kernel starts
// in the place of a position-independent program: it relocates the program and
// jumps to it. Such a program names no library, so nothing else is loaded.
//
// All of the loader's code counts, whether it runs or not, but for execve: the
// loader executes a program only where it is itself the command, and then the
// program's own policy is not in question (glibc, elf/rtld.c, rtld_chain_load).
func (r *Result) addLoader(path string) error {
	f, err := image.OpenLoader(path)
	if err != nil {
		return err
	}
	defer f.Close()
	p, err := f.Compiled()
	if err != nil {
		return err
	}
	s, err := sweep(p, func(int, int) {})
	if err != nil {
		return err
	}
	a, err := newAnalysis(p, s)
	if err != nil {
		return err
	}
	a.resolveAll(func(int, int) {})
	if len(s.sites)+len(s.overlapping)+len(s.unclear) == 0 {
		return &image.RefusedError{Path: path, Reason: "no system call found in it"}
	}
	for _, nr := range slices.Sorted(maps.Keys(a.numbers)) {
		name := r.Set.ABI.SyscallName(nr)
		switch {
		case slices.Contains(starters, name):
		case name == "":
			a.lose(a.numbers[nr][0], unknown{reason: fmt.Sprintf("number %d, which no call has", nr)})
		default:
			r.add(name, observe.Implicit, fmt.Sprintf("the dynamic loader %s makes it, at %#x", path, a.numbers[nr][0].addr))
		}
	}
	for _, l := range a.lost {
		step := Step{Edge: EdgeRoot, Func: p.Name(l.at.fn), Addr: l.at.addr}
		r.Undetermined = append(r.Undetermined, Site{Func: step.Func, Addr: l.at.addr, Reason: l.why.reason, Path: []Step{step}})
	}
	r.unlisted += a.unlisted
	r.Sites += len(s.sites)
	r.Set.Sources = append(r.Set.Sources, fmt.Sprintf("%s (%d bytes, sha256:%x)", path, f.Size(), sha256.Sum256(f.Contents())))
	r.Set.Assumptions = append(r.Set.Assumptions,
		fmt.Sprintf("the dynamic loader is the %s that was looked at", filepath.Base(path)),
		"no library is preloaded (LD_PRELOAD, LD_AUDIT, /etc/ld.so.preload)",
	)
	return nil
}
