package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sysgate/sysgate"
	"github.com/sysgate/sysgate/abi"
)

func newFeaturesCmd(e *env) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "features",
		Short: "Say what the running kernel supports of seccomp",
		Long: `Say what the running kernel supports of seccomp, and what becomes of denials.

"actions" and "flags" are those that the kernel knows; "level" is libseccomp's API
level. "logged" are the actions that the administrator lets the kernel log
(/proc/sys/kernel/seccomp/actions_logged): kill_process, kill_thread and log by
themselves, the others from a filter with flag log. "audit" is the system that the
records go through; its status takes CAP_AUDIT_CONTROL. "-" is what the machine
does not say.`,
		Example: `  sysgate features
  sysgate features --json`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			f, err := sysgate.Features()
			if errors.Is(err, errors.ErrUnsupported) {
				return withHint(fmt.Errorf("%s has no seccomp filters", runtime.GOOS), "run it on Linux")
			}
			if err != nil {
				return err
			}
			if asJSON {
				return printFeaturesJSON(e.stdout, f)
			}
			return printFeatures(e.stdout, f)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func printFeatures(w io.Writer, f sysgate.FeatureSet) error {
	how := "none"
	switch {
	case f.Seccomp:
		how = "seccomp(2)"
	case f.Filters:
		how = "prctl(2); seccomp(2) is missing"
	}
	var b strings.Builder
	for _, line := range []struct{ name, value string }{
		{"kernel", known(f.Release.String(), f.Release != (abi.Kernel{}))},
		{"filters", how},
		{"level", fmt.Sprint(f.APILevel())},
		{"actions", list(actionNames(f.Actions))},
		{"flags", list(f.Flags)},
		{"logged", known(list(actionNames(f.Logged)), f.Logged != nil)},
		{"lsm", known(list(f.LSMs), f.LSMs != nil)},
		{"audit", auditText(f.Audit)},
		{"denials", denialsText(f)},
	} {
		fmt.Fprintf(&b, "%-8s %s\n", line.name, line.value)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// auditText says what there is of the audit system.
func auditText(a sysgate.Audit) string {
	switch {
	case !a.Known:
		return "-"
	case !a.Available:
		return "none, or switched off at boot (audit=0)"
	case !a.StatusKnown:
		return "there; status needs CAP_AUDIT_CONTROL"
	}
	to := "to the kernel's log (no daemon), where most of a burst is dropped"
	if a.Daemon != 0 {
		to = fmt.Sprintf("to process %d", a.Daemon)
	}
	rate := "no rate limit"
	if a.RateLimit != 0 {
		rate = fmt.Sprintf("at most %d a second", a.RateLimit)
	}
	return fmt.Sprintf("there; records %s; %s; %d lost", to, rate, a.Lost)
}

// denialsText says which denials are logged.
func denialsText(f sysgate.FeatureSet) string {
	var itself, withFlag, never []string
	for _, a := range f.Actions {
		if a == abi.Allow {
			continue
		}
		logs, known := f.Logs(a, true)
		byItself, _ := f.Logs(a, false)
		switch name := actionName(a); {
		case !known:
			return "-"
		case byItself:
			itself = append(itself, name)
		case logs && f.HasFlag("log"):
			withFlag = append(withFlag, name)
		default:
			never = append(never, name)
		}
	}
	var parts []string
	for _, part := range []struct {
		names []string
		what  string
	}{
		{itself, "logged"},
		{withFlag, "logged with flag log"},
		{never, "never logged"},
	} {
		if len(part.names) > 0 {
			parts = append(parts, strings.Join(part.names, " ")+": "+part.what)
		}
	}
	return list([]string{strings.Join(parts, "; ")})
}

func printFeaturesJSON(w io.Writer, f sysgate.FeatureSet) error {
	type audit struct {
		Available    bool    `json:"available"`
		Enabled      *bool   `json:"enabled,omitempty"`
		Daemon       *int    `json:"daemon,omitempty"`
		RateLimit    *uint32 `json:"rate_limit,omitempty"`
		BacklogLimit *uint32 `json:"backlog_limit,omitempty"`
		Lost         *uint32 `json:"lost,omitempty"`
	}
	out := struct {
		Kernel   string   `json:"kernel,omitempty"`
		Filters  bool     `json:"filters"`
		Seccomp  bool     `json:"seccomp"`
		APILevel int      `json:"api_level"`
		Actions  []string `json:"actions"`
		Flags    []string `json:"flags"`
		Logged   []string `json:"logged,omitzero"`
		LSMs     []string `json:"lsms,omitzero"`
		Audit    *audit   `json:"audit,omitempty"`
	}{
		Kernel: f.Release.String(), Filters: f.Filters, Seccomp: f.Seccomp, APILevel: f.APILevel(),
		Actions: actionNames(f.Actions), Flags: append([]string{}, f.Flags...), LSMs: f.LSMs,
	}
	if f.Logged != nil {
		out.Logged = actionNames(f.Logged)
	}
	if f.Audit.Known {
		out.Audit = &audit{Available: f.Audit.Available}
	}
	if f.Audit.Known && f.Audit.StatusKnown {
		a := f.Audit
		out.Audit = &audit{a.Available, &a.Enabled, &a.Daemon, &a.RateLimit, &a.BacklogLimit, &a.Lost}
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(out)
}

func actionNames(actions []abi.Action) []string {
	names := make([]string, 0, len(actions))
	for _, a := range actions {
		names = append(names, actionName(a))
	}
	return names
}

// actionName returns the name of an action without its data.
func actionName(a abi.Action) string {
	name, _, _ := strings.Cut(a.Kind().String(), "(")
	return name
}

// list joins names for people.
func list(names []string) string {
	if text := strings.Join(names, " "); text != "" {
		return text
	}
	return "none"
}

// known returns text, or what stands for something that the machine does not say.
func known(text string, is bool) string {
	if !is {
		return "-"
	}
	return text
}
