// Package ship decides what of the log of readings goes up next: sealed blocks, oldest
// first, as fast as the line takes them and no faster, within a budget of bytes a month.
// It remembers up to where each sensor was confirmed.
//
// It knows the log's blocks and the fleet's payloads. It refuses to know who carries
// them: of a connection it has a function that sends a message and returns the answer.
package ship

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"sensorgateway/gateway/fleet"
	"sensorgateway/gateway/history/query"
	"sensorgateway/gateway/statefile"
)

// Feed is the log of readings.
type Feed interface {
	Names() []string
	// Blocks returns the blocks of a sensor, oldest first, see [query.Source.Blocks].
	Blocks(name string, wants func(epoch string, first, last uint32) bool) (next func() (query.Block, error))
}

// Options are what a [Shipper] is made of.
type Options struct {
	Feed Feed
	// File stores how far readings were sent, and the bytes of the month; "": both are
	// forgotten at the end. It is replaced as a whole, see [Shipper.Maintain].
	File   string
	Budget int64 // bytes a month; 0: there is no limit
	// Clock returns the time, and whether it can be trusted: only then can a month end.
	Clock func() (now time.Time, synced bool)
	Log   *slog.Logger
}

// Message is one that goes up, with QoS 1.
type Message struct {
	Payload []byte // blocks, see [fleet.ParseUp]
	Epoch   string // of the last block
	Last    uint32 // the number of its last record
}

// Publish sends a message and returns the reason code of its PUBACK (MQTT 5.0, section
// 3.4.2.1). An error says that there is no answer and will be none: the connection has
// ended, or ctx has. It is called by several goroutines at the same time, up to 64.
type Publish func(ctx context.Context, m Message) (reason byte, err error)

// Link is a connection.
type Link struct {
	Publish   Publish
	MaxPacket int // the longest payload that the other side takes, in bytes; 0: it has said nothing
}

// Reason says why nothing goes up although there is a connection.
type Reason string

// The reasons.
const (
	Unheard Reason = "unheard" // the broker takes messages and has nobody to pass them on to
	Full    Reason = "full"    // the broker has no room
	Refused Reason = "refused" // the broker does not take them
	Budget  Reason = "budget"  // the bytes of the month are nearly used: only heads of blocks go up
)

// Reason codes of a PUBACK.
const (
	success        = 0x00
	noSubscribers  = 0x10
	quotaExceeded  = 0x97
	implementation = 0x83 // RabbitMQ: a full queue rejects the message
)

// Status is how the log goes up.
type Status struct {
	// Unsent is how many numbers are in the log and not confirmed. The present minute is
	// among them: it goes up when it is complete.
	Unsent int64
	// Summarised is for how many of these numbers hubs have the summary of the minute.
	Summarised int64
	// Through is the time of a record before which all are confirmed, Unix ms; 0: not known.
	Through int64
	Waiting Reason // "": nothing is in the way but the line
	Code    byte   // of the answer, if Waiting is [Refused]
	Month   string // "2026-11", "" while the clock was never synchronised
	Used    int64  // bytes of the month
	Budget  int64  // bytes a month, 0: no limit
	Lost    int64  // numbers that were evicted before they went up, or cannot be read, since the start
}

// Shipper sends the log up. Its methods may be called at the same time, but for
// [Shipper.Run].
type Shipper struct {
	o      Options
	change chan struct{} // the file is worth writing

	mu      sync.Mutex
	state   state
	waiting Reason
	code    byte
	lost    int64
	dirty   int // bytes that were counted or confirmed since the file was written

	statusMu sync.Mutex
	status   Status // as it was at counted
	counted  time.Time
}

// New returns a shipper. If its file cannot be used, all readings are sent again, which is
// logged.
func New(o Options) (*Shipper, error) {
	s := &Shipper{o: o, change: make(chan struct{}, 1)}
	if o.File == "" {
		return s, nil
	}
	data, err := statefile.Read(filepath.Split(o.File))
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return nil, fmt.Errorf("how far readings were sent: %w", err)
	}
	if s.state, err = parseState(data); err != nil {
		o.Log.Warn("it is not known how far readings were sent: all that the log has goes up again", "file", o.File, "err", err)
	}
	return s, nil
}

const monthForm = "2006-01"

