// Package chat is the operators' room: protocol.md, section 7. Whoever has
// joined it under a nick hears what everyone in it says, in the same order.
//
// It knows the messages of the room and nothing of how they travel: a [Peer] is
// whatever they are sent to. It refuses to know sockets, motors and sensors, and
// remembers nothing: who joins later hears only what is said from then on.
package chat

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"sensorgateway/wire"
)

const (
	maxMembers = 200
	maxNick    = 20  // characters: Unicode code points
	maxText    = 500 // likewise

	server = "server" // the nick of the room itself
	nobody = "anonim" // the nick of who gives none
)

// A Peer is the other end of a visitor's connection. Both methods are called
// with the room locked: they must neither block nor call the room. After Close
// nothing is sent.
type Peer interface {
	Send(text []byte) // one message, shared with others: not to be changed
	Close(code int, reason string)
}

// A Room is where operators talk.
type Room struct {
	log *slog.Logger

	mu      sync.Mutex
	members []*Visitor // in the order in which they joined
}

// NewRoom returns an empty room.
func NewRoom(log *slog.Logger) *Room { return &Room{log: log} }

// A Visitor is one connection to the room: a member once it has joined.
type Visitor struct {
	room *Room
	peer Peer

	// Guarded by room.mu.
	nick string // "" before joining, the same ever after
	gone bool   // closed by the room, or left
}

// Enter returns the visitor of a new connection, which has not joined yet. Its
// caller calls Left when the connection has ended.
func (r *Room) Enter(p Peer) *Visitor { return &Visitor{room: r, peer: p} }

// Message takes a text message from the visitor: valid UTF-8 of at most 4 KiB.
// What cannot be done is answered with an error message.
func (v *Visitor) Message(text []byte) {
	if v.answer(text) {
		v.room.log.Debug("joined the chat", "nick", v.nick)
	}
}

// Left says that the visitor's connection has ended.
func (v *Visitor) Left() {
	if v.leave() {
		v.room.log.Debug("left the chat", "nick", v.nick)
	}
}

// Info tells all members something in the room's own name.
func (r *Room) Info(text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.broadcast(message{"info", server, cleanText(text)})
}

// answer does what a message asks for, or complains, and tells whether the
// visitor has joined by it. (The log may block, and nobody logs who has the lock.)
func (v *Visitor) answer(text []byte) (joined bool) {
	m, wrong := parse(text)
	v.room.mu.Lock()
	defer v.room.mu.Unlock()
	if v.gone {
		return false
	}
	before := v.nick
	if wrong == "" {
		wrong = v.handle(m)
	}
	if wrong != "" {
		v.complain(wrong)
	}
	return v.nick != before
}

// leave ends the visit, and tells whether it was a member's.
func (v *Visitor) leave() bool {
	v.room.mu.Lock()
	defer v.room.mu.Unlock()
	v.gone = true
	i := slices.Index(v.room.members, v)
	if i < 0 {
		return false
	}
	v.room.members = slices.Delete(v.room.members, i, i+1)
	v.room.broadcast(message{"leave", v.nick, ""})
	return true
}

// handle does what m asks for, or says why not.
func (v *Visitor) handle(m message) complaint {
	switch {
	case m.Type == "join" && v.nick != "":
		return complain("You have joined already, as %s", v.nick)
	case m.Type == "join":
		v.join(m.Nick)
		return ""
	case m.Type != "chat":
		return complain("Unknown type: %s", quotable(m.Type))
	case v.nick == "":
		return "Join first"
	}
	text := cleanText(m.Text)
	if text == "" {
		return "text is empty"
	}
	// Who speaks is whom the room knows, whatever nick the message has.
	v.room.broadcast(message{"chat", v.nick, text})
	return ""
}

// join makes the visitor a member, or sends it away.
func (v *Visitor) join(wanted string) {
	r := v.room
	nick := cleanNick(wanted)
	if nick == "" {
		nick = nobody
	}
	switch {
	case len(r.members) >= maxMembers:
		v.sendAway("Room full", complain("Room full: there are %d here already", maxMembers))
		return
	case r.taken(nick):
		v.sendAway("Nick taken", complain("Nick taken: %s", nick))
		return
	}
	v.nick = nick
	r.broadcast(message{"join", nick, ""})
	r.members = append(r.members, v)
	v.peer.Send(message{"info", server, r.welcome(nick)}.encode())
}

// complain answers the visitor's message with an error.
func (v *Visitor) complain(c complaint) {
	v.peer.Send(message{"error", server, string(c)}.encode())
}

// sendAway ends the visit for reason.
func (v *Visitor) sendAway(reason string, c complaint) {
	v.gone = true
	v.complain(c)
	v.peer.Close(wire.ClosePolicy, reason)
}

// taken tells whether nick, in whatever letter case, is somebody's.
func (r *Room) taken(nick string) bool {
	return strings.EqualFold(nick, server) ||
		slices.ContainsFunc(r.members, func(m *Visitor) bool { return strings.EqualFold(nick, m.nick) })
}

// welcome is what a new member is told: its nick, and who is there, as many as
// a text has room for.
func (r *Room) welcome(nick string) string {
	if len(r.members) == 1 {
		return fmt.Sprintf("You are %s, alone here", nick)
	}
	text := fmt.Sprintf("You are %s; here are", nick)
	const more = len(" and 199 more")
	length := len([]rune(text)) + more
	for i, m := range r.members[:len(r.members)-1] { // without the new one
		separator := ", "
		if i == 0 {
			separator = " "
		}
		length += len(separator) + len([]rune(m.nick))
		if length > maxText {
			return fmt.Sprintf("%s and %d more", text, len(r.members)-1-i)
		}
		text += separator + m.nick
	}
	return text
}

// broadcast sends m to all members. The room is locked, so that all receive
// what is said in the same order.
func (r *Room) broadcast(m message) {
	text := m.encode()
	for _, member := range r.members {
		member.peer.Send(text)
	}
}
