package container

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	server "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	layouts "github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/sysgate/sysgate/abi"
)

// serve starts a registry, which wants a password if it is told one, and returns
// its host.
func serve(t *testing.T, password string) string {
	t.Helper()
	handler := server.New(server.Logger(log.New(testWriter{t}, "", 0)))
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, got, _ := r.BasicAuth(); got != password {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			http.Error(w, `{"errors":[{"code":"UNAUTHORIZED","message":"who are you?"}]}`, http.StatusUnauthorized)
			return
		}
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) { return len(p), nil }

func unpack(t *testing.T, arg string, o Options) (*Root, *Image) {
	t.Helper()
	image, err := Open(context.Background(), arg, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := image.Close(); err != nil {
			t.Error(err)
		}
	})
	root, err := image.Unpack()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := root.Close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(root.Dir); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is still there: %v", root.Dir, err)
		}
	})
	return root, image
}

func TestForms(t *testing.T) {
	image := makeImage(t, amd64, v1.Config{Entrypoint: []string{"/bin/app"}},
		layerTar(t, entry{name: "bin/"}, entry{name: "bin/app", body: program("1")}, entry{name: "bin/old", body: program("old")}),
		layerTar(t, entry{name: "bin/app", body: program("2")}, entry{name: "bin/.wh.old"}),
		layerTar(t, entry{name: "lib/l.so", body: program("lib")}, entry{name: "bin/sh", body: "-> /bin/app"}))
	other := makeImage(t, v1.Platform{OS: "linux", Architecture: "arm64"}, v1.Config{}, layerTar(t, entry{name: "app", body: program("arm")}))
	both := mutate.AppendManifests(mutate.IndexMediaType(empty.Index, types.OCIImageIndex),
		mutate.IndexAddendum{Add: other, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "arm64"}}},
		mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: &amd64}},
		mutate.IndexAddendum{Add: other, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "unknown", Architecture: "unknown"}, Annotations: map[string]string{"vnd.docker.reference.type": "attestation-manifest"}}},
	)

	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	tag, err := name.NewTag("example.com/app:1")
	if err != nil {
		t.Fatal(err)
	}
	if err := tarball.WriteToFile(at("docker.tar"), tag, image); err != nil {
		t.Fatal(err)
	}
	docker, err := os.ReadFile(at("docker.tar"))
	if err != nil {
		t.Fatal(err)
	}
	for file, data := range map[string][]byte{"docker.tar.gz": gzipped(t, docker), "docker.tar.zst": zstandard(t, docker)} {
		if err := os.WriteFile(at(file), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := layouts.Write(at("layout"), mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: image})); err != nil {
		t.Fatal(err)
	}
	if _, err := layouts.Write(at("index"), mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: both})); err != nil {
		t.Fatal(err)
	}
	writeTar(t, at("layout.tar"), nil, entriesOf(t, at("layout"))...)
	writeTar(t, at("index.tar.gz"), gzipped, entriesOf(t, at("index"))...)

	host := serve(t, "")
	for repository, what := range map[string]remote.Taggable{"one:1": image, "both:1": both, "both:latest": both} {
		ref, err := name.ParseReference(host + "/" + repository)
		if err != nil {
			t.Fatal(err)
		}
		switch what := what.(type) {
		case v1.Image:
			err = remote.Write(ref, what)
		case v1.ImageIndex:
			err = remote.WriteIndex(ref, what)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"bin/app: 2", "bin/sh -> app", "lib/l.so: lib"}
	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	for _, arg := range []string{
		at("docker.tar"), at("docker.tar.gz"), at("docker.tar.zst"), at("docker.tar") + ":example.com/app:1",
		at("layout"), at("layout.tar"), at("index"), at("index.tar.gz"),
		host + "/one:1", host + "/both:1", host + "/both", "docker://" + host + "/both:1", host + "/both@" + digest.String(),
	} {
		t.Run(strings.NewReplacer(dir, "", host, "registry").Replace(arg), func(t *testing.T) {
			if !Names(arg) {
				t.Error("names no image")
			}
			var stages []string
			var done, total int64
			root, image := unpack(t, arg, Options{ABI: abi.AMD64, Progress: func(stage string, d, all int64) {
				if len(stages) == 0 || stages[len(stages)-1] != stage {
					stages = append(stages, stage)
				}
				done, total = d, all
			}})
			if diff := cmp.Diff(want, files(t, root)); diff != "" {
				t.Errorf("files (-want +got):\n%s", diff)
			}
			if image.ABI != abi.AMD64 || len(image.Config.Entrypoint) != 1 || image.Name != arg {
				t.Errorf("image %+v", image)
			}
			if isDocker := strings.Contains(arg, "docker.tar"); isDocker != (image.Digest == "") || !isDocker && image.Digest != digest.String() {
				t.Errorf("digest %q, want %v", image.Digest, digest)
			}
			if stages[len(stages)-1] != "read" || done != total || total == 0 {
				t.Errorf("progress: %q, %d of %d", stages, done, total)
			}
		})
	}

	// The platform that is asked for, and those that there are.
	root, _ := unpack(t, at("index"), Options{ABI: abi.ARM64})
	if diff := cmp.Diff([]string{"app: arm"}, files(t, root)); diff != "" {
		t.Errorf("arm64 (-want +got):\n%s", diff)
	}
	for _, arg := range []string{at("index"), host + "/both:1", at("docker.tar"), host + "/one:1", at("layout.tar")} {
		_, err := Open(context.Background(), arg, Options{ABI: abi.RISCV64})
		wrong := new(PlatformError)
		if !errors.As(err, &wrong) || !strings.Contains(err.Error(), "no image for linux/riscv64: it has linux/") || !strings.Contains(fmt.Sprint(wrong.ABIs()), "amd64") {
			t.Errorf("%s for riscv64: error %v", arg, err)
		}
	}
}

