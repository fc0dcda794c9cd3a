package wire

import (
	"bytes"
	"encoding/json"
	"maps"
	"math"
	"slices"
	"unicode/utf8"
)

// Request is an envelope from a client.
type Request struct {
	Type    string
	ID      json.RawMessage // a string or a number; nil if none was given
	Payload json.RawMessage // nil if none was given, or null
}

// ParseRequest reads a message from a client. Its errors are [*Error]: 400 if
// it is not a JSON object, 422 for members that wire/README.md, "Messages", does not
// allow. With an error too the request has its ID, if that could be read.
func ParseRequest(message []byte) (r Request, err error) {
	// JSON that is not an object gets the same answer as what is not JSON.
	if !utf8.Valid(message) || !json.Valid(message) || bytes.TrimSpace(message)[0] != '{' {
		return r, Errorf(400, "Invalid JSON")
	}
	all, err := members(message)
	if err != nil {
		return r, Errorf(422, "%v", err)
	}
	if id, ok := all["id"]; ok {
		if id[0] != '"' && id[0] != '-' && (id[0] < '0' || id[0] > '9') {
			return r, Errorf(422, "id must be a string or a number")
		}
		r.ID = id
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if name != "type" && name != "id" && name != "payload" {
			return r, Errorf(422, "unknown member %q: an envelope has type, payload and id", name)
		}
	}
	if raw, ok := all["type"]; !ok {
		return r, Errorf(422, "type is missing")
	} else if err := text("type", raw, &r.Type); err != nil {
		return r, err
	}
	if raw := all["payload"]; !isNull(raw) {
		r.Payload = raw
	}
	return r, nil
}

// Object returns the members of the payload; without a payload there are none.
// Any other member than those named is an error; without names, all are allowed.
func (r Request) Object(names ...string) (map[string]json.RawMessage, error) {
	if r.Payload == nil {
		return map[string]json.RawMessage{}, nil
	}
	all, err := members(r.Payload)
	if err != nil {
		return nil, Errorf(422, "payload: %v", err)
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if len(names) > 0 && !slices.Contains(names, name) {
			return nil, Errorf(422, "unknown parameter %q", name)
		}
		if isNull(all[name]) && len(names) > 0 {
			return nil, Errorf(422, "%s is null: leave it out instead", name)
		}
	}
	return all, nil
}

// Subscription is the payload of subscribe and unsubscribe.
type Subscription struct {
	Topic string            // [TopicAll] if none was named
	Epoch string            // of Since
	Since map[string]uint32 // the client's last sequence number, by sensor
}

// Topics; one sensor's is "sensors/NAME".
const (
	TopicAll     = "all"
	TopicSensors = "sensors"
	TopicMotors  = "motors"
	TopicEvents  = "events"
)

// Subscribed is the payload of the answer to subscribe and unsubscribe.
type Subscribed struct {
	Topic     string            `json:"topic"`
	Motors    []MotorState      `json:"motors,omitzero"`    // for topics that have them
	Recovered *bool             `json:"recovered,omitzero"` // for a subscription with since
	From      map[string]uint32 `json:"from,omitempty"`     // numbers before these are no longer stored
}

// ParseSubscription reads the payload of a subscribe message; since and epoch
// go with it only if resume is true. Its errors are [*Error].
func ParseSubscription(r Request, resume bool) (s Subscription, err error) {
	names := []string{"topic", "epoch", "since"}
	if !resume {
		names = names[:1]
	}
	all, err := r.Object(names...)
	if err != nil {
		return s, err
	}
	s.Topic = TopicAll
	if raw, ok := all["topic"]; ok {
		if err := text("topic", raw, &s.Topic); err != nil {
			return s, err
		}
	}
	if raw, ok := all["epoch"]; ok {
		if err := text("epoch", raw, &s.Epoch); err != nil {
			return s, err
		}
	}
	if raw, ok := all["since"]; ok {
		numbers, err := members(raw)
		if err != nil {
			return s, Errorf(422, "since: %v", err)
		}
		s.Since = map[string]uint32{}
		for name, raw := range numbers {
			var n *int64
			if isNull(raw) || whole(name, raw, 0, math.MaxUint32, &n) != nil {
				return s, Errorf(422, "since: %q must be a sequence number", name)
			}
			s.Since[name] = uint32(*n)
		}
		if _, ok := all["epoch"]; !ok {
			return s, Errorf(422, "since needs epoch")
		}
	}
	return s, nil
}
