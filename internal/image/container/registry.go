package container

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// A RegistryError says why an image could not be read from a registry.
type RegistryError struct {
	Reference string
	Registry  string // for docker login
	Status    int    // of HTTP; 0: there was no answer
	Err       error
}

func (e *RegistryError) Unwrap() error { return e.Err }

// Denied reports whether the registry wants to know who asks. Some say so of what
// they do not have, too.
func (e *RegistryError) Denied() bool {
	return e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden
}

func (e *RegistryError) Error() string {
	switch {
	case e.Denied():
		return fmt.Sprintf("%s: %s denies access: %v", e.Reference, e.Registry, e.Err)
	case e.Status == http.StatusNotFound:
		return fmt.Sprintf("%s: %s has no such image: %v", e.Reference, e.Registry, e.Err)
	}
	return fmt.Sprintf("%s: %v", e.Reference, e.Err)
}

// openRemote opens an image of a registry. Credentials are those of docker login
// and podman login.
func openRemote(arg, reference string, o *Options) (*Image, error) {
	ref, err := name.ParseReference(reference)
	if err != nil {
		return nil, fmt.Errorf("%s: neither a file nor a reference to a registry: %w", arg, err)
	}
	r := &registry{ref: ref, o: o, options: []remote.Option{remote.WithAuthFromKeychain(authn.DefaultKeychain), remote.WithContext(o.ctx)}}
	image, err := r.open()
	if err != nil {
		if wrong := new(PlatformError); errors.As(err, &wrong) {
			return nil, fmt.Errorf("%s: %w", arg, err)
		}
		return nil, r.explain(err)
	}
	image.Name = arg
	return image, nil
}

type registry struct {
	ref     name.Reference
	o       *Options
	options []remote.Option
}

// explain returns err with what it means.
func (r *registry) explain(err error) error {
	e := &RegistryError{Reference: r.ref.String(), Registry: r.ref.Context().RegistryStr(), Err: err}
	if answer := new(transport.Error); errors.As(err, &answer) {
		e.Status = answer.StatusCode
	} else if dns := new(net.DNSError); errors.As(err, &dns) && dns.IsNotFound {
		e.Err = fmt.Errorf("there is no file of this name, and no host %s: %w", e.Registry, err)
	}
	return e
}

func (r *registry) open() (*Image, error) {
	found, err := remote.Get(r.ref, r.options...)
	if err != nil {
		return nil, err
	}
	descriptor := found.Descriptor
	if found.MediaType.IsIndex() {
		// What the reference names is in no index that could say a platform.
		if descriptor, err = pick([]v1.Descriptor{{MediaType: found.MediaType, Digest: found.Digest}}, r.o, r.index, r.platform); err != nil {
			return nil, err
		}
	}
	image, err := r.image(descriptor.Digest)
	if err != nil {
		return nil, err
	}
	manifest, err := image.Manifest()
	if err != nil {
		return nil, err
	}
	if err := checkManifest(manifest, r.o); err != nil {
		return nil, err
	}
	config, err := image.RawConfigFile()
	if err != nil {
		return nil, err
	}
	remotes, err := image.Layers()
	if err != nil {
		return nil, err
	}
	layers := make([]layer, len(remotes))
	for i, l := range remotes {
		d := manifest.Layers[i]
		layers[i] = layer{name: d.Digest.String(), size: d.Size, open: l.Compressed}
	}
	opened, err := newImage(config, layers, r.o)
	if err != nil {
		return nil, err
	}
	opened.Digest = descriptor.Digest.String()
	return opened, nil
}

func (r *registry) image(digest v1.Hash) (v1.Image, error) {
	return remote.Image(r.ref.Context().Digest(digest.String()), r.options...)
}

func (r *registry) index(d v1.Descriptor) (*v1.IndexManifest, error) {
	index, err := remote.Index(r.ref.Context().Digest(d.Digest.String()), r.options...)
	if err != nil {
		return nil, err
	}
	return index.IndexManifest()
}

func (r *registry) platform(d v1.Descriptor) (*v1.Platform, error) {
	image, err := r.image(d.Digest)
	if err != nil {
		return nil, err
	}
	manifest, err := image.Manifest()
	if err != nil {
		return nil, err
	}
	if err := checkConfigSize(manifest, r.o); err != nil {
		return nil, err
	}
	config, err := image.RawConfigFile()
	if err != nil {
		return nil, err
	}
	c, err := v1.ParseConfigFile(bytes.NewReader(config))
	if err != nil {
		return nil, err
	}
	return platformOf(c, r.o), nil
}
