package uplink

import (
	"cmp"
	"time"

	"sensorgateway/gateway/fleet"
	"sensorgateway/wire"
)

// changeKeys changes which hubs' keys the gateway knows, tells of it, and answers.
func (l *link) changeKeys(work task) {
	c, err := work.KeyChange()
	var key fleet.HubKey
	changed := false
	if err == nil {
		key, changed, err = l.o.ChangeKeys(work.Signer, c)
	}
	if err != nil {
		l.refused(work, err, time.Now())
		return
	}
	if changed {
		l.keysChanged(work.Order, c, key)
	}
	l.answer(work, wire.Envelope{Type: wire.TypeAck, Payload: fleet.KeyChanged{KeyChange: c, Changed: changed, Keys: l.hubKeys()}})
}

// keysChanged tells of a change: to whoever looks after the gateway, and to all hubs.
func (l *link) keysChanged(o fleet.Order, c fleet.KeyChange, key fleet.HubKey) {
	e := wire.Event{Kind: wire.EventHubKeys, Action: wire.KeyAdded, Hub: key.Name, Key: key.Fingerprint(), By: cmp.Or(o.By, o.Hub), From: o.Hub, TS: wire.Seconds(time.Now().UnixMilli())}
	text := "a hub's key was added: it may command this gateway from now on"
	if c.Remove != "" {
		e.Action, text = wire.KeyRemoved, "a hub's key was removed: it may command this gateway no longer"
	}
	l.o.Event(e)
	l.o.Log.Warn(text, "hub", key.Name, "key", e.Key, "by", e.By, "ordered_by", o.Hub)
	l.news.greet()
}
