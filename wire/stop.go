package wire

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"
)

// ParseStop returns the stop or the e-stop in a message from a client, and
// whether there is one. It is found in every JSON object of type command with a
// payload that has an action of stop or estop, also where [ParseRequest] or
// [ParseCommand] would return an error: a motor must not go on running because a member is
// unknown, odd or duplicated, or because the text has another encoding. Then the command's
// Warning is that error. Of several stops an e-stop counts, and a stop without one valid
// target is for all motors.
func ParseStop(message []byte) (Command, bool) {
	r, err := ParseRequest(message)
	if err == nil && r.Type == "command" {
		var c Command
		if c, err = ParseCommand(r.Payload); err == nil {
			c.ID = string(r.ID)
			return c, c.Stops()
		}
	}
	if err == nil { // another type of message
		return Command{}, false
	}
	stop := Command{ID: string(r.ID), Warning: err.Error()}
	// JSON may not have these, but some readers accept them (RFC 8259, section 8.1).
	if !utf8.Valid(message) {
		stop.Warning, message = "not UTF-8", bytes.ToValidUTF8(message, []byte("\ufffd"))
	}
	if rest, found := bytes.CutPrefix(message, []byte("\ufeff")); found {
		stop.Warning, message = "begins with a byte order mark", rest
	}
	envelope, err := memberList(message)
	if err != nil || !has(envelope, "type", "command") {
		return Command{}, false
	}
	var targets []string
	for _, m := range envelope {
		if m.name != "payload" {
			continue
		}
		payload, err := memberList(m.value)
		switch {
		case err != nil:
			continue
		case has(payload, "action", EStop):
			stop.Action = EStop
		case has(payload, "action", Stop) && stop.Action == "":
			stop.Action = Stop
		}
		for _, m := range payload {
			if m.name == "target" {
				targets = append(targets, stringOf(m.value))
			}
		}
	}
	stop.Target = All
	if stop.Action == Stop && len(targets) == 1 && targets[0] != "" {
		stop.Target = targets[0]
	}
	return stop, stop.Action != ""
}

// has returns whether a member of that name is the string value.
func has(list []member, name, value string) bool {
	for _, m := range list {
		if m.name == name && stringOf(m.value) == value {
			return true
		}
	}
	return false
}

// stringOf returns a JSON string, "" for any other value.
func stringOf(raw json.RawMessage) (s string) {
	_ = json.Unmarshal(raw, &s) // no string: s stays empty
	return s
}
