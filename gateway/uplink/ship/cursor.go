package ship

import (
	"encoding/json"
	"fmt"
	"slices"

	"sensorgateway/gateway/checksum"
	"sensorgateway/wire"
)

// cursor says how far a sensor's epoch was sent: everything up to Last is confirmed.
type cursor struct {
	Sensor string `json:"sensor"`
	Epoch  string `json:"epoch"`
	Last   uint32 `json:"last"`
	Time   int64  `json:"time"` // of that record, by the clock at that time, Unix ms
}

// cursors are those of all sensors and epochs. A sensor has few, and most often the last one
// is asked for.
type cursors []cursor

// of returns the cursor of a sensor's epoch, nil if nothing of it was sent.
func (c cursors) of(sensor, epoch string) *cursor {
	for i := len(c) - 1; i >= 0; i-- {
		if c[i].Sensor == sensor && c[i].Epoch == epoch {
			return &c[i]
		}
	}
	return nil
}

// unsent returns how many of the numbers from first to last were not sent.
func (c cursors) unsent(sensor, epoch string, first, last uint32) uint32 {
	if x := c.of(sensor, epoch); x != nil && !wire.Before(x.Last, first) {
		first = x.Last + 1
	}
	return uint32(max(int32(last+1-first), 0))
}

// move moves the cursor of an epoch forward.
func (c *cursors) move(to cursor) {
	switch x := c.of(to.Sensor, to.Epoch); {
	case x == nil:
		*c = append(*c, to)
	case wire.Before(x.Last, to.Last):
		*x = to
	}
}

// state is what the file has.
type state struct {
	Version int     `json:"version"`
	Month   string  `json:"month"` // "2026-11", "" if the clock was never synchronised
	Used    int64   `json:"used"`  // bytes of the month
	Sent    cursors `json:"sent"`
	// Summarised says how far heads of blocks were sent instead of the blocks.
	Summarised cursors `json:"summarised,omitempty"`
}

const (
	version = 1
	// maxFile is more than a file ever has: 64 sensors with 100 epochs take 1 MiB.
	maxFile = 4 << 20 // bytes
)

// format returns the file: a line of JSON, and one with its CRC-32C.
func (s state) format() []byte {
	s.Version = version
	return checksum.Append(wire.JSON(s))
}

// parseState is the inverse of [state.format]. Of a file of a newer version it takes
// what it knows.
func parseState(data []byte) (s state, err error) {
	if len(data) > maxFile {
		return state{}, checksum.ErrDamaged
	}
	line, err := checksum.Cut(data)
	if err != nil {
		return state{}, err
	}
	if err := json.Unmarshal(line, &s); err != nil {
		return state{}, fmt.Errorf("it says nothing that can be used: %w", err)
	}
	s.Used = max(s.Used, 0)
	return s, nil
}

// retain forgets the cursors of those epochs of a sensor that are no longer in the log.
func (c *cursors) retain(sensor string, has map[string]bool) {
	*c = slices.DeleteFunc(*c, func(x cursor) bool { return x.Sensor == sensor && !has[x.Epoch] })
}
