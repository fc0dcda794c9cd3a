package client

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"sensorgateway/wire"
)

const (
	// silence is how long a server may send nothing: it pings every 25 s
	// (wire/README.md, "The connection").
	silence   = 45 * time.Second
	readLimit = 64 << 10         // bytes in a message
	writeTime = 10 * time.Second // for a message to go
	pongTime  = time.Second      // for a pong to go
)

// link is one connection.
type link struct {
	ws       *websocket.Conn
	protocol string
	hasHello bool   // the first message is hello
	stranger bool   // the server does not know the subprotocol that it was offered: it gets nothing but what the user sends
	only     string // the sensor's name where there is but one, else ""

	// The reader's.
	sensors []wire.SensorInfo // of hello
	begun   bool              // Connected was delivered
	heard   bool              // a message was received, hello if there is one
	resume  string            // id of the request to replay what was missed; "" if there is none under way

	done    chan struct{} // closed when nothing more is read
	writing sync.Mutex    // gorilla takes one writer at a time

	mu      sync.Mutex
	waiting map[string]chan<- Message // requests by id
	pingID  string                    // of the last ping; "" once it is answered
	pinged  time.Time                 // when the last ping was sent
}

// serve reads from a connection until it ends, while one goroutine pings and one
// closes it when ctx ends. Hello must be received by deadline.
func (c *Client) serve(ctx context.Context, ws *websocket.Conn, deadline time.Time) (outcome, error) {
	l := &link{
		ws: ws, protocol: ws.Subprotocol(),
		only:     sensorOf(c.url.Path),
		hasHello: numbered(ws.Subprotocol()),
		stranger: ws.Subprotocol() == "" && c.o.Subprotocol != "",
		done:     make(chan struct{}), waiting: map[string]chan<- Message{},
	}
	ws.SetReadLimit(readLimit)
	ws.SetPingHandler(l.pong)
	var helpers sync.WaitGroup
	defer func() {
		c.current.Store(nil)
		close(l.done)
		_ = ws.Close() // whatever state it is in
		helpers.Wait()
	}()
	helpers.Go(func() { l.leave(ctx, c.o.CloseTimeout) })

	err := c.begin(l, deadline)
	if err == nil && c.o.PingEvery > 0 && !l.stranger {
		helpers.Go(func() { l.keepPinging(c.o.PingEvery) })
	}
	for err == nil {
		l.alive()
		var event Event
		if event, err = l.receive(); err == nil {
			l.heard = true
			c.deliver(l, event)
		}
	}
	end, err := closeOutcome(err)
	var closed *ServerError
	if errors.As(err, &closed) && closed.Reason == wire.CloseReasonEndpoint && l.only != "" {
		err = finalError{fmt.Errorf("unknown sensor %q: %w", l.only, closed)}
	}
	end.success = l.heard
	return end, err
}

// begin takes the server's hello, if there is one, and asks for what was missed
// and for what is subscribed.
func (c *Client) begin(l *link, deadline time.Time) error {
	var connected Connected
	var epoch string
	var since map[string]uint32
	if l.hasHello {
		_ = l.ws.SetReadDeadline(deadline) // fails on a closed socket only, as reading will
		event, err := l.receive()
		if err != nil {
			var wrong violation
			c.bare = errors.As(err, &wrong)
			return fmt.Errorf("waiting for hello: %w", err)
		}
		var ok bool
		if connected, ok = event.(Connected); !ok {
			c.bare = true
			_ = l.close(wire.CloseProtocolError, time.Now().Add(pongTime)) // as in receive
			return fmt.Errorf("the server chose %s, but its first message is not hello", l.protocol)
		}
		l.heard = true
		for i := range connected.Hello.Sensors {
			s := &connected.Hello.Sensors[i]
			s.Values = s.Quantities()
		}
		l.sensors = connected.Hello.Sensors
		c.mu.Lock()
		epoch, since = c.numbers.begin(connected.Hello, l.only, time.Now())
		c.mu.Unlock()
	}
	l.begun = true
	c.current.Store(l)
	if since != nil {
		if err := l.askSince(epoch, since); err != nil {
			return err
		}
	}
	for _, topic := range c.o.Subscribe {
		if l.stranger {
			break
		}
		if err := l.send(envelope{Type: wire.TypeSubscribe, Payload: map[string]string{"topic": topic}}); err != nil {
			return err
		}
	}
	connected.Subprotocol = l.protocol
	c.o.Handle(connected)
	return nil
}

