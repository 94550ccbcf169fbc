package cli

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/sysgate/sysgate/internal/testkit"
)

func TestMain(m *testing.M) {
	if os.Getenv(sysgateVar) != "" {
		os.Exit(Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	testscript.Main(m, map[string]func(){
		"sysgate": func() { os.Exit(Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) },
	})
}

// sysgateVar makes the test binary sysgate, for tests that kill it.
const sysgateVar = "SYSGATE_TEST_CLI"

// programs are built once for all scripts, from testdata/programs; each is found
// in PATH.
var programs = []string{"hello", "caller", "starter", "execer"}

// TestScripts runs testdata/script/*.txtar: what the commands print, and the
// codes that they end with.
func TestScripts(t *testing.T) {
	bin := t.TempDir()
	build := sync.OnceValue(func() error { return buildPrograms(bin) })
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("PATH", bin+string(os.PathListSeparator)+e.Getenv("PATH"))
			e.Setenv("BIN", bin)
			e.Setenv("TERM", "dumb")
			for _, name := range []string{"GOCACHE", "GOMODCACHE", "GOROOT"} { // HOME is not the user's
				e.Setenv(name, goEnv()[name])
			}
			return build()
		},
		Condition: func(name string) (bool, error) {
			switch name {
			case "root":
				return os.Geteuid() == 0, nil
			case "filters":
				return testkit.FiltersStuck() == "", nil
			}
			return false, errors.New("unknown condition " + name)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits},
	})
}

// goEnv returns the go command's settings.
var goEnv = sync.OnceValue(func() map[string]string {
	var settings map[string]string
	out, err := exec.Command("go", "env", "-json").Output()
	if err := errors.Join(err, json.Unmarshal(out, &settings)); err != nil {
		panic(err)
	}
	return settings
})

// buildPrograms builds the programs for amd64, caller386 and execer386.
func buildPrograms(dir string) error {
	args := []string{"build", "-trimpath", "-o", dir + string(filepath.Separator)}
	for _, name := range programs {
		args = append(args, "./testdata/programs/"+name)
	}
	return errors.Join(
		goCommand("amd64", args...),
		goCommand("386", "build", "-trimpath", "-o", filepath.Join(dir, "caller386"), "./testdata/programs/caller"),
		goCommand("386", "build", "-trimpath", "-o", filepath.Join(dir, "execer386"), "./testdata/programs/execer"),
	)
}

func goCommand(arch string, args ...string) error {
	cmd := exec.Command("go", args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch)
	if out, err := cmd.CombinedOutput(); err != nil {
		return errors.New(string(out))
	}
	return nil
}

// exits CODE COMMAND [ARGUMENT…] is exec, and holds it to its exit code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND [ARGUMENT…]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}
