package container

import (
	"fmt"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/sysgate/sysgate/abi"
)

// A PlatformError says that an image is not for the platform that was asked for.
type PlatformError struct {
	Want abi.ABI
	Has  []string // "linux/amd64", "linux/arm/v7"
}

func (e *PlatformError) Error() string {
	has := "nothing for a known platform"
	if len(e.Has) > 0 {
		has = strings.Join(e.Has, ", ")
	}
	return fmt.Sprintf("no image for linux/%v: it has %s", e.Want, has)
}

// ABIs returns the ABIs of what the image is for.
func (e *PlatformError) ABIs() []abi.ABI {
	var list []abi.ABI
	for _, a := range abi.All() {
		if slices.ContainsFunc(e.Has, func(has string) bool {
			p, err := v1.ParsePlatform(has)
			return err == nil && fit(*p, a) > 0
		}) {
			list = append(list, a)
		}
	}
	return list
}

// fit says how well an image for p serves programs of an ABI: 0 not at all.
func fit(p v1.Platform, a abi.ABI) int {
	// The names of Go's architectures are those of OCI; x32 is none.
	if p.OS != "linux" || p.Architecture != a.String() {
		return 0
	}
	switch p.Variant { // of arm
	case "v5":
		return 1
	case "v6":
		return 2
	}
	return 3
}

// platformOf returns what an image is for. One that does not say it, as some made by
// hand, is taken to be for what was asked for: its programs say what they are.
func platformOf(c *v1.ConfigFile, o *Options) *v1.Platform {
	if p := c.Platform(); p != nil {
		return p
	}
	return &v1.Platform{OS: "linux", Architecture: o.ABI.String()}
}

// isConfig reports whether a media type is that of an image's configuration; some
// tools leave it out.
func isConfig(m types.MediaType) bool { return m == "" || m.IsConfig() }

// isPlatform reports whether p says anything; an attestation's says "unknown".
func isPlatform(p *v1.Platform) bool {
	return p != nil && p.OS != "" && p.OS != "unknown" && p.Architecture != "" && p.Architecture != "unknown"
}
