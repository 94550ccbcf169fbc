package profile

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"sync"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/cache"
	"github.com/sysgate/sysgate/internal/image"
)

// CacheLimit is how many bytes the summaries of libraries may take in a cache.
const CacheLimit = 256 << 20

// summaries are those of the libraries of one program, and the cache that keeps them
// between programs. Without a cache every library is looked at anew.
//
// A summary in the cache is called by the library's build ID, and identified by what
// it depends on: the analyser, which is this very program; the whole file, so that one
// that was changed and kept its build ID is another; and to what the loader binds the
// file's references, as far as it matters where functions are.
type summaries struct {
	cache    *cache.Cache
	analyser [32]byte
	// jobs are what is done beside the analysis, one after the other: digests of files
	// and writing.
	jobs    chan func()
	working sync.WaitGroup

	mu      sync.Mutex // for what follows
	digests map[*image.Module]func() [32]byte
	known   map[cache.Identity]*summary
}

func newSummaries(c *cache.Cache) *summaries {
	s := &summaries{cache: c, digests: map[*image.Module]func() [32]byte{}, known: map[cache.Identity]*summary{}}
	if c == nil {
		return s
	}
	analyser, ok := cache.Self()
	if s.analyser = analyser; !ok {
		s.cache = nil
		return s
	}
	s.jobs = make(chan func(), 1024)
	s.working.Go(func() {
		for job := range s.jobs {
			_ = guard(func() error { job(); return nil }) // who asks for a digest meets the fault, too
		}
	})
	return s
}

// close returns when all that was added is in the cache.
func (s *summaries) close() {
	if s.jobs != nil {
		close(s.jobs)
	}
	s.working.Wait()
}

// opened begins to look at library m, while others are looked for.
func (s *summaries) opened(m *image.Module) {
	if s.jobs == nil {
		return
	}
	select {
	case s.jobs <- func() { s.digest(m) }:
	default:
	}
}

// digestOf returns what computes the SHA-256 of the module's file, once.
func (s *summaries) digestOf(m *image.Module) func() [32]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.digests[m]
	if d == nil {
		d = sync.OnceValue(m.Digest)
		s.digests[m] = d
	}
	return d
}

// digest returns the SHA-256 of the module's file.
func (s *summaries) digest(m *image.Module) [32]byte { return s.digestOf(m)() }

// identity identifies the summary of library m; ok is false where none is kept. Of
// machines whose code names addresses that are not relative to itself, what is an
// address depends on where the library lies: a summary holds where it lies the same.
func (s *summaries) identity(m *image.Module) (name string, id cache.Identity, ok bool) {
	bindings, ok := m.Bindings()
	if s.cache == nil || !ok {
		return "", id, false
	}
	place := ""
	switch m.Machine() {
	case abi.AMD64, abi.ARM64:
	case abi.I386, abi.RISCV64:
		place = fmt.Sprintf("-%x", m.Base)
	default:
		return "", id, false
	}
	digest := s.digest(m)
	h := sha256.New()
	for _, part := range [...][32]byte{s.analyser, digest, bindings} {
		h.Write(part[:])
	}
	io.WriteString(h, place)
	return cmp.Or(m.BuildID, hex.EncodeToString(digest[:])) + place, cache.Identity(h.Sum(nil)), true
}

// find returns the summary of library m, if it is in the cache.
func (s *summaries) find(m *image.Module) *summary {
	name, id, ok := s.identity(m)
	if !ok {
		return nil
	}
	s.mu.Lock()
	sum, known := s.known[id]
	s.mu.Unlock()
	if known {
		return sum
	}
	if content, ok := s.cache.Get(name, id); ok {
		sum, _ = decodeSummary(content)
	}
	s.mu.Lock()
	s.known[id] = sum
	s.mu.Unlock()
	return sum
}

// layout returns the functions of library m, if its summary is in the cache.
func (s *summaries) layout(m *image.Module) []image.Extent {
	if sum := s.find(m); sum != nil {
		return sum.funcs
	}
	return nil
}

// of returns the summary of library m of p, if there is one that holds for it.
func (s *summaries) of(p *image.Program, m *image.Module) *summary {
	if sum := s.find(m); sum != nil && sum.usable(p, m, m.Extents()) {
		return sum
	}
	return nil
}

// add keeps the summary of library m.
func (s *summaries) add(m *image.Module, sum *summary) {
	name, id, ok := s.identity(m)
	if !ok {
		return
	}
	s.mu.Lock()
	s.known[id] = sum
	s.mu.Unlock()
	s.jobs <- func() { s.cache.Put(name, id, sum.encode()) }
}

// placed forgets the summaries: no program will be loaded that needs them.
func (s *summaries) placed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.known)
}
