package main

import (
	"sensorgateway/gateway/access"
)

// accessPolicy is what the configuration says about clients. Where it says nothing
// of commands, those for emulated motors come from this machine.
func (g *running) accessPolicy() *access.Policy {
	p := &access.Policy{
		Hosts: g.cfg.Hosts, Origins: g.cfg.Origins, URL: g.cfg.URL, Proxies: g.cfg.Proxies, Commands: g.cfg.Commands,
	}
	if g.simulate != nil && p.Commands == access.NobodyCommands {
		p.Commands = access.LocalCommands
	}
	return p
}

// warnings are what the configuration allows to everybody, and what to do about it.
func (g *running) warnings() (all []string) {
	if g.cfg.Insecure {
		all = append(all, "insecure: true lets other machines connect without encryption or a password, and anybody on the way read and change what is sent; fix: set tls: in the configuration")
	}
	if g.cfg.Commands == access.AnybodyCommands {
		all = append(all, "commands: unauthenticated lets whoever reaches the port drive the motors; fix: write commands: local in the configuration, or keep others from the port")
	}
	return all
}
