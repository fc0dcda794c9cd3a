package console

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"sensorgateway/cmd/gateway/internal/phrase"
	"sensorgateway/gateway/client"
	"sensorgateway/wire"
)

var controlActions = []string{wire.RequestControl, wire.GrantControl, wire.DenyControl, wire.ReleaseControl}

// controlFlags are the parameters of a request for control.
type controlFlags struct {
	timeout time.Duration
	allow   bool
	given   func(flag string) bool
}

func (f *controlFlags) flags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.DurationVar(&f.timeout, "timeout", 10*time.Second, "`time` that a request for control waits for its answer")
	flags.BoolVar(&f.allow, "allow-takeover", false, "with control request: grant the requests of others that you do not answer in time")
}

// message is the control message that the arguments (an action, a motor) and the
// flags mean, checked as the gateway will check it.
func (f *controlFlags) message(args []string) (m wire.ControlMessage, err error) {
	if len(args) != 2 {
		return m, fmt.Errorf("control takes an action, %s, and a motor: gateway motor URL control request motor_1", phrase.OneOf(controlActions))
	}
	m = wire.ControlMessage{Action: args[0], Target: args[1], AllowTakeover: f.allow}
	if !slices.Contains(controlActions, m.Action) {
		if near := phrase.Nearest(m.Action, controlActions); near != "" {
			return m, fmt.Errorf("unknown action %s of control: did you mean %q?", phrase.Quote(m.Action), near)
		}
		return m, fmt.Errorf("unknown action %s of control: write %s", phrase.Quote(m.Action), phrase.OneOf(controlActions))
	}
	if m.Action != wire.RequestControl && (f.given("timeout") || f.given("allow-takeover")) {
		return m, errors.New("--timeout and --allow-takeover go with control request")
	}
	for _, flag := range []string{"speed", "direction", "for", "lease"} {
		if f.given(flag) {
			return m, fmt.Errorf("--%s goes with start: control says who may do that", flag)
		}
	}
	if m.Target == wire.All && m.Action == wire.RequestControl {
		return m, errors.New("request control of one motor at a time, in a terminal each")
	}
	if f.given("timeout") {
		m.TimeoutMS = milliseconds(f.timeout)
	}
	text, err := json.Marshal(m)
	if err != nil {
		return m, err
	}
	_, err = wire.ParseControl(text)
	return m, err
}

// session is who sends the message that the arguments and the flags mean.
func (f *controlFlags) session(args []string, p statePrinter, env Env) (func(context.Context, client.Options) error, error) {
	message, err := f.message(args)
	if err != nil {
		return nil, err
	}
	return newControlSession(message, p, env).run, nil
}

// controlSession sends one control message. After a request it stays connected: control
// ends with its connection.
type controlSession struct {
	message wire.ControlMessage
	out     statePrinter
	notes   io.Writer
	input   io.Reader
	client  *client.Client
	up      chan struct{} // closed when messages can be sent
	// happens has the events of the motor's control; while it is full, the client waits.
	happens chan happening
}

// happening is an event of the motor's control, or why no more will come.
type happening struct {
	wire.Event
	err error
}

func newControlSession(message wire.ControlMessage, out statePrinter, env Env) *controlSession {
	return &controlSession{message: message, out: out, notes: env.Stderr, input: env.Stdin, up: make(chan struct{}), happens: make(chan happening, 16)}
}

func (s *controlSession) run(ctx context.Context, o client.Options) error {
	// After the end of ctx, the connection is still needed for the release.
	online, leave := context.WithCancel(context.WithoutCancel(ctx))
	pass := func(h happening) {
		select {
		case s.happens <- h:
		case <-online.Done():
		}
	}
	o.Handle = func(e client.Event) {
		switch e := e.(type) {
		case client.Connected:
			close(s.up)
		case client.Disconnected:
			pass(happening{err: e.Err})
			<-online.Done() // no second connection: control has ended with this one
		case client.Message:
			if event, ok := e.Control(); ok && event.Target == s.message.Target {
				pass(happening{Event: event})
			}
		}
	}
	s.client = client.New(o)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := s.client.Run(online); err != nil {
			pass(happening{err: err})
		}
	}()
	err := s.execute(ctx)
	leave()
	<-ended
	return err
}

func (s *controlSession) execute(ctx context.Context) error {
	select {
	case <-s.up:
	case h := <-s.happens: // before a request it can only be an error
		return h.err
	case <-ctx.Done():
		return errors.New("interrupted before anything was sent")
	}
	ack, err := s.send(ctx, s.message)
	if err != nil {
		return err
	}
	if err := s.show(ack); err != nil || s.message.Action != wire.RequestControl {
		return err
	}
	if slices.Contains(ack.Pending, s.message.Target) {
		if granted, err := s.wait(ctx); !granted {
			return err
		}
	}
	return s.keep(ctx)
}

