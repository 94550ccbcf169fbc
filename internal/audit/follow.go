package audit

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"time"
)

// A follower reads a file that grows, and the file that takes its place when the
// log is rotated, by renaming or by truncation.
type follower struct {
	ctx  context.Context
	name string
	file *os.File
	read int64
}

// Follow opens the file called name and returns a reader that waits for more at
// its end, until ctx ends. What is written to a renamed file before its successor
// appears is read too; what a truncation takes away unread cannot be.
func Follow(ctx context.Context, name string) (io.ReadCloser, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	return &follower{ctx: ctx, name: name, file: file}, nil
}

func (f *follower) Close() error { return f.file.Close() }

func (f *follower) Read(p []byte) (int, error) {
	for {
		n, err := f.file.Read(p)
		f.read += int64(n)
		if n > 0 || err != nil && !errors.Is(err, io.EOF) {
			return n, err
		}
		if f.ctx.Err() != nil {
			return 0, io.EOF
		}
		turned, err := f.turn()
		if err != nil {
			return 0, err
		}
		if turned {
			continue
		}
		select {
		case <-f.ctx.Done():
		case <-time.After(idle):
		}
	}
}

// turn goes on to the file that has taken the name, if another has and the old
// one has been read to its end, or to the start of one that was truncated.
func (f *follower) turn() (bool, error) {
	own, err := f.file.Stat()
	if err != nil {
		return false, err
	}
	now, err := os.Stat(f.name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil // between renaming and creating
	case err != nil:
		return false, err
	case os.SameFile(own, now) && now.Size() >= f.read:
		return false, nil
	case os.SameFile(own, now):
		_, err := f.file.Seek(0, io.SeekStart)
		f.read = 0
		return err == nil, err
	case own.Size() > f.read:
		return true, nil // written between the read and here
	}
	next, err := os.Open(f.name)
	if err != nil {
		return false, nil // it went away again
	}
	f.file.Close()
	f.file, f.read = next, 0
	return true, nil
}
