package container

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Where an index says what an image is called: the OCI layout, and containerd,
// whose name has the registry.
var nameAnnotations = []string{"io.containerd.image.name", "org.opencontainers.image.ref.name"}

// openLayout opens the image called want in an OCI layout.
func openLayout(s store, index []byte, want string, o *Options) (*Image, error) {
	top, err := v1.ParseIndexManifest(bytes.NewReader(index))
	if err != nil {
		return nil, fmt.Errorf("index.json: %w", err)
	}
	descriptors, err := named(top.Manifests, want)
	if err != nil {
		return nil, fmt.Errorf("index.json: %w", err)
	}
	l := layout{s, o}
	found, err := pick(descriptors, o, func(d v1.Descriptor) (*v1.IndexManifest, error) {
		data, err := l.blob(d.Digest, "an index")
		if err != nil {
			return nil, err
		}
		return v1.ParseIndexManifest(bytes.NewReader(data))
	}, l.platform)
	if err != nil {
		return nil, err
	}
	return l.image(found)
}

// named returns the descriptors of the image called want, of all where they are
// one image, for several platforms.
func named(all []v1.Descriptor, want string) ([]v1.Descriptor, error) {
	all = slices.DeleteFunc(slices.Clone(all), func(d v1.Descriptor) bool { return !isImage(d) })
	if want == "" && len(all) > 0 && !slices.ContainsFunc(all, func(d v1.Descriptor) bool { return d.Digest != all[0].Digest }) {
		return all[:1], nil // one image, with several names
	}
	byName := map[string][]v1.Descriptor{}
	var order []choice
	for _, d := range all {
		var names []string
		for _, a := range nameAnnotations {
			if n := d.Annotations[a]; n != "" {
				names = append(names, n)
			}
		}
		key := strings.Join(names, "\n")
		if byName[key] == nil {
			order = append(order, choice{names})
		}
		byName[key] = append(byName[key], d)
	}
	i, err := choose(order, want)
	if err != nil {
		return nil, err
	}
	return byName[strings.Join(order[i].names, "\n")], nil
}

// isImage reports whether a descriptor may be of an image. Signatures and
// attestations stand beside them.
func isImage(d v1.Descriptor) bool {
	return (d.MediaType.IsImage() || d.MediaType.IsIndex() || d.MediaType == "") &&
		d.Annotations["vnd.docker.reference.type"] == "" && (d.Platform == nil || isPlatform(d.Platform)) &&
		(isConfig(types.MediaType(d.ArtifactType)) || d.MediaType.IsIndex())
}

// pick returns the descriptor that is best for the ABI, from these and from the
// indexes among them, which expand reads. platform finds out what one is for that
// does not say it.
func pick(descriptors []v1.Descriptor, o *Options, expand func(v1.Descriptor) (*v1.IndexManifest, error), platform func(v1.Descriptor) (*v1.Platform, error)) (v1.Descriptor, error) {
	var best v1.Descriptor
	bestFit, seen := 0, 0
	var has []string
	var walk func(descriptors []v1.Descriptor, nesting int) error
	walk = func(descriptors []v1.Descriptor, nesting int) error {
		for _, d := range descriptors {
			if seen++; seen > maxDescriptors {
				return tooLarge("an image", maxDescriptors, "manifests")
			}
			switch {
			case !isImage(d):
				continue
			case d.MediaType.IsIndex():
				if nesting >= o.limits.nesting {
					return tooLarge("an image", int64(o.limits.nesting), "indexes in each other")
				}
				index, err := expand(d)
				if err != nil {
					return err
				}
				if err := walk(index.Manifests, nesting+1); err != nil {
					return err
				}
				continue
			}
			p := d.Platform
			if p == nil {
				var err error
				if p, err = platform(d); err != nil {
					return err
				}
			}
			if !isPlatform(p) {
				continue
			}
			if !slices.Contains(has, p.String()) {
				has = append(has, p.String())
			}
			if fits := fit(*p, o.ABI); fits > bestFit {
				best, bestFit = d, fits
			}
		}
		return nil
	}
	if err := walk(descriptors, 0); err != nil {
		return best, err
	}
	if bestFit == 0 {
		return best, &PlatformError{Want: o.ABI, Has: has}
	}
	return best, nil
}

// maxDescriptors bounds the manifests that one image's indexes list.
const maxDescriptors = 1000

// A layout is a store of blobs that are called by their digest.
type layout struct {
	store
	o *Options
}

