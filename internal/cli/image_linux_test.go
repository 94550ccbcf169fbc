package cli

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/sysgate/sysgate/internal/testkit"
)

// A layerFile is a file of a layer: with content, or a copy, or a link.
type layerFile struct {
	name string
	text string // content
	copy string // a file of this machine
	link string
}

// imageLayer makes a layer.
func imageLayer(t *testing.T, files ...layerFile) v1.Layer {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		h := &tar.Header{Name: f.name, Mode: 0o755, Typeflag: tar.TypeReg}
		data := []byte(f.text)
		switch {
		case f.link != "":
			h.Typeflag, h.Linkname = tar.TypeSymlink, f.link
		case strings.HasSuffix(f.name, "/"):
			h.Typeflag = tar.TypeDir
		case f.copy != "":
			var err error
			if data, err = os.ReadFile(f.copy); err != nil {
				t.Fatal(err)
			}
		}
		h.Size = int64(len(data))
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(data); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.Bytes())), nil })
	if err != nil {
		t.Fatal(err)
	}
	return layer
}

// saveImage writes an image as docker save does.
func saveImage(t *testing.T, c v1.Config, layers ...v1.Layer) (file string, image v1.Image) {
	t.Helper()
	image, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{Architecture: "amd64", OS: "linux", Config: c})
	if err != nil {
		t.Fatal(err)
	}
	if image, err = mutate.AppendLayers(image, layers...); err != nil {
		t.Fatal(err)
	}
	tag, err := name.NewTag("example.com/app:1")
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "image.tar")
	if err := tarball.WriteToFile(file, tag, image); err != nil {
		t.Fatal(err)
	}
	return file, image
}

// unpackImage makes the root of containers of an image, as an engine does.
func unpackImage(t *testing.T, image v1.Image) string {
	t.Helper()
	root := containerRoot(t)
	files := mutate.Extract(image)
	defer files.Close()
	cmd := exec.Command("tar", "-x", "-C", root)
	cmd.Stdin = files
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return root
}

// runMain runs a command of sysgate and returns what it said, and its exit code.
func runMain(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	code = Main(args, strings.NewReader(""), &out, &errs)
	return out.String(), errs.String(), code
}

