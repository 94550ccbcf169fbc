package policy

import (
	"errors"
	"fmt"
	"strconv"
)

// parseNumber reads a number: decimal, 0x, 0o or 0b. The hint is for the error.
// A leading 0 is refused: it is octal to some languages and decimal to others.
func parseNumber(s string) (n uint64, hint string, err error) {
	digits, base := s, 10
	if len(s) > 1 && s[0] == '0' {
		switch s[1] {
		case 'x', 'X':
			base = 16
		case 'o', 'O':
			base = 8
		case 'b', 'B':
			base = 2
		default:
			return 0, leadingZeroHint(s), fmt.Errorf("number %q starts with 0, which some read as octal", s)
		}
		digits = s[2:]
	}
	n, err = strconv.ParseUint(digits, base, 64)
	switch {
	case errors.Is(err, strconv.ErrRange):
		return 0, "", fmt.Errorf("number %q does not fit in 64 bits", s)
	case err != nil:
		return 0, "numbers are decimal, 0x…, 0o… or 0b…", fmt.Errorf("bad number %q", s)
	}
	return n, "", nil
}

func leadingZeroHint(s string) string {
	digits := s[1:]
	for len(digits) > 1 && digits[0] == '0' {
		digits = digits[1:]
	}
	if _, err := strconv.ParseUint(digits, 8, 64); err == nil {
		return fmt.Sprintf("write 0o%s for octal, %s for decimal", digits, digits)
	}
	return fmt.Sprintf("write %s", digits)
}
