package sysgate

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/internal/kernel"
	"github.com/sysgate/sysgate/internal/testkit"
)

// TestFeatures compares what seccomp(2) says with what /proc says.
func TestFeatures(t *testing.T) {
	f, err := Features()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("/proc/sys/kernel/seccomp/actions_avail")
	if errors.Is(err, os.ErrNotExist) {
		t.Skip("before Linux 4.14, or without /proc")
	}
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, a := range f.Actions {
		names = append(names, strings.Replace(kindName(a), "user_notify", "user_notif", 1))
	}
	if want := strings.Fields(string(text)); !slices.Equal(names, want) {
		t.Errorf("actions %v, /proc says %v", names, want)
	}
	release, err := kernel.Release()
	if err != nil || f.Release != release || !f.Filters || !f.Seccomp {
		t.Errorf("%+v on %v, %v", f, release, err)
	}
	if want := kernelFeatures(release.String()); !slices.Equal(f.Flags, want.Flags) || f.APILevel() != want.APILevel() {
		t.Errorf("flags %v, level %d; want %v, %d", f.Flags, f.APILevel(), want.Flags, want.APILevel())
	}
	if f.Logged == nil || !f.Audit.Known {
		t.Errorf("logged actions %v, audit %+v", f.Logged, f.Audit)
	}
}

// TestFeaturesWithoutSeccomp asks under a filter that hides seccomp(2), as an old
// kernel would.
func TestFeaturesWithoutSeccomp(t *testing.T) {
	testkit.NeedFilters(t)
	testkit.RunInSubprocess(t, func(t *testing.T) {
		p := bpf.Program{
			bpf.Stmt(bpf.LdAbs, bpf.OffsetNR),
			bpf.Jump(bpf.JeqK, unix.SYS_SECCOMP, 0, 1),
			bpf.Stmt(bpf.RetK, uint32(abi.Errno.WithData(uint16(unix.ENOSYS)))),
			bpf.Stmt(bpf.RetK, uint32(abi.Allow)),
		}
		if err := errors.Join(kernel.NoNewPrivs(), kernel.SetFilter(p, kernel.TSync)); err != nil {
			t.Fatal(err)
		}
		f, err := Features()
		if err != nil || !f.Filters || f.Seccomp || len(f.Flags) != 0 || f.APILevel() != 1 {
			t.Errorf("%+v, level %d, %v", f, f.APILevel(), err)
		}
		if want := kernelFeatures(f.Release.String()).Actions; !slices.Equal(f.Actions, want) {
			t.Errorf("actions %v, want those of release %v: %v", f.Actions, f.Release, want)
		}
	})
}
