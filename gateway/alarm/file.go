package alarm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"time"

	"sensorgateway/gateway/atomicfile"
	"sensorgateway/gateway/checksum"
	"sensorgateway/wire"
)

const (
	// fileBurst is how many times the file is written as soon as an alarm changes, and then
	// once in filePause: an alarm that comes and goes must not wear an SD card out. An
	// acknowledgement is stored at once.
	fileBurst = 30
	filePause = 30 * time.Second
	// retryPause follows a write that failed.
	retryPause = 10 * time.Second
	// storeTime is how long an acknowledgement, and each event, waits at most until it is
	// stored, so that the death of the process does not lose it.
	storeTime = 20 * time.Millisecond
	// quickSuffix ends the name of a file that is written first, and not synced: a sync takes
	// long on a card, and SIGKILL may come meanwhile. The file exists until the main one is
	// written.
	quickSuffix = ".quick"
)

// saved is the file: a line of JSON, and one with its CRC-32C.
type saved struct {
	N          uint64       `json:"n"` // grows with each write
	Raised     []wire.Alarm `json:"raised"`
	Recent     []wire.Alarm `json:"recent"`     // cleared, the newest last
	Deliveries []delivery   `json:"deliveries"` // not posted yet, the oldest first
}

func (s saved) format() []byte { return checksum.Append(wire.JSON(s)) }

// parse returns what a file says, and whether a newer version of the gateway wrote it,
// which knows more than this one.
func parse(data []byte) (s saved, newer bool, err error) {
	line, err := checksum.Cut(data)
	if err != nil {
		return s, false, err
	}
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if d.Decode(&s) != nil {
		s, newer = saved{}, true
		err = json.Unmarshal(line, &s)
	}
	return s, newer && err == nil, err
}

// keep reads the file when the directory is this gateway's, closes loaded, and writes
// it when something has changed, until ctx ends.
func (a *Alarms) keep(ctx context.Context, loaded chan<- struct{}) {
	if a.opts.File == "" {
		close(loaded)
		return
	}
	select {
	case <-a.opts.Claimed:
	case <-ctx.Done():
		return
	}
	a.load()
	a.loaded.Store(true)
	close(loaded)
	refill := time.NewTicker(filePause)
	defer refill.Stop()
	left, changed, failed := fileBurst, false, false
	for ctx.Err() == nil {
		var retry <-chan time.Time
		if failed {
			retry = time.After(retryPause)
		}
		select {
		case <-a.dirty:
			changed = true
		case <-refill.C:
			left = min(left+1, fileBurst)
		case <-retry:
		case <-ctx.Done():
		}
		if changed && (left > 0 || a.urgent.Swap(false)) && ctx.Err() == nil {
			left = max(left-1, 0)
			changed, failed = a.save(failed)
		}
	}
	select {
	case <-a.dirty:
		changed = true
	default:
	}
	if changed {
		a.save(failed)
	}
}

// save writes the file, and logs the first failure of several.
func (a *Alarms) save(failed bool) (changed, fails bool) {
	path := a.opts.File
	text, waits := a.snapshot()
	if a.writeQuick(text) == nil && waits != nil {
		close(waits)
	}
	err := atomicfile.Write(path, 0o640, func(f *os.File) error {
		_, err := f.Write(text)
		return err
	})
	switch {
	case err != nil && !failed:
		a.opts.Log.Warn("the alarms cannot be stored: after a restart they may be as they were before (trying again)", "file", path, "err", err)
	case err == nil && failed:
		a.opts.Log.Info("the alarms are stored again", "file", path)
	}
	if err == nil {
		_ = os.Remove(path + quickSuffix) // if it stays: of two files the newer one counts
	}
	return err != nil, err != nil
}

// writeQuick writes the file that is not synced.
func (a *Alarms) writeQuick(text []byte) error {
	path := a.opts.File + quickSuffix
	if err := atomicfile.Regular(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.WriteFile(path, text, 0o640)
}

// snapshot returns the text of the file, and the channel to close when it is stored.
func (a *Alarms) snapshot() (text []byte, waits chan struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.writes++
	s := saved{N: a.writes, Raised: []wire.Alarm{}, Recent: append([]wire.Alarm{}, a.recent...), Deliveries: append([]delivery{}, a.queue...)}
	for _, one := range a.all {
		if one.Raised() {
			s.Raised = append(s.Raised, one.Alarm)
		}
	}
	waits, a.waits = a.waits, nil
	return s.format(), waits
}

// waiter makes the channel that is closed when a change, which is about to be published, is
// stored. a.mu is held.
func (a *Alarms) waiter() {
	if a.waits == nil {
		a.waits = make(chan struct{})
	}
	a.stored = a.waits
}

// awaitStored waits until a change is stored, but not for long.
func (a *Alarms) awaitStored(stored <-chan struct{}) {
	if stored == nil || !a.loaded.Load() {
		return
	}
	timer := time.NewTimer(storeTime)
	defer timer.Stop()
	select {
	case <-stored:
	case <-timer.C:
	}
}

// load reads the file, once. What it cannot use it sets aside.
func (a *Alarms) load() {
	s, some := a.read(a.opts.File)
	if quick, ok := a.readQuick(); ok && (!some || quick.N > s.N) {
		s, some = quick, true
	}
	if some {
		a.restore(s)
	}
}

// readQuick reads the file that was not synced. One that is not complete is ignored, and no
// loss: it was still being written.
func (a *Alarms) readQuick() (s saved, ok bool) {
	data, err := atomicfile.Read(a.opts.File + quickSuffix)
	if err == nil {
		s, _, err = parse(data)
	}
	return s, err == nil
}

func (a *Alarms) read(path string) (s saved, ok bool) {
	data, err := atomicfile.Read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, false
	}
	if err == nil {
		var newer bool
		if s, newer, err = parse(data); err != nil {
			err = atomicfile.SetAside(path, err)
		} else if newer {
			atomicfile.CopyNewer(a.opts.Log, a.opts.File, data)
		}
	}
	if err != nil {
		a.opts.Log.Warn("which alarms were raised before the start is not known", "file", path, "err", err)
	}
	return s, err == nil
}

// restore continues with what was stored. A raised alarm whose configuration has changed stays
// raised until its condition clears it; one that is no longer configured is cleared.
func (a *Alarms) restore(s saved) {
	a.order.Lock()
	defer a.order.Unlock()
	now := time.Now()
	a.mu.Lock()
	a.writes = s.N
	a.recent = append(s.Recent, a.recent...)
	a.recent = a.recent[max(len(a.recent)-wire.RecentAlarms, 0):]
	if a.opts.Webhook != nil {
		a.queue = append(s.Deliveries, a.queue...)
		a.queue = a.queue[max(len(a.queue)-maxQueue, 0):]
	}
	for _, w := range s.Raised {
		if !w.Raised() || w.State == wire.AlarmAcknowledged && w.Acknowledged == nil {
			continue // it was not written by this program
		}
		if one := a.byName[w.Name]; one != nil {
			one.State, one.Since, one.Acknowledged, one.Value, one.Reason, one.Cleared = w.State, w.Since, w.Acknowledged, w.Value, w.Reason, 0
			continue
		}
		w.State, w.Cleared, w.Reason = wire.AlarmCleared, unix(now), "it is not configured any more"
		a.remember(w)
		a.changes = append(a.changes, w)
	}
	a.mu.Unlock()
	signal(a.posts)
	a.publish()
}
