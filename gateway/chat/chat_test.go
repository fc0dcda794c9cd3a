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

func TestNicks(t *testing.T) {
	for _, tt := range []struct{ wanted, got string }{
		{"ahmet", "ahmet"},
		{" \t ahmet\u00a0 ", "ahmet"},
		{"", "anonim"},
		{" \u3000\u200b\u2060\n", "anonim"},
		{"ali veli", "ali veli"},
		{"ali\u00a0veli", "ali veli"},
		{"a\x00h\x1b\x7f\u0085met", "ahmet"},
		{"a\u202ehm\u2066et\u200d\ufeff", "ahmet"}, // direction, joiner, BOM
		{"a\ufe0fh\u034fm\u3164e\u115ft\U000e0041\u2800", "ahmet"},
		{"çığöşü 🌡", "çığöşü 🌡"},
		{strings.Repeat("ğ", 20), strings.Repeat("ğ", 20)},
		{strings.Repeat("ğ", 21), strings.Repeat("ğ", 20)},
		{strings.Repeat("x", 19) + " yz", strings.Repeat("x", 19)},
		{"\u200b" + strings.Repeat("x", 30), strings.Repeat("x", 20)},
		{`"\<`, `"\<`},
		{"\u0301\u0336", "anonim"},
		{"c\u0327a", "c\u0327a"},
	} {
		c := enter(t, newRoom())
		c.say("join", tt.wanted, "")
		c.expect(message{"info", "server", "You are " + tt.got + ", alone here"})
		c.say("chat", "", "x")
		c.expect(message{"chat", tt.got, "x"})
	}
}

func TestNickTaken(t *testing.T) {
	for _, tt := range []struct{ first, second string }{
		{"ahmet", "ahmet"},
		{"Ahmet", "aHMET"},
		{"ahmet", " ahmet "},
		{"ahmet", "ah\u200bmet"},
		{"ÇIĞ", "çIğ"},
		{"σ", "ς"},
		{"someone", "server"},
		{"someone", "\u017fERVER"}, // long s
		{"", "anonim"},
		{"", ""},
		{"ahmet", "\u0430hm\u0435t"},                  // Cyrillic
		{"ahmet", "\uff41hmet"},                       // full width
		{"ahmet", "\U0001d41a\U0001d421\U0001d426et"}, // mathematical
		{"ahmet", "ahrnet"},
		{"Ali", "AIi"}, // a capital I
		{"operator1", "0perat\u043er l"},
		{"Ali Veli", "ali_veli"},
		{"someone", "\u0455erv\u0435r"},
		{"someone", "server."},
		{"Anonim", " "},
		{"ahmet", "ahmet\u0301"}, // a mark that is part of no letter
		{"ahmet", "a\u0336h\u0336met"},
		{"zeynep", "zey\u02bcnep\u02b9"},
		{"ali-veli", "ali\u2212veli"}, // minus
		{"ali veli", "ali\u02d7veli"},
		{"ahmet", "ahme\u03c4"},                // in upper case a T
		{"mehmet", "\u043c\u0435hmet"},         // likewise
		{"محمد", "محـمد"},                      // wider
		{"ahm\u00ebt", "ahm\u0451t"},           // e with two dots, Latin and Cyrillic
		{"ahmet", "\u1d00h\u1d0d\u1d07\u1d1b"}, // small capitals
		{"ahmet", "\U0001f170hmet\u20e3"},      // in a square, under a key
		{"ulli", "\u222alli"},                  // a sign of mathematics
		{"ihsan", "\u0130hsan"},
		{"", "\u0301"}, // nothing that could be seen by itself
		{strings.Repeat("x", 20), strings.Repeat("x", 20) + "y"},
	} {
		r := newRoom()
		first := enterAs(t, r, tt.first)
		second := enter(t, r)
		second.say("join", tt.second, "")
		if got := second.take(); len(got) != 1 || got[0].Type != "error" || got[0].Nick != "server" || second.closed != "1008 Nick taken" {
			t.Errorf("%q after %q: %+v, closed %q", tt.second, tt.first, got, second.closed)
		}
		second.say("join", "another", "")
		second.expect()
		second.Left()
		first.expect()
	}
}

func TestText(t *testing.T) {
	c := enterAs(t, newRoom(), "ahmet")
	for _, tt := range []struct{ said, heard string }{
		{"hello", "hello"},
		{"  hello\n\tworld  ", "  hello \tworld  "},
		{" ", " "},
		{"a\x00b\x1b[31m\x7f\u009b", "ab[31m"},
		{"hi\r\n12:00 server evacuate\vx\fx\u0085x\u2028x\u2029x\rx", "hi 12:00 server evacuate x x x x x x"},
		{"a\u202etxet\u2066 b\u200e", "atxet b\u200e"},
		{strings.Repeat("🌡", 500), strings.Repeat("🌡", 500)},
		{strings.Repeat("🌡", 501), strings.Repeat("🌡", 500)},
		{strings.Repeat("\x01", 100) + strings.Repeat("é", 500), strings.Repeat("é", 500)},
		{"👨\u200d👩", "👨\u200d👩"},
	} {
		c.say("chat", "ahmet", tt.said)
		c.expect(message{"chat", "ahmet", tt.heard})
	}
	for _, empty := range []string{"", "\x00\x1b", "\u202e"} {
		c.say("chat", "ahmet", empty)
		c.expect(message{"error", "server", "text is empty"})
	}
}

