package policytest_test

import (
	"fmt"
	"strings"
	"testing"
)

// A recorder is the test of somebody who uses the package.
type recorder struct {
	testing.TB
	errors, logs, fatal []string
}

func (r *recorder) Helper() {}
func (r *recorder) Errorf(f string, args ...any) {
	r.errors = append(r.errors, fmt.Sprintf(f, args...))
}

func (r *recorder) Logf(f string, args ...any) { r.logs = append(r.logs, fmt.Sprintf(f, args...)) }
func (r *recorder) Fatal(args ...any)          { r.Fatalf("%s", fmt.Sprint(args...)) }

func (r *recorder) Fatalf(f string, args ...any) {
	r.fatal = append(r.fatal, fmt.Sprintf(f, args...))
	panic(r)
}

// record returns what f does to the test that it is given.
func record(t *testing.T, f func(testing.TB)) (r *recorder) {
	t.Helper()
	r = &recorder{TB: t}
	defer func() {
		if p := recover(); p != nil && p != any(r) {
			panic(p)
		}
	}()
	f(r)
	return r
}

// is fails the test if got is not want, a text with lines.
func is(t *testing.T, what string, got []string, want string) {
	t.Helper()
	if all := strings.Join(got, "\n"); all != want {
		t.Errorf("%s:\n%s\nwant:\n%s", what, all, want)
	}
}
