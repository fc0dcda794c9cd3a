package uplink

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/eclipse/paho.golang/paho"

	"sensorgateway/gateway/fleet"
	"sensorgateway/gateway/history/codec"
	"sensorgateway/gateway/history/query"
	"sensorgateway/wire"
)

// answerSize is about how long a message with readings that were asked for is. It is short,
// because live messages and answers to commands wait behind it.
const answerSize = 12 << 10

// answer answers a hub, without waiting until the broker has it.
func (l *link) answer(work task, e wire.Envelope) {
	l.sendAnswer(context.Background(), work, wire.JSON(e), paho.PublishMethod_AsyncSend)
}

// sendAnswer sends an answer and, by the blocking method, waits until the broker has it.
func (l *link) sendAnswer(ctx context.Context, work task, payload []byte, method paho.PublishMethod) error {
	expiry := uint32(fleet.AskExpiry / time.Second)
	p := &paho.Publish{
		Topic: l.gateway.AnswerTopic(work.Hub), QoS: 1, Payload: payload,
		Properties: &paho.PublishProperties{MessageExpiry: &expiry, CorrelationData: work.correlation},
	}
	ctx, cancel := context.WithTimeout(ctx, packetTimeout)
	defer cancel()
	_, err := l.client.PublishWithOptions(ctx, p, paho.PublishOptions{Method: method})
	return err
}

// answerQuestions answers questions in their order until ctx ends.
func (l *link) answerQuestions(ctx context.Context) error {
	for {
		select {
		case work := <-l.questions:
			if err := l.answerQuestion(ctx, work); err != nil {
				l.refused(work, err, time.Now())
			}
		case <-ctx.Done():
			return nil
		}
	}
}

func (l *link) answerQuestion(ctx context.Context, work task) error {
	q, err := work.Question()
	if err != nil {
		return err
	}
	switch q.Ask {
	case fleet.AskHello:
		l.answer(work, wire.Envelope{Type: wire.TypeHello, Payload: l.hello(l.number)})
	case fleet.AskState:
		l.answer(work, wire.Envelope{Type: wire.TypeState, Payload: l.o.Motors()})
	case fleet.AskReadings:
		return l.answerReadings(ctx, work, q)
	case fleet.AskMachine:
		if l.spent.Load() {
			return spent("the numbers of the machine are")
		}
		l.answer(work, wire.Envelope{Type: fleet.TypeMachine, Payload: l.o.Machine()})
	}
	return nil
}

// spent is why something is not sent while the bytes of the month are nearly used.
func spent(what string) error {
	return wire.Errorf(503, "the bytes of this month are nearly used, and what is left is for the summaries of minutes: %s sent when it ends; fix: raise uplink.budget", what)
}

// answerReadings sends what the log has of a span, and at the end says how much that was.
func (l *link) answerReadings(ctx context.Context, work task, q fleet.Question) error {
	sent := fleet.ReadingsSent{Sensor: q.Sensor, Epoch: q.Epoch}
	var said []fleet.Values
	var blocks []byte
	flush := func() error {
		if len(blocks) == 0 {
			return nil
		}
		payload := append(fleet.AppendUpHeader(nil, said), blocks...)
		said, blocks = nil, nil
		sent.Messages++
		return l.sendAnswer(ctx, work, payload, paho.PublishMethod_Blocking)
	}
	next := l.o.Feed.Blocks(q.Sensor, func(epoch string, first, last uint32) bool {
		return epoch == q.Epoch && wire.Before(q.Since, last) && !wire.Before(q.Until, first)
	})
	for ctx.Err() == nil {
		if l.spent.Load() {
			return spent("readings are")
		}
		b, err := next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		raw, n, err := within(b, q)
		if err != nil {
			l.o.Log.Warn("a block that a hub asked for cannot be sent", "sensor", q.Sensor, "first", b.First, "last", b.Last, "err", err)
			continue
		}
		if len(blocks)+len(raw) > answerSize {
			if err := flush(); err != nil {
				return err
			}
		}
		for _, v := range b.Values {
			if len(said) == 0 || wire.Before(said[len(said)-1].From, v.From) {
				said = append(said, fleet.Values{From: v.From, Sensor: v.Info()})
			}
		}
		blocks = append(blocks, raw...)
		sent.Records += n
	}
	if err := flush(); err != nil {
		return err
	}
	l.answer(work, wire.Envelope{Type: fleet.TypeReadings, Payload: sent})
	return nil
}

// within returns the part of a block that was asked for, as a block.
func within(b query.Block, q fleet.Question) (raw []byte, records int, err error) {
	if wire.Before(q.Since, b.First) && !wire.Before(q.Until, b.Last) {
		return b.Bytes, b.Records, nil
	}
	block, _, err := codec.ParseBlock(b.Bytes)
	if err != nil {
		return nil, 0, err
	}
	parts, err := codec.Split(block, func(r wire.Record) int {
		if wire.Before(q.Since, r.Seq) && !wire.Before(q.Until, r.Seq) {
			return 0
		}
		return -1
	})
	for _, p := range parts {
		part, _, _ := codec.ParseBlock(p) // it was made here
		raw, records = append(raw, p...), records+part.Count
	}
	return raw, records, err
}