func TestProfileImage(t *testing.T) {
	bin := t.TempDir()
	if err := buildPrograms(bin); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", t.TempDir())
	base := imageLayer(t,
		layerFile{name: "usr/bin/starter", copy: filepath.Join(bin, "starter")},
		layerFile{name: "usr/bin/hello", copy: filepath.Join(bin, "starter")},
		layerFile{name: "usr/bin/old", copy: filepath.Join(bin, "hello")},
		layerFile{name: "bin", link: "usr/bin"})
	top := imageLayer(t,
		layerFile{name: "usr/bin/hello", copy: filepath.Join(bin, "hello")},
		layerFile{name: "usr/bin/.wh.old"},
		layerFile{name: "usr/bin/execer386", copy: filepath.Join(bin, "execer386")},
		layerFile{name: "usr/bin/caller", copy: filepath.Join(bin, "caller")},
		layerFile{name: "entry.sh", text: "#!/bin/starter /bin/hello\n"})
	file, _ := saveImage(t, v1.Config{Entrypoint: []string{"/entry.sh"}, Cmd: []string{"execer386", "x"}}, base, top)

	// The policy is of all programs, for both ABIs, and says who makes a call.
	stdout, stderr, code := runMain(t, "profile", file, "--with", "hello")
	if code != 0 {
		t.Fatalf("exit code %d\n%s", code, stderr)
	}
	for _, want := range []string{
		"(linux/amd64): runs /usr/bin/starter (interpreter of /entry.sh), /usr/bin/execer386 (argument of /entry.sh), /usr/bin/hello (named)",
		"/entry.sh: a script: what it starts itself is not followed",
		"hint: --with PROGRAM",
	} {
		if !strings.Contains(stderr, want) {
			t.Errorf("stderr lacks %q:\n%s", want, stderr)
		}
	}
	for _, want := range []string{
		"abis: [amd64, 386]", "# The system calls of image " + file, "# Assumed: no program starts that was not looked at: /entry.sh",
		"- \"386:open\" # by execer386: ", "- execve # by starter, execer386: ", "- amd64:mmap # by starter, hello: ", "- amd64:dup3 # by starter: ", "- read # main.main ",
	} {
		if !strings.Contains(stdout, want) {
			t.Errorf("the policy lacks %q:\n%s", want, stdout)
		}
	}
	if list, err := os.ReadDir(os.TempDir()); err != nil || len(list) > 0 {
		t.Errorf("left behind: %v, %v", list, err)
	}

	for _, tt := range []struct {
		args []string
		code int
		want []string // on stderr
	}{
		{[]string{file, "--command", "hello 1"}, 0, []string{"runs /usr/bin/hello (entry point)\n"}},
		{[]string{file, "--command", "/usr/bin/old"}, 1, []string{"error: " + file + ": the entry point /usr/bin/old: no such file or directory"}},
		{[]string{file, "--command", "caller"}, 3, []string{file + ":/usr/bin/caller: ", "main.main, at "}},
		{[]string{file, "--abi", "arm64"}, 1, []string{file + ": no image for linux/arm64: it has linux/amd64\n", "hint: --abi amd64\n"}},
		{[]string{file + ":other:1"}, 1, []string{`no image "other:1", but example.com/app:1`, "hint: " + file + ":example.com/app:1\n"}},
		{[]string{file + ":example.com/app:1", "-q"}, 0, nil},
		{[]string{file, "--with", "nothing"}, 1, []string{`"nothing": not in the image's PATH`}},
		{[]string{file, file, "--with", "hello"}, 2, []string{"--with and several images"}},
		{[]string{filepath.Join(bin, "hello"), "--command", "x"}, 2, []string{"--command is for images"}},
		{[]string{"docker://localhost:1/none"}, 1, []string{"localhost:1/none: ", "connection refused"}},
		{[]string{"no-such-file"}, 1, []string{"no-such-file"}},
	} {
		_, stderr, code := runMain(t, append([]string{"profile"}, tt.args...)...)
		if code != tt.code {
			t.Errorf("%q: exit code %d, want %d\n%s", tt.args, code, tt.code, stderr)
		}
		for _, want := range tt.want {
			if !strings.Contains(stderr, want) {
				t.Errorf("%q: stderr lacks %q:\n%s", tt.args, want, stderr)
			}
		}
		if strings.Contains(stderr, os.TempDir()+"/sysgate") {
			t.Errorf("%q: stderr names a temporary file:\n%s", tt.args, stderr)
		}
		if list, err := os.ReadDir(os.TempDir()); err != nil || len(list) > 0 {
			t.Errorf("%q: left behind: %v, %v", tt.args, list, err)
		}
	}

	// Other commands take images too, of one program or of all.
	if stdout, stderr, code := runMain(t, "why", "-q", "execve", file, "--command", "starter"); code != 0 || !strings.Contains(stdout, "syscall.forkAndExecInChild1") || strings.Contains(stdout, os.TempDir()) {
		t.Errorf("why: exit code %d\n%s%s", code, stderr, stdout)
	}
	if stdout, stderr, code := runMain(t, "why", "-q", "execve,getpid", file); code != 0 || !strings.HasPrefix(stdout, file+":/usr/bin/starter:\nexecve:\n") || !strings.Contains(stdout, "\n\n"+file+":/usr/bin/execer386:\n") {
		t.Errorf("why, of two: exit code %d\n%s%s", code, stderr, stdout)
	}
	if stdout, stderr, code := runMain(t, "why", "-q", "--json", "execve", file); code != 0 || strings.Count(stdout, `"file": "`+file+`:/usr/bin/`) != 2 {
		t.Errorf("why --json, of two: exit code %d\n%s%s", code, stderr, stdout)
	}
	if stdout, stderr, code := runMain(t, "why", "-q", "acct", file); code != 3 || stdout != "" || !strings.Contains(stderr, file+" cannot call acct") {
		t.Errorf("why not, of two: exit code %d\n%s%s", code, stderr, stdout)
	}
	if stdout, stderr, code := runMain(t, "gate", "-q", filepath.Join(bin, "hello"), file, "--command", "starter"); code != 3 || !strings.Contains(stdout, "new: execve") {
		t.Errorf("gate: exit code %d\n%s%s", code, stderr, stdout)
	}
	policy := filepath.Join(t.TempDir(), "policy.yaml")
	if err := os.WriteFile(policy, []byte(stdout), 0o600); err != nil {
		t.Fatal(err)
	}
	for command, want := range map[string]int{"hello": 0, "caller": 3} {
		if stdout, stderr, code := runMain(t, "profile", "-q", "--verify", policy, file, "--command", command, "--with", "starter"); code != want {
			t.Errorf("profile --verify, %s: exit code %d, want %d\n%s%s", command, code, want, stderr, stdout)
		}
	}

	// The names of an image's files reach neither the terminal nor the policy as
	// they are.
	evil, _ := saveImage(t, v1.Config{Cmd: []string{"/a\x1b[2J\n- action: allow\n  names: [ptrace]"}},
		imageLayer(t, layerFile{name: "a\x1b[2J\n- action: allow\n  names: [ptrace]", copy: filepath.Join(bin, "hello")}))
	if stdout, stderr, code := runMain(t, "profile", evil); code != 0 || strings.Contains(stdout+stderr, "\x1b") || strings.Contains(stdout+stderr, "\n- action: allow\n  names: [ptrace]") || !strings.Contains(stderr, `runs /a\x1b[2J\n- action: allow\n  names: [ptrace] (entry point)`) {
		t.Errorf("a file with an evil name: exit code %d\n%q\n%q", code, stderr, stdout)
	}

	saved, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer saved.Close()
	var out, errs bytes.Buffer
	if code := Main([]string{"profile", "-", "--command", "hello", "--format", "names"}, saved, &out, &errs); code != 0 || !strings.Contains(out.String(), "\nexit_group\n") || !strings.Contains(errs.String(), "image: standard input (linux/amd64): runs /usr/bin/hello (entry point)\n") {
		t.Errorf("standard input: exit code %d\n%s%s", code, errs.String(), out.String())
	}

	empty, _ := saveImage(t, v1.Config{}, base)
	if _, stderr, code := runMain(t, "profile", empty); code != 1 || !strings.Contains(stderr, "neither Entrypoint nor Cmd") || !strings.Contains(stderr, "--command") {
		t.Errorf("an image without a command: exit code %d\n%s", code, stderr)
	}
}