// Used notes bytes on the wire, in both directions, of whatever is sent: they count for
// the budget.
func (s *Shipper) Used(bytes int) {
	month, next := "", ""
	now, synced := s.o.Clock()
	if synced {
		now = now.UTC()
		month, next = now.Format(monthForm), now.AddDate(0, 1, 1-now.Day()).Format(monthForm)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	// A clock that was set back a little begins no month a second time. If the stored month is
	// later than the next one, the clock was wrong when that began.
	if month > s.state.Month || synced && s.state.Month > next {
		if s.state.Month != "" {
			s.state.Used = 0
		}
		s.state.Month = month
	}
	s.state.Used += int64(bytes)
	s.edited(bytes)
}

// spent returns whether the budget, with what is under way, is nearly used: the rest is for
// what costs little.
func (s *Shipper) spent(flying int) bool {
	s.Used(0) // the month may have turned
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.o.Budget > 0 && s.state.Used+int64(flying) >= s.o.Budget-s.o.Budget/10
}

const (
	writeBytes = 64 << 10         // bytes after which the file is written,
	writeAfter = 10 * time.Minute // or else so long after the last time;
	writeLeast = 10 * time.Second // and at least so long after a change: few writes for a card, little to send again after a crash
)

// edited notes a change. s.mu is held.
func (s *Shipper) edited(bytes int) {
	if s.dirty += bytes; s.dirty >= writeBytes {
		select {
		case s.change <- struct{}{}:
		default:
		}
	}
}

// Maintain writes the file until ctx ends, and then a last time.
func (s *Shipper) Maintain(ctx context.Context) error {
	if s.o.File == "" {
		return nil
	}
	failed := false
	for ctx.Err() == nil {
		late := time.NewTimer(writeAfter)
		select {
		case <-s.change:
			pause := time.NewTimer(writeLeast)
			select {
			case <-pause.C:
			case <-ctx.Done():
				pause.Stop()
			}
		case <-late.C:
		case <-ctx.Done():
		}
		late.Stop()
		err := s.write()
		if err != nil && !failed {
			s.o.Log.Warn("how far readings were sent is not stored: after a restart they go up again", "err", err)
		}
		failed = err != nil
	}
	return nil
}

// write writes the file, if it says anything new.
func (s *Shipper) write() error {
	s.mu.Lock()
	bytes := s.dirty
	data := s.state.format()
	s.mu.Unlock()
	if bytes == 0 {
		return nil
	}
	if err := statefile.Write(filepath.Dir(s.o.File), filepath.Base(s.o.File), data); err != nil {
		return err
	}
	s.mu.Lock()
	s.dirty -= bytes
	s.mu.Unlock()
	return nil
}

// statusTime is how long a status is used again: to count what is unsent, the index of the
// log is read.
const statusTime = 10 * time.Second

// Status returns how the log goes up.
func (s *Shipper) Status() Status {
	s.statusMu.Lock()
	defer s.statusMu.Unlock()
	if now := time.Now(); s.counted.IsZero() || now.Sub(s.counted) >= statusTime {
		s.status.Unsent, s.status.Summarised, s.status.Through = s.count()
		s.counted = now
	}
	s.Used(0)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status.Waiting, s.status.Code, s.status.Lost = s.waiting, s.code, s.lost
	s.status.Month, s.status.Used, s.status.Budget = s.state.Month, s.state.Used, s.o.Budget
	return s.status
}

// count returns how many numbers are unsent, how many of these are summarised, and up to
// which time all are sent.
func (s *Shipper) count() (unsent, summarised, through int64) {
	for _, name := range s.o.Feed.Names() {
		mine, newest := int64(0), int64(0)
		_, _ = s.o.Feed.Blocks(name, func(epoch string, first, last uint32) bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			n := s.state.Sent.unsent(name, epoch, first, last)
			mine += int64(n)
			summarised += int64(n - min(n, s.state.Summarised.unsent(name, epoch, first, last)))
			return false
		})() // it returns no block
		if mine == 0 {
			continue
		}
		unsent += mine
		s.mu.Lock()
		for _, c := range s.state.Sent {
			if c.Sensor == name {
				newest = c.Time
			}
		}
		s.mu.Unlock()
		if through == 0 || newest < through {
			through = newest
		}
	}
	return unsent, summarised, through
}

// limit returns how long the blocks of a message may be for a link.
func (l Link) limit() int {
	most := fleet.MaxUp
	if l.MaxPacket > 0 {
		most = min(most, l.MaxPacket)
	}
	return max(most-headerRoom, minMessage)
}

const (
	// headerRoom is for what stands before the blocks, and for MQTT's own header.
	headerRoom = 2 << 10
	// partRoom is for what stands before the blocks of another sensor in the same message:
	// the description of two values takes 70 bytes.
	partRoom = 128
)
