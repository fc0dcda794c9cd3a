package config

import (
	"fmt"
	"net"

	"sensorgateway/gateway/access"
)

// Warnings returns what the file allows to everybody, and what to do about it.
func (c *Config) Warnings(tokens bool) (all []string) {
	host, port, _ := net.SplitHostPort(c.Listen) // it is checked
	switch {
	case !c.Insecure:
	case c.TLS != nil:
		all = append(all, "insecure: true changes nothing beside tls:, all connections are encrypted; fix: remove it")
	case IsLoopback(host):
		all = append(all, fmt.Sprintf("insecure: true changes nothing while it listens on %s: no other machine reaches it; fix: write listen: %q to be reached, or remove insecure", c.Listen, ":"+port))
	default:
		all = append(all, "insecure: true lets other machines connect without encryption, and anybody on the way read and change what is sent; fix: set tls: in the configuration")
	}
	switch {
	case c.Commands != access.AnybodyCommands:
	case tokens:
		all = append(all, "commands: unauthenticated counts no longer, since there are tokens; fix: remove the line")
	default:
		all = append(all, "commands: unauthenticated lets whoever reaches the port drive the motors; fix: make a token, gateway token add NAME --role operator, or keep others from the port")
	}
	return all
}
