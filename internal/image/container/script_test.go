package container

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// scriptPrograms are what the scripts of these tests can start, in /bin.
var scriptPrograms = []string{"a", "b", "c", "d", "server", "worker", "gosu", "find", "chown"}

// scripts are entry points: what they start of scriptPrograms, and of which
// commands they are said not to be clear.
var scripts = []struct {
	text, args string
	env        []string
	want       string
	not        []string
	absent     []string // programs that the image does not have
}{
	{text: "server", want: "server"},
	{text: "exec server -a 'b c' \"d e\" f\\ g", want: "server"},
	{text: "A=1 B='x y' server >/dev/null 2>&1 &\nwait", want: "server"},
	{text: "a && b || c; d | c & server\nworker", want: "a b c d server worker"},
	{text: "if test -f x; then a; elif b; then c; else d; fi", want: "a b c d"},
	{text: "while ! a; do b; done", want: "a b"},
	{text: "{ a; b; }; (c; d)", want: "a b c d"},
	{text: "echo $(a) \"`b`\" \"x ${X:-$(c)}\" <<EOF\n$(d)\nEOF", want: "a b c d"},
	{text: "case $1 in x) a;; *) b;; esac", want: "a b", args: "x"},
	{text: "cat=1; : # comment; b\na#d", absent: []string{"a#d"}},
	{text: "exec -a name server", want: "server"},
	{text: "exec 3>&1; command -v b; command -p a; builtin echo c", want: "a"},
	{text: "*/a", want: "a", not: []string{`a command is computed: */a`}},
	{text: "f() { a; }; g() { f; }; g", want: "a"},
	{text: "unused() { a; }", want: "a"},
	{text: "a() { command a; b; }; a", want: "a b"},
	{text: "trap 'a' EXIT; trap - INT; trap '' TERM", want: "a"},
	{text: "eval 'a; b'; eval \"c $(d)\"", want: "a b c d", not: []string{`a command is computed: eval "c $(d)"`}},
	{text: "\"$START\"", not: []string{`a command is computed: "$START"`}},
	{text: "\"$START\"", env: []string{"START=server"}, want: "server"},
	{text: "$START", env: []string{"START=server -x"}, want: "server"},
	{text: "HOME=/bin; exec \"$HOME/server\"", want: "server"},
	{text: "X=a; [ -n \"$1\" ] && X=b; $X", want: "a b"},
	{text: "X=\"a -b\"; exec $X", want: "a"},
	{text: "X=; $X a", want: "a"},
	{text: "${X:-a}", want: "a", not: []string{`a command is computed: ${X:-a}`}},
	{text: "X=$X/a; $X", not: []string{`a command is computed: $X`}},
	{text: "read X </dev/null; $X a", not: []string{`a command is computed: $X a`}},
	{text: "for x in a b; do $x; done", want: "a b"},
	{text: "for x in \"$@\"; do $x; done", args: "a b", want: "a b"},
	{text: "exec \"$@\"", args: "server --x", want: "server"},
	{text: "exec $*", args: "server --x", want: "server"},
	{text: "exec ${1+\"$@\"}", args: "server --x", want: "server"},
	{text: "shift; exec \"$@\"", args: "a b c", want: "b"},
	{text: "shift 2; exec \"$@\"", args: "a b c", want: "c"},
	{text: "shift \"$N\"; exec \"$@\"", args: "a b c", want: "a b c", env: []string{"N=1"}},
	{text: "if [ \"$1\" = a ]; then shift; fi; exec \"$@\"", args: "a b c", want: "a b"},
	{text: "while [ $# -gt 1 ]; do shift; done; exec \"$@\"", args: "a b c", want: "a b c"},
	{text: "\"$@\"; shift; shift; \"$@\"", args: "a b c", want: "a c"},
	{text: "run() { local x=$1; shift; \"$@\"; }; run a b c", want: "b"},
	{text: "run() { \"$@\"; shift; }; run a b c", want: "a"},
	{text: "run() { x=\"$1\"; shift; \"$x\"; \"$@\"; }; run a b c", want: "a b"},
	{text: "shift 5; exec \"$@\"", args: "a", want: "a"},
	{text: "if [ \"$1\" = server ]; then shift; set -- server -W \"$@\"; fi; exec \"$@\"", args: "server a", want: "server"},
	{text: "shift; set -- a \"$@\"; exec \"$@\"", args: "b c", want: "a b"},
	{text: "eval shift; exec \"$@\"", args: "a b", want: "a b"},
	{text: "for f in /run.d/*; do \"$f\"; done", want: "a b", not: []string{`a command is computed: "$f"`}},
	{text: "for f in /run.d/?0*.sh; do . \"$f\"; done", want: "a", not: []string{`a command is computed: . "$f"`}},
	{text: "for f in /none/*; do \"$f\"; done", not: []string{`a command is computed: "$f"`}},
	{text: "run() { for f; do \"$f\"; done; }; run /run.d/*", want: "a b", not: []string{`a command is computed: "$f"`}},
	{text: "find /run.d -name '*.sh' | sort -V | while read -r f; do \"$f\"; done", want: "a b find", not: []string{`a command is computed: "$f"`}},
	{text: "a\\*; '*'; \"?\"", absent: []string{"a*", "*", "?"}},
	{text: "export \"$1=server\"; A=a; $A", args: "B", want: "a"},
	{text: "set_it() { export \"$1=$2\"; }; set_it A a; set_it B b; X=c; $X; $A", want: "a b c"},
	{text: "export \"$V=b\"; X=a; $X", want: "a", not: []string{"a command is computed: $X"}},
	{text: "for x in 1; do set -eu; done; exec \"$@\"", args: "a", want: "a"},
	{text: "V=XX_b; ${V#XX_}; ${V#*_}; W=a.b.c; ${W%%.*}; ${W##*.}; U=ab; ${U%?}", want: "a b c"},
	{text: "v=${1#X_}; export \"Y_$v=b\"; X=a; $X", args: "X_q", want: "a"},
	{text: "env X=b Y= sh -c '$X'", want: "b", env: []string{"X=a", "Y=a"}},
	{text: "Y=a env sh -c '$Y'", want: "", env: []string{"Y=b"}, not: []string{"a command is computed: $Y"}},
	{text: "env -u X sh -c '$X'", env: []string{"X=a"}, not: []string{"a command is computed: $X"}},
	{text: "env -i sh -c '$X'", env: []string{"X=a"}, not: []string{"a command is computed: $X"}},
	{text: "env X=\"$Z\" sh -c '$X'", env: []string{"X=a"}, not: []string{"a command is computed: $X"}},
	{text: "export LD_PRELOAD=/x.so\nLD_LIBRARY_PATH=\"$Z\" a; LD_AUDIT= env LD_AUDIT=/y b", want: "a b", not: []string{
		"LD_PRELOAD is set: what the dynamic loader finds by it is not looked at, but with --env LD_PRELOAD=VALUE",
		"LD_LIBRARY_PATH is set: what the dynamic loader finds by it is not looked at, but with --env LD_LIBRARY_PATH=VALUE",
		"LD_AUDIT is set: what the dynamic loader finds by it is not looked at, but with --env LD_AUDIT=VALUE",
	}},
	{text: "LD_PRELOAD=/x.so a", want: "a", env: []string{"LD_PRELOAD=/x.so"}},
	{text: "/plain x", want: "c"},
	{text: "sh /plain x", want: "c"},
	{text: "[ -n \"$1\" ] && exec gosu x \"$0\" a \"$@\"; [ -z \"$1\" ] && $1", want: "a gosu"},
	{text: "echo a | sh; bash </dev/null", not: []string{
		"a shell that reads what it is to do from its input: what it starts is not followed",
		"a shell that reads what it is to do from its input: what it starts is not followed",
	}},
	{text: "\"$2\"", args: "a b c", want: "b"},
	{text: "if [ \"${1#-}\" != \"$1\" ]; then\n  set -- server \"$@\"\nfi\nexec \"$@\"", args: "--flag", want: "server"},
	{text: "set -e -o pipefail; [ -z \"$AGAIN\" ] && { export AGAIN=1; find . -exec chown x {} +; exec gosu user \"$0\" \"$@\"; }; exec \"$@\"", args: "a", want: "a chown find gosu"},
	{text: "run() { gosu x \"$@\"; }; run server -x; run \"$@\"", args: "worker", want: "gosu server worker"},
	{text: "for x in 1 2; do set -- \"$@\" a; done; \"$@\"", args: "b", want: "b", not: []string{`a command is computed: "$@"`}},
	{text: "for x in 1 2; do set -- a \"$@\"; done; \"$@\"", args: "b", want: "a b", not: []string{`a command is computed: "$@"`}},
	{text: "DIR=$(cd \"$(dirname \"$0\")\" && pwd); exec \"$DIR/bin/server\"", want: "server"},
	{text: "exec \"${0%/*}/bin/server\"", want: "server"},
	{text: "[ -n \"$1\" ] || exec gosu x \"$BASH_SOURCE\" a; $1", want: "a gosu"},
	{text: "X=a; unset X; [ -n \"$X\" ] || X=b; $X", want: "a b"},
	{text: "exec \"$(dirname \"${BASH_SOURCE[0]}\")/bin/server\"", want: "server"},
	{text: "cd /bin && ./server", want: "server"},
	{text: "cd \"$X\" && ./server", not: []string{`a command is computed: ./server`}},
	{text: "exec \"$(which server)\"", want: "server"},
	{text: "PATH=/opt:$PATH; export PATH; tool", want: "tool"},
	{text: "PATH=\"/opt:$X\"; tool", want: "tool"},
	{text: ". /lib.sh; lib_run server", want: "a server"},
	{text: ". \"$X\"; A=a; \"$A\"", want: "a", not: []string{`a command is computed: . "$X"`}},
	{text: "cat <(a)", want: "a"},
	{text: "cmd=(server --x); cmd+=(--y); exec \"${cmd[@]}\"", want: "server"},
	{text: "cmd=(); cmd+=(server --x); exec \"${cmd[@]}\"", want: "server"},
	{text: "declare -a cmd=(a \"$1\"); local x=b; $x; \"${cmd[@]}\"", args: "z", want: "a b"},
	{text: "alias x=a; x", not: []string{`a command is computed: alias x=a`}, absent: []string{"x"}},
	{text: "sh -c 'a; exec \"$0\" \"$@\"' b c", want: "a b"},
	{text: "sh /other.sh x", want: "d"},
	{text: "/other.sh x", want: "d"},
	{text: "env -i A=b a", want: "a"},
	{text: "X=a env $X", want: "a"},
	{text: "timeout $T a", want: "a"},
	{text: "nice $O a", not: []string{"what it is to start is computed"}},
	{text: "if true; then", not: []string{"not understood: 2:10: `then` must be followed by a statement list"}},
	{text: "", want: ""},
}

