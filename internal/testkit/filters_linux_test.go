package testkit

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAllocatorTasks(t *testing.T) {
	type task struct{ path, stat, wchan string }
	kthreadd := task{"2/task/2", "2 (kthreadd) S 0 0", "kthreadd"}
	for _, tt := range []struct {
		name  string
		tasks []task
		want  []string
		sure  bool
	}{
		{"sound", []task{kthreadd, {"7/task/7", "7 (a) S 1 7", "0"}}, nil, true},
		{"a disk is slow", []task{kthreadd, {"7/task/7", "7 (a) D 1 7", "io_schedule"}}, nil, true},
		{"no kernel threads", []task{{"2/task/2", "2 (sh) S 1 2", "0"}}, nil, false},
		{"nothing at all", nil, nil, false},
		{"hidden", []task{kthreadd, {"7/task/7", "7 (a) D 1 7", "0"}}, nil, false},
		{"stuck", []task{
			kthreadd,
			{"7/task/7", "7 (a) S 1 7", "0"},
			{"7/task/8", "8 (b) D) D 1 7", "bpf_prog_pack_alloc"},
			{"9/task/9", "9 (kworker/0:1+events) D 2 0", "bpf_prog_pack_free"},
			{"10/task/10", "10 (c) R 1 10", "bpf_prog_pack_free"},
		}, []string{"b) D", "kworker/0:1+events"}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			proc := t.TempDir()
			for _, task := range tt.tasks {
				dir := filepath.Join(proc, task.path)
				if err := os.MkdirAll(dir, 0o755); err != nil {
					t.Fatal(err)
				}
				for name, text := range map[string]string{"stat": task.stat, "wchan": task.wchan} {
					if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
						t.Fatal(err)
					}
				}
			}
			waiting, sure := allocatorTasks(proc)
			if got := slices.Sorted(maps.Values(waiting)); !cmp.Equal(got, tt.want) || sure != tt.sure {
				t.Errorf("allocatorTasks = %q, %v, want %q, %v", got, sure, tt.want, tt.sure)
			}
		})
	}
}

// A process of its own finds that filters load, where they do.
func TestTryFilter(t *testing.T) {
	NeedFilters(t)
	if reason := tryFilter(); reason != "" {
		t.Error(reason)
	}
}
