package console

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"time"

	"sensorgateway/gateway/client"
	"sensorgateway/wire"
)

// answerWithin is how long the gateway may take to answer a command.
const answerWithin = 5 * time.Second

// operator sends one command. After a start it stays connected, because the
// gateway stops a motor whose operator's connection ends. It never connects again:
// that would start the motor a second time, which nobody has asked for.
type operator struct {
	command motorPayload
	out     statePrinter
	notes   io.Writer
	asked   string // the subprotocol
	mute    bool   // the server chose no subprotocol, and sends no states unasked; valid once up is closed
	client  *client.Client
	up      chan struct{} // closed when commands can be sent
	started bool          // our start was acknowledged; only handle uses it

	// updates are those of the motor that we started. While the channel is full, handle
	// waits, until ignore closes ignored.
	updates chan update
	ignored <-chan struct{}
	ignore  func()
}

// update is a state of our motor, or why no more will come.
type update struct {
	state wire.MotorState
	err   error
}

func newOperator(command motorPayload, out statePrinter, notes io.Writer) *operator {
	o := &operator{command: command, out: out, notes: notes, up: make(chan struct{}), updates: make(chan update, 16)}
	wanted, ignore := context.WithCancel(context.Background())
	o.ignored, o.ignore = wanted.Done(), ignore
	return o
}

// run connects, sends the command, and shows the answer and, after a start, the
// motor's states. When ctx ends, it stops a motor that it started.
func (o *operator) run(ctx context.Context, opts client.Options) error {
	// After the end of ctx, the connection is still needed for the stop.
	online, leave := context.WithCancel(context.WithoutCancel(ctx))
	o.asked = opts.Subprotocol
	if o.command.Action == wire.Start && o.asked != "" {
		opts.Subscribe = []string{wire.TopicMotors}
	}
	opts.Handle = func(e client.Event) { o.handle(online, e) }
	o.client = client.New(opts)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := o.client.Run(online); err != nil {
			o.pass(update{err: err})
		}
	}()

	err := o.execute(ctx)
	o.ignore()
	leave()
	<-ended
	return err
}

func (o *operator) execute(ctx context.Context) error {
	select {
	case <-o.up:
	case u := <-o.updates: // before a start it can only be an error
		return u.err
	case <-ctx.Done():
		return errors.New("interrupted before anything was sent")
	}
	ack, err := o.do(ctx, o.command)
	if err != nil {
		return err
	}
	if err := o.show(ack); err != nil || o.command.Action != wire.Start {
		return err
	}
	return o.follow(ctx, ack.State)
}

// handle is called in the order in which the messages came: a state that comes
// before the acknowledgement is not the result of our command.
func (o *operator) handle(online context.Context, e client.Event) {
	switch e := e.(type) {
	case client.Connected:
		if note := subprotocolNote(o.asked, e.Subprotocol); note != "" {
			fmt.Fprintln(o.notes, note)
		}
		o.mute = e.Subprotocol == ""
		close(o.up)
	case client.Disconnected:
		err := e.Err
		if o.started {
			err = fmt.Errorf("the connection is lost, so the gateway stops %s: %w", o.command.Target, err)
		}
		o.pass(update{err: err})
		<-online.Done() // no second connection
	case client.Message:
		if u, ok := o.message(e); ok {
			o.pass(u)
		}
	}
}

func (o *operator) pass(u update) {
	select {
	case o.updates <- u:
	case <-o.ignored:
	}
}

// message returns what a message says about a motor that we started.
func (o *operator) message(m client.Message) (u update, ok bool) {
	switch m.Type {
	case wire.TypeAck:
		var ack wire.Ack
		o.started = o.started || json.Unmarshal(m.Payload, &ack) == nil && ack.Action == wire.Start
	case wire.TypeState:
		if json.Unmarshal(m.Payload, &u.state) == nil {
			return u, o.started && u.state.Target == o.command.Target
		}
	case wire.TypeError:
		var refused wire.Error
		if json.Unmarshal(m.Payload, &refused) == nil {
			u.err = &refused
			return u, o.started
		}
	}
	return u, false
}

