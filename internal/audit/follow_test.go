package audit

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestFollow writes to a log that is rotated both ways, and reads every line of it.
func TestFollow(t *testing.T) {
	name := filepath.Join(t.TempDir(), "audit.log")
	write := func(flags int, text string) {
		t.Helper()
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|flags, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(f, text); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	write(os.O_APPEND, "1\n")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	r, err := Follow(ctx, name)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	lines := bufio.NewScanner(r)
	next := func(want int) {
		t.Helper()
		if !lines.Scan() || lines.Text() != fmt.Sprint(want) {
			t.Fatalf("%q, %v; want %d", lines.Text(), lines.Err(), want)
		}
	}
	next(1)
	write(os.O_APPEND, "2\n")
	next(2)
	write(os.O_APPEND, "3\n")
	if err := os.Rename(name, name+".1"); err != nil {
		t.Fatal(err)
	}
	write(os.O_APPEND, "4\n")
	next(3)
	next(4)
	write(os.O_APPEND, "5\n")
	next(5)
	write(os.O_TRUNC, "6\n")
	next(6)
	cancel()
	if lines.Scan() || lines.Err() != nil {
		t.Errorf("after the end: %q, %v", lines.Text(), lines.Err())
	}
}
