package hub

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"

	"github.com/eclipse/paho.golang/paho"

	"sensorgateway/gateway/fleet"
	"sensorgateway/gateway/history/codec"
	"sensorgateway/wire"
)

// queue gives a message to a worker. A live one is dropped if there is no room: the next tick
// is newer, and the log has all of them.
func (in *Intake) queue(m message, storing, reading *workers) {
	t, err := fleet.ParseTopic(m.Topic)
	key, to := t.Name, reading
	switch {
	case err != nil:
		key = m.Topic
	case t.Kind == fleet.Up || t.Kind == fleet.Answer && in.stores(t, m.Publish):
		key, to = m.Topic, storing
	}
	q := to.queues[maphash.String(in.seed, key)%uint64(len(to.queues))]
	if m.QoS > 0 {
		q <- m
		return
	}
	select {
	case q <- m:
	default:
		in.g.counts.Dropped.Add(1)
	}
}

// stores returns whether an answer is to a question for readings, which are stored in order.
func (in *Intake) stores(t fleet.Topic, p *paho.Publish) bool {
	e := in.g.expecting(t.Name, correlationOf(p))
	return e != nil && e.readings || len(p.Payload) > 0 && p.Payload[0] != '{'
}

func correlationOf(p *paho.Publish) []byte {
	if p.Properties == nil {
		return nil
	}
	return p.Properties.CorrelationData
}

// take handles a message and confirms it to the broker, one with readings once they are
// durable. If they cannot be stored now, it is not confirmed: the connection ends, and the
// message comes again on the next one.
func (in *Intake) take(ctx context.Context, m message, end context.CancelCauseFunc) {
	if ctx.Err() != nil {
		return
	}
	t, err := in.accept(m.Publish)
	in.g.counts.Came(t.Kind, len(m.Topic)+len(m.Payload))
	var parts []fleet.Blocks
	if err == nil {
		parts, err = in.read(t, m.Publish)
	}
	var unreadable *Remote // whose blocks can never be stored
	for _, blocks := range parts {
		switch failed := in.store(ctx, t, blocks); {
		case errors.Is(failed, codec.ErrBlock):
			unreadable = in.g.remote(t.Gateway)
			err = fmt.Errorf("readings of %s, with the numbers %d to %d, cannot be read, and are not stored; fix: update its program, or, if it is none of yours, gateway hub revoke %[1]s: %[4]w", t.Name, blocks.First, blocks.Last, failed)
		case failed != nil:
			in.g.counts.Unstored.Add(1)
			end(fmt.Errorf("readings of %s: %w", t.Name, failed))
			return
		}
	}
	if err != nil { // it would be refused again, and must not hold up the others: it is confirmed
		in.g.counts.Refused.Add(1)
		level := slog.LevelWarn
		if m.QoS == 0 || unreadable != nil && unreadable.saidBefore(&unreadable.unread) { // live messages are many
			level = slog.LevelDebug
		}
		in.log.Log(ctx, level, "a message is not taken", "topic", m.Topic, "bytes", len(m.Payload), "err", err)
	}
	if e := in.g.expecting(t.Name, correlationOf(m.Publish)); e != nil && t.Kind == fleet.Answer && parts != nil {
		select {
		case e.stored <- struct{}{}:
		default: // ask has not looked at the last one yet
		}
	}
	if err := m.client.Ack(m.Publish); err != nil {
		end(fmt.Errorf("confirm: %w", err))
	}
}

// store returns when blocks are durable.
func (in *Intake) store(ctx context.Context, t fleet.Topic, blocks fleet.Blocks) error {
	if err := in.g.o.Store(ctx, t.Name, blocks); err != nil {
		return err
	}
	if blocks.Blocks != nil {
		in.g.counts.Blocks.Add(int64(len(blocks.Blocks)))
		in.g.counts.Readings.Add(int64(blocks.Records))
		in.g.remote(t.Gateway).durable(blocks, t.Kind == fleet.Answer)
	}
	return nil
}

// accept returns the topic of a message, if it is one that this gateway may send on.
func (in *Intake) accept(p *paho.Publish) (fleet.Topic, error) {
	t, err := fleet.ParseTopic(p.Topic)
	switch {
	case err != nil:
		return t, err
	case p.Retain:
		return t, errors.New("it is retained: nothing of the fleet is")
	case t.Site != in.o.Site || t.Kind == fleet.Cmd || t.Kind == fleet.Ask || t.Kind == fleet.Watch || t.Kind == fleet.Answer && t.Hub != in.g.o.Hub:
		return t, errors.New("it came on a topic that was not subscribed to")
	}
	return t, in.g.o.Check(t.Gateway)
}

// read handles what a message says, but for blocks, which it returns to be stored.
func (in *Intake) read(t fleet.Topic, p *paho.Publish) (blocks []fleet.Blocks, err error) {
	if fleet.IsProbe(p.Payload) {
		return blocks, nil
	}
	r := in.g.remote(t.Gateway)
	r.count(len(p.Topic) + len(p.Payload))
	switch t.Kind {
	case fleet.Up:
		return fleet.ParseUp(p.Payload)
	case fleet.News:
		n, err := fleet.ParseNews(p.Payload)
		if err == nil {
			r.news(n, p.Duplicate())
		}
		return blocks, err
	case fleet.Here:
		presence, err := fleet.ParsePresence(p.Payload)
		if err == nil {
			r.here(presence)
		}
		return blocks, err
	case fleet.Live:
		records, err := wire.ParseRecords(p.Payload)
		if err == nil {
			r.live(records)
		}
		return blocks, err
	case fleet.Answer:
		return in.answer(r, p)
	}
	return blocks, nil
}

// answer passes an answer to whoever expects it. Blocks are returned to be stored, even if
// nobody expects them any more.
func (in *Intake) answer(r *Remote, p *paho.Publish) (blocks []fleet.Blocks, err error) {
	if len(p.Payload) == 0 || p.Payload[0] != '{' {
		return fleet.ParseUp(p.Payload)
	}
	if n, err := fleet.ParseNews(p.Payload); err == nil && n.Hello != nil {
		r.news(n, p.Duplicate())
		return blocks, nil
	}
	e := in.g.expecting(r.name, correlationOf(p))
	if e == nil {
		in.log.Debug("an answer came that nobody waits for any more", "gateway", r.name, "answer", string(p.Payload[:min(len(p.Payload), 200)]))
		return blocks, nil
	}
	select {
	case e.answer <- p.Payload:
	default: // a second one: the first counts
	}
	return blocks, nil
}
