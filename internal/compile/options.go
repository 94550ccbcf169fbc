package compile

import "fmt"

// A Mode says what a program is made for. The zero value is Cached.
type Mode uint8

const (
	// Cached is for Linux 5.11 and later, which answers constant allows from a
	// bitmap: only the calls that still run the filter count.
	Cached Mode = iota
	// Uncached is for kernels that run the filter on every call.
	Uncached
	// Size is for the fewest instructions.
	Size
)

var modeNames = [...]string{Cached: "cached", Uncached: "uncached", Size: "size"}

func (m Mode) String() string {
	if int(m) < len(modeNames) {
		return modeNames[m]
	}
	return fmt.Sprintf("Mode(%d)", uint8(m))
}

// ParseMode returns the mode of a name: cached, uncached or size.
func ParseMode(name string) (Mode, bool) {
	for m, s := range modeNames {
		if s == name {
			return Mode(m), true
		}
	}
	return 0, false
}

// Options say what to optimize for. They never change what a program means.
type Options struct {
	Mode Mode
	// Frequency is how often calls are made; nil means the table that comes with
	// sysgate. In mode Uncached, that one counts half, besides every call the
	// same; one of your own counts nearly alone.
	Frequency *Frequency
}