// An archive that is read as a stream, whatever it is compressed by.
func TestInput(t *testing.T) {
	dir := t.TempDir()
	images := map[name.Tag]v1.Image{}
	for _, tag := range []string{"one:1", "two:2"} {
		parsed, err := name.NewTag(tag)
		if err != nil {
			t.Fatal(err)
		}
		images[parsed] = makeImage(t, amd64, v1.Config{}, layerTar(t, entry{name: tag, body: program("")}))
	}
	file := filepath.Join(dir, "many.tar")
	if err := tarball.MultiWriteToFile(file, images); err != nil {
		t.Fatal(err)
	}
	plain, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	temp := filepath.Join(dir, "temp")
	if err := os.Mkdir(temp, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // when all is closed
		if list, err := os.ReadDir(temp); err != nil || len(list) > 0 {
			t.Errorf("left behind: %v, %v", list, err)
		}
	})
	for how, data := range map[string][]byte{"plain": plain, "gzip": gzipped(t, plain), "zstd": zstandard(t, plain)} {
		root, image := unpack(t, "-:two:2", Options{ABI: abi.AMD64, Input: bytes.NewReader(data), Temp: temp})
		if diff := cmp.Diff([]string{"two:2: "}, files(t, root)); diff != "" || image.Name != "-:two:2" {
			t.Errorf("%s: %s (-want +got):\n%s", how, image.Name, diff)
		}
	}
	for _, data := range [][]byte{nil, []byte("no archive"), plain[:len(plain)/2], gzipped(t, plain)[:100], plain} {
		if image, err := Open(context.Background(), "-", Options{ABI: abi.AMD64, Input: bytes.NewReader(data), Temp: temp, Name: "input"}); err == nil || !strings.HasPrefix(err.Error(), "input: ") {
			t.Errorf("%d bytes: %v, %v", len(data), image, err)
		}
	}
	if _, err := Open(context.Background(), "-", Options{ABI: abi.AMD64}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without an input: %v", err)
	}
}

