package client

import (
	"time"

	"sensorgateway/wire"
)

// replayPatience ends a replay in which nothing came for so long, while readings
// do. Most end by reaching the first live number; but the sampler may have missed
// the very tick before it, a slow sensor may have none for hours, and a server
// may not answer.
const replayPatience = time.Minute

// sequences are the tracks of all sensors. They last from one connection to the
// next, as long as the server's epoch is the same.
type sequences struct {
	epoch    string
	tracks   map[string]*track // by name: a sensor's number in hello is of one connection only
	asked    map[string]uint32 // what the replay under way was asked to follow; nil if there is none
	answered bool              // and the server took it
	heard    time.Time         // when something came of it
}

// begin starts a connection, and returns the last numbers that the client has of
// the sensor called only, or of all if that is "". A new epoch has none: anew
// tells if there had been another.
func (s *sequences) begin(hello wire.Hello, only string, now time.Time) (since map[string]uint32, anew bool) {
	if hello.Epoch != s.epoch {
		anew = s.epoch != ""
		s.tracks = nil
	}
	s.epoch, s.asked, s.answered = hello.Epoch, nil, false
	known := s.tracks
	s.tracks = map[string]*track{} // without sensors that are no more
	for _, info := range hello.Sensors {
		t := known[info.Name]
		if t == nil {
			t = &track{settled: info.NextSeq - 1}
		} else if hello.Epoch != "" && (only == "" || only == info.Name) {
			if len(t.ahead) >= maxAhead {
				t.lost += t.join()
			}
			t.next = apart
			if since == nil {
				since = map[string]uint32{}
			}
			since[info.Name] = t.settled
		}
		s.tracks[info.Name] = t
	}
	s.asked, s.heard = since, now
	return since, anew
}

// see is [track.see] for a record of the sensor called name.
func (s *sequences) see(name string, r wire.Record, now time.Time) (missed uint32, isNew bool) {
	if r.Flags&wire.Historical != 0 {
		s.heard = now
	}
	if t := s.tracks[name]; t != nil {
		return t.see(r)
	}
	return 0, true // hello did not name it, so it cannot be asked for either
}

// resume takes the server's answer: the numbers before from are gone. An answer
// that says nothing about it means that nothing will be replayed.
func (s *sequences) resume(answer wire.Subscribed, now time.Time) Resumed {
	for name, since := range s.asked {
		t := s.tracks[name]
		t.next = apart
		from, gone := answer.From[name]
		switch {
		case answer.Recovered == nil:
			t.lost += t.settle(t.last())
			t.next = follows
		case gone && before(from-1, since): // the server is behind: its numbers are other ones
			*t = track{settled: from - 1, next: apart, recovered: t.recovered, lost: t.lost}
		case gone:
			t.lost += t.settle(from - 1)
		}
	}
	s.answered, s.heard = true, now
	if answer.Recovered == nil {
		s.asked = nil
	}
	return Resumed{Recovered: answer.Recovered != nil && *answer.Recovered, Lost: s.take(func(t *track) *uint32 { return &t.lost })}
}

// end tells whether the replay has just ended.
func (s *sequences) end(now time.Time) (Replayed, bool) {
	if s.asked == nil {
		return Replayed{}, false
	}
	late := now.Sub(s.heard) >= replayPatience
	for name := range s.asked {
		t := s.tracks[name]
		switch {
		case s.answered && len(t.ahead) == 0 && t.next == follows:
		case late:
			t.lost += t.settle(t.last())
			t.next = follows
		default:
			return Replayed{}, false
		}
	}
	s.asked = nil
	return Replayed{
		Recovered: s.take(func(t *track) *uint32 { return &t.recovered }),
		Lost:      s.take(func(t *track) *uint32 { return &t.lost }),
	}, true
}

// take returns a count of each track that has some, and sets it back.
func (s *sequences) take(count func(*track) *uint32) map[string]uint32 {
	all := map[string]uint32{}
	for name, t := range s.tracks {
		if n := count(t); *n > 0 {
			all[name], *n = *n, 0
		}
	}
	return all
}

// from remembers a position of before.
func (s *sequences) from(epoch string, since map[string]uint32) {
	s.epoch, s.tracks = epoch, map[string]*track{}
	for name, n := range since {
		s.tracks[name] = &track{settled: n}
	}
}

// position is where to go on.
func (s *sequences) position() (epoch string, since map[string]uint32) {
	since = map[string]uint32{}
	for name, t := range s.tracks {
		since[name] = t.settled
	}
	return s.epoch, since
}

// Position returns the last number of each sensor up to which all came, or are
// lost, and their epoch: [Options] for a later client that is to go on there. In
// the middle of a replay this is where the replay is, so what came live
// meanwhile will come again. It can be called at any time; from inside Handle,
// what is handled counts as having come.
func (c *Client) Position() (epoch string, since map[string]uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.numbers.position()
}
