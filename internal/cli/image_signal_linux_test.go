package cli

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	server "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/sysgate/sysgate/internal/testkit"
)

// An interrupt while a layer is read ends sysgate and leaves no file behind.
func TestImageInterrupted(t *testing.T) {
	const image = "SYSGATE_TEST_IMAGE"
	if testkit.InSubprocess(t) {
		os.Exit(Main([]string{"profile", os.Getenv(image)}, strings.NewReader(""), os.Stdout, os.Stderr))
	}
	layer := imageLayer(t, layerFile{name: "app", text: "no program"})
	digest, err := layer.Digest()
	if err != nil {
		t.Fatal(err)
	}
	handler := server.New(server.Logger(log.New(io.Discard, "", 0)))
	reached := make(chan struct{}, 1)
	registry := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/blobs/"+digest.String()) {
			reached <- struct{}{}
			<-r.Context().Done() // the layer never comes
			return
		}
		handler.ServeHTTP(w, r)
	}))
	defer registry.Close()
	made, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{Architecture: "amd64", OS: "linux", Config: v1.Config{Cmd: []string{"/app"}}})
	if err != nil {
		t.Fatal(err)
	}
	if made, err = mutate.AppendLayers(made, layer); err != nil {
		t.Fatal(err)
	}
	ref, err := name.ParseReference(strings.TrimPrefix(registry.URL, "http://") + "/app:1")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, made); err != nil {
		t.Fatal(err)
	}

	temp := t.TempDir()
	cmd := testkit.Subprocess(t)
	cmd.Env = append(cmd.Env, image+"="+ref.String(), "TMPDIR="+temp)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-reached:
	case <-time.After(time.Minute):
		t.Error("the layer was not asked for")
	}
	if list, err := filepath.Glob(filepath.Join(temp, "sysgate-*")); err != nil || len(list) != 1 {
		t.Errorf("while it works: %v, %v", list, err)
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Error(err)
	}
	err = cmd.Wait()
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGINT {
		t.Errorf("it ended with %v\n%s", err, out.String())
	}
	if list, err := filepath.Glob(filepath.Join(temp, "sysgate-*")); err != nil || len(list) > 0 {
		t.Errorf("left behind: %v, %v", list, err)
	}
}