// Real runtimes start containers of an image under its profile, whatever is denied
// is deadly, and everything that the container runs works.
func TestImageInContainers(t *testing.T) {
	testkit.Need(t, testkit.Root)
	testkit.NeedFilters(t)
	bin := t.TempDir()
	if err := buildPrograms(bin); err != nil {
		t.Fatal(err)
	}
	file, image := saveImage(t, v1.Config{Entrypoint: []string{"/entry.sh"}, Cmd: []string{"x"}},
		imageLayer(t, layerFile{name: "bin/starter", copy: filepath.Join(bin, "starter")}, layerFile{name: "bin/execer386", copy: filepath.Join(bin, "execer386")}),
		imageLayer(t, layerFile{name: "bin/hello", copy: filepath.Join(bin, "hello")}, layerFile{name: "entry.sh", text: "#!/bin/starter /bin/hello\n"}))
	root := unpackImage(t, image)
	for _, runtime := range []string{"runc", "crun"} {
		t.Run(runtime, func(t *testing.T) {
			if _, err := exec.LookPath(runtime); err != nil {
				t.Skipf("needs %s: %v", runtime, err)
			}
			plain := startedContainer{args: []string{"/bin/hello"}}
			if out, err := startRuntime(t, runtime, plain.bundle(t, root)).CombinedOutput(); err != nil {
				testkit.Unable(t, "%s cannot start a container here, even without a profile: %v\n%s", runtime, err, out)
			}
			for _, tt := range []struct {
				flags, args []string
				want        string
				ok          bool
			}{
				{[]string{"--with", "hello"}, []string{"/entry.sh", "x"}, "hello [/entry.sh x]", true},
				{[]string{"--command", "execer386", "--with", "hello"}, []string{"execer386", "/bin/hello"}, "hello []", true},
				{[]string{"--args", "--with", "hello"}, []string{"/entry.sh", "x"}, "hello [/entry.sh x]", true},
				{[]string{"--command", "hello"}, []string{"starter", "/bin/hello"}, "", false},
			} {
				profile := filepath.Join(t.TempDir(), "seccomp.json")
				args := slices.Concat([]string{"profile", "-q", file, "--format", "oci", "--runtime", runtime, "--default-action", "kill_process", "-o", profile}, tt.flags)
				if _, stderr, code := runMain(t, args...); code != 0 {
					t.Fatalf("exit code %d\n%s", code, stderr)
				}
				data, err := os.ReadFile(profile)
				if err != nil {
					t.Fatal(err)
				}
				for _, c := range []startedContainer{{noNewPrivs: true}, {}, {user: 1000}} {
					c.profile, c.args = data, tt.args
					out, err := startRuntime(t, runtime, c.bundle(t, root)).CombinedOutput()
					if got := strings.TrimSpace(string(out)); (err == nil) != tt.ok || tt.ok && got != tt.want {
						t.Errorf("%q, no_new_privs %v, user %d: %v: %q", tt.args, c.noNewPrivs, c.user, err, got)
					}
				}
			}
		})
	}
}

