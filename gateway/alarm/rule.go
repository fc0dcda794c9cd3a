package alarm

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"sensorgateway/gateway/condition"
	"sensorgateway/wire"
)

// Severities an alarm can have, the least first.
var Severities = []string{wire.SeverityInfo, wire.SeverityWarning, wire.SeverityCritical}

// DefaultSeverity is that of an alarm that is given none.
const DefaultSeverity = wire.SeverityWarning

// maxFor is the longest time that a condition can be asked to hold for.
const maxFor = 24 * time.Hour

// Rule is a configured alarm.
type Rule struct {
	Name     string
	Severity string
	Condition
}

// Condition is when an alarm is raised and cleared; [ParseCondition] makes it.
type Condition struct {
	When  condition.Condition
	For   time.Duration       // it must hold for so long
	Until condition.Condition // clears the alarm; empty: it is cleared when When no longer holds
}

// String returns the condition as people see it.
func (c Condition) String() string {
	text := c.When.Text
	if c.For > 0 {
		text += " for " + short(c.For)
	}
	if c.Until.Text != "" {
		text += " until " + c.Until.Text
	}
	return text
}

// short is a duration as people write it: 5m, not 5m0s.
func short(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// ParseCondition reads a condition as interlocks have it, then, in any order and
// optional, how long it must hold, and what clears the alarm. Without the latter, the
// alarm is cleared when the condition no longer holds.
//
//	greenhouse.temperature > 35 for 30s until greenhouse.temperature < 33
//	outdoor.age > 1m
//
// An alarm is raised by a large age, and cleared by a small one.
func ParseCondition(text string, find condition.Find) (Condition, error) {
	when, clauses, err := split(text)
	if err != nil {
		return Condition{}, err
	}
	var c Condition
	if c.When, err = condition.Parse(when, find); err != nil {
		return Condition{}, err
	}
	if c.When.OnAge && !c.When.Above() {
		return Condition{}, errors.New("an alarm is raised by a large age: write > or >=")
	}
	if words, given := clauses["for"]; given {
		if c.For, err = time.ParseDuration(words); err != nil {
			return Condition{}, fmt.Errorf("for: %q is not a duration such as 30s", words)
		}
		if c.For <= 0 || c.For > maxFor {
			return Condition{}, fmt.Errorf("for: %s is out of range: write up to %s, or leave it out", words, short(maxFor))
		}
	}
	if words, given := clauses["until"]; given {
		if c.Until, err = condition.Parse(words, find); err == nil {
			err = c.checkUntil()
		}
		if err != nil {
			return Condition{}, fmt.Errorf("until: %w", err)
		}
	}
	return c, nil
}

// split returns what stands before the first clause, and the clauses by their
// keywords.
func split(text string) (when string, clauses map[string]string, err error) {
	clauses = map[string]string{}
	keyword := ""
	var words []string
	end := func() error {
		joined := strings.Join(words, " ")
		words = nil
		if keyword == "" {
			when = joined
			return nil
		}
		if joined == "" {
			return fmt.Errorf("nothing follows %s: write for 30s, or until SENSOR.QUANTITY < LIMIT", keyword)
		}
		clauses[keyword] = joined
		return nil
	}
	for _, word := range strings.Fields(text) {
		if word != "for" && word != "until" {
			words = append(words, word)
			continue
		}
		if err := end(); err != nil {
			return "", nil, err
		}
		if _, twice := clauses[word]; twice || word == keyword {
			return "", nil, fmt.Errorf("%s is given twice", word)
		}
		keyword = word
	}
	return when, clauses, end()
}

// checkUntil refuses what could not be hysteresis: another value, or one that
// clears the alarm while the condition holds.
func (c Condition) checkUntil() error {
	w, u := c.When, c.Until
	holds, equal, inclusive := w.Meets(u.Limit), w.Limit == u.Limit, u.Meets(u.Limit)
	if w.OnAge {
		holds, equal, inclusive = w.MeetsAge(u.Bound), w.Bound == u.Bound, u.MeetsAge(u.Bound)
	}
	switch {
	case w.Sensor != u.Sensor || w.OnAge != u.OnAge || w.Value != u.Value:
		subject, _, _ := strings.Cut(w.Text, " ")
		return fmt.Errorf("an alarm is raised and cleared by the same value: write %s", subject)
	case w.Above() == u.Above():
		return fmt.Errorf("%q asks for the same side as %q: write %s", u, w, map[bool]string{true: "<", false: ">"}[w.Above()])
	case holds && (!equal || inclusive):
		return fmt.Errorf("%q would clear the alarm while %q holds: write a limit on the other side of it", u, w)
	}
	return nil
}
