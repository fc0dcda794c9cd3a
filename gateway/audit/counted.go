package audit

import "time"

const (
	countFor = time.Minute // refusals that are alike become one record in this time
	maxKinds = 32          // of refusals that are counted apart at a time
)

// repeated counts refusals that are alike, since the record of the first one.
type repeated struct {
	record Record
	since  time.Time
	count  int64
}

// Count adds a record of what was refused, or moved nothing. alike says what it has
// in common with others that are counted together with it for a minute. It waits for
// nothing.
func (l *Log) Count(r Record, alike string) {
	r.Chain = Counted
	l.mu.Lock()
	same := l.counted[alike]
	if same == nil && len(l.counted) >= maxKinds {
		alike = ""
		r = Record{Chain: Counted, Kind: r.Kind, Result: "of many kinds, counted together"}
		same = l.counted[alike]
	}
	if same != nil {
		same.count++
		l.mu.Unlock()
		return
	}
	l.counted[alike] = &repeated{record: r, since: time.Now()}
	l.mu.Unlock()
	l.enqueue(r)
}

// flushCounted writes the counts that are a minute old.
func (l *Log) flushCounted(now time.Time) {
	l.mu.Lock()
	var counted []Record
	for alike, same := range l.counted {
		if now.Sub(same.since) < countFor {
			continue
		}
		if delete(l.counted, alike); same.count > 0 {
			same.record.Count = same.count
			counted = append(counted, same.record)
		}
	}
	l.mu.Unlock()
	for _, r := range counted {
		l.enqueue(r)
	}
}
