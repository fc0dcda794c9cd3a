package gateway

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"sensorgateway/gateway/access"
	"sensorgateway/gateway/inbox"
	"sensorgateway/wire"
)

// stream is the endpoint of "/" and "/sensors/NAME": readings, states and events
// one way, requests the other.
type stream struct {
	own   int   // the sensor of a readings.v1 connection
	past  bool  // it begins with the retained readings of that sensor
	since int64 // from then on, Unix milliseconds

	orders inbox.Orders // that take a while
}

// requests is what a client can ask for, by type. A handler returns the type and
// the payload of the answer.
var requests = map[string]func(*stream, *session, wire.Request) (string, any, error){
	wire.TypeCommand:     commands(wire.ParseCommand),
	wire.TypeControl:     commands(wire.ParseControl),
	wire.TypeSubscribe:   (*stream).subscribe,
	wire.TypeUnsubscribe: (*stream).unsubscribe,
	wire.TypePing:        (*stream).ping,
}

func (t *stream) begin(c *session) {
	if t.past {
		c.s.broadcaster.follow(c, uint16(t.own), t.since)
	}
}

func (t *stream) end(c *session) {
	t.orders.End(func() { // an order that was under way may have been carried out after the first time
		if c.commanded.Load() {
			c.s.opts.Motors.Lost(c.ID, c.lossReason())
		}
	})
}

// message answers a request.
func (t *stream) message(c *session, _ int, message []byte) {
	if c.stop(message) || c.inbox.Closing() {
		return
	}
	request, err := wire.ParseRequest(message)
	var kind string
	var payload any
	if err == nil {
		if handle, known := requests[request.Type]; known {
			kind, payload, err = handle(t, c, request)
		} else {
			err = wire.Errorf(http.StatusNotFound, "Unknown type: %s", request.Type)
		}
	}
	c.answer(request.ID, kind, payload, err)
}

// answer sends the answer to the request with that ID, if there is one to send.
func (c *session) answer(id json.RawMessage, kind string, payload any, err error) {
	switch {
	case err != nil:
		c.sendJSON(wire.Envelope{Type: wire.TypeError, ID: id, Payload: wire.AsError(err)})
	case payload != nil:
		c.sendJSON(wire.Envelope{Type: kind, ID: id, Payload: payload})
	}
}

// stop carries out the stop or the e-stop in a message, if there is one, and
// returns whether there was. Nothing else in the message or about its sender is
// a reason to refuse it: whoever may connect may stop.
func (c *session) stop(message []byte) bool {
	cmd, found := wire.ParseStop(message)
	if found {
		c.operates()
		if c.s.opts.Remote { // no stop waits for another's answer
			if _, err := c.Identity.Within(cmd, c.s.opts.Motors.States); err == nil {
				c.s.starts.Stop()
			}
			c.s.sessions.Go(func() { c.obey(c.s.ctx, cmd) })
		} else {
			c.obey(c.s.ctx, cmd)
		}
	}
	return found
}

// obey carries a command out, and answers it.
func (c *session) obey(ctx context.Context, cmd wire.Command) {
	_ = c.try(func() error { // which has logged it
		result, err := c.carryOut(ctx, cmd)
		c.answer(json.RawMessage(cmd.ID), wire.TypeAck, result, err)
		return nil
	})
}

// commands returns what handles the requests that parse reads: commands or control messages.
func commands(parse func(payload []byte) (wire.Command, error)) func(*stream, *session, wire.Request) (string, any, error) {
	return func(t *stream, c *session, r wire.Request) (string, any, error) {
		if r.Payload == nil {
			return "", nil, wire.Errorf(http.StatusUnprocessableEntity, "payload is missing")
		}
		cmd, err := parse(r.Payload)
		if denied := c.Identity.MayNot(cmd); denied != nil { // whatever else is wrong with it
			c.s.opts.Refused("commands", c.Name, denied.Error())
			return "", nil, wire.Errorf(http.StatusForbidden, "%v", denied)
		}
		if err != nil {
			return "", nil, err
		}
		cmd.ID = string(r.ID)
		if r.Type == wire.TypeControl {
			c.controls.Store(true)
		}
		c.operates()
		if c.s.opts.Remote {
			ctx := c.s.starts.Context(c.s.ctx, cmd)
			return "", nil, t.orders.Do(c.s.sessions.Go, func() {
				if !c.inbox.Closing() {
					c.obey(ctx, cmd)
				}
			})
		}
		result, err := c.carryOut(c.s.ctx, cmd)
		return wire.TypeAck, result, err
	}
}

// operates notes, before a command drives a motor, that the loss of this client has to be noticed.
func (c *session) operates() {
	if !c.commanded.Swap(true) {
		c.s.broadcaster.operators.Add(1)
	}
}

