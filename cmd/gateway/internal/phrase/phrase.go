// Package phrase has the forms that texts for people share: what somebody wrote,
// quoted; a choice of words; a duration in days. It refuses to know what the
// texts are about.
package phrase

import (
	"errors"
	"fmt"
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
	return AnyOf(words)
}

// AnyOf returns the words as a choice, however many they are.
func AnyOf(words []string) string {
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

var sizeForm = regexp.MustCompile(`^([0-9]{1,7})(MiB|GiB)$`)

// ParseSize reads a size as 256MiB or 1GiB.
func ParseSize(text string) (int64, error) {
	m := sizeForm.FindStringSubmatch(text)
	if m == nil {
		return 0, fmt.Errorf("%s is not a size (write 256MiB or 1GiB)", Quote(text))
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	if m[2] == "GiB" {
		n <<= 10
	}
	return n << 20, err
}

var budgetForm = regexp.MustCompile(`^([1-9][0-9]{0,5})(MB|GB)/month$`)

// ParseBudget reads bytes a month as 500MB/month or 2GB/month.
func ParseBudget(text string) (bytes int64, err error) {
	m := budgetForm.FindStringSubmatch(text)
	if m == nil {
		return 0, fmt.Errorf("%s is no budget (write 500MB/month or 2GB/month)", Quote(text))
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	if m[2] == "GB" {
		n *= 1000
	}
	return n * 1_000_000, err
}

// NumberForm is that of a number for [ParseNumber].
var NumberForm = regexp.MustCompile(`^(0|[1-9][0-9]{0,8}|0[xX][0-9a-fA-F]{1,7})$`)

// ParseNumber reads a whole number, decimal or 0x and hexadecimal. Signs and leading zeros are errors: 010 is 8 to some.
func ParseNumber(text string) (int, bool) {
	if !NumberForm.MatchString(text) {
		return 0, false
	}
	v, err := strconv.ParseInt(text, 0, 32)
	return int(v), err == nil
}
