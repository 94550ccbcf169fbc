package audit

import (
	"encoding/hex"
	"strings"
)

// A field is one key=value of a record.
type field struct {
	key, value string
	quoted     bool
}

type fields []field

// splitFields splits the text of a record at its keys. A value is in quotes, or
// goes on to the next word that has a key: labels and interpreted names hold blanks.
func splitFields(text string) fields {
	var all fields
	for {
		text = strings.TrimLeft(text, " \t\r\n")
		if text == "" {
			return all
		}
		key, rest, ok := cutKey(text)
		switch {
		case !ok:
			word, after := cutWord(text)
			if n := len(all); n > 0 && !all[n-1].quoted {
				all[n-1].value += " " + word
			}
			text = after
		case strings.HasPrefix(rest, `"`) && strings.IndexByte(rest[1:], '"') >= 0:
			end := strings.IndexByte(rest[1:], '"')
			all = append(all, field{key, rest[1 : 1+end], true})
			text = rest[end+2:]
		default:
			value, after := cutWord(rest)
			all = append(all, field{key: key, value: value})
			text = after
		}
	}
}

func cutWord(text string) (word, rest string) {
	if i := strings.IndexAny(text, " \t\r\n"); i >= 0 {
		return text[:i], text[i:]
	}
	return text, ""
}

func cutKey(text string) (key, rest string, ok bool) {
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '=':
			return text[:i], text[i+1:], i > 0
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-':
		default:
			return "", "", false
		}
	}
	return "", "", false
}

// first returns the value of the first field called key, "" if there is none.
func (f fields) first(key string) string {
	for _, one := range f {
		if one.key == key {
			return one.value
		}
	}
	return ""
}

// last returns the value of the last field called key. What stands behind a name
// that its process chose is taken from there, so that an interpreted name with
// blanks does not hide it.
func (f fields) last(key string) string {
	for i := len(f) - 1; i >= 0; i-- {
		if f[i].key == key {
			return f[i].value
		}
	}
	return ""
}

// name returns a name that the kernel writes in quotes, or in capital hexadecimal
// digits if a byte in it is no printable ASCII, a blank or a quote
// (audit_log_untrustedstring). Interpreted ones are as they are.
func (f fields) name(key string, interpreted bool) string {
	for _, one := range f {
		if one.key != key {
			continue
		}
		if one.value == "(null)" {
			return ""
		}
		if one.quoted || interpreted || strings.ContainsAny(one.value, "abcdef") {
			return one.value
		}
		if raw, err := hex.DecodeString(one.value); err == nil {
			return strings.TrimRight(string(raw), "\x00")
		}
		return one.value
	}
	return ""
}
