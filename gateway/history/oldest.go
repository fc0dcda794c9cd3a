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
		if c.Origin.Epoch == epoch {
			return c.First, true
		}
	}
	for _, b := range t.blocks {
		if b.origin.Epoch == epoch {
			return b.summary.First, true
		}
	}
	return 0, false
}