// follow keeps the lease alive and shows each new state of the motor until it
// stops. Where states do not come unasked, it stops the motor when its time is up. The last state that was shown may come once more, when it is broadcast.
func (o *operator) follow(ctx context.Context, shown *wire.MotorState) error {
	var keepalive, overdue <-chan time.Time
	if o.command.LeaseMS != nil && (shown != nil || !o.mute) { // a server without states has no leases
		tick := time.NewTicker(time.Duration(*o.command.LeaseMS) * time.Millisecond / 3)
		defer tick.Stop()
		keepalive = tick.C
	}
	if o.command.RunMS != nil {
		wait := time.Duration(*o.command.RunMS) * time.Millisecond
		if !o.mute {
			wait += answerWithin
		}
		late := time.NewTimer(wait)
		defer late.Stop()
		overdue = late.C
	}
	for {
		select {
		case <-ctx.Done():
			return o.stop(ctx)
		case <-keepalive:
			// Nobody waits for its acknowledgement: a lease that ended comes as an update.
			alive := motorPayload{Action: wire.Keepalive, Target: o.command.Target}
			if err := o.client.Send(wire.Envelope{Type: wire.TypeCommand, Payload: alive}); err != nil {
				return fmt.Errorf("keepalive: %w", err)
			}
		case <-overdue:
			if o.mute {
				return o.stop(ctx)
			}
			return fmt.Errorf("the gateway does not say that %s has stopped", o.command.Target)
		case u := <-o.updates:
			if shown != nil && u.err == nil && same(*shown, u.state) {
				continue
			}
			if stopped, err := o.showUpdate(u); stopped || err != nil {
				return err
			}
			shown = &u.state
		}
	}
}

// showUpdate shows a state. stopped says that the motor has run for its time; if it
// stopped for another reason, that is the error.
func (o *operator) showUpdate(u update) (stopped bool, err error) {
	if u.err != nil {
		return false, u.err
	}
	if err := o.out.print(u.state); err != nil {
		return false, err
	}
	switch {
	case u.state.Running:
		return false, nil
	case u.state.Reason == wire.ReasonRunMS:
		return true, nil
	}
	return false, fmt.Errorf("%s was stopped: %s", u.state.Target, whyMotor(u.state))
}

// same reports whether two states are of the same change. Interlocks begin and cease
// to hold without one.
func same(a, b wire.MotorState) bool {
	a.Interlocks, b.Interlocks = nil, nil
	return reflect.DeepEqual(a, b)
}

// stop stops the motor that we started. Updates must not delay the answer.
func (o *operator) stop(ctx context.Context) error {
	o.ignore()
	ack, err := o.do(ctx, motorPayload{Action: wire.Stop, Target: o.command.Target})
	var refused *wire.Error
	switch {
	case errors.As(err, &refused):
		return err // a gateway that shuts down says so
	case err != nil:
		return fmt.Errorf("%s may run until the gateway notices that its operator is missing: %w", o.command.Target, err)
	}
	return o.show(ack)
}

// do sends a command and waits for its acknowledgement, also after the end of ctx,
// because what was sent may have been carried out.
func (o *operator) do(ctx context.Context, p motorPayload) (ack wire.Ack, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerWithin)
	defer cancel()
	m, err := o.client.Request(ctx, wire.TypeCommand, p)
	var refused *wire.Error
	switch {
	case errors.As(err, &refused):
		return ack, refused // in the server's own words
	case err != nil:
		return ack, fmt.Errorf("%s: %w", p.Action, err)
	}
	if err := json.Unmarshal(m.Payload, &ack); err != nil || m.Type != wire.TypeAck {
		return ack, fmt.Errorf("%s: the gateway answered with %s instead of an acknowledgement", p.Action, m.Type)
	}
	return ack, nil
}

func (o *operator) show(ack wire.Ack) error {
	switch {
	case ack.State != nil:
		return o.out.print(*ack.State)
	case ack.Alarm != nil:
		return o.out.printAlarms(*ack.Alarm)
	case ack.Motors != nil:
		return o.out.print(ack.Motors...)
	}
	return o.out.acknowledged(ack)
}
