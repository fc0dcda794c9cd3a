package config

import "sensorgateway/gateway/access"

// Policy returns what the file says about clients. Where it says nothing of
// commands, those for simulated motors come from this machine.
func (c *Config) Policy(simulated bool) *access.Policy {
	p := &access.Policy{Hosts: c.Hosts, Origins: c.Origins, URL: c.URL, Proxies: c.Proxies, Commands: c.Commands}
	if simulated && p.Commands == access.NobodyCommands {
		p.Commands = access.LocalCommands
	}
	return p
}

// Warnings returns what the file allows to everybody, and what to do about it.
func (c *Config) Warnings() (all []string) {
	if c.Insecure {
		all = append(all, "insecure: true lets other machines connect without encryption or a password, and anybody on the way read and change what is sent; fix: set tls: in the configuration")
	}
	if c.Commands == access.AnybodyCommands {
		all = append(all, "commands: unauthenticated lets whoever reaches the port drive the motors; fix: write commands: local in the configuration, or keep others from the port")
	}
	return all
}
