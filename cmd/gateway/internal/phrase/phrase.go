// Package phrase has the forms that texts for people share: what somebody wrote,
// quoted; a choice of words; a duration in days. It refuses to know what the
// texts are about.
package phrase

import (
	"errors"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Quote returns s quoted, in one line and not at length: it may be anything that
// somebody typed.
func Quote(s string) string {
	const limit = 60 // characters
	if r := []rune(s); len(r) > limit {
		s = string(r[:limit]) + "…"
	}
	return strconv.Quote(s)
}

// Brief returns the text of err, not at length.
func Brief(err error) string {
	const limit = 200 // characters
	if r := []rune(err.Error()); len(r) > limit {
		return string(r[:limit]) + "…"
	}
	return err.Error()
}

// OneOf returns the words as a choice: "a, b or c". Of many it shows the first.
func OneOf(words []string) string {
	const few = 8
	if len(words) > few {
		return strings.Join(words[:few], ", ") + ", …"
	}
	if len(words) > 1 {
		last := len(words) - 1
		return strings.Join(words[:last], ", ") + " or " + words[last]
	}
	return strings.Join(words, "")
}

// 5 digits of days fit in a time.Duration.
var wholeDays = regexp.MustCompile(`^(-?[0-9]{1,5})d$`)

// ParseDuration reads a duration as Go writes it, or whole days: 36h, -7d.
func ParseDuration(s string) (time.Duration, error) {
	if m := wholeDays.FindStringSubmatch(s); m != nil {
		days, _ := strconv.Atoi(m[1])
		return time.Duration(days) * 24 * time.Hour, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, errors.New("no duration")
	}
	return d, nil
}
