package console

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"time"

	"sensorgateway/gateway/client"
	"sensorgateway/wire"
)

// answerWithin is how long the gateway may take to answer a command.
const answerWithin = 5 * time.Second

// operator gives one command. It stays with a motor that it starts, because
// the gateway stops it when its operator's connection ends; for the same reason
// it does not connect again: what was started once is not started a second time
// without anybody asking.
type operator struct {
	command motorPayload
	out     statePrinter
	client  *client.Client
	up      chan struct{}   // closed when commands can be sent
	begun   bool            // our start was acknowledged; the handler's
	news    chan news       // of a motor that we started; the handler waits while it is full,
	done    <-chan struct{} // unless this is closed:
	ignore  func()          // no more news is wanted
}

// news is a state of our motor, or why there will be no more.
type news struct {
	state wire.MotorState
	err   error
}

func newOperator(command motorPayload, out statePrinter) *operator {
	o := &operator{command: command, out: out, up: make(chan struct{}), news: make(chan news, 16)}
	wanted, ignore := context.WithCancel(context.Background())
	o.done, o.ignore = wanted.Done(), ignore
	return o
}

// run gives the command and shows what becomes of it. When ctx ends, a motor
// that was started is stopped first.
func (o *operator) run(ctx context.Context, opts client.Options) error {
	// The connection outlives ctx by the stop.
	online, leave := context.WithCancel(context.WithoutCancel(ctx))
	opts.Subprotocol = wire.ReadingsV2
	if o.command.Action == wire.Start {
		opts.Subscribe = []string{"motors"}
	}
	opts.Handle = func(e client.Event) { o.handle(online, e) }
	o.client = client.New(opts)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := o.client.Run(online); err != nil {
			o.tell(news{err: err})
		}
	}()

	err := o.converse(ctx)
	o.ignore()
	leave()
	<-ended
	return err
}

func (o *operator) converse(ctx context.Context) error {
	select {
	case <-o.up:
	case n := <-o.news: // no state before we begin
		return n.err
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
	return o.stay(ctx, ack.State)
}

// handle runs with the client's reader, so what it sees is in order: a state
// from before the acknowledgement is of another's doing.
func (o *operator) handle(online context.Context, e client.Event) {
	switch e := e.(type) {
	case client.Connected:
		close(o.up)
	case client.Disconnected:
		err := e.Err
		if o.begun {
			err = fmt.Errorf("the connection is lost, and with it the operator, so the gateway stops %s: %w", o.command.Target, err)
		}
		o.tell(news{err: err})
		<-online.Done() // no second connection
	case client.Message:
		if n, ok := o.message(e); ok {
			o.tell(n)
		}
	}
}

func (o *operator) tell(n news) {
	select {
	case o.news <- n:
	case <-o.done:
	}
}

// message returns what a message says about a motor that we started.
func (o *operator) message(m client.Message) (n news, ok bool) {
	switch m.Type {
	case wire.TypeAck:
		var ack wire.Ack
		o.begun = o.begun || json.Unmarshal(m.Payload, &ack) == nil && ack.Action == wire.Start
	case wire.TypeState:
		if json.Unmarshal(m.Payload, &n.state) == nil {
			return n, o.begun && n.state.Target == o.command.Target
		}
	case wire.TypeError:
		var refused wire.Error
		if json.Unmarshal(m.Payload, &refused) == nil {
			n.err = &refused
			return n, o.begun
		}
	}
	return n, false
}

// stay keeps the lease alive and shows each new state of the motor until it
// stops. The last one that was shown may be told once more, to all.
func (o *operator) stay(ctx context.Context, shown *wire.MotorState) error {
	var keepalive <-chan time.Time
	if o.command.LeaseMS != nil {
		tick := time.NewTicker(time.Duration(*o.command.LeaseMS) * time.Millisecond / 3)
		defer tick.Stop()
		keepalive = tick.C
	}
	var overdue <-chan time.Time
	if o.command.RunMS != nil {
		late := time.NewTimer(time.Duration(*o.command.RunMS)*time.Millisecond + answerWithin)
		defer late.Stop()
		overdue = late.C
	}
	for {
		select {
		case <-ctx.Done():
			return o.stop(ctx)
		case <-keepalive:
			// Its acknowledgement is not waited for: what matters of it comes as news.
			alive := motorPayload{Action: wire.Keepalive, Target: o.command.Target}
			if err := o.client.Send(wire.Envelope{Type: wire.TypeCommand, Payload: alive}); err != nil {
				return fmt.Errorf("keepalive: %w", err)
			}
		case <-overdue:
			return fmt.Errorf("the gateway does not say that %s has stopped", o.command.Target)
		case n := <-o.news:
			if n.err != nil {
				return n.err
			}
			if shown != nil && same(*shown, n.state) {
				continue
			}
			shown = &n.state
			if err := o.out.print(n.state); err != nil {
				return err
			}
			switch {
			case n.state.Running:
			case n.state.Reason == wire.ReasonRunMS:
				return nil
			default:
				return fmt.Errorf("%s was stopped: %s", n.state.Target, whyMotor(n.state))
			}
		}
	}
}

// same tells whether two states are of one change. Interlocks come and go
// without one.
func same(a, b wire.MotorState) bool {
	a.Interlocks, b.Interlocks = nil, nil
	return reflect.DeepEqual(a, b)
}

// stop stops the motor that we started. News must not hold up the answer.
func (o *operator) stop(ctx context.Context) error {
	o.ignore()
	ack, err := o.do(ctx, motorPayload{Action: wire.Stop, Target: o.command.Target})
	var refused *wire.Error
	switch {
	case errors.As(err, &refused):
		return err // a gateway that shuts down says so
	case err != nil:
		return fmt.Errorf("%s may run until the gateway misses its operator: %w", o.command.Target, err)
	}
	return o.show(ack)
}

// do sends a command and waits for its acknowledgement, though ctx may have
// ended: what was sent may have been carried out.
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
	if ack.State != nil {
		return o.out.print(*ack.State)
	}
	return o.out.print(ack.Motors...)
}
