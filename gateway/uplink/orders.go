package uplink

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/eclipse/paho.golang/paho"

	"sensorgateway/gateway/fleet"
	"sensorgateway/wire"
)

// Limits of what hubs want that waits or is under way.
const (
	maxAsked = 8  // questions
	maxStops = 32 // stops that are carried out at the same time
	// greetTime is how long hello is not sent again for an order that came too late, or was
	// for another start: the hub of such an order may have an old hello.
	greetTime = 10 * time.Second
)

// task is an order that waits to be carried out.
type task struct {
	fleet.Order
	correlation []byte
	stops       int64 // how many stops had come before it
}

// received takes a message, on a goroutine of the client. It waits for no motor.
func (l *link) received(p *paho.Publish) {
	t, err := fleet.ParseTopic(p.Topic)
	now := time.Now()
	if err == nil && t.Kind != fleet.Cmd && !l.orders.take(now) { // before a signature is verified, which takes processor time
		l.o.Refused("", fmt.Sprintf("questions and watches come faster than %d a second", bucketSize))
		return
	}
	o, warning, err := l.verifier.Load().Verify(fleet.Message{Topic: p.Topic, Payload: p.Payload, Retained: p.Retain})
	work := task{Order: o}
	if p.Properties != nil {
		work.correlation = p.Properties.CorrelationData
	}
	if err != nil {
		l.refused(work, err, now)
		return
	}
	switch o.Kind {
	case fleet.Watch:
		v, err := o.View()
		if err != nil {
			l.refused(work, err, now)
			return
		}
		l.live.watch(o.Hub, v.Hz, now)
	case fleet.Ask:
		l.enqueue(l.questions, work, now)
	case fleet.Cmd:
		l.command(work, warning, now)
	case fleet.Keys:
		l.enqueue(l.commands, work, now)
	}
}

// refused reports why an order is not carried out: on the gateway, and to the hub, if one
// has signed it.
func (l *link) refused(work task, err error, now time.Time) {
	l.o.Refused(work.Hub, err.Error())
	e := wire.AsError(err)
	if work.Hub == "" || !l.orders.take(now) {
		return
	}
	l.mu.Lock()
	stale := (e.Code == 408 || e.Code == 409) && now.Sub(l.greeted) >= greetTime
	if stale {
		l.greeted = now
	}
	l.mu.Unlock()
	if stale {
		l.news.greet()
	}
	l.answer(work, wire.Envelope{Type: wire.TypeError, ID: idIn(work.Body), Payload: e})
}

// idIn returns the ID of the envelope in the body of a command.
func idIn(body []byte) json.RawMessage {
	r, _ := wire.ParseRequest(body) // a body that is no envelope has no ID
	return r.ID
}

func (l *link) enqueue(queue chan<- task, work task, now time.Time) {
	select {
	case queue <- work:
	default:
		l.refused(work, wire.Errorf(429, "too much waits to be carried out"), now)
	}
}

// command carries out a stop at once, and queues any other command.
func (l *link) command(work task, warning string, now time.Time) {
	if c, is, err := work.Connected(); is {
		if err == nil {
			l.operators.named(work.Hub, c.Clients, now)
		}
		return
	}
	stop, found := wire.ParseStop(work.Body)
	if !found {
		work.stops = l.operators.stopped.Load()
		if err := l.operators.commands(work.Hub, work.Client, now); err != nil {
			l.refused(work, err, now)
			return
		}
		l.enqueue(l.commands, work, now)
		return
	}
	l.operators.stopped.Add(1)
	stop.Warning = cmp.Or(stop.Warning, warning)
	l.stops <- struct{}{} // if so many stops hang, all that the broker sends waits
	l.parts.Go(func() {
		defer func() { <-l.stops }()
		_ = l.o.Guard(func(context.Context) error {
			result, err := l.o.Command(operatorOf(work.Order), stop)
			l.answerCommand(work, json.RawMessage(stop.ID), result, err)
			return nil
		})(context.Background())
	})
}

func operatorOf(o fleet.Order) Operator {
	return Operator{ID: idOf(o.Hub, o.Client), Name: cmp.Or(o.By, o.Hub), Hub: o.Hub}
}

// carryOut carries out commands in their order until ctx ends.
func (l *link) carryOut(ctx context.Context) error {
	for {
		select {
		case work := <-l.commands:
			if work.Kind == fleet.Keys {
				l.changeKeys(work)
				continue
			}
			id, result, err := l.carryOutOne(work)
			l.answerCommand(work, id, result, err)
		case <-ctx.Done():
			return nil
		}
	}
}

func (l *link) carryOutOne(work task) (id json.RawMessage, result any, err error) {
	r, err := wire.ParseRequest(work.Body)
	if err != nil {
		return r.ID, nil, err
	}
	parse := wire.ParseCommand
	switch {
	case r.Type == wire.TypeControl:
		parse = wire.ParseControl
	case r.Type != wire.TypeCommand:
		return r.ID, nil, wire.Errorf(404, "Unknown type: %s", r.Type)
	}
	if r.Payload == nil {
		return r.ID, nil, wire.Errorf(422, "payload is missing")
	}
	cmd, err := parse(r.Payload)
	if err != nil {
		return r.ID, nil, err
	}
	cmd.ID = string(r.ID)
	cmd.Overtaken = func() bool { return l.operators.stopped.Load() != work.stops }
	if !l.operators.connected(work.Hub, work.Client) { // lost while the command waited
		return r.ID, nil, wire.Errorf(408, "the client of the hub is no longer connected")
	}
	by := operatorOf(work.Order)
	result, err = l.o.Command(by, cmd)
	if !l.operators.connected(work.Hub, work.Client) { // the motor may have been started after the loss
		l.o.Lost(by.ID)
	}
	return r.ID, result, err
}

func (l *link) answerCommand(work task, id json.RawMessage, result any, err error) {
	e := wire.Envelope{Type: wire.TypeAck, ID: id, Payload: result}
	if err != nil {
		e = wire.Envelope{Type: wire.TypeError, ID: id, Payload: wire.AsError(err)}
	}
	l.answer(work, e)
}
