package main

import (
	"context"

	"sensorgateway/cmd/gateway/internal/machine"
	"sensorgateway/gateway"
	"sensorgateway/gateway/access"
	"sensorgateway/gateway/homeassistant"
	"sensorgateway/wire"
)

// newHomeAssistant returns the bridge to Home Assistant, nil if there is to be none.
func (g *running) newHomeAssistant() *homeassistant.Bridge {
	c := g.cfg.HomeAssistant
	if c == nil {
		return nil
	}
	operator, act := gateway.Client{ID: homeassistant.Operator, Name: homeassistant.Operator, Identity: &access.Identity{Name: homeassistant.Operator, How: "mqtt", From: c.Broker.Host}}, g.act()
	o := homeassistant.Options{
		Broker: c.Broker, User: c.User, PasswordFile: c.PasswordFile, MaxRun: c.MaxRun,
		ID: "gateway-" + machine.ID(), Name: g.name(), Version: version, Simulated: g.simulate != nil, Sensors: g.sensors, Motors: g.motors.States, Alarms: g.alarms.All,
		Command: func(cmd wire.Command) error { _, err := act(context.Background(), operator, cmd); return err },
		Lost:    func() { g.motors.Lost(operator.ID, wire.ReasonDisconnect) },
		Log:     g.log,
	}
	if g.simulate != nil { // its readings are not those of the real device
		o.ID += "-simulated"
	}
	if g.cfg.URL != nil {
		o.Page = g.cfg.URL.String()
	}
	return homeassistant.New(o)
}
