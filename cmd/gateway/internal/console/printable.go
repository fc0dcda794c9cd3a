package console

import (
	"strings"
	"unicode"
)

// printable is s without what would move the cursor, change colours, answer as
// if typed, or make a text look like another one: what a stranger wrote and a
// terminal shows. White space becomes blanks, the rest U+FFFD. The two joiners
// are kept, which some scripts cannot do without.
func printable(s string) string {
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
