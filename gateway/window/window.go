// Package window is what a slow client has not taken, bounded, however long it is slow;
// and the account of what became of each reading for a client. It knows records, and
// refuses to know clients and how they are sent to.
package window

import (
	"slices"

	"sensorgateway/wire"
)

// Window has, of each sensor, the records with the lowest and the highest of its two
// values, and the last (wire/README.md, "The connection"). Its zero value is empty.
type Window struct {
	sensors []sensorWindow
	total   int // records that came in
}

// Total is how many records came in.
func (w *Window) Total() int { return w.total }

type sensorWindow struct {
	sensor uint16
	total  int
	kept   []wire.Record // at most extremes+1, in the order of their numbers
}

const extremes = 4

// key is the value of a record by which an extreme is chosen: the highest wins.
func key(extreme int, r wire.Record) float32 {
	v := r.Values[extreme/2]
	if extreme%2 == 1 {
		return -v
	}
	return v
}

// Add takes a record in.
func (w *Window) Add(r wire.Record) {
	w.total++
	i := slices.IndexFunc(w.sensors, func(s sensorWindow) bool { return s.sensor == r.Sensor })
	if i < 0 {
		i = len(w.sensors)
		w.sensors = append(w.sensors, sensorWindow{sensor: r.Sensor, kept: make([]wire.Record, 0, extremes+2)})
	}
	s := &w.sensors[i]
	s.total++
	s.kept = append(s.kept, r)
	s.thin()
}

// thin drops what is neither extreme nor last. Of equals the first is kept; a
// value that failed or is not measured, NaN, is no extreme.
func (s *sensorWindow) thin() {
	var keep [extremes + 2]bool
	keep[len(s.kept)-1] = true
	for e := range extremes {
		best := -1
		for i, r := range s.kept {
			if v := key(e, r); r.Fault == wire.Good && v == v && (best < 0 || v > key(e, s.kept[best])) {
				best = i
			}
		}
		if best >= 0 {
			keep[best] = true
		}
	}
	n := 0
	for i, r := range s.kept {
		if keep[i] {
			s.kept[n] = r
			n++
		}
	}
	s.kept = s.kept[:n]
}

// Drop removes some sensors, and returns how many records came in of them.
func (w *Window) Drop(has func(sensor uint16) bool) (n int) {
	w.sensors = slices.DeleteFunc(w.sensors, func(s sensorWindow) bool {
		if !has(s.sensor) {
			return false
		}
		n += s.total
		return true
	})
	w.total -= n
	return n
}

// Batch returns the first sensors of the window: as many as have at most so many
// records together, but at least one.
func (w *Window) Batch(records int) *Window {
	batch := &Window{}
	for _, s := range w.sensors {
		if records -= len(s.kept); records < 0 && len(batch.sensors) > 0 {
			break
		}
		batch.sensors = append(batch.sensors, s)
		batch.total += s.total
	}
	return batch
}

// Remove removes a batch of the window: it is taken.
func (w *Window) Remove(batch *Window) {
	w.sensors = slices.Delete(w.sensors, 0, len(batch.sensors))
	w.total -= batch.total
}

// Kept is how many records are in the window.
func (w *Window) Kept() (n int) {
	for _, s := range w.sensors {
		n += len(s.kept)
	}
	return n
}

// Records returns what is in the window, in order per sensor; those that stand for
// others have the flag.
func (w *Window) Records() []wire.Record {
	all := make([]wire.Record, 0, w.Kept())
	for _, s := range w.sensors {
		for _, r := range s.kept {
			if s.total > len(s.kept) {
				r.Flags |= wire.Conflated
			}
			all = append(all, r)
		}
	}
	return all
}

// RecordsIn is about how many records fit into so many bytes.
func RecordsIn(bytes int, protocol string) int {
	size := wire.RecordSize
	if protocol == wire.ReadingsJSON {
		size = 160
	}
	return max(bytes/size, 1)
}
