package config

import "sensorgateway/gateway/access"

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
