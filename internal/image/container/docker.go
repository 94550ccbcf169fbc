package container

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// dockerManifest is an entry of manifest.json, which docker save writes.
type dockerManifest struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// openDocker opens the image called want in an archive of docker save.
func openDocker(s store, manifest []byte, want string, o *Options) (*Image, error) {
	var entries []dockerManifest
	if err := json.Unmarshal(manifest, &entries); err != nil {
		return nil, fmt.Errorf("manifest.json: %w", err)
	}
	choices := make([]choice, len(entries))
	for i, e := range entries {
		choices[i] = choice{names: e.RepoTags}
	}
	i, err := choose(choices, want)
	if err != nil {
		return nil, fmt.Errorf("manifest.json: %w", err)
	}
	entry := entries[i]
	data, err := readJSON(s, entry.Config, &o.limits)
	if err != nil {
		return nil, fmt.Errorf("the configuration: %w", err)
	}
	layers := make([]layer, len(entry.Layers))
	for i, file := range entry.Layers {
		layers[i] = layer{name: file}
		layers[i].open = func() (io.ReadCloser, error) {
			r, _, err := s.open(file)
			return r, err
		}
		r, size, err := s.open(file)
		if err != nil {
			return nil, fmt.Errorf("layer %d: %w", i+1, err)
		}
		layers[i].size = size
		if err := r.Close(); err != nil {
			return nil, err
		}
	}
	return newImage(data, layers, o)
}

// newImage makes an image of its configuration and its layers, which have no
// digest yet.
func newImage(config []byte, layers []layer, o *Options) (*Image, error) {
	c, err := v1.ParseConfigFile(bytes.NewReader(config))
	if err != nil {
		return nil, fmt.Errorf("the configuration: %w", err)
	}
	if p := platformOf(c, o); fit(*p, o.ABI) == 0 {
		err := &PlatformError{Want: o.ABI}
		if isPlatform(p) {
			err.Has = []string{p.String()}
		}
		return nil, err
	}
	switch {
	case len(layers) > o.limits.layers:
		return nil, tooLarge("an image", int64(o.limits.layers), "layers")
	case len(layers) != len(c.RootFS.DiffIDs):
		return nil, fmt.Errorf("%d layers, and a configuration for %d", len(layers), len(c.RootFS.DiffIDs))
	}
	for i := range layers {
		layers[i].diffID = c.RootFS.DiffIDs[i]
		if layers[i].diffID.Algorithm != "sha256" {
			return nil, fmt.Errorf("the configuration: layer %d has the digest %q, not one of sha256", i+1, layers[i].diffID)
		}
	}
	return &Image{ABI: o.ABI, Config: c.Config, layers: layers, options: o}, nil
}

// A choice is one image of several, by its names.
type choice struct{ names []string }

// choose returns the index of the image that want names, of the only one where it
// is "".
func choose(choices []choice, want string) (int, error) {
	if want == "" && len(choices) == 1 {
		return 0, nil
	}
	var all []string
	for i, c := range choices {
		if want != "" && slices.ContainsFunc(c.names, func(have string) bool { return sameName(have, want) }) {
			return i, nil
		}
		if len(c.names) == 0 {
			all = append(all, "one without a name")
		}
		all = append(all, c.names...)
	}
	switch {
	case len(choices) == 0:
		return 0, errors.New("no images")
	case want == "":
		return 0, &ChoiceError{Has: all}
	}
	return 0, &ChoiceError{Want: want, Has: all}
}

// A ChoiceError says that an archive has several images, or not the one that was
// asked for.
type ChoiceError struct {
	Want string // "" if none was asked for
	Has  []string
}

func (e *ChoiceError) Error() string {
	has := strings.Join(e.Has, ", ")
	if e.Want == "" {
		return "several images: " + has
	}
	return fmt.Sprintf("no image %q, but %s", e.Want, has)
}

// sameName reports whether two names mean the same image: app is
// index.docker.io/library/app:latest.
func sameName(a, b string) bool {
	if a == b {
		return true
	}
	x, errX := name.ParseReference(a)
	y, errY := name.ParseReference(b)
	return errX == nil && errY == nil && x.Name() == y.Name()
}
