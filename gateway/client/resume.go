package client

import (
	"time"

	"sensorgateway/wire"
)

// replayPatience is how long a replay goes on without a record while other readings
// come. Most replays end by reaching the first live number; but the numbers right
// before that may be lost, a slow sensor may have no live one for hours, and a server
// may not answer. It is longer than a gateway waits for a slow disk.
const replayPatience = time.Minute

// sequences are the tracks of all sensors. They last from one connection to the
// next, as long as the server's epoch is the same.
type sequences struct {
	epoch    string
	tracks   map[string]*track // by name: a sensor's number in hello is of one connection only
	asked    map[string]uint32 // the numbers after which the replay under way begins; nil if there is none
	anew     bool              // in another epoch: all of this one is asked for
	answered bool              // the server has answered
	heard    time.Time         // when a record of it was received, at first when it was asked for
}

// begin starts a connection. It returns the last numbers that are known of the
// sensor called only, or of all if that is "", and their epoch, to ask for what
// came since; nil if nothing is known.
func (s *sequences) begin(hello wire.Hello, only string, now time.Time) (epoch string, since map[string]uint32) {
	known, epoch := s.tracks, s.epoch
	*s = sequences{epoch: hello.Epoch, tracks: map[string]*track{}, anew: epoch != "" && epoch != hello.Epoch, heard: now}
	for _, info := range hello.Sensors { // sensors that are not in it are forgotten
		t := known[info.Name]
		asked := epoch != "" && (only == "" || only == info.Name)
		switch {
		case t == nil, s.anew && !asked:
			t = &track{settled: info.NextSeq - 1}
		case asked:
			if s.asked == nil {
				s.asked = map[string]uint32{}
			}
			s.asked[info.Name] = t.since()
			if s.anew {
				s.asked[info.Name] = t.settled
				// No server has more numbers of one epoch than these.
				*t = track{settled: info.NextSeq - 1<<30, blind: true, recovered: t.recovered, lost: t.lost}
			}
			if len(t.ahead) >= maxAhead {
				t.settle(t.ahead[0].first)
			}
			t.next = apart
		}
		s.tracks[info.Name] = t
	}
	return epoch, s.asked
}

// see is [track.see] for a record of the sensor called name.
func (s *sequences) see(name string, r wire.Record, now time.Time) (missed uint32, late, isNew bool) {
	if r.Flags&wire.Historical != 0 {
		s.heard = now
	}
	if t := s.tracks[name]; t != nil {
		return t.see(r)
	}
	return 0, false, true // hello did not name it, so it cannot be asked for either
}

// resume takes the server's answer to what was asked. If that says nothing about
// it, nothing will be replayed.
func (s *sequences) resume(answer wire.Subscribed, now time.Time) Resumed {
	r := Resumed{Recovered: answer.Recovered != nil && *answer.Recovered, Anew: s.anew}
	for name, since := range s.asked {
		t := s.tracks[name]
		t.next = apart
		from, gone := answer.From[name]
		switch {
		case answer.Recovered == nil:
			t.settle(t.last())
			t.next = follows
		case !gone || t.blind:
		case wire.Before(from-1, since): // the server is behind this number, so its numbers are not the same
			*t = track{settled: from - 1, next: apart, recovered: t.recovered, lost: t.lost}
		default:
			if r.Gone == nil {
				r.Gone = map[string]uint32{}
			}
			r.Gone[name] = from - 1 - since
		}
	}
	s.answered, s.heard = true, now
	return r
}

// end returns whether the replay has just ended.
func (s *sequences) end(now time.Time) (Replayed, bool) {
	if s.asked == nil {
		return Replayed{}, false
	}
	late := now.Sub(s.heard) >= replayPatience
	for name := range s.asked {
		switch t := s.tracks[name]; {
		case s.answered && len(t.ahead) == 0 && t.next == follows:
		case late:
			t.settle(t.last())
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
	var all map[string]uint32
	for name, t := range s.tracks {
		if n := count(t); *n > 0 {
			if all == nil {
				all = map[string]uint32{}
			}
			all[name], *n = *n, 0
		}
	}
	return all
}

// from begins at a position that an earlier client had.
func (s *sequences) from(epoch string, since map[string]uint32) {
	s.epoch, s.tracks = epoch, map[string]*track{}
	for name, n := range since {
		s.tracks[name] = &track{settled: n}
	}
}
