package sysgate_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

// A kernelPackage is a package of a distribution that has a kernel.
type kernelPackage interface {
	// name is unique among packages, and no path.
	name() string
	// download puts the package into a directory and returns the file. Where it
	// cannot be had, the test is skipped.
	download(t *testing.T, dir string) string
}

// cachedKernel returns the kernel of a package as a file, which it keeps.
func cachedKernel(t *testing.T, p kernelPackage) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = t.TempDir()
	}
	kept := filepath.Join(cache, "sysgate-test-kernels", p.name())
	if _, err := os.Stat(kept); err == nil {
		return kept
	}
	if _, err := exec.LookPath("dpkg-deb"); err != nil {
		t.Skip("needs dpkg-deb, to unpack the kernel of a distribution")
	}
	work := t.TempDir()
	tree := filepath.Join(work, "tree")
	if out, err := exec.Command("dpkg-deb", "-x", p.download(t, work), tree).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	found, _ := filepath.Glob(filepath.Join(tree, "boot", "vmlinu[xz]-*"))
	if len(found) != 1 {
		t.Fatalf("kernels %v in %s", found, p.name())
	}
	kernel, err := os.ReadFile(found[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.MkdirAll(filepath.Dir(kept), 0o755), os.WriteFile(kept, kernel, 0o644)); err != nil {
		t.Fatal(err)
	}
	return kept
}

// A debianPackage is the current kernel of this machine's Debian for another
// architecture.
type debianPackage struct {
	arch string
	meta string // depends on the package of the current kernel
}

func (p debianPackage) name() string { return p.meta + "." + p.arch }

// download keeps the package lists of the architecture apart from the machine's own.
func (p debianPackage) download(t *testing.T, dir string) string {
	t.Helper()
	options := []string{
		"APT::Architecture=" + p.arch, "APT::Architectures=" + p.arch, "APT::Sandbox::User=",
		"Dir::State=" + filepath.Join(dir, "state"), "Dir::State::status=" + filepath.Join(dir, "status"), "Dir::Cache=" + filepath.Join(dir, "cache"),
	}
	err := errors.Join(
		os.MkdirAll(filepath.Join(dir, "state/lists/partial"), 0o755),
		os.MkdirAll(filepath.Join(dir, "cache/archives/partial"), 0o755),
		os.WriteFile(filepath.Join(dir, "status"), nil, 0o644),
	)
	if err != nil {
		t.Fatal(err)
	}
	apt := func(tool string, args ...string) string {
		for _, o := range options {
			args = append(args, "-o", o)
		}
		cmd := exec.Command(tool, args...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Skipf("needs apt and Debian's archive: %s: %v\n%s", tool, err, out)
		}
		return string(out)
	}
	apt("apt-get", "-qq", "update")
	current := ""
	for line := range strings.Lines(apt("apt-cache", "depends", p.meta)) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "Depends: linux-image-"); ok {
			current = "linux-image-" + name
			break
		}
	}
	if current == "" {
		t.Fatalf("%s depends on no kernel", p.meta)
	}
	apt("apt-get", "-qq", "download", current)
	packages, _ := filepath.Glob(filepath.Join(dir, "*.deb"))
	if len(packages) != 1 {
		t.Fatalf("downloaded %v, want one package", packages)
	}
	return packages[0]
}

// An ubuntuPackage is a kernel as it was in the first version of a release, which
// the archive keeps.
type ubuntuPackage struct {
	path string
	sum  string // SHA-256
}

func (p ubuntuPackage) name() string { return path.Base(p.path) }

func (p ubuntuPackage) download(t *testing.T, dir string) string {
	t.Helper()
	response, err := http.Get("http://archive.ubuntu.com/ubuntu/" + p.path)
	if err != nil {
		t.Skipf("needs Ubuntu's archive: %v", err)
	}
	defer response.Body.Close()
	const limit = 64 << 20
	data, err := io.ReadAll(io.LimitReader(response.Body, limit))
	if err != nil || response.StatusCode != http.StatusOK {
		t.Skipf("needs Ubuntu's archive: %s, %v", response.Status, err)
	}
	if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != p.sum {
		t.Fatalf("%s has the hash %x, want %s", p.path, sum, p.sum)
	}
	file := filepath.Join(dir, p.name())
	if err := os.WriteFile(file, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}
