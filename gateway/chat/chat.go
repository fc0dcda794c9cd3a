// Package chat is the operators' room: wire/README.md, "The operators' room". Whoever has joined
// it under a nick receives what every member writes, in the same order.
//
// It knows the messages of the room and nothing of how they travel: a [Client] is
// whatever they are sent to. It refuses to know sockets, motors and sensors, and
// stores nothing: the last lines are in memory, for new members that ask for them.
package chat

import (
	"log/slog"
	"math"
	"slices"
	"strconv"
	"sync"

	"sensorgateway/wire"
)

const (
	maxMembers = 200
	maxNick    = 20  // characters: Unicode code points
	maxText    = 500 // likewise
	maxLines   = 100 // that are in memory

	server = "server" // the nick of the room itself
	nobody = "anonim" // the nick of a client that gives none
)

// A Client is what the room sends to: messages, which are shared with others and not
// to be changed. Send and Close are called with the room locked: they must neither
// block nor call the room. After Close nothing is sent.
type Client interface {
	Send(text []byte)
	SendLong(text []byte) // called by [Room.Enter] alone, may wait for the client
	Close(code int, reason string)
}

// A Room is where operators write to each other.
type Room struct {
	log *slog.Logger

	mu      sync.Mutex
	members []*Member // those that have joined, in that order
	lines   []line    // the last messages of the type chat, the oldest first
	said    int       // how many such messages there ever were
}

// NewRoom returns an empty room.
func NewRoom(log *slog.Logger) *Room { return &Room{log: log} }

// Options say who a new client is, and what it wants.
type Options struct {
	History string // how many of the last lines it wants; "": none
	Signed  bool   // it wants to know who its messages are from, and from where, in a fourth field
	From    string // who it is itself, and where, for those that want to know
	Silence string // why it may not write; "": it may

	Language string // Accept-Language of its request, for what the room says
}

// A Member is one client in the room. It takes part once it has joined.
type Member struct {
	Options
	room   *Room
	client Client

	// Guarded by room.mu.
	nick string // "" before joining, the same ever after
	left bool   // or was closed by the room
	seen int    // how many of all lines ever said are not to be sent to it when it joins
}

// Enter returns the member for a new client, which has not joined yet, and sends it
// the last lines. The caller calls Left when the client's connection has ended.
func (r *Room) Enter(c Client, o Options) *Member {
	m := &Member{Options: o, room: r, client: c, seen: math.MaxInt}
	if o.History == "" {
		return m
	}
	n, err := strconv.ParseUint(o.History, 10, 31)
	if err != nil {
		m.complain(complain("history is not a number: %s", quotable(o.History)))
		return m
	}
	r.mu.Lock()
	lines := slices.Clone(r.last(int(n)))
	m.seen = r.said
	r.mu.Unlock()
	for _, line := range lines {
		c.SendLong(line.to(m))
	}
	return m
}

// last returns the last n lines, or as many as there are.
func (r *Room) last(n int) []line { return r.lines[len(r.lines)-min(max(n, 0), len(r.lines)):] }

// Message takes a text message from the member's client: valid UTF-8 of at most 4 KiB.
// What cannot be done is answered with an error message.
func (m *Member) Message(text []byte) {
	if m.answer(text) {
		m.room.log.Debug("joined the chat", "nick", m.nick)
	}
}

// Left says that the client's connection has ended.
func (m *Member) Left() {
	if m.leave() {
		m.room.log.Debug("left the chat", "nick", m.nick)
	}
}

// answer does what a message asks for, or answers with an error, and reports whether
// the member has joined by it. (It does not log: the logger may block, and the room
// is locked.)
func (m *Member) answer(text []byte) (joined bool) {
	msg, wrong := parse(text)
	m.room.mu.Lock()
	defer m.room.mu.Unlock()
	if m.left {
		return false
	}
	before := m.nick
	if wrong == "" {
		wrong = m.handle(msg)
	}
	if wrong != "" {
		m.complain(wrong)
	}
	return m.nick != before
}

// leave removes the member, and reports whether it had joined.
func (m *Member) leave() bool {
	m.room.mu.Lock()
	defer m.room.mu.Unlock()
	m.left = true
	i := slices.Index(m.room.members, m)
	if i < 0 {
		return false
	}
	m.room.members = slices.Delete(m.room.members, i, i+1)
	m.room.broadcast(message{"leave", m.nick, ""}.from(m))
	return true
}

// handle does what msg asks for, or says why not.
func (m *Member) handle(msg message) complaint {
	switch {
	case msg.Type == "join" && m.nick != "":
		return complain("You have joined already, as %s", m.nick)
	case msg.Type == "join":
		m.join(msg.Nick)
		return ""
	case msg.Type != "chat":
		return complain("Unknown type: %s", quotable(msg.Type))
	case m.nick == "":
		return "Join first"
	case m.Silence != "":
		return complain("%s", m.Silence)
	}
	text := cleanText(msg.Text)
	if text == "" {
		return "text is empty"
	}
	// The nick is the one it joined under, whatever the message has.
	line := message{"chat", m.nick, text}.from(m)
	m.room.broadcast(line)
	m.room.lines = append(m.room.last(maxLines-1), line)
	m.room.said++
	return ""
}

// join lets the member take part, or closes its client.
func (m *Member) join(wanted string) {
	r := m.room
	nick := cleanNick(wanted)
	if nick == "" {
		nick = nobody
	}
	switch {
	case len(r.members) >= maxMembers:
		m.reject("Room full", complain("Room full: there are %d here already", maxMembers))
		return
	case r.taken(nick):
		m.reject(wire.CloseReasonNickTaken, complain("%s: %s", wire.CloseReasonNickTaken, nick))
		return
	}
	m.nick = nick
	for _, line := range r.last(r.said - m.seen) { // since it entered
		m.client.Send(line.to(m))
	}
	r.broadcast(message{"join", nick, ""}.from(m))
	others := r.members
	r.members = append(r.members, m)
	m.client.Send(message{"info", server, textsFor(m.Language).welcome(nick, others)}.encode())
}

// complain answers the member's message with an error.
func (m *Member) complain(c complaint) {
	m.client.Send(message{"error", server, string(c)}.encode())
}

// reject closes the client for a reason.
func (m *Member) reject(reason string, c complaint) {
	m.left = true
	m.complain(c)
	m.client.Close(wire.ClosePolicy, reason)
}

// taken reports whether nick, or one that looks like it, is in use.
func (r *Room) taken(nick string) bool {
	return sameAs(nick, server) || slices.ContainsFunc(r.members, func(m *Member) bool { return sameAs(nick, m.nick) })
}

// broadcast sends a line to all members. The room is locked, so that all receive the
// messages in the same order.
func (r *Room) broadcast(l line) {
	for _, member := range r.members {
		member.client.Send(l.to(member))
	}
}
