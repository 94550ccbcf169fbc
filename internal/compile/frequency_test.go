package compile

import (
	"strings"
	"testing"
)

func TestParseFrequency(t *testing.T) {
	f, err := ParseFrequency("f", []byte("syscall\tshare\n# comment\nread\t1\n\nwrite\t3\r\nclose\t0\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := []share{{"read", frequencyScale / 4}, {"write", frequencyScale / 4 * 3}, {"close", 0}}
	if len(f.shares) != len(want) {
		t.Fatalf("got %v, want %v", f.shares, want)
	}
	for i := range want {
		if f.shares[i] != want[i] {
			t.Errorf("got %v, want %v", f.shares[i], want[i])
		}
	}
	for _, test := range []struct{ in, want string }{
		{"", "f: no call is ever made"},
		{"read\t0\n", "f: no call is ever made"},
		{"read 1\n", `f:1: want a system call, a tab and a number, got "read 1"`},
		{"\t1\n", "f:1: want a system call"},
		{"# x\nread\tmany\n", `f:2: want a number from 0 to 1e+18, got "many"`},
		{"read\t-1\n", "f:1: want a number"},
		{"read\tNaN\n", "f:1: want a number"},
		{"read\tInf\n", "f:1: want a number"},
		{"read\t1\nread\t2\n", "f:2: read is there twice"},
	} {
		if _, err := ParseFrequency("f", []byte(test.in)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: got error %v, want %q", test.in, err, test.want)
		}
	}
}

// TestShippedFrequency sees that the table that comes with sysgate can be read and
// is that of testdata/policies: 112 calls, whose shares add up to 1.
func TestShippedFrequency(t *testing.T) {
	f, err := shipped()
	if err != nil {
		t.Fatal(err)
	}
	sum := int64(0)
	for _, s := range f.shares {
		sum += s.weight
	}
	if n := len(f.shares); n != 112 || sum < frequencyScale-int64(n) || sum > frequencyScale {
		t.Errorf("%d calls of %d/%d", n, sum, int64(frequencyScale))
	}
}

func FuzzParseFrequency(f *testing.F) {
	f.Add([]byte("syscall\tshare\nread\t0.5\n"))
	f.Add([]byte("read\t1e18\nwrite\t1e-300\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		table, err := ParseFrequency("f", data)
		if err != nil {
			return
		}
		sum := int64(0)
		for _, s := range table.shares {
			if s.weight < 0 || s.name == "" {
				t.Fatalf("share %v", s)
			}
			sum += s.weight
		}
		if sum > frequencyScale+int64(len(table.shares)) {
			t.Fatalf("shares add up to %d", sum)
		}
	})
}
