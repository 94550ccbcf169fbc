package record

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

// tree returns the threads of a process that runs and of all that descend from it, but
// for this process and those that descend from it. Who calls it until there is nothing
// new, and has what starts meanwhile watched as children, misses none; only of a process
// whose parent ended before nobody knows whose it was.
func tree(pid int) ([]int, error) {
	tids, err := threads(pid)
	if err != nil {
		return nil, err
	}
	children, err := childrenOf()
	if err != nil {
		return nil, err
	}
	self := os.Getpid()
	seen := map[int]bool{pid: true, self: true}
	for open := slices.Clone(children[pid]); len(open) > 0; {
		next := open[0]
		open = open[1:]
		if seen[next] {
			continue
		}
		seen[next] = true
		more, err := threads(next)
		if err != nil && !errors.Is(err, os.ErrNotExist) { // it has ended
			return nil, err
		}
		tids = append(tids, more...)
		open = append(open, children[next]...)
	}
	return tids, nil
}

// childrenOf returns the processes of each parent.
func childrenOf() (map[int][]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	children := map[int][]int{}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			continue // it has ended
		}
		// pid (name) state parent …; the name may hold anything.
		fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		if len(fields) < 2 {
			continue
		}
		if parent, err := strconv.Atoi(fields[1]); err == nil {
			children[parent] = append(children[parent], pid)
		}
	}
	return children, nil
}

// threads returns the threads of a process.
func threads(pid int) ([]int, error) {
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return nil, fmt.Errorf("process %d: %w", pid, err)
	}
	var tids []int
	for _, e := range entries {
		if tid, err := strconv.Atoi(e.Name()); err == nil {
			tids = append(tids, tid)
		}
	}
	return tids, nil
}
