package chat

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"
)

// client is a member and what its client receives.
type client struct {
	t *testing.T
	*Member

	mu       sync.Mutex
	received []message
	closed   string // code and reason
}

func enter(t *testing.T, r *Room) *client {
	c := &client{t: t}
	c.Member = r.Enter(c, Options{From: "ada, 192.0.2.7"})
	return c
}

func enterAs(t *testing.T, r *Room, nick string) *client {
	t.Helper()
	c := enter(t, r)
	c.say("join", nick, "")
	if got := c.take(); len(got) != 1 || got[0].Type != "info" {
		t.Fatalf("join as %q: %+v", nick, got)
	}
	return c
}

func (c *client) Send(text []byte) {
	var fields map[string]string
	if err := json.Unmarshal(text, &fields); err != nil || len(fields) != 3 {
		c.t.Errorf("not a flat message of three strings: %s", text)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed != "" {
		c.t.Errorf("%s was sent after close %s", text, c.closed)
	}
	c.received = append(c.received, message{fields["type"], fields["nick"], fields["text"]})
}

func (c *client) SendLong(text []byte) { c.Send(text) }

func (c *client) Close(code int, reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed != "" {
		c.t.Errorf("closed twice")
	}
	c.closed = fmt.Sprint(code, " ", reason)
}

// take returns what came since the last take.
func (c *client) take() []message {
	c.mu.Lock()
	defer c.mu.Unlock()
	got := c.received
	c.received = nil
	return got
}

func (c *client) say(kind, nick, text string) { c.Message(message{kind, nick, text}.encode()) }

// expect fails unless exactly want came.
func (c *client) expect(want ...message) {
	c.t.Helper()
	if got := c.take(); !slices.Equal(got, want) {
		c.t.Errorf("received %+v\nwant     %+v", got, want)
	}
}

func newRoom() *Room { return NewRoom(slog.New(slog.DiscardHandler)) }

func TestConversation(t *testing.T) {
	r := newRoom()
	ahmet, zeynep, stranger := enter(t, r), enter(t, r), enter(t, r)
	ahmet.say("join", "ahmet", "")
	ahmet.expect(message{"info", "server", "You are ahmet, alone here"})
	zeynep.say("join", " zeynep ", "ignored")
	zeynep.expect(message{"info", "server", "You are zeynep; here are ahmet"})
	ahmet.expect(message{"join", "zeynep", ""})

	zeynep.say("chat", "ahmet", "I am <ahmet> & \u00a0") // one speaks as oneself
	said := message{"chat", "zeynep", "I am <ahmet> & \u00a0"}
	zeynep.expect(said)
	ahmet.expect(said)

	ahmet.say("chat", "", "a line\x1b")
	zeynep.expect(message{"chat", "ahmet", "a line"})
	ahmet.expect(message{"chat", "ahmet", "a line"})

	zeynep.Left()
	zeynep.Left()
	zeynep.say("chat", "", "still there?")
	ahmet.expect(message{"leave", "zeynep", ""})
	zeynep.expect()
	stranger.Left() // had never joined
	stranger.expect()
	ahmet.expect()

	enterAs(t, r, "zeynep") // it is free again, and there is no history
	ahmet.expect(message{"join", "zeynep", ""})
}

func TestRoomFull(t *testing.T) {
	r := newRoom()
	for i := range 200 {
		enterAs(t, r, fmt.Sprintf("member number %06d", i))
	}
	first := r.members[0]
	c := enter(t, r)
	c.say("join", "one more", "")
	if got := c.take(); len(got) != 1 || got[0].Type != "error" || c.closed != "1008 Room full" {
		t.Errorf("%+v, closed %q", got, c.closed)
	}
	first.Left()
	c = enter(t, r)
	c.say("join", "one more", "")
	got := c.take()
	if len(got) != 1 || !strings.HasPrefix(got[0].Text, "You are one more; here are member number 000001, ") ||
		!strings.HasSuffix(got[0].Text, " and 178 more") || utf8.RuneCountInString(got[0].Text) > 500 {
		t.Errorf("%+v", got)
	}
}

// A client that asks for the last lines gets them before anything else, and none twice.
func TestHistory(t *testing.T) {
	r := newRoom()
	ahmet := enterAs(t, r, "ahmet")
	for i := range 150 {
		ahmet.say("chat", "", fmt.Sprint(i))
	}
	lines := func(from, to int) (all []message) {
		for i := from; i < to; i++ {
			all = append(all, message{"chat", "ahmet", fmt.Sprint(i)})
		}
		return all
	}
	for _, tt := range []struct {
		history string
		want    []message
	}{
		{"", nil}, {"0", nil}, {"2", lines(148, 150)}, {"100", lines(50, 150)}, {"1000", lines(50, 150)},
		{"-1", []message{{"error", "server", "history is not a number: -1"}}},
	} {
		c := &client{t: t}
		c.Member = r.Enter(c, Options{History: tt.history})
		c.expect(tt.want...)
	}
	c := &client{t: t}
	c.Member = r.Enter(c, Options{History: "1"})
	c.expect(lines(149, 150)...)
	ahmet.say("chat", "", "150")
	ahmet.say("chat", "", "151")
	c.say("join", "zeynep", "")
	c.expect(append(lines(150, 152), message{"info", "server", "You are zeynep; here are ahmet"})...)
	ahmet.say("chat", "", "152")
	c.expect(lines(152, 153)...)
}

// raw is what a client is sent, as it is.
type raw struct{ received []string }

func (c *raw) Send(text []byte)     { c.received = append(c.received, string(text)) }
func (c *raw) SendLong(text []byte) { c.Send(text) }
func (c *raw) Close(int, string)    {}

// A client that asks is told who sent a message, and from where; others get three fields.
func TestSigned(t *testing.T) {
	r := newRoom()
	ada := r.Enter(&raw{}, Options{From: "ada, 192.0.2.7"})
	ada.Message([]byte(`{"type":"join","nick":"eve","text":""}`))
	ada.Message([]byte(`{"type":"chat","nick":"","text":"before"}`))
	plain, signed := &raw{}, &raw{}
	r.Enter(plain, Options{History: "9", From: "192.0.2.8"}).Message([]byte(`{"type":"join","nick":"p","text":""}`))
	r.Enter(signed, Options{History: "9", From: "192.0.2.9", Signed: true}).Message([]byte(`{"type":"join","nick":"s","text":""}`))
	ada.Message([]byte(`{"type":"chat","nick":"","text":"<now>"}`))
	ada.Left()
	for _, tt := range []struct{ got, want []string }{
		{plain.received, []string{
			`{"type":"chat","nick":"eve","text":"before"}`, `{"type":"info","nick":"server","text":"You are p; here are eve"}`,
			`{"type":"join","nick":"s","text":""}`, `{"type":"chat","nick":"eve","text":"<now>"}`, `{"type":"leave","nick":"eve","text":""}`,
		}},
		{signed.received, []string{
			`{"type":"chat","nick":"eve","text":"before","from":"ada, 192.0.2.7"}`, `{"type":"info","nick":"server","text":"You are s; here are eve, p"}`,
			`{"type":"chat","nick":"eve","text":"<now>","from":"ada, 192.0.2.7"}`, `{"type":"leave","nick":"eve","text":"","from":"ada, 192.0.2.7"}`,
		}},
	} {
		if !slices.Equal(tt.got, tt.want) {
			t.Errorf("got  %q\nwant %q", tt.got, tt.want)
		}
	}
}

// Everybody hears the same in the same order, with members coming and going.
func TestOrder(t *testing.T) {
	r := newRoom()
	const speakers, lines = 8, 100
	listeners := []*client{enterAs(t, r, "listener 1"), enterAs(t, r, "listener 2")}
	listeners[0].take()
	var all sync.WaitGroup
	for i := range speakers {
		all.Go(func() {
			c := enter(t, r)
			c.say("join", fmt.Sprintf("speaker %d", i), "")
			for n := range lines {
				c.say("chat", "", fmt.Sprint(n))
			}
			c.Left()
		})
	}
	all.Wait()
	heard := listeners[0].take()
	if other := listeners[1].take(); !slices.Equal(heard, other) {
		t.Fatalf("two members heard different things:\n%v\n%v", heard, other)
	}
	if want := speakers * (lines + 2); len(heard) != want {
		t.Errorf("%d messages, want %d", len(heard), want)
	}
	next := map[string]int{}
	for _, m := range heard {
		if m.Type == "chat" {
			if m.Text != fmt.Sprint(next[m.Nick]) {
				t.Fatalf("%s said %s, want %d", m.Nick, m.Text, next[m.Nick])
			}
			next[m.Nick]++
		}
	}
}
