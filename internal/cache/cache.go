package cache

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// A Cache is a folder of entries. A nil Cache is empty, and stays so.
type Cache struct {
	dir   string
	limit int64 // bytes of all entries
	mu    sync.Mutex
	room  int64 // how many bytes more there may be
}

// An Identity is a digest of what an entry depends on.
type Identity [32]byte

// Bounds of an entry, and of how often its use is noted.
const (
	maxEntry = 64 << 20
	noted    = 24 * time.Hour
)

// User returns the cache called name in the user's cache folder
// ($XDG_CACHE_HOME/sysgate or ~/.cache/sysgate), of at most limit bytes; nil if the user
// has none: HOME is not set, or names a folder that does not exist.
func User(name string, limit int64) *Cache {
	base, err := os.UserCacheDir()
	if err != nil {
		return nil
	}
	if st, err := os.Stat(filepath.Dir(base)); err != nil || !st.IsDir() {
		return nil
	}
	return Open(filepath.Join(base, "sysgate", name), limit)
}

// Open is [User] for any folder. It is made when there is something to put there.
func Open(dir string, limit int64) *Cache { return &Cache{dir: dir, limit: limit} }

// own reports that the folder is there, and the user's alone.
func (c *Cache) own() bool {
	st, err := os.Lstat(c.dir)
	return err == nil && st.IsDir() && private(st)
}

// header is what an entry starts with: a mark with the version of this form, the
// identity, the content's length and its checksum, which covers the header, too.
const (
	mark       = "sysgate\x01"
	headerSize = len(mark) + len(Identity{}) + 8 + 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func header(id Identity, content []byte) []byte {
	b := append([]byte(mark), id[:]...)
	b = binary.LittleEndian.AppendUint64(b, uint64(len(content)))
	return binary.LittleEndian.AppendUint32(b, crc32.Update(crc32.Checksum(b, castagnoli), castagnoli, content))
}

// path is where the entry lies. What a name must not hold is left out.
func (c *Cache) path(name string, id Identity) string {
	plain := strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'a' && r <= 'z' {
			return r
		}
		return -1
	}, strings.ToLower(name))
	return filepath.Join(c.dir, plain[:min(len(plain), 64)]+"-"+hex.EncodeToString(id[:8]))
}

// Get returns the content of the entry called name, if there is one of this
// identity.
func (c *Cache) Get(name string, id Identity) (content []byte, ok bool) {
	if c == nil || !c.own() {
		return nil, false
	}
	f, err := openEntry(c.path(name, id))
	if err != nil {
		return nil, false
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil || !st.Mode().IsRegular() || !private(st) || st.Size() < int64(headerSize) || st.Size() > maxEntry {
		return nil, false
	}
	b := make([]byte, st.Size())
	if _, err := io.ReadFull(f, b); err != nil {
		return nil, false
	}
	content = b[headerSize:]
	if string(b[:headerSize]) != string(header(id, content)) {
		return nil, false
	}
	if now := time.Now(); now.Sub(st.ModTime()) > noted {
		_ = os.Chtimes(f.Name(), now, now) // it is used: it stays longer
	}
	return content, true
}

// Put writes an entry, in the place of one that is there, and makes room for it. What
// cannot be written is not there the next time.
func (c *Cache) Put(name string, id Identity, content []byte) {
	if c == nil || headerSize+len(content) > maxEntry {
		return
	}
	if err := os.MkdirAll(c.dir, 0o700); err != nil || !c.own() {
		return
	}
	f, err := os.CreateTemp(c.dir, temporary+"*") // with mode 0600
	if err != nil {
		return
	}
	if _, err = f.Write(header(id, content)); err == nil {
		_, err = f.Write(content)
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(f.Name(), c.path(name, id))
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return
	}
	c.makeRoom(int64(headerSize + len(content)))
}

// temporary is how the names of files start that are being written; one that is as
// old as abandoned was left behind by a process that ended.
const (
	temporary = ".new-"
	abandoned = time.Hour
)

// makeRoom makes it for the next entry, behind one of some bytes: it removes what was
// left behind, and, when the entries take more than the limit, the oldest until a
// quarter of it is free. While there is room for certain, but for what other processes
// write, it does not look.
func (c *Cache) makeRoom(written int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.room -= written; c.room > 0 {
		return
	}
	list, err := os.ReadDir(c.dir)
	if err != nil {
		return
	}
	var entries []fs.FileInfo
	total := int64(0)
	for _, e := range list {
		st, err := e.Info()
		switch {
		case err != nil || !st.Mode().IsRegular():
		case strings.HasPrefix(st.Name(), temporary):
			if time.Since(st.ModTime()) > abandoned {
				_ = os.Remove(filepath.Join(c.dir, st.Name()))
			}
		default:
			entries = append(entries, st)
			total += st.Size()
		}
	}
	defer func() { c.room = c.limit - total }()
	if total <= c.limit {
		return
	}
	slices.SortFunc(entries, func(a, b fs.FileInfo) int { return a.ModTime().Compare(b.ModTime()) })
	for _, st := range entries {
		if total <= c.limit/4*3 {
			return
		}
		// Another process may have removed it.
		if err := os.Remove(filepath.Join(c.dir, st.Name())); err == nil || errors.Is(err, fs.ErrNotExist) {
			total -= st.Size()
		}
	}
}
