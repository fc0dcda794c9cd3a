// Package values has what the values of stored records are: which quantities, and what
// corrects them. Records are stored as they were measured; what is said here of a
// number holds from it on, so that a new calibration changes nothing that was made
// before it.
//
// It knows names, epochs and numbers; no record's place, no disk and no lock.
package values

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"sensorgateway/gateway/checksum"
	"sensorgateway/gateway/history/codec"
	"sensorgateway/wire"
)

// Entry says what the values of a sensor are from a number of an epoch on.
type Entry struct {
	Name        string                      `json:"name"`
	Epoch       string                      `json:"epoch"`
	From        uint32                      `json:"from"`
	Values      []wire.Quantity             `json:"values"`
	Calibration map[string]wire.Calibration `json:"calibration,omitempty"` // as in hello
	Median      int                         `json:"median,omitempty"`      // of so many ticks; the median itself is what is stored

	calibrations wire.Calibrations
}

// Info returns what is known of the sensor.
func (e Entry) Info() wire.SensorInfo {
	return wire.SensorInfo{Name: e.Name, Values: e.Values, Calibration: e.Calibration, Median: e.Median}
}

// says returns whether both say the same of the values.
func (e Entry) says(x Entry) bool {
	return e.Median == x.Median && slices.Equal(e.Values, x.Values) && maps.Equal(e.Calibration, x.Calibration)
}

// Span is the entries of a sensor's epoch, in order.
type Span []Entry

// at returns which entry holds for a number, -1 if none does.
func (s Span) at(seq uint32) int {
	for i := len(s) - 1; i >= 0; i-- {
		if !wire.Before(seq, s[i].From) {
			return i
		}
	}
	return -1
}

// Within returns the entries that hold for a number from first to last.
func (s Span) Within(first, last uint32) (within Span) {
	for i := max(s.at(first), 0); i < len(s) && !wire.Before(last, s[i].From); i++ {
		if i+1 == len(s) || s[i+1].From != s[i].From { // else no record was made while it held
			within = append(within, s[i])
		}
	}
	return within
}

// Apply corrects records that are as they were measured.
func (s Span) Apply(records []wire.Record) {
	if len(s) == 0 {
		return
	}
	for i := range records {
		if k := s.at(records[i].Seq); k >= 0 {
			s[k].calibrations.Apply(&records[i])
		}
	}
}

// ApplyTo corrects a summary of what was measured, and returns whether that is
// possible: all of it must have been calibrated alike.
func (s Span) ApplyTo(x codec.Summary) (codec.Summary, bool) {
	k := s.at(x.Last)
	if k != s.at(x.First) {
		return x, false
	}
	if k < 0 {
		return x, true
	}
	for i, c := range s[k].calibrations {
		if v := &x.Values[i]; c != (wire.Calibration{}) { // its scale is above 0: the least stays the least
			v.Min, v.Max, v.Sum = c.Of(v.Min), c.Of(v.Max), v.Sum*c.Scale+c.Offset*float64(x.Good)
		}
	}
	return x, true
}

// Table is the entries of all sensors. The zero value has none.
type Table struct {
	entries      []Entry // in the order in which they began
	edits, saved int     // how often it was changed, and what of that a file has
}

// Of returns what is said of a sensor's records of an epoch. The result does not change any more.
func (t *Table) Of(name, epoch string) (s Span) {
	for _, e := range t.entries {
		if e.Name == name && e.Epoch == epoch {
			s = append(s, e)
		}
	}
	return s
}

// All returns what was said of a sensor, in order.
func (t *Table) All(name string) (all []Entry) {
	for _, e := range t.entries {
		if e.Name == name {
			all = append(all, e)
		}
	}
	return all
}

// Newest returns what was last said of a sensor.
func (t *Table) Newest(name string) (e Entry, ok bool) {
	for _, e := range slices.Backward(t.entries) {
		if e.Name == name {
			return e, true
		}
	}
	return e, false
}

// Begin notes what a sensor's values are from a number on, unless that is known.
// (Records of an epoch without an entry are not corrected, so that needs none.)
func (t *Table) Begin(s wire.SensorInfo, epoch string, from uint32) {
	e := entryOf(s, epoch, from)
	span := t.Of(e.Name, epoch)
	if k := span.at(from); k >= 0 && span[k].says(e) {
		return
	}
	if newest, known := t.Newest(e.Name); known && newest.says(e) && len(span) == 0 && len(e.Calibration) == 0 {
		return
	}
	t.entries = append(t.entries, e)
	t.edits++
}

