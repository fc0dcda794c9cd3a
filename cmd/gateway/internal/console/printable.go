package console

import (
	"strings"
	"unicode"
)

// Printable is s without what would move the cursor of a terminal, change colours,
// make the terminal answer as if somebody typed, or make a text look like another
// one. It is for all text that comes from the network. White space becomes blanks,
// the rest U+FFFD. The two joiners remain, because some scripts need them.
func Printable(s string) string {
	const nonJoiner, joiner = '\u200c', '\u200d'
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\r' || r == '\t' || unicode.In(r, unicode.Zs, unicode.Zl, unicode.Zp):
			return ' '
		case r != nonJoiner && r != joiner && unicode.In(r, unicode.Cc, unicode.Cf):
			return unicode.ReplacementChar
		}
		return r // invalid UTF-8 comes as U+FFFD
	}, s)
}