// hostFiles returns programs of this machine with the libraries that they load, for
// a layer.
func hostFiles(t *testing.T, programs ...string) []layerFile {
	t.Helper()
	var files []layerFile
	have := map[string]bool{}
	add := func(file string) {
		real, err := filepath.EvalSymlinks(file)
		if err != nil {
			t.Fatal(err)
		}
		if !have[file] {
			have[file] = true
			files = append(files, layerFile{name: strings.TrimPrefix(path.Clean(file), "/"), copy: real})
		}
	}
	for _, program := range programs {
		add(program)
		out, err := exec.Command("ldd", program).Output()
		if err != nil {
			t.Fatal(fmt.Errorf("ldd %s: %w", program, err))
		}
		for field := range strings.FieldsSeq(string(out)) {
			if strings.HasPrefix(field, "/") {
				add(field)
			}
		}
	}
	return files
}

// A container of programs of this machine, with their shells, libraries and links,
// works under its profile: nothing that it needs is missed.
func TestDynamicImage(t *testing.T) {
	testkit.Need(t, testkit.Root)
	testkit.NeedFilters(t)
	if _, err := exec.LookPath("runc"); err != nil {
		t.Skipf("needs runc: %v", err)
	}
	base := append(hostFiles(t, "/bin/dash", "/bin/ls", "/bin/cat", "/usr/bin/env", "/usr/bin/sort", "/usr/bin/find", "/usr/bin/wc"),
		layerFile{name: "bin/sh", link: "dash"},
		layerFile{name: "etc/nsswitch.conf", text: "passwd: files\ngroup: files\n"},
		layerFile{name: "etc/passwd", text: "root:x:0:0::/:/bin/sh\nuser:x:1000:1000::/:/bin/sh\n"},
		layerFile{name: "etc/group", text: "root:x:0:\n"},
		layerFile{name: "data/b", text: "b\n"}, layerFile{name: "data/a", text: "a\n"}, layerFile{name: "data/old", text: "old\n"})
	file, image := saveImage(t, v1.Config{Entrypoint: []string{"/entry.sh"}, Cmd: []string{"ls", "-l", "/data"}},
		imageLayer(t, base...),
		imageLayer(t,
			layerFile{name: "data/.wh.old"},
			layerFile{name: "entry.sh", text: "#!/bin/sh -e\n[ \"${1#-}\" = \"$1\" ] || set -- ls \"$@\"\nsort /data/b /data/a\nexec \"$@\"\n"},
			layerFile{name: "env.sh", text: "#!/usr/bin/env sh\nexec cat /data/a\n"},
			layerFile{name: "parts.sh", text: "#!/bin/sh\nfor f in /parts/*.sh; do \"$f\"; done\nfind /parts -name '*.env' | sort | while read -r f; do . \"$f\"; done\n"},
			layerFile{name: "parts/10.sh", text: "#!/bin/sh\nls -ld /data\n"},
			layerFile{name: "parts/20.env", text: "wc -c </data/b\n"}))
	root := unpackImage(t, image)
	if out, err := runc(t, root, startedContainer{args: []string{"/bin/ls", "/"}}); err != nil {
		testkit.Unable(t, "runc cannot start a container here, even without a profile: %v\n%s", err, out)
	}
	for _, tt := range []struct {
		flags, args []string
		want        []string
	}{
		{nil, []string{"/entry.sh", "ls", "-l", "/data"}, []string{"a\nb\n", "root root", " b\n"}},
		{[]string{"--command", "/entry.sh -l /data"}, []string{"/entry.sh", "-l", "/data"}, []string{"a\nb\n", "root root", " b\n"}},
		{[]string{"--command", "/parts.sh"}, []string{"/parts.sh"}, []string{"root root", "2\n"}},
		{[]string{"--cmd", "cat /data/b"}, []string{"/entry.sh", "cat", "/data/b"}, []string{"a\nb\nb\n"}},
		{[]string{"--command", "/env.sh"}, []string{"/env.sh"}, []string{"a\n"}},
		{[]string{"--command", "sh -c 'cat /data/a; ls -l /data | sort'"}, []string{"sh", "-c", "cat /data/a; ls -l /data | sort"}, []string{"a\n", "root root"}},
	} {
		profile := filepath.Join(t.TempDir(), "seccomp.json")
		args := slices.Concat([]string{"profile", file, "--format", "oci", "--default-action", "kill_process", "-o", profile}, tt.flags)
		_, stderr, code := runMain(t, args...)
		if code != 0 {
			t.Fatalf("exit code %d\n%s", code, stderr)
		}
		data, err := os.ReadFile(profile)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(data, []byte(`"ptrace"`)) {
			t.Error("the profile allows ptrace")
		}
		for _, c := range []startedContainer{{noNewPrivs: true}, {}, {user: 1000}} {
			c.profile, c.args = data, tt.args
			out, err := runc(t, root, c)
			if err != nil {
				t.Errorf("%q, no_new_privs %v, user %d: %v\n%s", tt.args, c.noNewPrivs, c.user, err, out)
			}
			for _, want := range tt.want {
				if !strings.Contains(out, want) {
					t.Errorf("%q, no_new_privs %v, user %d: %q lacks %q", tt.args, c.noNewPrivs, c.user, out, want)
				}
			}
		}
	}
	stdout, stderr, code := runMain(t, "profile", file)
	if code != 0 || strings.Contains(stderr, "warning") || strings.Contains(stdout+stderr, "sysgate-image") || !strings.Contains(stdout, "by sort") || !strings.Contains(stdout, "/bin/dash (") {
		t.Errorf("exit code %d\n%s%s", code, stderr, stdout)
	}
}