func (c *session) carryOut(ctx context.Context, cmd wire.Command) (any, error) {
	handle, known := c.s.opts.Handlers[cmd.Action]
	if !known {
		return nil, wire.Errorf(http.StatusNotFound, "Unknown command")
	}
	cmd, err := c.Identity.Within(cmd, c.s.opts.Motors.States)
	if err != nil {
		c.s.opts.Refused(access.ReasonScope, c.Name, err.Error())
		return nil, err
	}
	result, err := handle(ctx, c.Client, cmd)
	if c.inbox.Closing() && !cmd.Stops() { // it may have been carried out after the loss
		c.s.opts.Motors.Lost(c.ID, c.lossReason())
	}
	if ack, ok := result.(wire.Ack); ok {
		ack.Motors = c.Identity.InScope(ack.Motors)
		result = ack
	}
	return result, err
}

// ping answers with the payload and the time: a browser cannot send a ping frame.
func (t *stream) ping(_ *session, r wire.Request) (string, any, error) {
	payload, err := r.Object()
	if err != nil {
		return "", nil, err
	}
	payload["server_time"], err = json.Marshal(time.Now().UnixMilli())
	return wire.TypePong, payload, err
}

func (t *stream) subscribe(c *session, r wire.Request) (string, any, error) {
	sub, err := wire.ParseSubscription(r, true)
	if err == nil {
		err = c.s.broadcaster.subscribe(c, t, sub, r.ID)
	}
	return "", nil, err // the broadcaster has answered
}

func (t *stream) unsubscribe(c *session, r wire.Request) (string, any, error) {
	sub, err := wire.ParseSubscription(r, false)
	if err == nil {
		err = c.s.broadcaster.unsubscribe(c, sub.Topic)
	}
	return wire.TypeUnsubscribed, wire.Subscribed{Topic: sub.Topic}, err
}

// topic is what a subscription names.
type topic struct {
	sensors        sensorSet
	motors, events bool
}

// topic returns what name stands for, of what the client may see; 404 if nothing.
func (b *broadcaster) topic(c *session, name string) (topic, error) {
	all := c.scope
	switch name {
	case wire.TopicAll:
		return topic{all, true, true}, nil
	case wire.TopicSensors:
		return topic{sensors: all}, nil
	case wire.TopicMotors:
		return topic{motors: true}, nil
	case wire.TopicEvents:
		return topic{events: true}, nil
	}
	if sensor, ok := strings.CutPrefix(name, wire.TopicSensors+"/"); ok {
		switch i := b.index(sensor); {
		case i >= 0 && c.scope.Has(uint16(i)):
			return topic{sensors: 1 << i}, nil
		case i >= 0:
			return topic{}, wire.Errorf(http.StatusForbidden, "%s is not in the scope of %s", sensor, c.Name)
		}
	}
	return topic{}, wire.Errorf(http.StatusNotFound, "Unknown topic: %s", name)
}

// subscribe adds a topic and answers. Nothing comes between the answer and what
// follows from it.
func (b *broadcaster) subscribe(c *session, t *stream, sub wire.Subscription, id json.RawMessage) error {
	add, err := b.topic(c, sub.Topic)
	if err != nil {
		return err
	}
	answer := wire.Subscribed{Topic: sub.Topic}
	b.mu.Lock()
	defer b.mu.Unlock()
	if add.motors {
		answer.Motors = c.Identity.InScope(b.s.opts.Motors.States())
	}
	if sub.Since != nil && c.protocol == wire.ReadingsV1 {
		return wire.Errorf(http.StatusUnprocessableEntity, "since: %s has no numbers (connect to /sensors/NAME?since=UNIXMS, or use %s)", c.protocol, wire.ReadingsV2)
	}
	own := t.own
	if c.protocol == wire.ReadingsV1 && strings.HasPrefix(sub.Topic, wire.TopicSensors+"/") {
		own = add.sensors.First()
		if err := b.carries(own); err != nil {
			return err
		}
	}
	restarted, lanes, err := b.resume(sub, add.sensors, &answer)
	if err != nil {
		return err
	}
	sensors := c.sensors | add.sensors
	if c.protocol == wire.ReadingsV1 && add.sensors != 0 { // it carries one sensor
		t.own = own
		sensors = 1 << own
		b.cancel(c, ^sensors)
	}
	c.motors, c.events = c.motors || add.motors, c.events || add.events
	c.sendJSON(wire.Envelope{Type: wire.TypeSubscribed, ID: id, Payload: answer})
	b.replay(c, restarted, lanes)
	b.move(c, sensors&^c.following())
	return nil
}

func (b *broadcaster) unsubscribe(c *session, name string) error {
	drop, err := b.topic(c, name)
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	c.motors, c.events = c.motors && !drop.motors, c.events && !drop.events
	b.cancel(c, drop.sensors)
	b.move(c, c.sensors&^drop.sensors)
	return nil
}
