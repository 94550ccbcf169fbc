package supervise

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// A region is memory that is mapped executable.
type region struct {
	start, end, offset uint64
	path               string // of the file, as this process can open it; "" if there is none
	name               string // as the thread's process knows it; "" for memory without one
	key                string // tells files apart
}

// vdso is the name of the code that the kernel gives to each program.
const vdso = "[vdso]"

// codeOf returns the executable memory of a thread's process.
func codeOf(tid int) ([]region, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/maps", tid))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var regions []region
	for in := bufio.NewScanner(f); in.Scan(); {
		if r, ok := parseRegion(in.Text(), tid); ok {
			regions = append(regions, r)
		}
	}
	return regions, nil
}

// parseRegion reads a line of /proc/PID/maps (proc_pid_maps(5)).
//
//	7f..-7f.. r-xp 00001000 08:01 1234   /path
func parseRegion(line string, tid int) (r region, ok bool) {
	fields := strings.Fields(line)
	if len(fields) < 5 || !strings.Contains(fields[1], "x") {
		return r, false
	}
	low, high, _ := strings.Cut(fields[0], "-")
	for at, text := range map[*uint64]string{&r.start: low, &r.end: high, &r.offset: fields[2]} {
		n, err := strconv.ParseUint(text, 16, 64)
		if err != nil {
			return r, false
		}
		*at = n
	}
	if i := strings.IndexByte(line, '/'); i >= 0 {
		r.name = line[i:]
		r.key = fields[3] + " " + fields[4] + " " + r.name
		r.path = fmt.Sprintf("/proc/%d/map_files/%x-%x", tid, r.start, r.end) // not padded, as maps is
		if _, err := os.Stat(r.path); err != nil {                            // takes CAP_CHECKPOINT_RESTORE
			r.path = fmt.Sprintf("/proc/%d/root%s", tid, r.name)
		}
	} else if len(fields) > 5 && fields[5] == vdso {
		r.name, r.key = vdso, fmt.Sprintf("%s %d", vdso, r.end-r.start)
	}
	return r, true
}
