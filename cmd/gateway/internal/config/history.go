package config

import (
	"time"

	"sensorgateway/cmd/gateway/internal/phrase"
	"sensorgateway/gateway/history"
)

// History is how many readings are retained.
type History struct {
	Size int64         // bytes on the disk
	Age  time.Duration // of the oldest
}

// What holds where the file is silent, and what it may ask for.
const (
	minHistorySize = 16 << 20 // less would not hold the journal and an hour
	maxHistorySize = 1 << 40
	minHistoryAge  = time.Hour // what is packed at a time
	maxHistoryAge  = 10 * 366 * 24 * time.Hour
)

// history reads how many readings are retained.
func (s *section) history() History {
	c := History{Size: history.DefaultMaxBytes, Age: history.DefaultMaxAge}
	n := s.value("history")
	if n == nil {
		return c
	}
	h := s.section(n, "history")
	if h == nil {
		return c
	}
	defer h.done()
	var size, age string
	if n := h.text("size", &size); n != nil {
		var err error
		if c.Size, err = phrase.ParseSize(size); err != nil {
			h.fault(n, "size", "%v", err)
		} else if c.Size < minHistorySize || c.Size > maxHistorySize {
			h.fault(n, "size", "%s is not between 16MiB and 1024GiB", phrase.Quote(size))
		}
	}
	if n := h.text("age", &age); n != nil {
		var err error
		if c.Age, err = phrase.ParseDuration(age); err != nil {
			h.fault(n, "age", "%s is not a duration (write 7d or 36h)", phrase.Quote(age))
		} else if c.Age < minHistoryAge || c.Age > maxHistoryAge {
			h.fault(n, "age", "%s is not between 1h and 3660d", phrase.Quote(age))
		}
	}
	return c
}