// scriptRoot is the root of an image whose entry point is the text, for bash.
func scriptRoot(t testing.TB, text string) *Root {
	entries := []entry{
		{name: "entry", body: "#!/bin/bash\n" + text},
		{name: "lib.sh", body: "lib_run() { a; \"$@\"; }\n", mode: 0o644},
		{name: "other.sh", body: "#!/bin/sh\nd $1\n"},
		{name: "opt/tool", body: program("tool")},
		{name: "run.d/10.sh", body: "#!/bin/sh\na\n"},
		{name: "run.d/20-x", body: "#!/bin/sh\nb\n"},
		{name: "plain", body: "c\n"},
	}
	for _, name := range append([]string{"bash", "sh", "env", "timeout", "nice", "cat", "dirname", "which", "sort"}, scriptPrograms...) {
		entries = append(entries, entry{name: "bin/" + name, body: program(name)})
	}
	return rootOf(t, entries...)
}

// What is found in scripts is all that they start, where they are said to be
// clear: bash itself runs them.
func TestScript(t *testing.T) {
	shells := []string{"bash", "sh", "env", "timeout", "nice", "cat", "dirname", "which", "sort"}
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip("bash is not installed")
	}
	base := t.TempDir() // those of subtests have the shell's characters in their names
	for i, tt := range scripts {
		t.Run(tt.text, func(t *testing.T) {
			plan, err := scriptRoot(t, tt.text).Follow(v1.Config{Entrypoint: []string{"/entry"}, Cmd: strings.Fields(tt.args), Env: tt.env})
			if err != nil {
				t.Fatal(err)
			}
			var got, not []string
			for _, p := range plan.Programs {
				if name := filepath.Base(p.Path); !slices.Contains(shells, name) {
					got = append(got, name)
				}
			}
			slices.Sort(got)
			for _, u := range plan.Unfollowed {
				not = append(not, u.Why)
			}
			var absent []string
			for _, a := range plan.Absent {
				absent = append(absent, a.Name)
			}
			if !slices.Equal(absent, tt.absent) {
				t.Errorf("absent: %q, want %q", absent, tt.absent)
			}
			if text := strings.Join(got, " "); text != tt.want {
				t.Errorf("starts %q, want %q", text, tt.want)
			}
			if !slices.Equal(not, tt.not) {
				t.Errorf("not followed: %q, want %q", not, tt.not)
			}
			for _, name := range runScript(t, filepath.Join(base, strconv.Itoa(i)), tt.text, tt.args, tt.env) {
				if !slices.Contains(got, name) && len(not) == 0 {
					t.Errorf("bash starts %s, which was not found", name)
				}
			}
		})
	}
}