// wait waits until the request is answered. When ctx ends, it withdraws the request.
func (s *controlSession) wait(ctx context.Context) (granted bool, err error) {
	asker := "" // our name, as others see it
	for {
		select {
		case <-ctx.Done():
			return false, s.release(ctx)
		case h := <-s.happens:
			switch {
			case h.err != nil:
				return false, h.err
			case h.Action == wire.RequestControl: // ours: only one request can wait
				asker = h.By
				s.note("%s is asked for control of %s: an answer comes within %v", cmp.Or(h.Holder, "its holder"), h.Target, time.Duration(h.TimeoutMS)*time.Millisecond)
			case h.Action == wire.GrantControl && h.To == asker && h.From != asker:
				return true, s.showEvent(h.Event)
			case h.Action == wire.DenyControl && h.Reason == wire.ReasonTimeout:
				return false, fmt.Errorf("nobody answered in time: %s still has control of %s", cmp.Or(h.Holder, "who had it"), h.Target)
			case h.Action == wire.DenyControl:
				return false, fmt.Errorf("%s denied you control of %s", h.By, h.Target)
			case h.Action == wire.ReleaseControl && h.By == asker:
				return false, errors.New("the request was withdrawn")
			}
		}
	}
}

// keep shows who requests control, and sends the answers that the user writes, until
// control has passed to another or ctx ends.
func (s *controlSession) keep(ctx context.Context) error {
	s.note("you have control of %s until you press Ctrl-C", s.message.Target)
	lines := make(chan string)
	// As in chat, this goroutine may end with the process.
	go readLines(ctx, s.input, lines)
	for {
		select {
		case <-ctx.Done():
			return s.release(ctx)
		case line, more := <-lines:
			if !more {
				lines = nil
			} else if line != "" {
				s.answer(ctx, line)
			}
		case h := <-s.happens:
			if h.err != nil {
				return fmt.Errorf("the connection is lost, and with it control of %s: %w", s.message.Target, h.err)
			}
			if h.Action == wire.GrantControl && h.From == "" || h.Action == wire.GrantControl && h.From == h.To {
				continue // ours
			}
			if err := s.showEvent(h.Event); err != nil {
				return err
			}
			switch {
			case h.Action == wire.RequestControl:
				s.note("write grant or deny within %v", time.Duration(h.TimeoutMS)*time.Millisecond)
			case h.From != "":
				return nil // it has passed to another, or was released
			}
		}
	}
}

// answer sends what was written.
func (s *controlSession) answer(ctx context.Context, line string) {
	if !slices.Contains(controlActions[1:], line) {
		s.note("write %s", phrase.OneOf(controlActions[1:]))
		return
	}
	if _, err := s.send(ctx, wire.ControlMessage{Action: line, Target: s.message.Target}); err != nil {
		s.note("%v", err)
	}
}

// release gives control back, or withdraws the request.
func (s *controlSession) release(ctx context.Context) error {
	ack, err := s.send(ctx, wire.ControlMessage{Action: wire.ReleaseControl, Target: s.message.Target})
	var refused *wire.Error
	switch {
	case errors.As(err, &refused):
		return nil // it had passed to another meanwhile
	case err != nil:
		return err
	}
	return s.show(ack)
}

// send waits for the acknowledgement, also after the end of ctx.
func (s *controlSession) send(ctx context.Context, m wire.ControlMessage) (ack wire.Ack, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerWithin)
	defer cancel()
	ack, err = s.client.Control(ctx, m)
	var refused *wire.Error
	switch {
	case errors.As(err, &refused) && refused.Code == 404 && refused.Message == "Unknown type: control":
		return ack, errors.New("this gateway knows no control of motors: its version is too old")
	case errors.As(err, &refused):
		return ack, refused // in the server's own words
	case err != nil:
		return ack, fmt.Errorf("control %s: %w", m.Action, err)
	}
	return ack, nil
}

func (s *controlSession) show(ack wire.Ack) error {
	if ack.State != nil {
		return s.out.print(*ack.State)
	}
	return s.out.print(ack.Motors...)
}

// showEvent shows an event to people in words, to programs as it came.
func (s *controlSession) showEvent(e wire.Event) error {
	if s.out.json {
		return s.out.write(string(phrase.EscapeJSON(wire.JSON(e))))
	}
	return s.out.write(Printable(describeControl(e)))
}

// describeControl says in words what became of the control of a motor.
func describeControl(e wire.Event) string {
	who := cmp.Or(e.By, "nobody")
	switch e.Action {
	case wire.RequestControl:
		return fmt.Sprintf("%s: %s requests control of it from %s", e.Target, who, e.Holder)
	case wire.GrantControl:
		return fmt.Sprintf("%s: %s has control of it now (%s)", e.Target, e.To, e.Reason)
	case wire.DenyControl:
		return fmt.Sprintf("%s: %s was denied control of it (%s)", e.Target, e.To, e.Reason)
	case wire.ReleaseControl:
		if e.From == "" {
			return fmt.Sprintf("%s: %s no longer requests control of it (%s)", e.Target, who, e.Reason)
		}
		return fmt.Sprintf("%s: %s has released it (%s)", e.Target, e.From, e.Reason)
	}
	return fmt.Sprintf("%s: control: %s", e.Target, e.Action)
}

func (s *controlSession) note(format string, args ...any) {
	fmt.Fprintln(s.notes, Printable(fmt.Sprintf(format, args...)))
}
