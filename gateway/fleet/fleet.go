// Package fleet is what a gateway and a hub agree on: names and topics, the payloads
// on them, and what makes an order of a hub one that a gateway carries out.
//
// It is bytes and rules: it knows no MQTT client, no file and no clock. README.md
// describes the formats.
package fleet

import (
	"fmt"
	"strings"
	"time"
)

// Version is the second level of each topic: another version is another contract.
const Version = "v1"

const prefix = "gw/" + Version + "/"

// All stands in a topic for each gateway of a site. It is no gateway's name.
const All = "all"

// Kind is what a topic is for: its last level, for answers the last but one.
type Kind string

// The kinds of topics. A gateway publishes the first five, hubs the others.
const (
	Up     Kind = "up"     // blocks of the log
	News   Kind = "news"   // what has changed
	Here   Kind = "here"   // whether the gateway is connected
	Live   Kind = "live"   // the records of a tick, while a hub watches
	Answer Kind = "answer" // to orders; the hub's name follows
	Cmd    Kind = "cmd"    // a command for motors or alarms
	Ask    Kind = "ask"    // a question
	Watch  Kind = "watch"  // a hub wants to see each tick for a while
)

// Keys is the kind of an order that changes which hubs' keys the gateway knows. It comes
// on the topic of [Cmd], where brokers let hubs publish, but is a kind of its own: so no
// command that a hub signs for a client can be one.
const Keys Kind = "keys"

// topic returns the kind of the topic on which orders of a kind come.
func (k Kind) topic() Kind {
	if k == Keys {
		return Cmd
	}
	return k
}

// How long a broker keeps a message at most for a subscriber that is not connected (MQTT's
// message expiry); 0: until it is taken.
const (
	LiveExpiry  = 2 * time.Second
	CmdExpiry   = 5 * time.Second
	AskExpiry   = 30 * time.Second
	WatchExpiry = 60 * time.Second
)

// Expiry is how long a broker keeps an order of the kind.
func (k Kind) Expiry() time.Duration {
	switch k {
	case Ask:
		return AskExpiry
	case Watch:
		return WatchExpiry
	}
	return CmdExpiry
}

// Times of the two sides.
const (
	WatchTime   = 60 * time.Second // how long a watch counts
	WatchRepeat = 30 * time.Second // how often a hub repeats it while somebody watches
	WillDelay   = 10 * time.Second // from the end of a connection without a DISCONNECT until the broker reports it
	KeepAlive   = 90 * time.Second // of a gateway: a batch a minute needs no ping
)

// Names of the user properties of a message on [Up] (MQTT 5.0, section 3.3.2.3.7).
const (
	PropertyEpoch = "epoch" // of the blocks
	PropertyLast  = "last"  // the number of the last record in them, decimal
)

// nameMax is how long a name can be, in bytes.
const nameMax = 32

// CheckName returns what is wrong with the name of a gateway, a site or a hub, nil if
// nothing is. A name is a level of a topic; RabbitMQ separates levels by dots.
func CheckName(name string) error {
	if name == All {
		return fmt.Errorf("%q is no name: it stands for all gateways of a site", name)
	}
	if len(name) == 0 || len(name) > nameMax || name[0] < 'a' || name[0] > 'z' {
		return nameError(name)
	}
	for _, c := range []byte(name) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return nameError(name)
		}
	}
	return nil
}

func nameError(name string) error {
	if len(name) > 2*nameMax {
		name = name[:2*nameMax] + "…"
	}
	return fmt.Errorf("name %q: want a lower-case letter, then up to %d letters, digits, - or _", name, nameMax-1)
}

// Gateway is a gateway's address in the fleet.
type Gateway struct {
	Site string
	Name string // unique in the fleet; [All] in a topic for each of the site
}

// Topic returns the topic of a kind but [Answer].
func (g Gateway) Topic(k Kind) string {
	return prefix + g.Site + "/" + g.Name + "/" + string(k.topic())
}

// AnswerTopic is where a gateway answers a hub. The response topic of a message is ignored,
// so whoever forwards an order cannot have the answer sent elsewhere.
func (g Gateway) AnswerTopic(hub string) string { return g.Topic(Answer) + "/" + hub }

// Orders are the filters of what a gateway subscribes to.
func (g Gateway) Orders() []string {
	return []string{g.Topic(Cmd), g.Topic(Ask), g.Topic(Watch), Gateway{g.Site, All}.Topic(Ask)}
}

// Filters are what a hub subscribes to for a site, "+" for all sites.
func Filters(site, hub string) []string {
	all := Gateway{site, "+"}
	return []string{all.Topic(Up), all.Topic(News), all.Topic(Here), all.Topic(Live), all.AnswerTopic(hub)}
}

// Topic is a topic in its parts.
type Topic struct {
	Gateway
	Kind Kind
	Hub  string // of an answer
}

// ParseTopic returns the parts of a topic.
func ParseTopic(topic string) (t Topic, err error) {
	rest, ok := strings.CutPrefix(topic, prefix)
	levels := strings.Split(rest, "/")
	if !ok || len(levels) < 3 || len(levels) > 4 {
		return t, topicError(topic)
	}
	t = Topic{Gateway: Gateway{levels[0], levels[1]}, Kind: Kind(levels[2])}
	switch t.Kind {
	case Up, News, Here, Live, Cmd, Ask, Watch:
		ok = len(levels) == 3
	case Answer:
		if ok = len(levels) == 4; ok {
			t.Hub = levels[3]
			ok = CheckName(t.Hub) == nil
		}
	default:
		ok = false
	}
	named := CheckName(t.Name) == nil || t.Name == All && t.Kind == Ask
	if !ok || !named || CheckName(t.Site) != nil {
		return Topic{}, topicError(topic)
	}
	return t, nil
}

func topicError(topic string) error {
	if len(topic) > 200 {
		topic = topic[:200] + "…"
	}
	return fmt.Errorf("topic %q: want %sSITE/GATEWAY/KIND", topic, prefix)
}
