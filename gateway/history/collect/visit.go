package collect

import (
	"errors"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"sensorgateway/gateway/history/format"
	"sensorgateway/gateway/history/values"
)

// A gateway that falls silent leaves a file for each hour of its last day. A hub that
// starts later does not load that log, because nothing comes for it. So all logs are
// visited once a day, some in each minute: the files are listed, and the directories of
// the newest ones read. A log that has something to merge is loaded until that is done.
const (
	visitEvery  = 24 * time.Hour
	visitAtOnce = 32 // in a minute: 46,000 in a day
	visitHeads  = 3  // two of a day, and one of the next day
)

// visits are the logs that are still to be visited, and since when.
type visits struct {
	left  []string
	begun time.Time
}

// visit visits some logs.
func (c *Collection) visit(now time.Time) (err error) {
	v := &c.visits
	if len(v.left) == 0 && now.Sub(v.begun) >= visitEvery {
		if v.left, err = c.o.FS.Dirs(); err != nil {
			return err
		}
		v.begun = now
	}
	n := min(visitAtOnce, len(v.left))
	for _, gateway := range v.left[:n] {
		if gateway != intakeDir {
			err = errors.Join(err, c.visitLog(gateway, now))
		}
	}
	v.left = v.left[n:]
	return err
}

func (c *Collection) visitLog(gateway string, now time.Time) error {
	files, err := c.o.directory(logDir(gateway)).List("")
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) { // it has sent no readings yet
			return nil
		}
		return err
	}
	var segments []string
	for _, f := range files {
		if name, ours := strings.CutSuffix(f.Name, format.SegmentSuffix); ours {
			segments = append(segments, name)
		}
	}
	if len(segments) < 2 {
		return nil
	}
	slices.Sort(segments)
	l := c.log(gateway)
	l.over = now.UnixMilli()/int64(aDay) - 1 // what comes so late goes to the files of another day
	l.order.Lock()
	defer l.order.Unlock()
	if !l.loaded {
		if some, err := l.mergeable(segments[max(0, len(segments)-visitHeads)], now); err != nil || !some {
			return err
		}
		if err := l.load(); err != nil {
			return err
		}
		l.visited = true
	}
	l.mu.Lock()
	l.due = true
	l.mu.Unlock()
	return nil
}

// mergeable returns whether some of the segments from one on can become one.
func (l *log) mergeable(first string, now time.Time) (bool, error) {
	number, err := strconv.ParseUint(first, 16, 64)
	if err != nil {
		return false, nil // it is no segment
	}
	parts, _, err := l.parts(number, now)
	from, to := firstDay(parts, l.most(), l.over)
	return from < to, err
}

// unload forgets what was loaded only to be merged.
func (l *log) unload() {
	l.order.Lock()
	defer l.order.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.visited && !l.due && len(l.doubles) == 0 && len(l.pending) == 0 {
		l.visited, l.loaded, l.found = false, false, l.size
		l.there, l.values, l.view = nil, values.Table{}, nil
	}
}
