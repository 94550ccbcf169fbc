//go:build !unix

package image

import (
	"errors"
	"os"
)

// mapFile reads a regular file.
func mapFile(f *os.File) (data []byte, unmap func() error, err error) {
	st, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, nil, errors.New("not a regular file")
	}
	data, err = os.ReadFile(f.Name())
	return data, func() error { return nil }, err
}

// mapPrivate copies bytes of f.
func mapPrivate(_ *os.File, _ uint64, old []byte) (data []byte, unmap func() error, err error) {
	return append([]byte(nil), old...), func() error { return nil }, nil
}

func forget([]byte) {}