// An image of another C library, musl, whose dynamic loader is that library.
func TestMuslImage(t *testing.T) {
	testkit.Need(t, testkit.Root)
	testkit.NeedFilters(t)
	for _, tool := range []string{"runc", "musl-gcc"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("needs %s: %v", tool, err)
		}
	}
	dir := t.TempDir()
	source, app := filepath.Join(dir, "app.c"), filepath.Join(dir, "app")
	text := `
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static void *run(void *x) { return strdup(x); }
int main(int argc, char **argv) {
	pthread_t t; void *r; char line[100] = "";
	pthread_create(&t, 0, run, argv[1]);
	pthread_join(t, &r);
	FILE *f = fopen("/etc/text", "r");
	fgets(line, sizeof line, f);
	fclose(f);
	printf("%s %s %d\n", (char *)r, line, (int)sysconf(_SC_NPROCESSORS_ONLN) > 0);
	free(r);
	return 0;
}`
	if err := os.WriteFile(source, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("musl-gcc", "-O2", "-o", app, source).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	file, image := saveImage(t, v1.Config{Entrypoint: []string{"app"}, Cmd: []string{"hello"}},
		imageLayer(t, layerFile{name: "bin/app", copy: app}, layerFile{name: "etc/text", text: "text"}, layerFile{name: "lib/ld-musl-x86_64.so.1", copy: "/lib/ld-musl-x86_64.so.1"}))
	root := unpackImage(t, image)
	plain := startedContainer{args: []string{"app", "hello"}}
	if out, err := runc(t, root, plain); err != nil {
		testkit.Unable(t, "runc cannot start a container here, even without a profile: %v\n%s", err, out)
	}
	profile := filepath.Join(t.TempDir(), "seccomp.json")
	if _, stderr, code := runMain(t, "profile", "-q", file, "--format", "oci", "--default-action", "kill_process", "-o", profile); code != 0 {
		t.Fatalf("exit code %d\n%s", code, stderr)
	}
	data, err := os.ReadFile(profile)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []startedContainer{{noNewPrivs: true}, {user: 1000}} {
		c.profile, c.args = data, plain.args
		if out, err := runc(t, root, c); err != nil || out != "hello text 1\n" {
			t.Errorf("no_new_privs %v, user %d: %v: %q", c.noNewPrivs, c.user, err, out)
		}
	}
}