func blobName(h v1.Hash) (string, error) {
	// The digest comes from the image: it must not become another path.
	if raw, err := hex.DecodeString(h.Hex); h.Algorithm != "sha256" || err != nil || len(raw) != sha256.Size {
		return "", fmt.Errorf("%q is no digest of sha256", h)
	}
	return "blobs/sha256/" + h.Hex, nil
}

// blob returns a small blob that has this digest.
func (l layout) blob(h v1.Hash, what string) ([]byte, error) {
	name, err := blobName(h)
	if err != nil {
		return nil, err
	}
	data, err := readJSON(l.store, name, &l.o.limits)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("it is not in the layout: %w", err)
		}
		return nil, fmt.Errorf("%s, %v: %w", what, h, err)
	}
	if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != h.Hex {
		return nil, fmt.Errorf("%s, %v: damaged: its digest is sha256:%x", what, h, sum)
	}
	return data, nil
}

func (l layout) manifest(d v1.Descriptor) (*v1.Manifest, error) {
	data, err := l.blob(d.Digest, "the manifest")
	if err != nil {
		return nil, err
	}
	m, err := v1.ParseManifest(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("the manifest, %v: %w", d.Digest, err)
	}
	return m, nil
}

// platform returns what an image is for, from its configuration; nil where it is
// no image.
func (l layout) platform(d v1.Descriptor) (*v1.Platform, error) {
	m, err := l.manifest(d)
	if err != nil {
		return nil, err
	}
	if !isConfig(m.Config.MediaType) {
		return nil, nil
	}
	data, err := l.blob(m.Config.Digest, "the configuration")
	if err != nil {
		return nil, err
	}
	c, err := v1.ParseConfigFile(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("the configuration: %w", err)
	}
	return platformOf(c, l.o), nil
}

func (l layout) image(d v1.Descriptor) (*Image, error) {
	m, err := l.manifest(d)
	if err != nil {
		return nil, err
	}
	if err := checkManifest(m, l.o); err != nil {
		return nil, err
	}
	config, err := l.blob(m.Config.Digest, "the configuration")
	if err != nil {
		return nil, err
	}
	layers := make([]layer, len(m.Layers))
	for i, d := range m.Layers {
		file, err := blobName(d.Digest)
		if err != nil {
			return nil, fmt.Errorf("layer %d: %w", i+1, err)
		}
		r, size, err := l.open(file)
		if err != nil {
			return nil, fmt.Errorf("layer %d: %w", i+1, err)
		}
		if err := r.Close(); err != nil {
			return nil, err
		}
		layers[i] = layer{name: d.Digest.String(), size: size, open: func() (io.ReadCloser, error) {
			r, _, err := l.open(file)
			return r, err
		}}
	}
	image, err := newImage(config, layers, l.o)
	if err != nil {
		return nil, err
	}
	image.Digest = d.Digest.String()
	return image, nil
}

// checkConfigSize refuses a configuration that is too large, or whose size is not
// known: a registry's client would read it to its end.
func checkConfigSize(m *v1.Manifest, o *Options) error {
	if m.Config.Size < 0 || m.Config.Size > o.limits.json {
		return fmt.Errorf("the configuration: %w, %d bytes where %d are the most", errTooLarge, m.Config.Size, o.limits.json)
	}
	return nil
}

// checkManifest refuses what is no image, and layers that cannot be read.
func checkManifest(m *v1.Manifest, o *Options) error {
	if !isConfig(m.Config.MediaType) {
		return fmt.Errorf("no image: its configuration is %q", m.Config.MediaType)
	}
	if len(m.Layers) > o.limits.layers {
		return tooLarge("an image", int64(o.limits.layers), "layers")
	}
	if err := checkConfigSize(m, o); err != nil {
		return err
	}
	for i, d := range m.Layers {
		switch {
		case d.Size < 0:
			return fmt.Errorf("layer %d has %d bytes", i+1, d.Size)
		case strings.HasSuffix(string(d.MediaType), "+encrypted"):
			return fmt.Errorf("layer %d is encrypted", i+1)
		case !d.MediaType.IsDistributable():
			return fmt.Errorf("layer %d is foreign: it is not part of the image", i+1)
		case d.MediaType != "" && !d.MediaType.IsLayer() && !strings.HasSuffix(string(d.MediaType), "zstd"):
			return fmt.Errorf("layer %d is no archive, but %q", i+1, d.MediaType)
		}
	}
	return nil
}
