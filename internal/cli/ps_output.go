package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/sysgate/sysgate/internal/monitor"
	"github.com/sysgate/sysgate/internal/proc"
)

// write writes a scan to standard output.
func (s *scanner) write(one *scan) error {
	var err error
	if s.json {
		err = writeIndented(s.env.stdout, s.documents(one))
	} else {
		_, err = io.WriteString(s.env.stdout, strings.Join(s.lines(one), ""))
	}
	if err == nil {
		s.env.infof("%s", s.summary(one))
	}
	return err
}

// maxDifferences is how many differences of a process are written for people.
const maxDifferences = 5

// lines returns a scan as a table: its title, and then for each process one line or,
// where something is wrong with it, several.
func (s *scanner) lines(one *scan) []string {
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	title := "PID\tUSER\tMODE\tFILTERS\tNNP\tTHREADS\tWHERE\tCOMMAND"
	if s.checker != nil {
		title = "PID\tUSER\tSTATE\tPOLICY\tMODE\tFILTERS\tWHERE\tCOMMAND"
	}
	fmt.Fprintln(t, title)
	var wrong [][]string
	for i := range one.processes {
		p := &one.processes[i]
		if p.State == stateUndeclared && !s.env.verbose {
			continue
		}
		wrong = append(wrong, p.Differences)
		user := s.users.User(p.UID)
		if user == "" {
			user = strconv.FormatUint(uint64(p.UID), 10)
		}
		columns := []string{strconv.Itoa(p.PID), monitor.Printable(user)}
		filters := known(fmt.Sprint(p.Filters), p.Filters >= 0)
		if s.checker != nil {
			columns = append(columns, p.State, known(p.Policy, p.Policy != ""), modeName(p.Mode), filters)
		} else {
			columns = append(columns, modeName(p.Mode), filters, known(map[bool]string{false: "no", true: "yes"}[p.NoNewPrivs == 1], p.NoNewPrivs >= 0), threads(p))
		}
		columns = append(columns, monitor.Printable(where(&p.Place)), monitor.Printable(p.Command()))
		fmt.Fprintln(t, strings.Join(columns, "\t"))
	}
	_ = t.Flush() // to memory
	lines := strings.SplitAfter(b.String(), "\n")
	for i, differences := range wrong {
		for j, d := range differences {
			if j == maxDifferences {
				lines[i+1] += fmt.Sprintf("       and %d more: --json has them\n", len(differences)-j)
				break
			}
			lines[i+1] += "       " + monitor.Printable(d) + "\n"
		}
	}
	return lines[:len(lines)-1] // behind the last end of line is nothing
}

// threads says how many threads are under seccomp.
func threads(p *inspected) string {
	if p.Under == nil {
		return "all"
	}
	return fmt.Sprintf("%d/%d", len(p.Under), p.Threads)
}

func modeName(mode int) string {
	switch mode {
	case 0:
		return "none"
	case 1:
		return "strict"
	case 2:
		return "filter"
	}
	return strconv.Itoa(mode)
}

// where names the container or the unit of a process.
func where(p *proc.Place) string {
	switch {
	case p.Container != "":
		return strings.TrimPrefix(p.Runtime+":"+monitor.ShortID(p.Container), ":")
	case p.Unit != "":
		return p.Unit
	}
	return "-"
}

// A psProcess is a process in JSON.
type psProcess struct {
	PID         int      `json:"pid"`
	PPID        int      `json:"ppid"`
	UID         uint32   `json:"uid"`
	User        string   `json:"user,omitempty"`
	Name        string   `json:"name"`
	Exe         string   `json:"exe,omitempty"`
	Args        []string `json:"args,omitempty"`
	Mode        string   `json:"mode"`
	Filters     *int     `json:"filters,omitempty"`
	NoNewPrivs  *bool    `json:"no_new_privs,omitempty"`
	Threads     int      `json:"threads"`
	Under       []int    `json:"threads_under,omitempty"` // thread IDs, where it is not all
	Container   string   `json:"container,omitempty"`
	Runtime     string   `json:"runtime,omitempty"`
	Pod         string   `json:"pod,omitempty"`
	Unit        string   `json:"unit,omitempty"`
	Cgroup      string   `json:"cgroup,omitempty"`
	State       string   `json:"state,omitempty"` // with --against
	Policy      string   `json:"policy,omitempty"`
	Differences []string `json:"differences,omitempty"`
}

func (s *scanner) documents(one *scan) []psProcess {
	out := make([]psProcess, len(one.processes))
	for i := range one.processes {
		p := &one.processes[i]
		out[i] = psProcess{
			PID: p.PID, PPID: p.PPID, UID: p.UID, User: s.users.User(p.UID), Name: p.Name, Exe: p.Exe, Args: p.Args, Mode: modeName(p.Mode),
			Threads: p.Threads, Under: p.Under, Container: p.Container, Runtime: p.Runtime, Pod: p.Pod, Unit: p.Unit, Cgroup: p.Cgroup,
			State: p.State, Policy: p.Policy, Differences: p.Differences,
		}
		if p.Filters >= 0 {
			out[i].Filters = &p.Filters
		}
		if p.NoNewPrivs >= 0 {
			set := p.NoNewPrivs == 1
			out[i].NoNewPrivs = &set
		}
	}
	return out
}

// writeLine writes a scan as one line of JSON.
func (s *scanner) writeLine(one *scan) error {
	enc := json.NewEncoder(s.env.stdout)
	enc.SetEscapeHTML(false)
	return enc.Encode(struct {
		Time      string      `json:"time"`
		Seen      int         `json:"seen"`
		Processes []psProcess `json:"processes"`
	}{one.time.UTC().Format("2006-01-02T15:04:05.000Z"), one.seen, s.documents(one)})
}
