package profile

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sysgate/sysgate/abi"
)

// A folder stands for all libraries in and below it that can be loaded: a program that
// opens libraries by computed names may open any of them.
func TestFolder(t *testing.T) {
	if abi.Native() != abi.AMD64 {
		t.Skip("needs the libraries of an amd64 machine")
	}
	dir := t.TempDir()
	folder := filepath.Join(dir, "plugins", "below")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	const head = "#include <unistd.h>\n#include <sys/personality.h>\n"
	one := compileC(t, filepath.Join(dir, "plugins"), "one.so.1", head+"void one(void) { acct(0); }", "-shared", "-fPIC")
	compileC(t, dir, "libgone.so", "void gone(void) {}", "-shared", "-fPIC", "-Wl,-soname,libgone.so")
	two := compileC(t, folder, "two.so", head+"void gone(void);\nvoid two(void) { gone(); personality(0); }", "-shared", "-fPIC", "-L", dir, "-lgone")
	data, err := os.ReadFile(one)
	if err != nil {
		t.Fatal(err)
	}
	data[18] = 183 // EM_AARCH64
	for name, data := range map[string][]byte{"other.so": data, "text.so": []byte("hello"), "plain": data} {
		if err := os.WriteFile(filepath.Join(folder, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(one, filepath.Join(folder, "link.so")); err != nil {
		t.Fatal(err)
	}
	app := compileC(t, dir, "app", "#include <dlfcn.h>\nint main(int n, char **v) { void (*f)(void) = dlsym(dlopen(v[1], RTLD_NOW), v[2]); f(); return 0; }")

	alone := mustProfile(t, app)
	if alone.Set.Sound || names(alone)["acct"] {
		t.Errorf("without the folder: sound %v, calls %v", alone.Set.Sound, names(alone))
	}
	r, err := File(app, Options{Libraries: []string{filepath.Join(dir, "plugins")}})
	if err != nil {
		t.Fatal(err)
	}
	if !r.Set.Sound || !names(r)["acct"] || !names(r)["personality"] {
		t.Errorf("sound %v, calls %v", r.Set.Sound, names(r))
	}
	var files []string
	for _, f := range r.Files {
		if strings.HasPrefix(f.Path, dir) {
			files = append(files, f.Path)
		}
	}
	if want := []string{app, one, two}; !slices.Equal(slices.Sorted(slices.Values(files)), slices.Sorted(slices.Values(want))) {
		t.Errorf("looked at %v, want %v", files, want)
	}
	assumed := strings.Join(r.Set.Assumptions, "\n")
	for _, want := range []string{"no library that needs one of these, which are not there, can be opened: ", "libgone.so", "opens only " + filepath.Join(dir, "plugins")} {
		if !strings.Contains(assumed, want) {
			t.Errorf("assumptions lack %q:\n%s", want, assumed)
		}
	}
	if r, err := File(app, Options{Libraries: []string{folder + "/none"}}); err == nil {
		t.Errorf("a folder that is not there: %v", r.Set.Assumptions)
	}
}
