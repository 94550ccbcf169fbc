package cli

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/sysgate/sysgate/internal/monitor"
	"github.com/sysgate/sysgate/internal/proc"
)

func newPsCmd(e *env) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "ps",
		Short: "List the processes that run under seccomp",
		Long: `List the processes that run under seccomp: how (strict, or by how many filters),
whether with no_new_privs, whose they are, and the container or systemd unit that they
belong to. A process counts if one of its threads is under seccomp; if not all are,
or not in the same way, THREADS says how many. "-" is what the kernel does not say.

"sysgate show pid:N" shows the filters themselves.`,
		Example: `  sysgate ps
  sysgate ps --json`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			start := time.Now()
			all, seen, err := proc.AllProtected("/proc")
			if err != nil {
				return err
			}
			elapsed := time.Since(start)
			var users proc.Users
			if asJSON {
				err = writePsJSON(e.stdout, all, &users)
			} else {
				err = writePs(e.stdout, all, &users)
			}
			if err != nil {
				return err
			}
			e.infof("%d of %d processes under seccomp; took %s", len(all), seen, took(elapsed))
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func writePs(w io.Writer, all []proc.Protected, users *proc.Users) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "PID\tUSER\tMODE\tFILTERS\tNNP\tTHREADS\tWHERE\tCOMMAND")
	for i := range all {
		p := &all[i]
		user := users.User(p.UID)
		if user == "" {
			user = strconv.FormatUint(uint64(p.UID), 10)
		}
		threads := "all"
		if p.Under != nil {
			threads = fmt.Sprintf("%d/%d", len(p.Under), p.Threads)
		}
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", p.PID, monitor.Printable(user), modeName(p.Mode), known(fmt.Sprint(p.Filters), p.Filters >= 0),
			known(map[bool]string{false: "no", true: "yes"}[p.NoNewPrivs == 1], p.NoNewPrivs >= 0), threads, monitor.Printable(where(&p.Place)), monitor.Printable(p.Command()))
	}
	return t.Flush()
}

func modeName(mode int) string {
	switch mode {
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

func writePsJSON(w io.Writer, all []proc.Protected, users *proc.Users) error {
	type process struct {
		PID        int      `json:"pid"`
		PPID       int      `json:"ppid"`
		UID        uint32   `json:"uid"`
		User       string   `json:"user,omitempty"`
		Name       string   `json:"name"`
		Exe        string   `json:"exe,omitempty"`
		Args       []string `json:"args,omitempty"`
		Mode       string   `json:"mode"`
		Filters    *int     `json:"filters,omitempty"`
		NoNewPrivs *bool    `json:"no_new_privs,omitempty"`
		Threads    int      `json:"threads"`
		Under      []int    `json:"threads_under,omitempty"` // thread IDs, where it is not all
		Container  string   `json:"container,omitempty"`
		Runtime    string   `json:"runtime,omitempty"`
		Pod        string   `json:"pod,omitempty"`
		Unit       string   `json:"unit,omitempty"`
		Cgroup     string   `json:"cgroup,omitempty"`
	}
	out := make([]process, len(all))
	for i := range all {
		p := &all[i]
		out[i] = process{
			PID: p.PID, PPID: p.PPID, UID: p.UID, User: users.User(p.UID), Name: p.Name, Exe: p.Exe, Args: p.Args, Mode: modeName(p.Mode),
			Threads: p.Threads, Under: p.Under, Container: p.Container, Runtime: p.Runtime, Pod: p.Pod, Unit: p.Unit, Cgroup: p.Cgroup,
		}
		if p.Filters >= 0 {
			out[i].Filters = &p.Filters
		}
		if p.NoNewPrivs >= 0 {
			set := p.NoNewPrivs == 1
			out[i].NoNewPrivs = &set
		}
	}
	return writeIndented(w, out)
}
