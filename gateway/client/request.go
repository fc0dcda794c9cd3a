package client

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/gorilla/websocket"

	"sensorgateway/wire"
)

// ErrNotConnected says that there is no connection, or that it was lost before
// the answer came. Nothing is sent later instead: what is too late may be
// dangerous.
var ErrNotConnected = errors.New("not connected")

// envelope is a message to the server: wire/README.md, "Messages".
type envelope struct {
	Type    string `json:"type"`
	ID      string `json:"id,omitempty"`
	Payload any    `json:"payload"`
}

// Send sends v as a text message of JSON. That it was sent does not mean that it
// arrived.
func (c *Client) Send(v any) error {
	l := c.current.Load()
	if l == nil {
		return ErrNotConnected
	}
	return l.send(v)
}

// Request sends an envelope and waits for its answer until ctx ends. If the
// answer is an error, it is returned too, as a [*wire.Error].
func (c *Client) Request(ctx context.Context, kind string, payload any) (Message, error) {
	l := c.current.Load()
	if l == nil {
		return Message{}, ErrNotConnected
	}
	// An id that no other client uses: a server may know clients by their account, and
	// takes a command with the id of the one before for its repetition.
	id := rand.Text()
	answer := make(chan Message, 1) // there is one, and the reader does not wait
	l.mu.Lock()
	l.waiting[id] = answer
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.waiting, id)
	}()
	if err := l.send(envelope{kind, id, payload}); err != nil {
		return Message{}, err
	}
	select {
	case m := <-answer:
		return m, m.err()
	case <-ctx.Done():
		return Message{}, fmt.Errorf("no answer: %w", ctx.Err())
	case <-l.done:
	}
	select { // it may have been the last message
	case m := <-answer:
		return m, m.err()
	default:
		return Message{}, fmt.Errorf("the connection was lost before the answer: %w", ErrNotConnected)
	}
}

// err is the error that the message says.
func (m Message) err() error {
	if m.Type != wire.TypeError {
		return nil
	}
	e := new(wire.Error)
	if err := json.Unmarshal(m.Payload, e); err != nil {
		return fmt.Errorf("error without a readable payload: %w", err)
	}
	return e
}

// answer hands a message to the request that it answers, and returns the round
// trip if it answers the last ping.
func (l *link) answer(m Message) (took time.Duration, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if m.ID == "" && l.protocol == "" && len(l.waiting) == 1 && (m.Type == wire.TypeAck || m.Type == wire.TypeError) {
		for id := range l.waiting { // a server that does not know ids answers in order
			m.ID = id
		}
	}
	if m.ID == "" {
		return 0, false
	}
	if to, waits := l.waiting[m.ID]; waits {
		delete(l.waiting, m.ID) // a second answer has nowhere to go
		to <- m
	}
	if m.ID != l.pingID {
		return 0, false
	}
	l.pingID = ""
	return time.Since(l.pinged), true
}

// ping sends a ping of the application: one of the protocol would show nothing
// of the server's way through its own queues.
func (l *link) ping() error {
	id := rand.Text()
	l.mu.Lock()
	l.pingID, l.pinged = id, time.Now()
	l.mu.Unlock()
	return l.send(envelope{wire.TypePing, id, struct{}{}})
}

func (l *link) send(v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	l.writing.Lock()
	defer l.writing.Unlock()
	if err := l.ws.SetWriteDeadline(time.Now().Add(writeTime)); err != nil {
		return err
	}
	err = l.ws.WriteMessage(websocket.TextMessage, text)
	if err != nil && !errors.Is(err, websocket.ErrCloseSent) {
		_ = l.ws.Close() // half a message may be sent: the reader ends, and a new connection begins
	}
	return err
}
