package container

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/sysgate/sysgate/abi"
)

// userland is a root like that of common images.
var userland = []entry{
	{name: "bin", body: "-> usr/bin"},
	{name: "usr/bin/dash", body: program("dash")},
	{name: "usr/bin/sh", body: "-> dash"},
	{name: "usr/bin/env", body: program("env")},
	{name: "usr/bin/python3.11", body: program("python")},
	{name: "usr/bin/python3", body: "-> python3.11"},
	{name: "usr/bin/sleep", body: program("sleep")},
	{name: "usr/bin/test", body: program("test")},
	{name: "usr/bin/plain", body: program("plain"), mode: 0o644},
	{name: "usr/local/bin/server", body: program("server")},
	{name: "usr/local/bin/su-exec", body: program("su-exec")},
	{name: "sbin/tini", body: program("tini")},
	{name: "usr/bin/dumb-init", body: program("dumb-init")},
	{name: "usr/bin/timeout", body: program("timeout")},
	{name: "busybox/busybox", body: program("busybox")},
	{name: "busybox/sh", body: "-> busybox"},
	{name: "busybox/wget", body: "=> busybox/busybox"},
	{name: "app/run", body: program("run")},
	{name: "app/run.py", body: "#!/usr/bin/env python3\n"},
	{name: "app/run2.py", body: "#!/usr/bin/env -S FOO=1 python3 -u\nimport os\n"},
	{name: "app/path.sh", body: "#!/usr/bin/env -S -i PATH=/app run\n"},
	{name: "entrypoint.sh", body: "#!/bin/sh -e\nexec \"$@\"\n"},
	{name: "start.sh", body: "#!/bin/sh\n# run me\nif test -x /app/run; then\n  sleep 1 && nothing\nfi\nX=1 exec su-exec user /app/run \"$(python3 -V)\" plain # server\n"},
	{name: "no-interpreter.sh", body: "#!/bin/bash\n"},
	{name: "text", body: "echo hello\n"},
	{name: "empty", body: ""},
	{name: "dir/"},
	{name: "s1", body: "#!/s2"},
	{name: "s2", body: "#!/s3\n"},
	{name: "s3", body: "#!/s4 x\n"},
	{name: "s4", body: "#! /s5\n"},
	{name: "s5", body: "#!/bin/sh\n"},
	{name: "s0", body: "#!/s1\n"},
	{name: "self", body: "#!/usr/bin/env /self\n"},
	{name: "long", body: "#!/" + strings.Repeat("x", 300) + "\n"},
}