// askSince asks for all that came after these numbers.
func (l *link) askSince(epoch string, since map[string]uint32) error {
	topic := wire.TopicSensors
	if l.only != "" {
		topic += "/" + l.only
	}
	l.resume = rand.Text()
	return l.send(envelope{wire.TypeSubscribe, l.resume, map[string]any{"topic": topic, "epoch": epoch, "since": since}})
}

// deliver hands an event to the user, and what follows from it.
func (c *Client) deliver(l *link, event Event) {
	switch e := event.(type) {
	case Records:
		c.records(l, e)
	case Message:
		c.o.Handle(e)
		if took, ok := l.answer(e); ok {
			c.o.Handle(RoundTrip(took))
		}
		if l.resume != "" && e.ID == l.resume {
			l.resume = ""
			c.resumed(e)
		}
	default:
		c.o.Handle(event)
	}
}

// records delivers the new ones.
func (c *Client) records(l *link, records Records) {
	if !l.hasHello { // nor numbers
		c.o.Handle(records)
		return
	}
	now := time.Now()
	c.mu.Lock()
	fresh := records[:0]
	for _, r := range records {
		var isNew bool
		if r.Missed, r.Late, isNew = c.numbers.see(r.Name, r.Record, now); isNew {
			fresh = append(fresh, r)
		}
	}
	replayed, ended := c.numbers.end(now)
	c.mu.Unlock()
	if len(fresh) > 0 {
		c.o.Handle(fresh)
	}
	if ended {
		c.o.Handle(replayed)
	}
}

// resumed takes the answer to the request for what was missed. One without
// recovered, or an error, means that nothing will be replayed.
func (c *Client) resumed(answer Message) {
	var says wire.Subscribed
	if answer.Type != wire.TypeSubscribed || json.Unmarshal(answer.Payload, &says) != nil {
		says = wire.Subscribed{}
	}
	now := time.Now()
	c.mu.Lock()
	resumed := c.numbers.resume(says, now)
	replayed, ended := c.numbers.end(now)
	c.mu.Unlock()
	c.o.Handle(resumed)
	if ended {
		c.o.Handle(replayed)
	}
}

// alive restarts the time that the server may be silent.
func (l *link) alive() { _ = l.ws.SetReadDeadline(time.Now().Add(silence)) } // as in begin

// pong answers a ping of the server's heartbeat.
func (l *link) pong(data string) error {
	if l.begun {
		l.heard = true // a room where nobody speaks is a success too
		l.alive()
	}
	// What makes a pong fail makes the next read fail.
	_ = l.ws.WriteControl(websocket.PongMessage, []byte(data), time.Now().Add(pongTime))
	return nil
}

// leave sends a close frame when ctx ends, and closes the socket if the server takes
// longer than limit to answer it.
func (l *link) leave(ctx context.Context, limit time.Duration) {
	select {
	case <-l.done:
		return
	case <-ctx.Done():
	}
	late := time.NewTimer(limit)
	defer late.Stop()
	if l.close(wire.CloseNormal, time.Now().Add(limit)) == nil {
		select {
		case <-l.done:
			return
		case <-late.C:
		}
	}
	_ = l.ws.Close() // ends the reading
}

// close sends a close frame until deadline.
func (l *link) close(code int, deadline time.Time) error {
	return l.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, ""), deadline)
}

// keepPinging pings until the connection ends.
func (l *link) keepPinging(every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for l.ping() == nil {
		select {
		case <-tick.C:
		case <-l.done:
			return
		}
	}
}
