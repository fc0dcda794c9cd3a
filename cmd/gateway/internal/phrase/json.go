package phrase

import (
	"bytes"
	"fmt"
	"unicode"
	"unicode/utf16"
)

// EscapeJSON returns a JSON text in which control and format characters are
// escaped, C1 and the bidirectional ones too, which encoding/json leaves as they
// are: on a terminal or in a log they would be obeyed. It stays the same JSON.
func EscapeJSON(text []byte) []byte {
	if bytes.IndexFunc(text, disguises) < 0 {
		return text
	}
	escaped := make([]byte, 0, len(text)+32)
	for _, r := range string(text) {
		switch high, low := utf16.EncodeRune(r); {
		case !disguises(r):
			escaped = append(escaped, string(r)...)
		case high != unicode.ReplacementChar: // beyond the 16 bits of an escape
			escaped = fmt.Appendf(escaped, `\u%04x\u%04x`, high, low)
		default:
			escaped = fmt.Appendf(escaped, `\u%04x`, r)
		}
	}
	return escaped
}

// disguises reports whether a character steers a terminal or makes a text look like
// another one. White space between the tokens of JSON does neither.
func disguises(r rune) bool {
	return r >= 0x7f && unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp)
}