// rootOf is the root of an image of one layer.
func rootOf(t testing.TB, entries ...entry) *Root {
	t.Helper()
	image, err := Open(context.Background(), writeLayout(t, v1.Config{}, layerTar(t, entries...)), Options{ABI: abi.AMD64, Temp: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer image.Close()
	root, err := image.Unpack()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	return root
}

func TestFollow(t *testing.T) {
	root := rootOf(t, userland...)
	script := func(name string) string { return name + ": a script: what it starts itself is not followed" }
	for _, tt := range []struct {
		entrypoint, cmd []string
		config          v1.Config // further
		extra           []string
		want            []string // "PATH: ROLES"
		not             []string // not followed
		absent          []string
	}{
		{entrypoint: []string{"/usr/local/bin/server"}, want: []string{"/usr/local/bin/server: entry point"}},
		{cmd: []string{"server", "-p", "80"}, want: []string{"/usr/local/bin/server: entry point"}},
		{cmd: []string{"run"}, config: v1.Config{Env: []string{"PATH=/bin:/app", "A=b"}}, want: []string{"/app/run: entry point"}},
		{cmd: []string{"run"}, config: v1.Config{Env: []string{"PATH=/none:", "A=b"}, WorkingDir: "/app"}, want: []string{"/app/run: entry point"}},
		{cmd: []string{"./run"}, config: v1.Config{WorkingDir: "/app"}, want: []string{"/app/run: entry point"}},
		{cmd: []string{"../../app/run"}, config: v1.Config{WorkingDir: "/bin"}, want: []string{"/app/run: entry point"}},
		{
			cmd: []string{"/bin/sh"}, want: []string{"/usr/bin/dash: entry point"},
			not: []string{"/bin/sh: a shell that reads what it is to do from its input: what it starts is not followed"},
		},
		{
			entrypoint: []string{"/entrypoint.sh"}, cmd: []string{"server", "--flag"},
			want: []string{"/usr/bin/dash: interpreter of /entrypoint.sh", "/usr/local/bin/server: started by /entrypoint.sh"},
		},
		{
			entrypoint: []string{"/entrypoint.sh", "--flag"},
			want:       []string{"/usr/bin/dash: interpreter of /entrypoint.sh"},
		},
		{
			entrypoint: []string{"/app/run.py"},
			want:       []string{"/usr/bin/env: interpreter of /app/run.py", "/usr/bin/python3.11: started by /usr/bin/env"},
			not:        []string{"/usr/bin/python3 /app/run.py: a program that python3 interprets: what it starts is not followed"},
		},
		{
			entrypoint: []string{"/app/run2.py"},
			want:       []string{"/usr/bin/env: interpreter of /app/run2.py", "/usr/bin/python3.11: started by /usr/bin/env"},
			not:        []string{"/usr/bin/python3 -u /app/run2.py: a program that python3 interprets: what it starts is not followed"},
		},
		{
			entrypoint: []string{"/app/path.sh"}, want: []string{"/usr/bin/env: interpreter of /app/path.sh", "/app/run: started by /usr/bin/env"},
			not: []string{script("/app/path.sh")},
		},
		{
			entrypoint: []string{"/sbin/tini", "-p", "SIGTERM", "-g", "--", "/entrypoint.sh"}, cmd: []string{"sleep", "1"},
			want: []string{"/sbin/tini: entry point", "/usr/bin/dash: interpreter of /entrypoint.sh", "/usr/bin/sleep: started by /entrypoint.sh"},
		},
		{
			entrypoint: []string{"dumb-init", "--rewrite", "15:2"}, cmd: []string{"timeout", "-s", "KILL", "10", "su-exec", "user:group", "server"},
			want: []string{"/usr/bin/dumb-init: entry point", "/usr/bin/timeout: started by /usr/bin/dumb-init", "/usr/local/bin/su-exec: started by /usr/bin/timeout", "/usr/local/bin/server: started by /usr/local/bin/su-exec"},
		},
		{entrypoint: []string{"/sbin/tini"}, want: []string{"/sbin/tini: entry point"}},
		{entrypoint: []string{"/sbin/tini", "--"}, want: []string{"/sbin/tini: entry point"}},
		{
			entrypoint: []string{"/sbin/tini", "nothing"}, want: []string{"/sbin/tini: entry point"},
			not: []string{`/sbin/tini: "nothing", which it is to start: not in the image's PATH (` + defaultPath + ")"},
		},
		{
			cmd:  []string{"/bin/sh", "-c", "exec server --port $PORT"},
			want: []string{"/usr/bin/dash: entry point", `/usr/local/bin/server: started by /bin/sh -c "exec server --port $PORT"`},
		},
		{
			cmd:  []string{"/bin/sh", "-ec", "cd /app && ./run; test -f x || $START; ./no"},
			want: []string{"/usr/bin/dash: entry point", `/app/run: started by /bin/sh -c "cd /app && ./run; test -f x || $START; ./no"`},
			not: []string{
				`/bin/sh -c "cd /app && ./run; test -f x || $START; ./no": a command is computed: $START`,
			},
			absent: []string{`/bin/sh -c "cd /app && ./run; test -f x || $START; ./no": ./no: no such file or directory`},
		},
		{
			cmd: []string{"/bin/sh", "/entrypoint.sh", "server"}, want: []string{"/usr/bin/dash: entry point", "/usr/local/bin/server: started by /entrypoint.sh"},
		},
		{
			cmd:    []string{"sh", "-c", "wget -q x"},
			config: v1.Config{Env: []string{"PATH=/busybox"}},
			want:   []string{`/busybox/busybox: entry point, started by /busybox/sh -c "wget -q x"`},
		},
		{cmd: []string{"/busybox/busybox", "env", "server"}, want: []string{"/busybox/busybox: entry point", "/usr/local/bin/server: started by /busybox/busybox"}},
		{
			cmd: []string{"server"}, config: v1.Config{Healthcheck: &v1.HealthConfig{Test: []string{"CMD-SHELL", "sleep 1 || exit 1"}}},
			want: []string{"/usr/local/bin/server: entry point", "/usr/bin/dash: health check", `/usr/bin/sleep: started by /bin/sh -c "sleep 1 || exit 1"`},
		},
		{
			cmd: []string{"server"}, config: v1.Config{Healthcheck: &v1.HealthConfig{Test: []string{"CMD", "sleep", "1"}}},
			want: []string{"/usr/local/bin/server: entry point", "/usr/bin/sleep: health check"},
		},
		{cmd: []string{"server"}, config: v1.Config{Healthcheck: &v1.HealthConfig{Test: []string{"NONE"}}}, want: []string{"/usr/local/bin/server: entry point"}},
		{
			cmd: []string{"server"}, config: v1.Config{Healthcheck: &v1.HealthConfig{Test: []string{"CMD-SHELL", "curl x"}}, Shell: []string{"sh", "-ec"}},
			want:   []string{"/usr/local/bin/server: entry point", "/usr/bin/dash: health check"},
			absent: []string{`/usr/bin/sh -c "curl x": curl: not in the image's PATH (` + defaultPath + ")"},
		},
		{
			cmd: []string{"server"}, config: v1.Config{Healthcheck: &v1.HealthConfig{Test: []string{"CMD", "/curl", "x"}}},
			want: []string{"/usr/local/bin/server: entry point"}, not: []string{`the health check: "/curl", which it is to start: no such file or directory`},
		},
		{cmd: []string{"server"}, extra: []string{"sleep", "/app/run", "server"}, want: []string{"/usr/local/bin/server: entry point, named", "/usr/bin/sleep: named", "/app/run: named"}},
		{extra: []string{"sleep"}, want: []string{"/usr/bin/sleep: named"}},
		{
			cmd: []string{"/s1"}, want: []string{"/usr/bin/dash: interpreter of /s5"},
			not: []string{script("/s4"), script("/s3"), script("/s2"), script("/s1")},
		},
	} {
		c := tt.config
		c.Entrypoint, c.Cmd = tt.entrypoint, tt.cmd
		t.Run(strings.Join(append(tt.entrypoint, tt.cmd...), " "), func(t *testing.T) {
			plan, err := root.Follow(c, tt.extra...)
			if err != nil {
				t.Fatal(err)
			}
			var got, not, absent []string
			for _, p := range plan.Programs {
				got = append(got, p.Path+": "+strings.Join(p.Roles, ", "))
				if data, err := os.ReadFile(p.File); err != nil || !isBinary(data) {
					t.Errorf("%s: %s: %v", p.Path, p.File, err)
				}
			}
			for _, u := range plan.Unfollowed {
				not = append(not, u.Where+": "+u.Why)
			}
			for _, u := range plan.Absent {
				absent = append(absent, u.Where+": "+u.Name+": "+u.Why)
			}
			if diff := cmp.Diff(tt.absent, absent); diff != "" {
				t.Errorf("not in the image (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("programs (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.not, not); diff != "" {
				t.Errorf("not followed (-want +got):\n%s", diff)
			}
		})
	}

	for command, want := range map[string]string{
		"nothing":            `the entry point "nothing": not in the image's PATH (`,
		"/no/thing":          "the entry point /no/thing: no such file or directory",
		"/dir":               "the entry point /dir: not a regular file",
		"plain":              `the entry point "plain": /bin/plain: not executable`,
		"/bin/plain":         "the entry point /bin/plain: not executable",
		"/text":              `the entry point /text: neither an ELF program nor a script with "#!"`,
		"/empty":             "the entry point /empty: neither",
		"/long":              "the entry point /long: neither",
		"/no-interpreter.sh": "the entry point /no-interpreter.sh: its interpreter /bin/bash: no such file or directory",
		"/s0":                `too many "#!" lines lead to each other`,
		"/self":              "it starts itself, without an end",
		"":                   `the entry point "": no such file or directory`,
	} {
		if _, err := root.Follow(v1.Config{Cmd: []string{command}}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want one with %q", command, err, want)
		}
	}
	if _, err := root.Follow(v1.Config{}); !IsNoCommand(err) {
		t.Errorf("no command: %v", err)
	}
	if _, err := root.Follow(v1.Config{Cmd: []string{"server"}}, "nothing"); err == nil || !strings.Contains(err.Error(), `"nothing": not in the image's PATH`) {
		t.Errorf("a named program that is not there: %v", err)
	}
}

func TestWords(t *testing.T) {
	for s, want := range map[string][]string{
		"python3 -u":              {"python3", "-u"},
		"  a  'b c' \"d\\\" e\" ": {"a", "b c", "d\" e"},
		"a\\_b c\\td":             {"a", "b", "c", "d"},
		"":                        nil,
		"''":                      {""},
		"\"a\\_b\"":               {"a b"},
	} {
		if diff := cmp.Diff(want, Words(s)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", s, diff)
		}
	}
}
