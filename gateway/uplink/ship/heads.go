package ship

import (
	"context"
	"time"

	"sensorgateway/gateway/fleet"
	"sensorgateway/gateway/history/codec"
	"sensorgateway/gateway/history/query"
	"sensorgateway/gateway/history/values"
	"sensorgateway/wire"
)

const (
	// headsTime is how often heads go up: one message for five minutes of a sensor costs half of
	// what five messages cost.
	headsTime = 5 * time.Minute
	headSize  = 128 // bytes, more than a head takes that is not the first of a message
)

// sendHeads sends the heads of the blocks that wait for the next month, one message at a time,
// as long as any bytes of this month are left.
func (r *run) sendHeads(ctx context.Context) {
	r.waitFor(Budget, 0)
	if r.flow.messages > 0 || r.used() || time.Now().Before(r.headsAt) {
		return
	}
	for _, name := range r.o.Feed.Names() {
		if m, f, ok := r.heads(name, min(r.flow.message(), r.link.limit())); ok {
			r.headsSent = true
			r.start(ctx, m, []*flight{f}, true) // it is sent alone, so it says nothing of the line
			return
		}
	}
	if r.headsSent { // if none was sent, the log may not have read its directory yet
		r.headsAt, r.headsSent = time.Now().Add(headsTime), false
	}
}

// heads returns the next message with the heads of a sensor's blocks, all of one epoch.
func (s *Shipper) heads(name string, limit int) (m Message, f *flight, ok bool) {
	next := s.o.Feed.Blocks(name, func(epoch string, first, last uint32) bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return min(s.state.Sent.unsent(name, epoch, first, last), s.state.Summarised.unsent(name, epoch, first, last)) > 0
	})
	var heads []codec.Head
	var said values.Span
	var last query.Block
	for len(heads) < max(min(limit/headSize, codec.HeadsMax), 1) {
		b, err := next()
		if err != nil || len(heads) > 0 && b.Epoch != last.Epoch {
			break
		}
		block, _, err := codec.ParseBlock(b.Bytes)
		if err != nil { // the block itself cannot be sent either, which is logged when it is tried
			continue
		}
		heads, last = append(heads, codec.Head{Origin: block.Origin, Summary: block.Summary}), b
		said = append(said, b.Values...)
	}
	if len(heads) == 0 {
		return m, nil, false
	}
	payload := codec.AppendHeads(fleet.AppendUpHeader(nil, saidOf(said)), heads)
	return Message{Payload: payload, Epoch: last.Epoch, Last: last.Last},
		&flight{heads: true, through: cursor{name, last.Epoch, last.Last, last.To}, size: len(payload)}, true
}

// saidOf returns the descriptions of the values of blocks, each once.
func saidOf(span values.Span) (said []fleet.Values) {
	for _, e := range span {
		if len(said) == 0 || wire.Before(said[len(said)-1].From, e.From) {
			said = append(said, fleet.Values{From: e.From, Sensor: e.Info()})
		}
	}
	return said
}

// used returns whether all bytes of the month are used.
func (s *Shipper) used() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state.Used >= s.o.Budget
}
