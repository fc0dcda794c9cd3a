package console

import (
	"time"

	"sensorgateway/gateway/client"
	"sensorgateway/wire"
)

// board is what the table shows: the connection, and the newest of each sensor.
type board struct {
	url       string
	asked     string // the subprotocol
	note      string // about that which the server chose
	flagged   bool   // the records have flags
	connected bool
	lost      *client.Disconnected // nil before the first time
	retryAt   time.Time
	roundTrip time.Duration // 0 while it is not known
	simulated bool
	unsynced  bool
	anew      bool   // another epoch began: what was lost before is not counted
	rows      []*row // in the order of hello, or of their first readings
	alarms    []wire.Alarm
	alarmsErr error // why they are not known
}

// row is one sensor.
type row struct {
	name string
	info wire.SensorInfo // of hello, empty if it does not have it
	seen bool
	last client.Record // valid if seen
	at   time.Time     // when last came; valid if seen
	rate meter         // of live ones

	recovered uint64 // readings that came by replay
	lost      uint64 // sequence numbers that never came
}

func (b *board) apply(e client.Event, now time.Time) {
	switch e := e.(type) {
	case client.Connected:
		b.connected = true
		b.note = subprotocolNote(b.asked, e.Subprotocol)
		b.simulated = e.Hello.Simulated
		b.unsynced = e.Hello.Server != "" && !e.Hello.ClockSynced
		for _, s := range e.Hello.Sensors {
			b.row(s.Name).info = s
		}
	case client.Disconnected:
		b.connected, b.roundTrip = false, 0
		b.lost, b.retryAt = &e, now.Add(e.Wait)
	case client.RoundTrip:
		b.roundTrip = time.Duration(e)
	case client.Resumed:
		b.anew = b.anew || e.Anew
	case client.Replayed:
		for name, n := range e.Lost {
			b.row(name).lost += uint64(n)
		}
	case client.Records:
		for _, r := range e {
			b.reading(r, now)
		}
	}
}

func (b *board) reading(r client.Record, now time.Time) {
	row := b.row(r.Name)
	row.lost += uint64(lostBefore(r))
	if r.Flags&wire.Historical != 0 {
		row.recovered++
		if r.Late && row.lost > 0 {
			row.lost--
		}
		return // not the newest
	}
	row.rate.count(now)
	row.seen, row.last, row.at = true, r, now
	b.simulated = b.simulated || r.Flags&wire.Simulated != 0
	if b.flagged {
		b.unsynced = r.Flags&wire.ClockUnsynced != 0
	}
}

// lostBefore is how many readings right before this one are lost: none if this one is
// conflated, since it and others stand for them.
func lostBefore(r client.Record) uint32 {
	if r.Flags&wire.Conflated != 0 {
		return 0
	}
	return r.Missed
}

func (b *board) row(name string) *row {
	for _, r := range b.rows {
		if r.name == name {
			return r
		}
	}
	r := &row{name: name}
	b.rows = append(b.rows, r)
	return r
}

// stale reports whether nothing has come for three intervals, or a second.
func (r *row) stale(now time.Time) bool {
	return now.Sub(r.at) > max(3*time.Duration(r.info.IntervalMS)*time.Millisecond, time.Second)
}

// meter counts what comes in each second, and knows the rate over the last five
// whole ones.
type meter struct {
	first   int64    // the second in which counting began, which is not a whole one
	seconds [6]int64 // Unix; the current one and five before
	counts  [6]int
}

func (m *meter) count(now time.Time) {
	s := now.Unix()
	if m.first == 0 {
		m.first = s
	}
	i := s % int64(len(m.seconds))
	if m.seconds[i] != s {
		m.seconds[i], m.counts[i] = s, 0
	}
	m.counts[i]++
}

// perSecond returns the rate, false while there is no whole second yet.
func (m *meter) perSecond(now time.Time) (float64, bool) {
	end := now.Unix()
	begin := max(end-int64(len(m.seconds))+1, m.first+1)
	if m.first == 0 || begin >= end {
		return 0, false
	}
	sum := 0
	for i, s := range m.seconds {
		if begin <= s && s < end {
			sum += m.counts[i]
		}
	}
	return float64(sum) / float64(end-begin), true
}