func entryOf(s wire.SensorInfo, epoch string, from uint32) Entry {
	return Entry{Name: s.Name, Epoch: epoch, From: from, Values: s.Quantities(), Calibration: s.Calibration, Median: s.Median, calibrations: s.Calibrations()}
}

// learnMax is how many entries a table has at most that [Table.Learn] fills.
const learnMax = 4096

// Learn is [Table.Begin] for what others say, in any order, perhaps more than once.
func (t *Table) Learn(s wire.SensorInfo, epoch string, from uint32) {
	e := entryOf(s, epoch, from)
	now, next := -1, -1 // the entry that holds for the number, and the next one after that
	for i := range t.entries {
		switch x := &t.entries[i]; {
		case x.Name != e.Name || x.Epoch != epoch:
		case !wire.Before(from, x.From):
			now = i
		case next < 0:
			next = i
		}
	}
	switch {
	case now >= 0 && t.entries[now].says(e):
		return
	case now >= 0 && t.entries[now].From == from:
		t.entries = slices.Clone(t.entries) // a copy of the table may be read
		t.entries[now] = e
	case next < 0:
		if newest, known := t.Newest(e.Name); now < 0 && known && newest.says(e) && len(e.Calibration) == 0 {
			return // as in Begin
		}
		t.entries = append(t.entries, e)
		t.entries = t.entries[max(len(t.entries)-learnMax, 0):]
	case t.entries[next].says(e):
		t.entries = slices.Clone(t.entries)
		t.entries[next].From = from
	case len(t.entries) >= learnMax: // the oldest make room, and this one is older than the next
		return
	default:
		t.entries = slices.Insert(slices.Clone(t.entries), next, e)
	}
	t.edits++
}

// Prepend adds what an older table says.
func (t *Table) Prepend(older Table) {
	later := t.entries
	*t = Table{entries: slices.Clone(older.entries)}
	for _, e := range later {
		t.Begin(e.Info(), e.Epoch, e.From)
	}
}

// Retain forgets what is said of epochs of which a sensor has no records, except what
// was last said of each sensor.
func (t *Table) Retain(has func(name, epoch string) bool) {
	last := map[string]int{}
	for i, e := range t.entries {
		last[e.Name] = i
	}
	i := -1
	t.entries = slices.DeleteFunc(slices.Clone(t.entries), func(e Entry) bool { i++; return last[e.Name] != i && !has(e.Name, e.Epoch) })
}

// Changed returns whether the table says what no file does.
func (t *Table) Changed() bool { return t.edits != t.saved }

// Saved notes that a file has what a copy of the table said.
func (t *Table) Saved(copied Table) { t.saved = copied.edits }

// FileName is the table's file in the directory of a log.
const FileName = "sensors.json"

// MaxFile is more than a table has: 64 sensors whose constants change each hour of a week
// take 2 MiB.
const MaxFile = 8 << 20 // bytes

// version of the file.
const version = 1

type file struct {
	Version int     `json:"version"`
	Sensors []Entry `json:"sensors"`
}

// Format returns the table's file: a line of JSON, and one with its CRC-32C.
func (t Table) Format() []byte {
	return checksum.Append(wire.JSON(file{version, t.entries}))
}

// Parse is the inverse of [Table.Format]. Of a file of a newer version it takes what it
// knows.
func Parse(data []byte) (t Table, err error) {
	if len(data) > MaxFile {
		return t, checksum.ErrDamaged
	}
	line, err := checksum.Cut(data)
	if err != nil {
		return t, err
	}
	var f file
	if err := json.Unmarshal(line, &f); err != nil {
		return t, fmt.Errorf("it says of sensors what cannot be used: %w", err)
	}
	for i := range f.Sensors {
		e := &f.Sensors[i]
		info := e.Info()
		e.calibrations = info.Calibrations()
		for _, c := range e.calibrations {
			if c != (wire.Calibration{}) && !(c.Scale > 0) {
				return t, fmt.Errorf("it has a scale of %s that is not above 0", e.Name)
			}
		}
	}
	t.entries = f.Sensors
	return t, nil
}