// runScript runs an entry point below dir, where programs write
// down their names and start what they are told to, and returns those names.
func runScript(t *testing.T, dir, text, args string, env []string) []string {
	log := filepath.Join(dir, "log")
	write := func(name, body string) {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(body), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range append([]string{"../opt/tool"}, scriptPrograms...) {
		body := "#!/bin/sh\necho ${0##*/} >>" + log + "\n"
		switch name {
		case "gosu":
			body += "shift; exec \"$@\"\n"
		case "find":
			body += "exec chown\n"
		case "b":
			body += "exit 1\n" // so that both sides of a condition run
		}
		write("bin/"+name, body)
	}
	// The paths of the image are below the directory.
	below := strings.NewReplacer("/bin", dir+"/bin", "/opt", dir+"/opt", "/lib.sh", dir+"/lib.sh", "/other.sh", dir+"/other.sh",
		"/run.d", dir+"/run.d", "/plain", dir+"/plain").Replace
	write("entry", "#!/bin/bash\n"+below(text))
	write("run.d/10.sh", "#!/bin/sh\na\n")
	write("run.d/20-x", "#!/bin/sh\nb\n")
	write("plain", "c\n")
	write("lib.sh", "lib_run() { a; \"$@\"; }\n")
	write("other.sh", "#!/bin/sh\nd $1\n")
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(dir, "entry"), strings.Fields(args)...)
	cmd.Dir = dir
	cmd.Env = append([]string{"PATH=" + dir + "/bin:/usr/bin:/bin"}, env...)
	if err := cmd.Run(); ctx.Err() != nil {
		t.Fatal(err)
	}
	started, err := os.ReadFile(log)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return strings.Fields(string(started))
}

