// Package warnings finds what a valid configuration allows to everybody, and what in it
// cannot work as it is meant. It changes nothing and refuses nothing.
package warnings

import (
	"fmt"
	"net"

	"sensorgateway/cmd/gateway/internal/address"
	"sensorgateway/cmd/gateway/internal/config"
	"sensorgateway/gateway/access"
	"sensorgateway/gateway/motor"
)

// Of returns what the file allows to everybody, and what cannot work as it is meant, and
// what to do about it. tokens: there are some.
func Of(c *config.Config, tokens bool) (all []string) {
	host, port, _ := net.SplitHostPort(c.Listen) // it is checked
	switch {
	case !c.Insecure:
	case c.TLS != nil:
		all = append(all, "insecure: true changes nothing beside tls:, all connections are encrypted; fix: remove it")
	case address.IsLoopback(host):
		all = append(all, fmt.Sprintf("insecure: true changes nothing while it listens on %s: no other machine reaches it; fix: write listen: %q to be reached, or remove insecure", c.Listen, ":"+port))
	default:
		all = append(all, "insecure: true lets other machines connect without encryption, and anybody on the way read and change what is sent; fix: set tls: in the configuration")
	}
	switch {
	case c.Commands != access.AnybodyCommands:
	case tokens:
		all = append(all, "commands: unauthenticated has no effect any more, because there are tokens; fix: remove the line")
	default:
		all = append(all, "commands: unauthenticated lets whoever reaches the port drive the motors; fix: make a token, gateway token add NAME --role operator, or keep others from the port")
	}
	for _, m := range c.Motors {
		all = append(all, rare(c, m)...)
	}
	return all
}

// rare returns those of a motor's needs that fail most of the time, because the sensor
// measures too rarely for them.
func rare(c *config.Config, m config.Motor) (all []string) {
	aged := map[int]bool{} // sensors with a condition on their age, which decides for their values too
	for _, need := range m.Needs {
		aged[need.Sensor] = aged[need.Sensor] || need.OnAge
	}
	for _, need := range m.Needs {
		sensor, bound := c.Sensors[need.Sensor], motor.StaleAfter
		fix := fmt.Sprintf("add %q to its needs", fmt.Sprintf("%s.age < %v", sensor.Name, 2*sensor.Interval))
		if need.OnAge {
			bound, fix = need.Bound, fmt.Sprintf("let it be older, such as %q", fmt.Sprintf("%s.age < %v", sensor.Name, 2*sensor.Interval))
		}
		if (need.OnAge || !aged[need.Sensor]) && bound < sensor.Interval {
			all = append(all, fmt.Sprintf("motor %s: %q fails %v after each reading, and the next one comes after %v; fix: %s",
				m.Name, need, bound, sensor.Interval, fix))
		}
	}
	return all
}
