package launch

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A mapping is private memory at a random page, used from a random offset on.
type mapping struct {
	base, size uintptr // what is mapped
	addr       uintptr // where the contents start
}

const wordSize = unsafe.Sizeof(uintptr(0))

// attempts at an address that nothing occupies. On a 64-bit machine each fails
// with a chance of about one in ten thousand.
const attempts = 64

// mapString lays out s with the zero byte that ends it.
func mapString(s string) (*mapping, error) {
	if strings.IndexByte(s, 0) >= 0 {
		return nil, fmt.Errorf("%q: %w", s, syscall.EINVAL)
	}
	m, contents, err := mapRandom(uintptr(len(s)) + 1)
	if err != nil {
		return nil, err
	}
	copy(contents, s)
	return m, nil
}

// mapVector lays out a vector of pointers that ends in a null pointer, and
// behind it the strings that it points at.
func mapVector(list []string) (*mapping, error) {
	vector := (uintptr(len(list)) + 1) * wordSize
	size := vector
	for _, s := range list {
		if strings.IndexByte(s, 0) >= 0 {
			return nil, fmt.Errorf("%q: %w", s, syscall.EINVAL)
		}
		size += uintptr(len(s)) + 1
	}
	m, contents, err := mapRandom(size)
	if err != nil {
		return nil, err
	}
	next := vector
	for i, s := range list {
		word := contents[uintptr(i)*wordSize:]
		if wordSize == 8 {
			binary.NativeEndian.PutUint64(word, uint64(m.addr+next))
		} else {
			binary.NativeEndian.PutUint32(word, uint32(m.addr+next))
		}
		next += uintptr(copy(contents[next:], s)) + 1
	}
	return m, nil
}

// mapRandom maps size bytes of zeros at an address that nobody can guess and
// nothing else occupied.
func mapRandom(size uintptr) (*mapping, []byte, error) {
	page := uintptr(os.Getpagesize())
	low, high := addressRange()
	for range attempts {
		addr, err := randomAddress(low, high-size-page)
		if err != nil {
			return nil, nil, err
		}
		m := &mapping{base: addr &^ (page - 1), addr: addr}
		m.size = (addr - m.base + size + page - 1) &^ (page - 1)
		_, _, errno := syscall.Syscall6(syscall.SYS_MMAP, m.base, m.size, syscall.PROT_READ|syscall.PROT_WRITE,
			syscall.MAP_PRIVATE|syscall.MAP_ANONYMOUS|unix.MAP_FIXED_NOREPLACE, ^uintptr(0), 0)
		switch errno {
		case 0:
			// The address was a number until the kernel mapped it: no Go
			// object can be there, and the pointer is one from here on.
			start := *(*unsafe.Pointer)(unsafe.Pointer(&addr))
			return m, unsafe.Slice((*byte)(start), size), nil
		case syscall.EEXIST:
		default:
			return nil, nil, fmt.Errorf("mmap: %w", errno)
		}
	}
	return nil, nil, errors.New("mmap: no free address found")
}

func (m *mapping) unmap() error {
	if _, _, errno := syscall.Syscall(syscall.SYS_MUNMAP, m.base, m.size, 0); errno != 0 {
		return fmt.Errorf("munmap: %w", errno)
	}
	return nil
}

// randomAddress returns an address from low on and below high, aligned to a
// word.
func randomAddress(low, high uintptr) (uintptr, error) {
	var b [8]byte
	for {
		if _, err := rand.Read(b[:]); err != nil {
			return 0, fmt.Errorf("random address: %w", err)
		}
		// Rejection keeps the choice uniform; high is at least a quarter of
		// the power of two above it.
		addr := uintptr(binary.NativeEndian.Uint64(b[:])) & addressMask() &^ (wordSize - 1)
		if low <= addr && addr < high {
			return addr, nil
		}
	}
}

// addressMask covers user addresses: 47 bits on amd64; 38 on other 64-bit
// machines, whose kernels can be built with as few; 31 on 32-bit ones.
func addressMask() uintptr {
	addressBits := 38
	switch {
	case wordSize == 4:
		addressBits = 31
	case runtime.GOARCH == "amd64":
		addressBits = 47
	}
	return 1<<addressBits - 1
}

// addressRange returns the addresses to choose from. It keeps clear of
// vm.mmap_min_addr, and where there is room of executables at fixed addresses.
func addressRange() (low, high uintptr) {
	low = 1 << 24
	if wordSize == 8 {
		low <<= 8
	}
	return low, addressMask() + 1
}
