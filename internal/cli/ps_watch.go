package cli

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sysgate/sysgate/internal/monitor/metrics"
)

// watch looks at the host again and again until ctx ends.
func (s *scanner) watch(ctx context.Context, every time.Duration, drift *metrics.Drift) error {
	write := s.changes()
	switch {
	case s.json:
		write = s.writeLine
	case isTerminal(s.env.stdout):
		write = s.redraw
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		one, err := s.scan()
		if err != nil {
			return err
		}
		if err := write(one); err != nil {
			return err
		}
		if drift != nil {
			drift.Set(hostMetrics(one))
		}
		select {
		case <-ctx.Done():
			return s.result()
		case <-ticker.C:
		}
	}
}

// redraw writes a scan in the place of the one before.
func (s *scanner) redraw(one *scan) error {
	_, err := fmt.Fprintf(s.env.stdout, "\x1b[H\x1b[2J%s  %s\n\n%s", one.time.Format(time.TimeOnly), s.summary(one), strings.Join(s.lines(one), ""))
	return err
}

// changes returns what writes the first scan whole, and of others what is new and
// what is gone.
func (s *scanner) changes() func(*scan) error {
	var before map[string]string
	return func(one *scan) error {
		now := map[string]string{} // the lines of each process, by what they say
		var out strings.Builder
		for i, lines := range s.lines(one) {
			if i == 0 {
				if before == nil {
					out.WriteString("  " + lines)
				}
				continue
			}
			// The width of a column depends on all of a table: it says nothing.
			key := strings.Join(strings.Fields(lines), " ")
			if _, ok := before[key]; !ok {
				out.WriteString(marked("+ ", lines))
			}
			now[key] = lines
		}
		for _, key := range slices.Sorted(maps.Keys(before)) {
			if _, ok := now[key]; !ok {
				first, _, _ := strings.Cut(before[key], "\n")
				out.WriteString("- " + first + "\n")
			}
		}
		first := before == nil
		before = now
		if _, err := io.WriteString(s.env.stdout, out.String()); err != nil {
			return err
		}
		if first {
			s.env.infof("%s", s.summary(one))
		}
		return nil
	}
}

// marked puts a mark before the first of the lines of text, and blanks before the others.
func marked(mark, text string) string {
	text = strings.TrimSuffix(text, "\n")
	return mark + strings.ReplaceAll(text, "\n", "\n  ") + "\n"
}

// hostMetrics counts what a scan found.
func hostMetrics(one *scan) metrics.Host {
	h := metrics.Host{Processes: one.seen, Declared: map[metrics.Declared]int{}, Time: one.time, Took: one.took}
	for i := range one.processes {
		p := &one.processes[i]
		if p.Mode > 0 {
			h.Protected++
		}
		if p.Policy != "" {
			h.Declared[metrics.Declared{Policy: p.Policy, State: p.State}]++
		}
	}
	return h
}
