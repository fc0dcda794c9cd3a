package history

import (
	"sensorgateway/wire"

	"sensorgateway/gateway/history/format"
	"sensorgateway/gateway/history/index"
)

// queue holds the ticks that wait for the writer, in order.
type queue struct {
	open    bool // takes ticks; else they are in memory only, until the next segment
	full    bool // it was closed because too many waited
	records []wire.Record
	ticks   []tick
	first   int // of ticks, the next to be taken
	begin   int // of records, the next to be taken
	pushed  uint64
	taken   uint64 // how many ticks the writer has written
}

// tick is what one Append or Begin brought.
type tick struct {
	n      int // records
	offset int64
	run    format.Run
	begin  []uint32 // of Begin
}

const (
	queueMax    = 4 << 20 / index.RecordMemory // records
	queueRetain = 4096                         // that room is kept for
)

func (q *queue) len() int { return len(q.ticks) - q.first }

// push adds a tick and returns its number, 0 if it was not taken in.
func (q *queue) push(t tick, records []wire.Record) uint64 {
	if q.open && len(q.records)-q.begin+len(records) > queueMax {
		q.shut()
		q.full = true
	}
	if !q.open {
		return 0
	}
	if q.first == len(q.ticks) { // nothing waits
		if cap(q.records) > queueRetain {
			q.records, q.ticks = nil, nil
		}
		q.records, q.ticks, q.first, q.begin = q.records[:0], q.ticks[:0], 0, 0
	}
	t.n = len(records)
	q.records = append(q.records, records...)
	q.ticks = append(q.ticks, t)
	q.pushed++
	return q.pushed
}

// next returns the tick that is to be written next.
func (q *queue) next() (t tick, records []wire.Record) {
	t = q.ticks[q.first]
	return t, q.records[q.begin : q.begin+t.n]
}

// took notes that n records of the next tick are in a page, and tells whether
// that was all of it.
func (q *queue) took(n int) bool {
	t := &q.ticks[q.first]
	q.begin += n
	if t.n -= n; t.n > 0 {
		return false
	}
	q.first++
	return true
}

// shut drops what waits and takes nothing in.
func (q *queue) shut() {
	q.open = false
	q.records, q.ticks, q.first, q.begin = nil, nil, 0, 0
}

// reopen takes ticks in again.
func (q *queue) reopen() { q.open, q.full = true, false }
