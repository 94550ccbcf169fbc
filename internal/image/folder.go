package image

import (
	"bytes"
	"debug/elf"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// LibrariesIn returns the shared libraries in and below a folder of a file system
// (LoadOptions.Root), for the machine of the program in a file: by their names, which
// have ".so" in them, and their headers. Links are not followed. The error of what is no
// folder wraps fs.ErrNotExist or says so.
func LibrariesIn(root, folder, program string) ([]string, error) {
	host, err := rootFS(root).host(folder)
	if err != nil {
		return nil, err
	}
	own, err := header(program)
	if err != nil {
		return nil, err
	}
	var found []string
	err = filepath.WalkDir(host, func(file string, d fs.DirEntry, err error) error {
		base := d.Name()
		if err != nil || !d.Type().IsRegular() || !strings.HasSuffix(base, ".so") && !strings.Contains(base, ".so.") {
			return err
		}
		head, err := header(file)
		if err != nil || !sameMachine(head, own) || elf.Type(word(head, 16)) != elf.ET_DYN {
			return err
		}
		inside, err := filepath.Rel(host, file)
		if err != nil {
			return err
		}
		found = append(found, path.Join(folder, filepath.ToSlash(inside)))
		return nil
	})
	return found, err
}

// header returns the beginning of a file.
func header(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	head := make([]byte, 64)
	n, err := io.ReadFull(f, head)
	if err != nil && err != io.ErrUnexpectedEOF && err != io.EOF {
		return nil, err
	}
	return head[:n], nil
}

// word returns two bytes of a header, in the byte order that it says.
func word(head []byte, at int) uint16 {
	if head[elf.EI_DATA] == byte(elf.ELFDATA2MSB) {
		return uint16(head[at])<<8 | uint16(head[at+1])
	}
	return uint16(head[at+1])<<8 | uint16(head[at])
}

// sameMachine reports whether a file begins as one for the machine that the other
// header is for.
func sameMachine(head, own []byte) bool {
	return len(head) > 20 && bytes.HasPrefix(head, []byte(elf.ELFMAG)) && len(own) > 20 &&
		head[elf.EI_CLASS] == own[elf.EI_CLASS] && head[elf.EI_DATA] == own[elf.EI_DATA] && string(head[18:20]) == string(own[18:20])
}
