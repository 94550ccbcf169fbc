package audit

import "sync"

// maxSpool is how many bytes of records may wait for who reads them: some 170,000
// records.
const maxSpool = 48 << 20

// A spool holds datagrams between the kernel and who reads them, in order and up to a
// number of bytes.
type spool struct {
	limit  int
	filled chan struct{} // has one element after something was put in

	mu    sync.Mutex
	queue [][]byte // from first on
	first int
	bytes int
	chunk []byte // that datagrams are put in; what is read is left to the collector
	err   error
}

const (
	chunkSize = 256 << 10
	overhead  = 24 // bytes of a slice
)

func newSpool(limit int) *spool { return &spool{limit: limit, filled: make(chan struct{}, 1)} }

// room reports whether a datagram of a size fits.
func (s *spool) room(size int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bytes+size+overhead <= s.limit
}

// put adds a copy of a datagram; nil is one too, of no bytes.
func (s *spool) put(datagram []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var kept []byte
	if datagram != nil {
		if len(s.chunk)+len(datagram) > cap(s.chunk) {
			s.chunk = make([]byte, 0, max(chunkSize, len(datagram)))
		}
		from := len(s.chunk)
		s.chunk = append(s.chunk, datagram...)
		kept = s.chunk[from:len(s.chunk):len(s.chunk)]
	}
	s.queue = append(s.queue, kept)
	s.bytes += len(datagram) + overhead
	s.signal()
}

// fail ends the spool: after what it holds comes an error.
func (s *spool) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
	s.signal()
}

func (s *spool) signal() {
	select {
	case s.filled <- struct{}{}:
	default:
	}
}

// take returns the oldest datagram. ok is false where there is none yet.
func (s *spool) take() (datagram []byte, ok bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.first == len(s.queue) {
		return nil, false, s.err
	}
	datagram = s.queue[s.first]
	s.queue[s.first] = nil
	s.first++
	s.bytes -= len(datagram) + overhead
	if s.first == len(s.queue) {
		s.queue, s.first = nil, 0
	} else if s.first >= 4096 && s.first > len(s.queue)/2 {
		s.queue, s.first = append([][]byte(nil), s.queue[s.first:]...), 0
	}
	return datagram, true, nil
}

// drop forgets what the spool holds, and returns how many datagrams that were.
func (s *spool) drop() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.queue) - s.first
	s.queue, s.first, s.bytes = nil, 0, 0
	return n
}
