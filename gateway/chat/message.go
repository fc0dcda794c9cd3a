package chat

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode"

	"sensorgateway/wire"
)

// message is every message of the room, in both directions.
type message struct {
	Type string `json:"type"`
	Nick string `json:"nick"`
	Text string `json:"text"`
}

func (m message) encode() []byte { return wire.JSON(m) }

// A line is a message of a member as it is sent: with three fields, and for clients that want
// it with a fourth, which says who sent it, because anybody can choose any nick.
type line struct {
	plain, signed []byte
}

// from returns the message as the line of a member.
func (m message) from(member *Member) line {
	return line{m.encode(), wire.JSON(struct {
		message
		From string `json:"from"`
	}{m, member.From})}
}

// to returns what a member is sent of a line.
func (l line) to(member *Member) []byte {
	if member.Signed {
		return l.signed
	}
	return l.plain
}

// complaint is the text of the error for a message; "" if there is none.
type complaint string

func complain(format string, args ...any) complaint { return complaint(fmt.Sprintf(format, args...)) }

// parse reads a message strictly: exactly its three fields, each once, each a
// string. encoding/json alone would take the last of duplicate keys, any
// letter case, and null for "".
func parse(text []byte) (m message, wrong complaint) {
	if !json.Valid(text) {
		return m, "Invalid JSON"
	}
	d := json.NewDecoder(bytes.NewReader(text))
	next := func() json.Token {
		t, _ := d.Token() // it is valid
		return t
	}
	if next() != json.Delim('{') {
		return m, `A message is {"type":…,"nick":…,"text":…}`
	}
	fields := map[string]*string{"type": &m.Type, "nick": &m.Nick, "text": &m.Text}
	given := map[string]bool{}
	for d.More() {
		key, _ := next().(string)
		switch {
		case fields[key] == nil:
			return m, complain("Unknown field: %s", quotable(key))
		case given[key]:
			return m, complain("%s is given twice", key)
		}
		value, ok := next().(string)
		if !ok {
			return m, complain("%s must be a string", key)
		}
		*fields[key], given[key] = value, true
	}
	for _, key := range []string{"type", "nick", "text"} {
		if !given[key] {
			return m, complain("%s is missing", key)
		}
	}
	return m, ""
}

// quotable cleans and shortens a client's word, to quote it in the answer.
func quotable(s string) string { return cut(clean(s, isInvisible), 40) }

// cleanNick returns the nick for a client that wants s: what is visible of it, so
// that no two nicks differ in invisible characters only.
func cleanNick(s string) string {
	s = strings.Map(func(c rune) rune {
		if unicode.Is(unicode.Zs, c) {
			return ' '
		}
		return c
	}, clean(s, isInvisible))
	s = strings.TrimSpace(cut(strings.TrimSpace(s), maxNick))
	if strings.TrimFunc(s, unicode.IsMark) == "" {
		return "" // a mark shows on a letter only
	}
	return s
}

// lineBreaks are those of UAX #14, class BK, CR, LF and NL: what follows one would look
// like a line of somebody else.
var lineBreaks = strings.NewReplacer("\r\n", " ", "\r", " ", "\n", " ", "\v", " ", "\f", " ", "\u0085", " ", "\u2028", " ", "\u2029", " ")

// cleanText returns what is sent to the members of a text: one line.
func cleanText(s string) string {
	return cut(clean(lineBreaks.Replace(s), func(c rune) bool {
		return unicode.IsControl(c) && c != '\t' || unicode.Is(unicode.Bidi_Control, c) && c >= '\u202a'
	}), maxText)
}

func clean(s string, unwanted func(rune) bool) string {
	return strings.Map(func(c rune) rune {
		if unwanted(c) {
			return -1
		}
		return c
	}, s)
}

// isInvisible reports whether c shows nothing, or changes how its neighbours are
// shown: controls, formatting such as that of writing direction, line
// separators, and what Unicode says to ignore where it cannot be displayed
// (UAX #44, Default_Ignorable_Code_Point).
func isInvisible(c rune) bool {
	const brailleBlank = '\u2800'
	return c == brailleBlank || unicode.In(c, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp,
		unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// cut returns the first n characters of s.
func cut(s string, n int) string {
	for i := range s {
		if n--; n < 0 {
			return s[:i]
		}
	}
	return s
}
