package console

import (
	"encoding/json"
	"errors"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"sensorgateway/wire"
)

func say(kind, nick, text string) chatMessage { return chatMessage{kind, nick, text} }

// A visit: join first, then what was typed; what comes is printed, and nothing
// of it moves the cursor; /quit leaves with 1000.
func TestChat(t *testing.T) {
	code := make(chan int, 1)
	s := fakeGateway(t, false, func(p *fakePeer) {
		if p.request.URL.Path != "/chat" || p.request.Header.Get("Sec-WebSocket-Protocol") != "" {
			t.Errorf("%s with subprotocol %q", p.request.URL, p.Subprotocol())
		}
		if got := p.next(); got != `{"type":"join","nick":"ahmet","text":""}` {
			t.Errorf("first: %s", got)
		}
		p.say(say("info", "server", "You are ahmet"))
		p.say(say("join", "ben", ""))
		p.say(say("chat", "ben", "hi \x1b[2J\nahmet: fake"))
		p.say(say("leave", "be\u202en", ""))
		p.say(say("error", "server", "no\a"))
		p.say("not a message")
		p.say(say("other", "x", "y"))
		if got := p.next(); got != `{"type":"chat","nick":"ahmet","text":"hello there"}` {
			t.Errorf("then: %s", got)
		}
		p.say(say("chat", "ahmet", "hello there"))
		code <- p.wait()
	})
	stdin, typed := io.Pipe()
	c := startClient(t, Chat, stdin, s.URL, "--nick", "ahmet")
	c.stderr.await(t, "server: no\ufffd\n")
	_, _ = io.WriteString(typed, "  hello there \r\n\n")
	c.stdout.await(t, "ahmet: hello there")
	_, _ = io.WriteString(typed, "/quit\n")
	if err := c.end(); err != nil {
		t.Error(err)
	}
	if got := <-code; got != wire.CloseNormal {
		t.Errorf("close code %d", got)
	}
	clock := regexp.MustCompile(`(?m)^\d\d:\d\d:\d\d `)
	const want = `* You are ahmet
* ben joined
TIME ben: hi �[2J ahmet: fake
* be�n left
TIME ahmet: hello there
`
	if got := clock.ReplaceAllString(c.stdout.String(), "TIME "); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// A file that is piped in waits for the room, is said below the limit of 20
// messages a second, and its end leaves. What comes before the close is shown.
func TestChatPiped(t *testing.T) {
	type heard struct {
		text string
		at   time.Time
	}
	all := make(chan []heard, 1)
	s := fakeGateway(t, false, func(p *fakePeer) {
		var said []heard
		p.next()
		for text := range p.received {
			var m chatMessage
			if err := json.Unmarshal([]byte(text), &m); err != nil {
				t.Error(err)
			}
			said = append(said, heard{m.Text, time.Now()})
		}
		all <- said
	})
	long := strings.Repeat("ş", 5000)
	c := startClient(t, Chat, strings.NewReader("one\n"+long+"\ntwo\xff\n\n"+long+"\nlast"), s.URL+"/chat", "--nick", "ahmet")
	if err := c.end(); err != nil {
		t.Error(err)
	}
	said := <-all
	want := []string{"one", long[:1000], "two", long[:1000], "last"}
	for i := range max(len(said), len(want)) {
		if i >= len(said) || i >= len(want) || said[i].text != want[i] {
			t.Fatalf("line %d of %d is wrong: %+v", i, len(said), said)
		}
	}
	if took := said[4].at.Sub(said[0].at); took < 3*textEvery {
		t.Errorf("five lines within %v", took)
	}
}

func TestChatJoinsAgain(t *testing.T) {
	s := fakeGateway(t, false, func(p *fakePeer) {
		if got := p.next(); !strings.Contains(got, `"join","nick":"ahmet"`) {
			t.Errorf("connection %d: %s", p.n, got)
		}
		p.say(say("info", "server", "welcome "+string(rune('A'+p.n))))
		if p.n == 0 {
			p.bye(wire.CloseServiceRestart, "Service restart; retry_ms=1")
			return
		}
		if got := p.next(); !strings.Contains(got, "I am back") {
			t.Errorf("connection %d: %s", p.n, got)
		}
		p.wait()
	})
	stdin, typed := io.Pipe()
	c := startClient(t, Chat, stdin, s.URL, "--nick", "ahmet")
	c.stdout.await(t, "welcome B")
	_, _ = io.WriteString(typed, "I am back\n")
	_ = typed.Close()
	if err := c.end(); err != nil {
		t.Error(err)
	}
	if got := c.stderr.String(); strings.Count(got, "connected to ") != 2 || !strings.Contains(got, "reconnecting in 0.1 s") {
		t.Errorf("stderr:\n%s", got)
	}
}

func TestChatNickTaken(t *testing.T) {
	s := fakeGateway(t, false, func(p *fakePeer) {
		p.next()
		p.say(say("error", "server", "Nick taken: ahmet"))
		p.bye(wire.ClosePolicy, "Nick taken")
	})
	for name, stdin := range map[string]io.Reader{"silent": neverRead{make(chan struct{})}, "in a hurry": strings.NewReader("hi\n")} {
		if silent, ok := stdin.(neverRead); ok {
			t.Cleanup(func() { close(silent.end) })
		}
		err := startClient(t, Chat, stdin, s.URL, "--nick", "ahmet").end()
		if err == nil || !strings.Contains(err.Error(), `called "ahmet" already`) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// neverRead is a terminal at which nobody types, until its end.
type neverRead struct{ end chan struct{} }

func (r neverRead) Read([]byte) (int, error) { <-r.end; return 0, io.EOF }

func TestChatInterrupted(t *testing.T) {
	code := make(chan int, 1)
	s := fakeGateway(t, false, func(p *fakePeer) { p.next(); code <- p.wait() })
	silent := neverRead{make(chan struct{})}
	t.Cleanup(func() { close(silent.end) })
	c := startClient(t, Chat, silent, s.URL)
	c.stderr.await(t, "connected")
	c.interrupt()
	if err := c.end(); err != nil {
		t.Error(err)
	}
	if got := <-code; got != wire.CloseNormal {
		t.Errorf("close code %d", got)
	}
}

func TestChatUsage(t *testing.T) {
	var usage UsageError
	if err := startClient(t, Chat, nil).end(); !errors.As(err, &usage) {
		t.Errorf("%v, want a usage error", err)
	}
}

func TestRoomOf(t *testing.T) {
	for in, want := range map[string]string{
		"ws://pi/": "ws://pi/chat", "ws://pi/chat": "ws://pi/chat", "wss://pi/gw/": "wss://pi/gw/chat", "wss://pi/gw?t=1": "wss://pi/gw/chat?t=1",
	} {
		if got, err := roomOf(in); err != nil || got != want {
			t.Errorf("%s: %s, %v, want %s", in, got, err, want)
		}
	}
}
