package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// compileC compiles a C program or library in dir.
func compileC(t *testing.T, dir, name, text string, flags ...string) string {
	t.Helper()
	source, out := filepath.Join(dir, name+".c"), filepath.Join(dir, name)
	if err := os.WriteFile(source, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	gcc, err := exec.LookPath("gcc")
	if err != nil {
		t.Skipf("gcc is not installed: %v", err)
	}
	if message, err := exec.Command(gcc, append([]string{"-O2", "-o", out, source}, flags...)...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, message)
	}
	return out
}

// What an image's Env tells the dynamic loader is part of the profile, and so is what
// --env adds to it.
func TestImageEnvironment(t *testing.T) {
	dir := t.TempDir()
	compile := func(name, text string, flags ...string) string { return compileC(t, dir, name, text, flags...) }
	compile("libstep.so", "int step(void) { return 0; }", "-shared", "-fPIC", "-Wl,-soname,libstep.so")
	if err := os.Mkdir(filepath.Join(dir, "other"), 0o700); err != nil {
		t.Fatal(err)
	}
	other := compile("other/libstep.so", "#include <sys/personality.h>\nint step(void) { return personality(-1); }", "-shared", "-fPIC", "-Wl,-soname,libstep.so")
	preloaded := compile("libpre.so", "#include <unistd.h>\n__attribute__((constructor)) static void begin(void) { sethostid(1); acct(0); }", "-shared", "-fPIC")
	app := compile("app", "int step(void);\nint main(void) { return step(); }", "-L", dir, "-lstep")

	files := append(hostFiles(t, "/bin/cat"),
		layerFile{name: "app", copy: app},
		layerFile{name: "lib/x86_64-linux-gnu/libstep.so", copy: filepath.Join(dir, "libstep.so")},
		layerFile{name: "other/libstep.so", copy: other},
		layerFile{name: "opt/libpre.so", copy: preloaded})
	plain, _ := saveImage(t, v1.Config{Cmd: []string{"/app"}}, imageLayer(t, files...))
	set, _ := saveImage(t, v1.Config{Cmd: []string{"/app"}, Env: []string{"LD_PRELOAD=/opt/libpre.so /none.so", "LD_LIBRARY_PATH=/other"}}, imageLayer(t, files...))
	for _, tt := range []struct {
		args        []string
		acct, other bool // acct is libpre.so's, personality the other libstep.so's
	}{
		{[]string{plain}, false, false},
		{[]string{plain, "--env", "LD_PRELOAD=/opt/libpre.so"}, true, false},
		{[]string{plain, "--env", "LD_LIBRARY_PATH=/other", "--env", "A=b"}, false, true},
		{[]string{set}, true, true},
		{[]string{set, "--env", "LD_PRELOAD="}, false, true},
	} {
		stdout, stderr, code := runMain(t, append([]string{"profile", "-q"}, tt.args...)...)
		if code != 0 {
			t.Fatalf("%q: exit code %d\n%s", tt.args, code, stderr)
		}
		if got := strings.Contains(stdout, "- acct "); got != tt.acct {
			t.Errorf("%q: acct %v, want %v\n%s", tt.args, got, tt.acct, stdout)
		}
		if got := strings.Contains(stdout, "- personality "); got != tt.other {
			t.Errorf("%q: personality %v, want %v\n%s", tt.args, got, tt.other, stdout)
		}
		if told := strings.Contains(stdout, "/opt/libpre.so, which LD_PRELOAD names, is loaded"); told != tt.acct {
			t.Errorf("%q: the preloaded library is told: %v\n%s", tt.args, told, stdout)
		}
	}
	for _, args := range [][]string{{"/bin/cat", "--env", "A=b"}, {"/bin/cat", "--cmd", "x"}, {plain, "--env", "A"}, {plain, "--cmd", "x", "--command", "y"}} {
		if _, stderr, code := runMain(t, append([]string{"profile", "-q"}, args...)...); code != exitUsage {
			t.Errorf("%q: exit code %d\n%s", args, code, stderr)
		}
	}
}

// The libraries that --dlopen names are for those programs of an image that open some by
// computed names, and not for its static ones.
func TestImageLibraries(t *testing.T) {
	dir := t.TempDir()
	files := append(hostFiles(t, "/bin/cat"),
		layerFile{name: "app", copy: compileC(t, dir, "app", "#include <dlfcn.h>\nint main(int n, char **v) { dlopen(v[1], RTLD_NOW); return 0; }")},
		layerFile{name: "static", copy: compileC(t, dir, "static", "#include <unistd.h>\nint main(void) { return getpgid(0); }", "-static")},
		layerFile{name: "plugins/p.so", copy: compileC(t, dir, "p.so", "#include <unistd.h>\nvoid begin(void) { acct(0); }", "-shared", "-fPIC")})
	file, _ := saveImage(t, v1.Config{Cmd: []string{"/app"}}, imageLayer(t, files...))
	args := []string{"profile", file, "--with", "/static", "--with", "/bin/cat"}
	if _, stderr, code := runMain(t, args...); code != exitFindings || !strings.Contains(stderr, "--dlopen LIB or FOLDER (/ is any library of the image)") {
		t.Errorf("exit code %d\n%s", code, stderr)
	}
	if stdout, stderr, code := runMain(t, append(args, "--dlopen", "/")...); code != 0 || !strings.Contains(stdout, "- acct # by app: ") {
		t.Errorf("any library: exit code %d\n%s%s", code, stderr, stdout)
	}
	stdout, stderr, code := runMain(t, append(args, "--dlopen", "/plugins")...)
	if code != 0 || !strings.Contains(stdout, "- acct # by app: ") || !strings.Contains(stdout, "- getpgid # by static: ") {
		t.Errorf("exit code %d\n%s%s", code, stderr, stdout)
	}
	if !strings.Contains(stdout, "it opens only /plugins") || strings.Contains(stdout, os.TempDir()+"/sysgate") {
		t.Errorf("what is assumed:\n%s", stdout)
	}
}
