package fleet

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"sensorgateway/wire"
)

// MaxNews is how long a message of news can be, in bytes.
const MaxNews = 256 << 10

// TypeAudit is the type of news of the audit log. The others are [wire.TypeHello],
// [wire.TypeState] and [wire.TypeEvent].
const TypeAudit = "audit"

// TypeReadings is the type of the last answer to [AskReadings].
const TypeReadings = "readings"

// TypeMachine is the type of the answer to [AskMachine].
const TypeMachine = "machine"

// Hello is what a gateway says of itself, when it has connected and when any of it has
// changed.
type Hello struct {
	wire.Hello // the hub sets You
	// Nonce is random and new with each start of the gateway. An order has it, so one that
	// was recorded before the start is not valid after it.
	Nonce      string `json:"nonce"`
	Connection uint64 `json:"connection"` // as in [Presence]
	UptimeMS   int64  `json:"uptime_ms"`  // time since that start when this was made, for [Order.UptimeMS]
	// Alarms are all that there are, in the gateway's order. Recent are those that were
	// cleared, the newest last; nil: the gateway does not say.
	Alarms []wire.Alarm `json:"alarms"`
	Recent []wire.Alarm `json:"recent,omitzero"`
	// HubKeys are the fingerprints of the hubs' keys that the gateway knows; nil: it
	// does not say, and takes no order of the kind [Keys].
	HubKeys []string `json:"hub_keys,omitzero"`
}

// Behind returns by how much the gateway's clock was behind that of who received the hello, 0
// if it is synchronised. The time that the hello was under way is part of it.
func (h *Hello) Behind(received time.Time) time.Duration {
	if h.ClockSynced {
		return 0
	}
	return received.Sub(time.UnixMilli(h.Time))
}

// AuditHead is the end of the audit log. Whoever has it can find out later whether records
// before it were changed or removed.
type AuditHead struct {
	Seq  uint64 `json:"seq"`
	Hash string `json:"hash"` // hexadecimal
}

// Wrong says what is wrong with an audit log whose end was last and is h now, "" if nothing is.
func (h AuditHead) Wrong(last AuditHead) string {
	switch {
	case h.Seq < last.Seq:
		return fmt.Sprintf("records %d to %d of its audit log are missing", h.Seq+1, last.Seq)
	case h.Seq == last.Seq && h.Hash != last.Hash:
		return fmt.Sprintf("record %d of its audit log, or one before it, was changed", h.Seq)
	}
	return ""
}

// Notice is a message of news: one of these is set.
type Notice struct {
	Hello *Hello
	State *wire.MotorState
	Event *wire.Event
	Audit *AuditHead
}

// ParseNews reads a message of news. One of a type that this version does not know has
// none set.
func ParseNews(payload []byte) (n Notice, err error) {
	if len(payload) > MaxNews {
		return n, fmt.Errorf("news: %d bytes, of %d at most", len(payload), MaxNews)
	}
	r, err := wire.ParseRequest(payload)
	if err != nil {
		return n, fmt.Errorf("news: %w", err)
	}
	var into any
	switch r.Type {
	case wire.TypeHello:
		n.Hello = &Hello{}
		into = n.Hello
	case wire.TypeState:
		n.State = &wire.MotorState{}
		into = n.State
	case wire.TypeEvent:
		n.Event = &wire.Event{}
		into = n.Event
	case TypeAudit:
		n.Audit = &AuditHead{}
		into = n.Audit
	default:
		return n, nil
	}
	if r.Payload == nil {
		return Notice{}, fmt.Errorf("news: %s without payload", r.Type)
	}
	if err := json.Unmarshal(r.Payload, into); err != nil {
		return Notice{}, fmt.Errorf("news: %s: %w", r.Type, err)
	}
	return n, nil
}

// Presence is the payload of [Here]. An offline counts for the connection of the newest
// online only: the broker publishes a will after [WillDelay], when the gateway may be
// back on another connection.
type Presence struct {
	Online     bool
	Connection uint64 // a number that no other connection of the gateway has
}

const (
	online  = "online"
	offline = "offline"
)

// String returns the payload: "online 17".
func (p Presence) String() string {
	word := offline
	if p.Online {
		word = online
	}
	return word + " " + strconv.FormatUint(p.Connection, 10)
}

// ParsePresence reads the payload of [Here].
func ParsePresence(payload []byte) (p Presence, err error) {
	word, number, _ := strings.Cut(string(payload[:min(len(payload), 64)]), " ")
	p.Online = word == online
	p.Connection, err = strconv.ParseUint(number, 10, 64)
	if err != nil || word != online && word != offline || p.String() != string(payload) {
		return Presence{}, fmt.Errorf("here: want %q or %q and the number of the connection", online, offline)
	}
	return p, nil
}

// printable returns whether a text can be shown and logged as it is.
func printable(text string) bool {
	return utf8.ValidString(text) && strings.IndexFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) < 0
}

// Printable returns a text with ? for each character that an order must not have.
func Printable(text string) string {
	return strings.Map(func(c rune) rune {
		if !unicode.IsPrint(c) {
			return '?'
		}
		return c
	}, text)
}
