package proc

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"
)

// A Protected process is one of which at least one thread is under seccomp. Its
// Status is that thread's.
type Protected struct {
	Process
	Under []int // thread IDs that are under seccomp; nil: all
}

// AllProtected returns every process below root, "/proc", that is under seccomp, by
// its ID. Processes that end meanwhile are left out, and so are those that the
// caller may not see (hidepid). seen is how many processes there were.
func AllProtected(root string) (all []Protected, seen int, err error) {
	return scan(root, false)
}

// All returns every process below root, "/proc", as [AllProtected] does those under
// seccomp. Of the others the Mode is 0, or -1 where the kernel does not say it.
func All(root string) ([]Protected, error) {
	all, _, err := scan(root, true)
	return all, err
}

// scan returns the processes that are under seccomp, or everyone.
func scan(root string, everyone bool) (all []Protected, seen int, err error) {
	entries, err := readNames(root)
	if err != nil {
		return nil, 0, err
	}
	var pids []int
	for _, name := range entries {
		if pid, err := strconv.Atoi(name); err == nil {
			pids = append(pids, pid)
		}
	}
	if len(pids) == 0 {
		return nil, 0, fmt.Errorf("%s has no processes, not even this one: proc is not mounted there", root)
	}
	// Reading /proc is the kernel's work: as many at a time as there are processors.
	next := make(chan int, len(pids))
	for _, pid := range pids {
		next <- pid
	}
	close(next)
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			places := map[string]Place{} // many processes share a cgroup
			place := func(cgroup string) Place {
				p, ok := places[cgroup]
				if !ok {
					p = ParseCgroup(cgroup)
					places[cgroup] = p
				}
				return p
			}
			for pid := range next {
				p, ok, wanted := protectedOf(root, pid, place, everyone)
				mu.Lock()
				if ok {
					seen++
				}
				if wanted {
					all = append(all, p)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	slices.SortFunc(all, func(a, b Protected) int { return cmp.Compare(a.PID, b.PID) })
	return all, seen, nil
}

func protectedOf(root string, pid int, place func(string) Place, everyone bool) (p Protected, ok, wanted bool) {
	dir := filepath.Join(root, strconv.Itoa(pid))
	text, err := readFile(dir + "/status")
	if err != nil {
		return p, false, false
	}
	p.PID, p.Status = pid, parseStatus(text)
	if p.Dead && p.Threads <= 1 {
		return p, true, false
	}
	if p.Threads > 1 {
		p.threads(dir)
	}
	if p.Mode <= 0 && !everyone {
		return p, true, false
	}
	p.fill(dir, place)
	return p, true, true
}

// threads looks at every thread of a process that has several: a filter belongs
// to one.
func (p *Protected) threads(dir string) {
	names, err := readNames(dir + "/task")
	if err != nil {
		return
	}
	var under []int
	all := true
	first := p.Status
	for _, name := range names {
		tid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		text, err := readFile(dir + "/task/" + name + "/status")
		if err != nil {
			continue
		}
		s := parseStatus(text)
		switch {
		case s.Dead:
		case s.Mode > 0:
			under = append(under, tid)
			if p.Mode <= 0 || s.Filters > p.Filters {
				p.Mode, p.Filters, p.NoNewPrivs = s.Mode, s.Filters, s.NoNewPrivs
			}
			all = all && s.Filters == first.Filters && s.Mode == first.Mode
		default:
			all = false
		}
	}
	if !all {
		slices.Sort(under)
		p.Under = under
	}
}

// readNames returns the names in a directory, without looking at what they are.
func readNames(dir string) ([]string, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Readdirnames(-1)
}