// What is not known is told with the file and the line that it stands in.
func TestPlaces(t *testing.T) {
	for text, want := range map[string]string{
		"a\n\n$X; f() {\n$Y\n}": "/entry:4 /entry:5",
		"a\neval 'b\n$X'":       "/entry:3",
		". /lib.sh\n$X":         "/entry:3 /lib.sh:1",
		"sh /other.sh\n/none":   "/other.sh:2 /entry:3",
		"sh -c '$X'":            `/bin/sh -c "$X"`,
		"/plain\n":              "/plain:1",
		"if":                    "/entry",
	} {
		root := rootOf(t,
			entry{name: "bin/sh", body: program("sh")},
			entry{name: "entry", body: "#!/bin/sh\n" + text},
			entry{name: "lib.sh", body: "$X"},
			entry{name: "other.sh", body: "\n$X"},
			entry{name: "plain", body: "/none"})
		plan, err := root.Follow(v1.Config{Entrypoint: []string{"/entry"}})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, u := range plan.Unfollowed {
			got = append(got, u.Where)
		}
		for _, a := range plan.Absent {
			if a.Name == "/none" {
				got = append(got, a.Where)
			}
		}
		if have := strings.Join(got, " "); have != want {
			t.Errorf("%q: at %q, want %q", text, have, want)
		}
	}
}
