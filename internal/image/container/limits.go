package container

import (
	"errors"
	"fmt"
	"io"
)

// limits bound what an image may hold: it may have been made to exhaust its
// reader.
type limits struct {
	json     int64 // bytes of a manifest, an index or a configuration
	archive  int64 // bytes of an archive that is compressed as a whole, without that
	layers   int   // of an image
	unpacked int64 // bytes of all layers, without compression
	kept     int64 // bytes of executables and libraries
	entries  int   // files of all layers together
	path     int   // bytes of a name (PATH_MAX)
	name     int   // bytes of one part of it (NAME_MAX)
	depth    int   // parts
	steps    int   // of names, in all that are looked up
	nesting  int   // indexes in indexes
	window   uint64
}

// defaultLimits leave room for images of machine-learning frameworks, the largest
// that are in use.
var defaultLimits = limits{
	json:     8 << 20,
	archive:  64 << 30,
	layers:   512,
	unpacked: 64 << 30,
	kept:     16 << 30,
	entries:  1 << 20,
	path:     4096,
	name:     255,
	depth:    255,
	steps:    64 << 20,
	nesting:  4,
	window:   128 << 20, // zstd's own bound for what is not asked for by --long
}

// errTooLarge is wrapped by errors about images that pass a limit.
var errTooLarge = errors.New("too large")

func tooLarge(what string, limit int64, unit string) error {
	return fmt.Errorf("%w: more than %d %s of %s", errTooLarge, limit, unit, what)
}

// A bounded reader fails where there is more to read than left.
type bounded struct {
	r    io.Reader
	left int64
	err  error
}

func (b *bounded) Read(p []byte) (int, error) {
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.r.Read(p)
	if int64(n) > b.left {
		n = int(b.left)
		b.left = 0
		return n, b.err
	}
	b.left -= int64(n)
	return n, err
}

// readAll reads a small file of an image whole.
func readAll(r io.Reader, limit int64, what string) ([]byte, error) {
	return io.ReadAll(&bounded{r, limit, tooLarge(what, limit, "bytes")})
}
