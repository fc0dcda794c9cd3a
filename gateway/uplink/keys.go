package uplink

import (
	"cmp"
	"time"

	"sensorgateway/gateway/fleet"
	"sensorgateway/wire"
)

// changeKeys changes which hubs' keys the gateway knows, reports it, and answers.
func (l *link) changeKeys(work task) {
	c, err := work.KeyChange()
	var e wire.Event
	changed := false
	if err == nil {
		changed, err = l.o.ChangeKeys(work.Signer, c, func(key fleet.HubKey) {
			e = keyEvent(work.Order, c, key)
			l.o.KeysChange(e)
		})
	}
	if err != nil {
		l.refused(work, err, time.Now())
		return
	}
	if changed {
		l.keysChanged(e)
	}
	l.answer(work, wire.Envelope{Type: wire.TypeAck, Payload: fleet.KeyChanged{KeyChange: c, Changed: changed, Keys: l.hubKeys()}})
}

// keyEvent returns the event that a key was added or removed.
func keyEvent(o fleet.Order, c fleet.KeyChange, key fleet.HubKey) wire.Event {
	e := wire.Event{Kind: wire.EventHubKeys, Action: wire.KeyAdded, Hub: key.Name, Key: key.Fingerprint(), By: cmp.Or(o.By, o.Hub), From: o.Hub, TS: wire.Seconds(time.Now().UnixMilli())}
	if c.Remove != "" {
		e.Action = wire.KeyRemoved
	}
	return e
}

// keysChanged reports a change of keys: as an event, in the log, and to all hubs.
func (l *link) keysChanged(e wire.Event) {
	text := "a hub's key was added: it may command this gateway from now on"
	if e.Action == wire.KeyRemoved {
		text = "a hub's key was removed: it may command this gateway no longer"
	}
	l.o.Event(e)
	l.o.Log.Warn(text, "hub", e.Hub, "key", e.Key, "by", e.By, "ordered_by", e.From)
	l.news.greet()
}
