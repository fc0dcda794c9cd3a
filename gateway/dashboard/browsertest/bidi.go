package browsertest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/gorilla/websocket"
)

// bidi is a session of WebDriver BiDi (https://www.w3.org/TR/webdriver-bidi/): commands
// and events as JSON, over one WebSocket for all tabs.
type bidi struct {
	ws   *websocket.Conn
	done chan struct{} // closed when nothing more comes

	mu      sync.Mutex
	ended   error // valid once done is closed
	last    int   // the ID of the last command
	waiting map[int]chan<- bidiMessage
	events  map[string]func(bidiMessage) // of each tab, by its context; called one at a time
}

// bidiMessage is whatever the browser sends.
type bidiMessage struct {
	Type    string // success, error or event
	ID      int
	Result  json.RawMessage
	Error   string
	Message string // of an error

	Method string
	Params json.RawMessage
}

// bidiError is an error of the browser's.
type bidiError struct{ Command, Code, Message string }

func (e *bidiError) Error() string { return fmt.Sprintf("%s: %s: %s", e.Command, e.Code, e.Message) }

var errBrowserEnded = errors.New("the browser has ended")

// dialBiDi begins a session with the browser at a URL, and gets events of these kinds.
func dialBiDi(ctx context.Context, url string, capabilities any, kinds ...string) (*bidi, error) {
	ws, _, err := websocket.DefaultDialer.DialContext(ctx, url+"/session", nil)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", url, err)
	}
	b := &bidi{ws: ws, done: make(chan struct{}), waiting: map[int]chan<- bidiMessage{}, events: map[string]func(bidiMessage){}}
	go b.read()
	err = b.call(ctx, "session.new", object{"capabilities": object{"alwaysMatch": capabilities}}, nil)
	if err == nil {
		err = b.call(ctx, "session.subscribe", object{"events": kinds}, nil)
	}
	if err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

// object is one of JSON.
type object map[string]any

// close ends the session, and waits until its reader has ended.
func (b *bidi) close() {
	_ = b.ws.Close()
	<-b.done
}

func (b *bidi) read() {
	defer close(b.done)
	for {
		var m bidiMessage
		if err := b.ws.ReadJSON(&m); err != nil {
			b.mu.Lock()
			b.ended = fmt.Errorf("%w: %w", errBrowserEnded, err)
			b.mu.Unlock()
			return
		}
		if m.Type == "event" {
			b.notify(m)
			continue
		}
		b.mu.Lock()
		answer := b.waiting[m.ID]
		delete(b.waiting, m.ID)
		b.mu.Unlock()
		if answer != nil {
			answer <- m
		}
	}
}

// notify hands an event to its tab.
func (b *bidi) notify(m bidiMessage) {
	var of struct {
		Context string
		Source  struct{ Context string } // of a log entry
	}
	if json.Unmarshal(m.Params, &of) != nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if f := b.events[of.Context+of.Source.Context]; f != nil {
		f(m)
	}
}

// listen calls f with the events of a tab; nil ends that.
func (b *bidi) listen(tab string, f func(bidiMessage)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if f == nil {
		delete(b.events, tab)
	} else {
		b.events[tab] = f
	}
}

// call sends a command and waits for its result.
func (b *bidi) call(ctx context.Context, command string, params object, result any) error {
	answer := make(chan bidiMessage, 1) // the reader does not wait
	b.mu.Lock()
	b.last++
	id := b.last
	b.waiting[id] = answer
	err := b.ws.WriteJSON(object{"id": id, "method": command, "params": params})
	b.mu.Unlock()
	if err != nil {
		return fmt.Errorf("%s: %w", command, err)
	}
	select {
	case m := <-answer:
		if m.Type == "error" {
			return &bidiError{command, m.Error, m.Message}
		}
		if result == nil {
			return nil
		}
		return json.Unmarshal(m.Result, result)
	case <-b.done:
		b.mu.Lock()
		defer b.mu.Unlock()
		return fmt.Errorf("%s: %w", command, b.ended)
	case <-ctx.Done():
		b.mu.Lock()
		delete(b.waiting, id)
		b.mu.Unlock()
		return fmt.Errorf("%s: %w", command, ctx.Err())
	}
}
