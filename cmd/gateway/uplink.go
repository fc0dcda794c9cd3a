package main

import (
	"context"
	"path/filepath"
	"time"

	"sensorgateway/cmd/gateway/internal/member"
	"sensorgateway/gateway"
	"sensorgateway/gateway/access"
	"sensorgateway/gateway/fleet"
	"sensorgateway/gateway/uplink"
	"sensorgateway/gateway/uplink/ship"
	"sensorgateway/wire"
)

// fromHub is how the clients of hubs are identified.
const fromHub = "hub"

// newUplink returns the way to the hubs of the gateway's fleet, nil if it is in none.
func (g *running) newUplink() (*uplink.Uplink, error) {
	if g.cfg.Uplink == nil {
		return nil, nil
	}
	clock := func() (time.Time, bool) { return time.Now(), g.clock.Synced() }
	s := ship.Options{Feed: g.storage.history, Budget: g.cfg.Uplink.Budget, Clock: clock, Log: g.log}
	of := &member.Member{Config: *g.cfg.Uplink, State: g.cfg.State, Synced: g.clock.Synced}
	if g.cfg.State != "" {
		s.File, of.Log = filepath.Join(g.cfg.State, "uplink.json"), filepath.Join(g.cfg.State, logDir)
	}
	shipper, err := ship.New(s)
	handlers, owner := g.handlers(), &access.Identity{Valid: context.Background()}
	return uplink.New(uplink.Options{
		Identity: of.Identity, Sensors: len(g.sensors), Motors: g.motors.States, Audit: g.auditHead, Clock: clock,
		Hello: func() wire.Hello { return g.server.Hello(owner) }, Alarms: g.alarms.States, Machine: func() any { return g.metrics.Machine() },
		Command: func(o uplink.Operator, cmd wire.Command) (any, error) {
			carryOut, known := handlers[cmd.Action]
			if !known {
				return nil, wire.Errorf(404, "Unknown command")
			}
			return carryOut(context.Background(), gateway.Client{ID: o.ID, Name: o.Name, Identity: &access.Identity{Name: o.Name, How: fromHub, From: o.Hub}}, cmd)
		},
		Lost:    func(id string) { g.motors.Lost(id, wire.ReasonDisconnect) },
		Refused: func(hub, why string) { g.refused("orders", hub, why) },
		Event:   g.notify.Event, ChangeKeys: of.ChangeKeys, KeysChange: g.auditor.HubKeysChange, Guard: g.guard, Feed: g.storage.history, Shipper: shipper, Log: g.log,
	}), err
}

// auditHead is the end of the audit log, which hubs note.
func (g *running) auditHead() (fleet.AuditHead, bool) {
	if g.auditor.Log == nil {
		return fleet.AuditHead{}, false
	}
	n, code := g.auditor.Log.Head()
	return fleet.AuditHead{Seq: n, Hash: code}, n > 0
}
