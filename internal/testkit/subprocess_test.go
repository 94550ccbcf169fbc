package testkit

import (
	"os"
	"strings"
	"testing"
)

func TestRunInSubprocess(t *testing.T) {
	t.Run("a name (with [signs])", func(t *testing.T) {
		ran := false
		RunInSubprocess(t, func(t *testing.T) {
			ran = true
			if !InSubprocess(t) {
				t.Error("not in a process of its own")
			}
		})
		if ran != InSubprocess(t) {
			t.Errorf("ran here: %v", ran)
		}
	})
}

func TestSubprocessEnds(t *testing.T) {
	if InSubprocess(t) {
		os.Exit(7)
	}
	out, err := Subprocess(t).CombinedOutput()
	if err == nil || !strings.Contains(err.Error(), "exit status 7") {
		t.Errorf("%v\n%s", err, out)
	}
}
