package fleet

import (
	"crypto/ed25519"
	"sync"

	"sensorgateway/wire"
)

// Clock is the state of a gateway's clocks at one moment.
type Clock struct {
	Unix   int64 // ms
	Synced bool
	Uptime int64 // ms since the nonce was made, by a clock that nobody sets
}

// Verifier decides which orders a gateway carries out. Its methods may be called at the
// same time.
type Verifier struct {
	Gateway Gateway
	Nonce   string                     // of this start
	Keys    func() []ed25519.PublicKey // the hubs'
	Clock   func() Clock

	mu   sync.Mutex
	seen map[counted]uint64 // the largest counter that was taken; an entry for each key and kind
}

// counted is what has a counter of its own. MQTT keeps the order of messages on one topic only.
type counted struct {
	key keyID
	Kind
	all bool
}

// Message is an order as it came.
type Message struct {
	Topic    string
	Payload  []byte
	Retained bool
}

// Verify returns the order in a message, or why it is not carried out: a [*wire.Error].
// With an error, the order is returned too, for the answer to it, if a hub has signed it
// for this gateway; else it is zero.
//
// A stop or an e-stop that a hub has signed for this gateway is always carried out:
// also one that is late, recorded, retained, of another start, or cannot be timed.
// Then the warning says what is wrong with it. A replayed stop can only keep a motor off.
func (v *Verifier) Verify(m Message) (o Order, warning string, err error) {
	t, err := ParseTopic(m.Topic)
	if err != nil {
		return Order{}, "", wire.Errorf(400, "%v", err)
	}
	s, err := cutSeal(m.Payload)
	if err != nil {
		return Order{}, "", wire.Errorf(400, "%v", err)
	}
	if !v.signed(s) {
		return Order{}, "", wire.Errorf(403, "it is not signed with a key that this gateway knows; fix: add the hub's key to uplink.hub_keys, if it is one of yours")
	}
	if o, err = parseOrder(s.text); err != nil {
		return Order{}, "", wire.Errorf(422, "%v", err)
	}
	o.Signer = s.key.String()
	if err := v.addressed(o, t); err != nil {
		return Order{}, "", err
	}
	stops := false
	if o.Kind == Cmd {
		_, stops = wire.ParseStop(o.Body)
	}
	err = v.timely(o, s.key, m.Retained)
	if err != nil && stops {
		return o, err.Error(), nil
	}
	return o, "", err
}

// signed returns whether one of the hubs has signed the text.
func (v *Verifier) signed(s sealed) bool {
	for _, key := range v.Keys() {
		if idOf(key) == s.key && ed25519.Verify(key, append([]byte(domain), s.text...), s.signature) {
			return true
		}
	}
	return false
}

// addressed returns an error for an order that is another gateway's, or that came on a
// topic which is not its own. Orders for all gateways can only be questions.
func (v *Verifier) addressed(o Order, t Topic) error {
	to := Gateway{o.Site, o.Gateway}
	all := to == Gateway{v.Gateway.Site, All}
	switch {
	case to != v.Gateway && !all:
		return wire.Errorf(403, "it is for another gateway")
	case to != t.Gateway || o.Kind.topic() != t.Kind:
		return wire.Errorf(403, "it came on a topic that it is not for")
	case all && o.Kind != Ask:
		return wire.Errorf(403, "only questions are for all gateways")
	}
	return nil
}

// timely returns an error for an order that is late or a copy, and else notes its counter.
func (v *Verifier) timely(o Order, key keyID, retained bool) error {
	all := o.Gateway == All
	now := v.Clock()
	left := o.UptimeMS - now.Uptime
	if o.Expires != 0 {
		left = o.Expires - now.Unix
	}
	switch {
	case retained:
		return wire.Errorf(409, "the message is retained: it is not known how old it is; fix: publish orders without retain, and remove this one")
	case !all && o.Nonce != v.Nonce:
		return wire.Errorf(409, "it was made for another start of the gateway")
	case (o.Expires == 0) == (o.UptimeMS == 0) || o.Expires < 0 || o.UptimeMS < 0:
		return wire.Errorf(422, "it needs expires or uptime_ms, one of both")
	case o.UptimeMS != 0 && all:
		return wire.Errorf(422, "gateways have no uptime in common: a question for all has expires")
	case o.Expires != 0 && !now.Synced:
		return wire.Errorf(408, "the gateway's clock is not synchronised, so it is not known whether it is late; fix: give it uptime_ms instead of expires")
	case left <= 0:
		return wire.Errorf(408, "it is late by %d ms", -left)
	case left > MaxValid.Milliseconds():
		return wire.Errorf(408, "it would be valid for %d ms, of %d at most: do the clocks of hub and gateway differ?", left, MaxValid.Milliseconds())
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.seen == nil {
		v.seen = map[counted]uint64{}
	}
	c := counted{key, o.Kind, all}
	if last, some := v.seen[c]; some && o.Counter <= last {
		return wire.Errorf(409, "its counter %d is not greater than the last one's: it is a copy, or another overtook it", o.Counter)
	}
	v.seen[c] = o.Counter
	return nil
}
