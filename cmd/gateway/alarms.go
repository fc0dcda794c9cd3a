package main

import (
	"context"
	"net/http"
	"path/filepath"

	"sensorgateway/cmd/gateway/internal/trouble"
	"sensorgateway/gateway"
	"sensorgateway/gateway/access"
	"sensorgateway/gateway/alarm"
	"sensorgateway/wire"
)

// newAlarms returns the configured alarms and the built-in ones.
func (g *running) newAlarms() *alarm.Alarms {
	o := alarm.Options{
		Rules: g.cfg.Alarms, Sensors: g.sensors, Notify: g.notify.Event, Claimed: g.storage.claimed, Synced: g.clock.Synced, Seconds: g.seconds.C, Log: g.log, Guard: g.guard,
	}
	known := trouble.Checked{Motors: g.motors.States, Synced: g.clock.Synced}
	if g.cfg.State != "" {
		o.File = filepath.Join(g.cfg.State, "alarms.json")
		known.Storage, known.Durable, known.Update = &g.trouble, g.storage.history.Durable, trouble.FailedUpdate(g.cfg.State)
	}
	if g.certificates != nil {
		known.Expires = g.certificates.Expires
	}
	if w := g.cfg.Webhook; w != nil {
		o.Webhook = &alarm.Webhook{URL: w.URL.String(), SecretFile: w.SecretFile, Gateway: g.name()}
		if g.simulate != nil { // nobody shall go to the real device for its alarms
			o.Webhook.Gateway += " (simulated)"
		}
	}
	o.Checks = known.Checks()
	return alarm.New(o)
}

// acknowledge carries out the acknowledgement of an alarm.
func (g *running) acknowledge(_ context.Context, c gateway.Client, cmd wire.Command) (any, error) {
	return g.alarms.Acknowledge(alarm.Client{ID: c.ID, Name: c.Name, May: c.Identity.Sees}, cmd)
}

// listAlarms returns the alarms that are raised, or were recently, and that the client may see.
func (g *running) listAlarms(r *http.Request) any { return g.alarms.List(access.Of(r).Sees) }
