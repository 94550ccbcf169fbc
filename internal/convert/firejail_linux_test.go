package convert

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/testkit"
	"github.com/sysgate/sysgate/policy"
)

// firejailOptions are what TestFirejail starts a program with.
var firejailOptions = []string{
	"seccomp",
	"seccomp mkdir,@clock,lchown:EIO,!chroot,write:kill,nosuch",
	"seccomp.drop unlinkat:ENOENT,utimensat,@clock,read:kill",
	"seccomp.keep pause,read,write:EIO,@clock,!settimeofday,$600",
	"seccomp.block-secondary",
	"seccomp !chroot\nseccomp.block-secondary\nprotocol unix",
	"protocol unix,inet\nprotocol inet6",
	"seccomp\nprotocol netlink,packet,bluetooth\nseccomp-error-action EIO",
	"seccomp.drop socket\nprotocol unix\nseccomp-error-action kill",
	"memory-deny-write-execute\nseccomp.drop memfd_create:EIO",
	"restrict-namespaces\nseccomp\nallow-debuggers",
	"restrict-namespaces user,net\nrestrict-namespaces uts",
	"memory-deny-write-execute\nrestrict-namespaces user\nseccomp.block-secondary\nseccomp-error-action EIO",
	"memory-deny-write-execute\nprotocol unix\nseccomp-error-action kill",
	"memory-deny-write-execute\nprotocol unix\nseccomp.keep pause,socket,mmap",
	"seccomp.32 mkdir,@clock",
	"seccomp rmdir\nseccomp.32 mkdir,@clock,!settimeofday",
	"seccomp.32.drop mkdir\nseccomp.drop rmdir",
	"seccomp.keep pause,$32\nseccomp.32.keep read",
	"seccomp.drop $32,dup:log,!mkdir,mkdir\nseccomp-error-action log",
}

// TestFirejail has the installed Firejail start a program and compares its filters
// with the policies that the options are read as, by proof.
func TestFirejail(t *testing.T) {
	firejail, err := exec.LookPath("firejail")
	if err != nil || fseccomp() == "" {
		t.Skip("firejail is not installed")
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root, to see the filters of a process")
	}
	testkit.NeedFilters(t)
	dir := t.TempDir()
	for i, text := range firejailOptions {
		pause := buildPause(t, filepath.Join(dir, "pause"+string(rune('a'+i))))
		args := []string{"--noprofile", "--quiet"}
		for line := range strings.Lines(text) {
			args = append(args, "--"+strings.Replace(strings.TrimSpace(line), " ", "=", 1))
		}
		var log bytes.Buffer
		cmd := exec.Command(firejail, append(args, pause)...)
		cmd.Stdout, cmd.Stderr = &log, &log
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		pid := waitForExe(t, pause)
		if pid == 0 {
			cmd.Process.Kill()
			cmd.Wait()
			t.Errorf("not started: %v\n%s", args, log.String())
			continue
		}
		time.Sleep(20 * time.Millisecond) // past its exec
		filters := seccompFilters(t, pid)
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Error(err)
		}
		cmd.Wait()
		p, _, err := readFirejail("x.profile", []byte(text), Options{Native: abi.AMD64})
		if err != nil {
			t.Errorf("%v\n%s", err, text)
			continue
		}
		// Its filter for protocols takes number 359 for socket on every architecture.
		sameAsStack(t, p, filters, false, text)
	}
}

// The profiles that Debian ships are read, and those that can be written survive it.
func TestFirejailProfiles(t *testing.T) {
	if fseccomp() == "" {
		t.Skip("firejail is not installed")
	}
	files, err := filepath.Glob(filepath.Join(debian(t, "firejail-profiles", "/etc/firejail/firefox.profile"), "etc/firejail/*.profile"))
	if err != nil || len(files) < 100 {
		t.Fatal(files, err)
	}
	groups := installedFirejailGroups().cached()
	filters := 0
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		p, losses, err := groups.read(file, data, Options{Native: abi.AMD64})
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		for _, l := range losses {
			if !strings.Contains(l.Msg, "is not read") && !strings.HasPrefix(l.Msg, "?") && !strings.Contains(l.Msg, "not read") {
				t.Logf("%v", l)
			}
		}
		if _, _, err := p.Resolve(policy.Options{}); err != nil {
			t.Errorf("%s: %v", file, err)
		}
		if len(p.Rules) > 0 {
			filters++
			if f, _ := Detect("x", data); f.Name != "firejail" {
				t.Errorf("%s: taken for %q", file, f.Name)
			}
		}
	}
	t.Logf("%d profiles, %d with filters of their own", len(files), filters)
}
