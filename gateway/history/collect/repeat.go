package collect

import (
	"slices"

	"sensorgateway/gateway/history/codec"
	"sensorgateway/gateway/history/collect/frame"
)

// A log that cannot be written, for it has come to belong to somebody else or its disk is
// broken there, would keep each file of the intake that has a block of it, and so the
// blocks of all other gateways, until the disk is full. So its blocks go to the end of the
// intake once more. That is done only if it makes room for as much again: so it never
// writes more than what has come.

// repeat writes the blocks of some logs that are in files of the intake up to a number to
// the intake again, and returns whether these files are not needed any more.
func (c *Collection) repeat(logs []*log, last uint64) bool {
	size := int64(0)
	for _, l := range logs {
		size += l.waiting(last)
	}
	if 2*size > c.intake.bytes() {
		return false
	}
	for _, l := range logs {
		if err := l.repeat(last); err != nil {
			c.o.Log.Warn("readings that cannot be moved to a gateway's log cannot be written to the intake again", "gateway", l.gateway, "err", err)
			return false
		}
	}
	return true
}

// waiting returns how many bytes the pending blocks have that are in files up to a number.
func (l *log) waiting(last uint64) (size int64) {
	l.order.Lock()
	defer l.order.Unlock()
	for _, p := range l.pending[:l.before(last)] {
		size += int64(p.size)
	}
	return size
}

func (l *log) repeat(last uint64) error {
	l.order.Lock()
	defer l.order.Unlock()
	old, rest := l.pending[:l.before(last)], l.pending[l.before(last):]
	var repeated []place
	for len(old) > 0 {
		n := fitting(old, frame.Max/2)
		var blocks [][]byte
		err := l.c.intake.load(old[:n], func(p place, raw []byte) error {
			if _, _, err := codec.ParseBlock(raw); err != nil { // a whole frame has whole blocks
				l.leaveOut(p)
				l.forget()
				return nil
			}
			blocks = append(blocks, raw)
			return nil
		})
		if err != nil {
			return err
		}
		places, err := l.c.intake.store(l.gateway, blocks)
		if err != nil {
			return err // what was repeated is there twice, which the next load finds
		}
		repeated, old = append(repeated, places...), old[n:]
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pending = slices.Concat(repeated, rest)
	return nil
}
