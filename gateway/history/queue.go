package history

import (
	"time"

	"sensorgateway/gateway/history/format"
	"sensorgateway/gateway/history/index"
	"sensorgateway/wire"
)

// queue holds the ticks that the writer has yet to write, in order.
type queue struct {
	accepting bool // else ticks are in memory only, until the next segment
	full      bool // it was closed because it held too many
	records   []wire.Record
	ticks     []tick
	first     int // the next of ticks
	begin     int // the next of records
	pushed    uint64
	taken     uint64 // how many ticks the writer has written
}

// tick is one call of Append or of Begin.
type tick struct {
	at     time.Time // of the call
	n      int       // records
	offset int64
	run    format.Run
	begin  []uint32 // of Begin: the next numbers
}

const (
	queueMax    = 4 << 20 / index.RecordMemory // records
	queueRetain = 4096                         // of capacity that is reused
)

func (q *queue) len() int { return len(q.ticks) - q.first }

// push adds a tick and returns its number, 0 if the queue does not accept it.
func (q *queue) push(t tick, records []wire.Record) uint64 {
	if q.accepting && len(q.records)-q.begin+len(records) > queueMax {
		q.close()
		q.full = true
	}
	if !q.accepting {
		return 0
	}
	if q.first == len(q.ticks) { // it is empty
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

// next returns the tick to write next.
func (q *queue) next() (t tick, records []wire.Record) {
	t = q.ticks[q.first]
	return t, q.records[q.begin : q.begin+t.n]
}

// took notes that n records of the next tick are in a page, and returns whether
// these were all of it.
func (q *queue) took(n int) bool {
	t := &q.ticks[q.first]
	q.begin += n
	if t.n -= n; t.n > 0 {
		return false
	}
	q.first++
	return true
}

// oldest returns when the oldest record was queued, zero if there is none.
func (q *queue) oldest() time.Time {
	for _, t := range q.ticks[q.first:] {
		if t.n > 0 {
			return t.at
		}
	}
	return time.Time{}
}

// close empties the queue, which accepts no more ticks.
func (q *queue) close() {
	q.accepting = false
	q.records, q.ticks, q.first, q.begin = nil, nil, 0, 0
}

// reopen accepts ticks again.
func (q *queue) reopen() { q.accepting, q.full = true, false }
