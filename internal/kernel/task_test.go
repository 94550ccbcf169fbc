package kernel

import "testing"

func TestParseTask(t *testing.T) {
	const now = "Name:\tserver\nUmask:\t0022\nState:\tS (sleeping)\nTgid:\t7\nNoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t3\nSpeculation_Store_Bypass:\tvulnerable\n"
	tests := []struct {
		name, status string
		want         Task
	}{
		{"6.18", now, Task{TID: 7, Mode: 2, NoNewPrivs: 1, Filters: 3}},
		{"4.9", "Name:\tserver\nState:\tR (running)\nSeccomp:\t0\n", Task{TID: 7, Mode: 0, NoNewPrivs: -1, Filters: -1}},
		{"3.5", "Name:\tserver\nState:\tR (running)\n", Task{TID: 7, Mode: -1, NoNewPrivs: -1, Filters: -1}},
		{"zombie", "State:\tZ (zombie)\nSeccomp:\t0\n", Task{TID: 7, Mode: 0, NoNewPrivs: -1, Filters: -1, Dead: true}},
		{"dead", "State:\tX (dead)\n", Task{TID: 7, Mode: -1, NoNewPrivs: -1, Filters: -1, Dead: true}},
		{"a name that looks like a line", "Name:\tSeccomp:\t2\nState:\tS\nSeccomp:\t0\n", Task{TID: 7, Mode: 0, NoNewPrivs: -1, Filters: -1}},
		{"no number", "Seccomp:\tx\nNoNewPrivs:\t-1\nSeccomp_filters:\t99999999999\n", Task{TID: 7, Mode: -1, NoNewPrivs: -1, Filters: -1}},
		{"cut off", "Seccomp", Task{TID: 7, Mode: -1, NoNewPrivs: -1, Filters: -1}},
	}
	for _, tt := range tests {
		if got := parseTask(7, []byte(tt.status)); got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
	}
}

func FuzzParseTask(f *testing.F) {
	f.Add([]byte("State:\tS (sleeping)\nNoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t3\n"))
	f.Add([]byte("Seccomp:\n\n:"))
	f.Fuzz(func(t *testing.T, status []byte) {
		got := parseTask(1, status)
		if got.TID != 1 || got.Mode < -1 || got.NoNewPrivs < -1 || got.Filters < -1 {
			t.Errorf("%q: %+v", status, got)
		}
	})
}
