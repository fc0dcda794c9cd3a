package recovery

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"sensorgateway/gateway/history/disk"
	"sensorgateway/gateway/history/format"
	"sensorgateway/gateway/history/index"
)

// checkSegments notices that damaged segments lack readings: those between what is left
// of each sensor.
func (r *recovery) checkSegments() {
	place := map[*index.Segment]int{}
	for i, g := range r.Index.Segments {
		place[g] = i
	}
	for _, s := range r.segments {
		i, used := place[s.Segment]
		if !s.damaged || !used {
			continue
		}
		n := 0
		for _, t := range r.Index.Streams {
			for k := 1; k < len(t.Chapters); k++ {
				if a, b := t.Chapters[k-1], t.Chapters[k]; place[a.Segment] <= i && i <= place[b.Segment] {
					n += a.Between(b)
				}
			}
		}
		if n > 0 {
			r.lose(fmt.Sprintf("blocks of %s are damaged", s.Name), n)
		}
	}
}

// Merged returns an error if a segment that was listed, and is there no longer, was merged
// with others, as on a hub: it has not been evicted if there is an older one.
func Merged(fs FS, name string) error {
	there, err := fs.List("")
	if err == nil && slices.ContainsFunc(there, func(f disk.Info) bool {
		return strings.HasSuffix(f.Name, format.SegmentSuffix) && f.Name < name
	}) {
		return errors.New("it was merged with others after reading began; fix: read again")
	}
	return err
}

// checkGaps notices segments whose numbers are missing. What lies between their
// neighbours may have another name.
func (r *recovery) checkGaps(byName []placed) {
	place := map[*index.Segment]int{}
	for i, g := range r.Index.Segments {
		place[g] = i
	}
	byName = slices.DeleteFunc(byName, func(s placed) bool { _, used := place[s.Segment]; return !used })
	for i := 1; i < len(byName); i++ {
		g, before := byName[i].Segment, byName[i-1].Segment
		number := before.Number + 1
		for number < g.Number && slices.ContainsFunc(r.Aside, func(f disk.Info) bool {
			return strings.HasPrefix(f.Name, DamagedDir+"/"+format.SegmentName(number))
		}) {
			number++
		}
		n, between := r.between(place[before], place[g])
		if number >= g.Number || between < 0 || between > 0 && n == 0 {
			continue
		}
		name := format.SegmentName(number)
		if !r.count(name, n) {
			r.lose(fmt.Sprintf("segment %s is missing", name), n)
		}
	}
}

// between returns how many numbers are between the records of segments, counted from one
// place in the index to another, and how many segments are between these.
func (r *recovery) between(from, to int) (n, segments int) {
	for i := from; i < to; i++ {
		n += r.Index.Segments[i].Between(r.Index.Segments[i+1])
	}
	return n, to - from - 1
}

// orderCopy swaps segment i and the one before if they have the same content, and only
// the name of i fits between those of its neighbours: the other is set aside.
func (r *recovery) orderCopy(i int) {
	if i < 1 || i >= len(r.segments) || !r.segments[i].SameAs(r.segments[i-1].Segment) {
		return
	}
	fits := func(s placed) bool {
		return (i < 2 || r.segments[i-2].Number < s.Number) && (i+1 >= len(r.segments) || s.Number < r.segments[i+1].Number)
	}
	if !fits(r.segments[i-1]) && fits(r.segments[i]) {
		r.segments[i-1], r.segments[i] = r.segments[i], r.segments[i-1]
	}
}

// countCopy counts what is lost because segment i was just set aside as a copy of the
// one before: the segment that had its name is missing. If its place was before both,
// its readings are missing there. If it was after them, checkGaps finds that.
func (r *recovery) countCopy(i int) {
	if i >= 2 {
		r.count(r.segments[i].Name, r.segments[i-2].Between(r.segments[i-1].Segment))
	}
}

// count adds readings to the damage that is noted of a file that this recovery set
// aside, and returns whether there is such a file.
func (r *recovery) count(name string, readings int) bool {
	i := slices.IndexFunc(r.Damages, func(d Damage) bool { return d.Reason == r.asideNow[name] })
	if i < 0 {
		return false
	}
	if r.Damages[i].Readings += readings; readings > 0 {
		r.Log.Warn("stored readings are lost", "why", r.Damages[i].Reason, "readings", readings)
	}
	return true
}

// checkJournal notices that the journal does not have what it must have.
func (r *recovery) checkJournal() {
	const unsynced = 4 // pages at most that a power cut loses of those that a segment has
	if r.missing > 0 {
		r.lose(fmt.Sprintf("%d pages of the journal are damaged, empty or of an earlier time", r.missing), r.Index.Gaps)
	}
	n := len(r.Journals)
	switch {
	case n > 0 && r.Journals[n-1].Newer:
	case n == 0 && len(r.Index.Segments) == 0:
		if len(r.Damages) == 0 { // the directory is new, as far as it shows
			return
		}
	case n == 0:
		r.loseTail("the journal is missing")
	case len(r.Journals[n-1].Pages) == 0: // it had one when it was created
		r.loseTail(fmt.Sprintf("the journal %s is empty", r.Journals[n-1].Name))
	case len(r.Journals[n-1].Pages) > 0 && r.Journals[n-1].Newest+unsynced < r.Through:
		r.loseTail(fmt.Sprintf("the journal %s is of an earlier time", r.Journals[n-1].Name))
	case len(r.Index.Segments)+len(r.Aside) == 0 && r.Journals[0].Overwritten() > 0: // the newest one is never evicted
		if n := r.beforeJournals(); n > 0 {
			r.lose("all segments are missing; of the readings, some may have been evicted before", n)
		}
		return
	case r.missing == 0 && r.Index.Gaps > 0 && r.Journals[0].Overwritten() > r.Through:
		r.lose(r.newestLost(), r.Index.Gaps)
		return
	default:
		return
	}
	r.Tail = true
}

// beforeJournals returns how many numbers of the newest epoch were before those in the
// journals. Some of them may have been evicted.
func (r *recovery) beforeJournals() int {
	var before Damage
	for _, t := range r.Index.Streams {
		for _, b := range t.Blocks {
			if b.Origin.Epoch == t.Epoch {
				before.Lose(int64(b.Prev + 1))
				break
			}
		}
	}
	return before.Readings
}

// newestLost says which file had the readings that neither segments nor journals have.
func (r *recovery) newestLost() string {
	if n := len(r.segments); n > 0 && r.segments[n-1].damaged {
		return fmt.Sprintf("blocks of %s are damaged", r.segments[n-1].Name)
	}
	return "the newest segment is missing"
}

// loseTail notes that the newest readings are lost. Who knows their numbers logs how
// many these are.
func (r *recovery) loseTail(reason string) {
	r.Damages = append(r.Damages, Damage{Reason: reason})
}

// lose notes and logs damage.
func (r *recovery) lose(reason string, readings int) {
	r.Damages = append(r.Damages, Damage{reason, readings})
	r.Log.Warn("stored readings are lost", "why", reason, "readings", readings)
}
