package history

// Oldest returns the sensor's oldest number of this epoch. It asks the memory
// only.
func (l *Log) Oldest(sensor uint16) (seq uint32, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if int(sensor) >= len(l.streams) {
		return 0, false
	}
	return l.streams[sensor].oldest(l.epoch())
}

func (t *stream) oldest(epoch string) (seq uint32, ok bool) {
	for _, c := range t.chapters {
		if c.origin.epoch == epoch {
			return c.first, true
		}
	}
	for _, b := range t.blocks {
		if b.origin.epoch == epoch {
			return b.summary.first, true
		}
	}
	return 0, false
}