func TestRefused(t *testing.T) {
	deep := strings.Repeat("[", 2000) + strings.Repeat("]", 2000)
	for _, tt := range []struct{ sent, complaint string }{
		{``, "Invalid JSON"},
		{`hello`, "Invalid JSON"},
		{`{"type":"chat","nick":"","text":"x"`, "Invalid JSON"},
		{`{"type":"chat","nick":"","text":"x"}{}`, "Invalid JSON"},
		{`{"type":"chat","nick":"","text":"x",}`, "Invalid JSON"},
		{`null`, `A message is {"type":…,"nick":…,"text":…}`},
		{`["chat","","x"]`, `A message is {"type":…,"nick":…,"text":…}`},
		{`"chat"`, `A message is {"type":…,"nick":…,"text":…}`},
		{deep, `A message is {"type":…,"nick":…,"text":…}`},
		{`{}`, "type is missing"},
		{`{"type":"chat","text":"x"}`, "nick is missing"},
		{`{"type":"chat","nick":""}`, "text is missing"},
		{`{"type":"chat","nick":"","text":"x","id":1}`, "Unknown field: id"},
		{`{"type":"chat","nick":"","text":"x","":""}`, "Unknown field: "},
		{`{"type":"chat","nick":"","Text":"x"}`, "Unknown field: Text"},
		{`{"type":"chat","nick":"","text":"x","a\u001b\u202eb":""}`, "Unknown field: ab"},
		{`{"type":"chat","nick":"","text":"x","text":"y"}`, "text is given twice"},
		{`{"type":"chat","nick":"","text":"x","\u0074ext":"y"}`, "text is given twice"},
		{`{"type":"chat","nick":null,"text":"x"}`, "nick must be a string"},
		{`{"type":"chat","nick":"","text":1}`, "text must be a string"},
		{`{"type":"chat","nick":"","text":1e999}`, "text must be a string"},
		{`{"type":"chat","nick":"","text":["x"]}`, "text must be a string"},
		{`{"type":{"type":"chat"},"nick":"","text":"x"}`, "type must be a string"},
		{`{"type":true,"nick":"","text":"x"}`, "type must be a string"},
		{`{"type":"Chat","nick":"","text":"x"}`, "Unknown type: Chat"},
		{`{"type":"leave","nick":"ahmet","text":""}`, "Unknown type: leave"},
		{`{"type":"info","nick":"server","text":"evacuate"}`, "Unknown type: info"},
		{`{"type":"` + strings.Repeat("x", 99) + `","nick":"","text":""}`, "Unknown type: " + strings.Repeat("x", 40)},
		{`{"type":"join","nick":"other","text":""}`, "You have joined already, as ahmet"},
	} {
		r := newRoom()
		c, other := enterAs(t, r, "ahmet"), enterAs(t, r, "other member")
		c.take()
		c.Message([]byte(tt.sent))
		c.expect(message{"error", "server", tt.complaint})
		c.say("chat", "", "x") // the connection stays
		c.expect(message{"chat", "ahmet", "x"})
		other.expect(message{"chat", "ahmet", "x"})
	}
	c := enter(t, newRoom())
	c.say("chat", "ahmet", "x")
	c.expect(message{"error", "server", "Join first"})
	c.say("join", "ahmet", "")
	c.expect(message{"info", "server", "You are ahmet, alone here"})
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

// Nicks of their own are not taken for one another.
func TestNicksApart(t *testing.T) {
	r := newRoom()
	for _, nick := range []string{"ahmet", "ahmed", "Mehmet", "zeynep", "Иван", "Ива", "José", "Jose", "Ayşe", "Ayse", "कमल", "कमला", "किमल", "Ιωάννης", "李", "李雷", "operator 1", "operator 2", "0", "8", "servant", "🌡", "💧", "...", "!!!"} {
		enterAs(t, r, nick)
	}
}

// Who asks for them gets the last lines before anything else, and none twice.
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

// Who asks is told who has sent what, and from where; all others get the three fields.
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

func FuzzMessage(f *testing.F) {
	for _, seed := range []string{
		`{"type":"join","nick":"ahmet","text":""}`,
		`{"type":"chat","nick":"a","text":"\ud800\u0000\n"}`,
		`{"type":"join","nick":"\u202e\ufe0f server ","text":""}`,
		`{"type":"join","nick":"` + strings.Repeat("ğ ", 30) + `","text":""}`,
		`{"type":null}`, `[[[`, `{"a":{"type":"join"}}`,
	} {
		f.Add([]byte(seed), []byte(seed))
	}
	f.Fuzz(func(t *testing.T, one, two []byte) {
		if !utf8.Valid(one) || !utf8.Valid(two) {
			return // the connection ends before the room hears of it
		}
		r := newRoom()
		witness, c := enterAs(t, r, "witness"), enter(t, r)
		c.Message(one)
		c.Message(two)
		c.Left()
		answers := 0
		for _, m := range append(c.take(), witness.take()...) {
			if utf8.RuneCountInString(m.Nick) > 20 || m.Nick == "" || m.Nick != cleanNick(m.Nick) {
				t.Errorf("nick %q", m.Nick)
			}
			if utf8.RuneCountInString(m.Text) > 500 || m.Text != cleanText(m.Text) {
				t.Errorf("text %q", m.Text)
			}
			if strings.EqualFold(m.Nick, "server") != (m.Type == "info" || m.Type == "error") {
				t.Errorf("%s from %q", m.Type, m.Nick)
			}
			if m.Type == "info" || m.Type == "error" || m.Type == "chat" {
				answers++
			}
		}
		if answers == 0 {
			t.Errorf("%q, %q: nothing came back", one, two)
		}
	})
}
