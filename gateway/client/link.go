package client

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"sensorgateway/wire"
)

const (
	// silence is how long a server may say nothing: it pings every 30 s
	// (protocol.md, section 5).
	silence   = 45 * time.Second
	readLimit = 64 << 10         // bytes in a message
	writeTime = 10 * time.Second // for a message to go
	pongTime  = time.Second      // for a pong to go
)

// link is one connection.
type link struct {
	ws       *websocket.Conn
	protocol string
	greets   bool   // the first message is hello
	only     string // the sensor's name where there is but one

	// The reader's.
	sensors map[uint16]string // names by number, of hello
	begun   bool              // Connected was told
	heard   bool              // the server said something, and hello if it greets

	done    chan struct{} // closed when nothing more is read
	writing sync.Mutex    // gorilla takes one writer at a time

	mu      sync.Mutex
	waiting map[string]chan<- Message // requests by id
	pingID  string                    // of the last ping,
	pinged  time.Time                 // which went out then
}

// converse is the life of a connection: it reads, while helpers ping, and say
// goodbye when ctx ends. Hello must come until deadline.
func (c *Client) converse(ctx context.Context, ws *websocket.Conn, deadline time.Time) (outcome, error) {
	l := &link{
		ws: ws, protocol: c.o.Subprotocol,
		only:   sensorOf(c.url.Path),
		greets: c.o.Subprotocol == wire.ReadingsV2 || c.o.Subprotocol == wire.ReadingsJSON,
		done:   make(chan struct{}), waiting: map[string]chan<- Message{},
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
	if err == nil && c.o.PingEvery > 0 {
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
	end, err := farewell(err)
	end.success = l.heard
	return end, err
}

// begin takes the server's hello, if there is one, and asks for what was
// subscribed.
func (c *Client) begin(l *link, deadline time.Time) error {
	var connected Connected
	if l.greets {
		_ = l.ws.SetReadDeadline(deadline) // fails on a closed socket only, as reading will
		event, err := l.receive()
		if err != nil {
			return fmt.Errorf("waiting for hello: %w", err)
		}
		var ok bool
		if connected, ok = event.(Connected); !ok {
			_ = l.close(wire.CloseProtocolError, time.Now().Add(pongTime)) // as in receive
			return errors.New("the server's first message is not hello")
		}
		l.heard = true
		l.sensors = map[uint16]string{}
		for _, s := range connected.Hello.Sensors {
			l.sensors[s.ID] = s.Name
		}
		c.numbers.begin(connected.Hello.Epoch)
	}
	l.begun = true
	c.current.Store(l)
	for _, topic := range c.o.Subscribe {
		if err := l.send(envelope{Type: "subscribe", Payload: map[string]string{"topic": topic}}); err != nil {
			return err
		}
	}
	c.o.Handle(connected)
	return nil
}

// deliver hands an event to the user, and an answer to who waits for it.
func (c *Client) deliver(l *link, event Event) {
	if records, ok := event.(Records); ok && l.greets { // v1 numbers nothing
		for i, r := range records {
			records[i].Missed = c.numbers.see(r.Name, r.Record)
		}
	}
	c.o.Handle(event)
	if m, ok := event.(Message); ok {
		if took, ok := l.answer(m); ok {
			c.o.Handle(RoundTrip(took))
		}
	}
}

// alive gives the server its time once more.
func (l *link) alive() { _ = l.ws.SetReadDeadline(time.Now().Add(silence)) } // as in begin

// pong answers a ping of the server's heartbeat.
func (l *link) pong(data string) error {
	if l.begun {
		l.heard = true // a room where nobody speaks is a success too
		l.alive()
	}
	// What hinders a pong will hinder the next read.
	_ = l.ws.WriteControl(websocket.PongMessage, []byte(data), time.Now().Add(pongTime))
	return nil
}

// leave says goodbye when ctx ends, and hangs up if the server takes longer than
// limit to say it too.
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
