package convert

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// debian returns the directory of what a Debian package installs: "/" if it is
// installed, which file tells, else where the package, downloaded in long tests,
// was unpacked.
func debian(t *testing.T, name, file string) string {
	t.Helper()
	if _, err := os.Stat(file); err == nil {
		return "/"
	}
	if os.Getenv("SYSGATE_LONG") == "" {
		t.Skipf("%s is not installed, and only long tests (SYSGATE_LONG=1) download it", name)
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o777); err != nil { // apt downloads as another user
		t.Fatal(err)
	}
	download := exec.Command("apt-get", "download", name)
	download.Dir = dir
	if out, err := download.CombinedOutput(); err != nil {
		t.Skipf("%s cannot be downloaded: %v\n%s", name, err, out)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	if err != nil || len(files) != 1 {
		t.Fatalf("apt-get download %s leaves %v, %v", name, files, err)
	}
	root := filepath.Join(dir, "root")
	if out, err := exec.Command("dpkg-deb", "-x", files[0], root).CombinedOutput(); err != nil {
		t.Fatalf("dpkg-deb: %v\n%s", err, out)
	}
	return root
}
