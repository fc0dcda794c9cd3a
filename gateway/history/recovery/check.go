package recovery

import (
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

// checkGaps notices segments whose numbers are missing.
func (r *recovery) checkGaps() {
	for i := 1; i < len(r.segments); i++ {
		g, before := r.segments[i].Segment, r.segments[i-1].Segment
		number := before.Number + 1
		for number < g.Number && slices.ContainsFunc(r.Aside, func(f disk.Info) bool {
			return strings.HasPrefix(f.Name, DamagedDir+"/"+format.SegmentName(number))
		}) {
			number++
		}
		if number >= g.Number || g.Through < before.Through {
			continue
		}
		if n := len(r.Damages); n > 0 && slices.Contains(r.asideNow, format.SegmentName(number)) {
			r.Damages[n-1].Readings += before.Between(g)
			continue
		}
		r.lose(fmt.Sprintf("segment %s is missing", format.SegmentName(number)), before.Between(g))
	}
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
	case r.missing == 0 && r.Index.Gaps > 0 && r.Journals[0].Overwritten() > r.Through:
		r.lose(r.newestLost(), r.Index.Gaps)
		return
	default:
		return
	}
	r.Tail = true
}

// newestLost says what the readings were in that neither segments nor journals have.
func (r *recovery) newestLost() string {
	if n := len(r.segments); n > 0 && r.segments[n-1].damaged {
		return fmt.Sprintf("blocks of %s are damaged", r.segments[n-1].Name)
	}
	return "the newest segment is missing"
}

// loseTail notes that the newest readings are lost. How many, whoever knows their numbers
// logs.
func (r *recovery) loseTail(reason string) {
	r.Damages = append(r.Damages, Damage{Reason: reason})
}

// lose notes and logs damage.
func (r *recovery) lose(reason string, readings int) {
	r.Damages = append(r.Damages, Damage{reason, readings})
	r.Log.Warn("stored readings are lost", "why", reason, "readings", readings)
}
