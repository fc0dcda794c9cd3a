package history

import (
	"fmt"

	"sensorgateway/gateway/history/values"
)

// saveValues writes what the records' values are, if that has changed. Ticks that wait
// for that can be written then.
func (l *Log) saveValues() error {
	l.mu.Lock()
	if !l.values.Changed() {
		l.mu.Unlock()
		return nil
	}
	l.values.Retain(func(name, epoch string) bool {
		if epoch == l.run.Epoch {
			return true
		}
		t := l.index.Streams[name]
		if t == nil {
			return false
		}
		_, ok := t.Oldest(epoch)
		return ok
	})
	copied := l.values
	l.mu.Unlock()
	b := copied.Format()
	if err := l.withRoom(int64(len(b)), func() error { return writeFile(l.fs, values.FileName, b) }); err != nil {
		return fmt.Errorf("%s cannot be written: %w", values.FileName, err)
	}
	l.mu.Lock()
	l.values.Saved(copied)
	l.size += int64(len(b)) - l.maintainer.valuesSize
	l.maintainer.valuesSize = int64(len(b))
	l.mu.Unlock()
	signal(l.wakeWriter)
	return nil
}