// The best variant of an architecture is taken.
func TestVariants(t *testing.T) {
	var list []mutate.IndexAddendum
	for _, variant := range []string{"v5", "v7", "v6"} {
		p := v1.Platform{OS: "linux", Architecture: "arm", Variant: variant}
		list = append(list, mutate.IndexAddendum{Add: makeImage(t, p, v1.Config{}, layerTar(t, entry{name: variant, body: program("")})), Descriptor: v1.Descriptor{Platform: &p}})
	}
	dir := t.TempDir()
	if _, err := layouts.Write(dir, mutate.AppendManifests(empty.Index, list...)); err != nil {
		t.Fatal(err)
	}
	root, _ := unpack(t, dir, Options{ABI: abi.ARM})
	if diff := cmp.Diff([]string{"v7: "}, files(t, root)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestNames(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for file, data := range map[string]string{"elf": program(""), "script": "#!/bin/sh\n", "a.b/file": "x", "empty": ""} {
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo("fifo", 0o600); err != nil {
		t.Fatal(err)
	}
	writeTar(t, "x.tar", nil, entry{name: "a", body: "b"})
	for arg, want := range map[string]bool{
		"elf": false, "fifo": false, "script": false, "empty": false, "a.b/file": false, "nothing": false, "./nothing": false, "/no/thing": false, "../no.thing/x": false,
		"x.tar": true, "x.tar:name:tag": true, "a.b": true, ".": true,
		"a.b/image": true, "localhost/image": true, "host:5000/image": true, "docker://image": true, "library/image": false, "image:tag": false,
	} {
		if got := Names(arg); got != want {
			t.Errorf("Names(%q) = %v", arg, got)
		}
	}
}

// Several images in an archive, none, and what is no image.
func TestChoice(t *testing.T) {
	dir := t.TempDir()
	images := map[name.Tag]v1.Image{}
	for _, tag := range []string{"app:1", "app:2", "example.com/other:latest"} {
		parsed, err := name.NewTag(tag)
		if err != nil {
			t.Fatal(err)
		}
		images[parsed] = makeImage(t, amd64, v1.Config{}, layerTar(t, entry{name: "bin/" + strings.ReplaceAll(tag, "/", "_"), body: program("")}))
	}
	many := filepath.Join(dir, "many.tar")
	if err := tarball.MultiWriteToFile(many, images); err != nil {
		t.Fatal(err)
	}
	for arg, want := range map[string]string{
		many + ":app:2": "bin/app:2: ", many + ":docker.io/library/app:1": "bin/app:1: ", many + ":example.com/other": "bin/example.com_other:latest: ",
	} {
		root, _ := unpack(t, arg, Options{ABI: abi.AMD64})
		if diff := cmp.Diff([]string{want}, files(t, root)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", arg, diff)
		}
	}
	export := writeTar(t, filepath.Join(dir, "export.tar"), nil, entry{name: "bin/sh", body: program("")})
	if err := os.WriteFile(filepath.Join(dir, "text.gz"), gzipped(t, []byte("text")), 0o600); err != nil {
		t.Fatal(err)
	}
	for arg, want := range map[string]string{
		many:                              "several images: ",
		many + ":app:3":                   `no image "app:3", but `,
		export:                            "neither index.json (an OCI layout) nor manifest.json (docker save)",
		dir:                               "neither index.json",
		filepath.Join(dir, "text.gz"):     "read the archive: ",
		"nothing":                         "nothing: file does not exist",
		"localhost:1/UPPER":               "neither a file nor a reference to a registry: ",
		"no-such-host.invalid/image":      "there is no file of this name, and no host no-such-host.invalid: ",
		"docker://localhost:1/image:tag ": "neither a file nor",
	} {
		if _, err := Open(context.Background(), arg, Options{ABI: abi.AMD64}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %q", arg, err, want)
		}
	}
	if choice := new(ChoiceError); true {
		_, err := Open(context.Background(), many, Options{ABI: abi.AMD64})
		if !errors.As(err, &choice) || len(choice.Has) != 3 {
			t.Errorf("several images: %v", err)
		}
	}
}

// What a registry refuses, and the credentials of docker login.
func TestRegistryErrors(t *testing.T) {
	open, closed := serve(t, ""), serve(t, "secret")
	config := t.TempDir()
	t.Setenv("DOCKER_CONFIG", config)
	for arg, want := range map[string]string{
		open + "/none:1":     "has no such image",
		closed + "/secret:1": "denies access",
	} {
		_, err := Open(context.Background(), arg, Options{ABI: abi.AMD64})
		why := new(RegistryError)
		if !errors.As(err, &why) || !strings.Contains(err.Error(), want) || why.Denied() != (want == "denies access") {
			t.Errorf("%s: error %v, want one with %q", arg, err, want)
		}
	}

	// A configuration that would be read to no end is not asked for.
	for _, size := range []string{"-1", "1099511627776"} {
		manifest := `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","size":` + size + `,"digest":"sha256:` + strings.Repeat("0", 64) + `"},"layers":[]}`
		request, err := http.NewRequest(http.MethodPut, "http://"+open+"/v2/large/manifests/1", strings.NewReader(manifest))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
		answer, err := http.DefaultClient.Do(request)
		if err != nil || answer.StatusCode >= 300 {
			t.Fatal(answer, err)
		}
		answer.Body.Close()
		if _, err := Open(context.Background(), open+"/large:1", Options{ABI: abi.AMD64}); !errors.Is(err, errTooLarge) {
			t.Errorf("a configuration of %s bytes: %v", size, err)
		}
	}

	auth := map[string]any{"auths": map[string]any{closed: map[string]string{"username": "u", "password": "secret"}}}
	data, err := json.Marshal(auth)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(config, "config.json"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	ref, err := name.ParseReference(closed + "/secret:1")
	if err != nil {
		t.Fatal(err)
	}
	image := makeImage(t, amd64, v1.Config{}, layerTar(t, entry{name: "app", body: program("")}))
	if err := remote.Write(ref, image, remote.WithAuth(&authn.Basic{Username: "u", Password: "secret"})); err != nil {
		t.Fatal(err)
	}
	root, _ := unpack(t, closed+"/secret:1", Options{ABI: abi.AMD64})
	if got := files(t, root); len(got) != 1 {
		t.Errorf("files %q", got)
	}

	ctx, cancel := context.WithCancel(context.Background())
	opened, err := Open(ctx, closed+"/secret:1", Options{ABI: abi.AMD64})
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	cancel()
	if _, err := opened.Unpack(); !errors.Is(err, context.Canceled) {
		t.Errorf("after it was cancelled: %v", err)
	}
}
