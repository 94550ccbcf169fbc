package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// What an image's Env tells the dynamic loader is part of the profile, and so is what
// --env adds to it.
func TestImageEnvironment(t *testing.T) {
	dir := t.TempDir()
	compile := func(name, text string, flags ...string) string {
		source, out := filepath.Join(dir, name+".c"), filepath.Join(dir, name)
		if err := os.WriteFile(source, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		gcc, err := exec.LookPath("gcc")
		if err != nil {
			t.Skipf("needs gcc: %v", err)
		}
		if message, err := exec.Command(gcc, append([]string{"-O2", "-o", out, source}, flags...)...).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, message)
		}
		return out
	}
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
