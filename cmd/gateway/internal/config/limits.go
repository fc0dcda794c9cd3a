package config

import (
	"sensorgateway/cmd/gateway/internal/phrase"
	"sensorgateway/gateway/limit"
)

// What a file may ask for: with less nobody gets in, with more there are no
// descriptors.
const (
	maxConnections = 1 << 20
	minQueues      = 1 << 20 // bytes
	maxQueues      = 1 << 30
)

// limits reads what clients may take.
func (s *section) limits() limit.Limits {
	c := limit.Default()
	n := s.value("limits")
	if n == nil {
		return c
	}
	l := s.section(n, "limits")
	if l == nil {
		return c
	}
	defer l.done()
	l.count("connections", &c.Connections)
	l.count("connections_per_address", &c.ConnectionsPerAddress)
	l.count("clients", &c.Clients)
	l.count("clients_per_address", &c.ClientsPerAddress)
	l.count("clients_per_token", &c.ClientsPerToken)
	reserved := l.number("reserved", maxConnections, "that many of clients", &c.Reserved)
	switch {
	case c.Reserved < c.Clients:
	case reserved == nil: // its default is for more clients
		c.Reserved = c.Clients / 10
	default:
		l.fault(reserved, "reserved", "%d of %d clients leave none for the others (write a tenth of clients, such as %d)", c.Reserved, c.Clients, c.Clients/10)
	}
	var size string
	if n := l.text("queues", &size); n != nil {
		var err error
		if c.Queues, err = phrase.ParseSize(size); err != nil {
			l.fault(n, "queues", "%v", err)
		} else if c.Queues < minQueues || c.Queues > maxQueues {
			l.fault(n, "queues", "%s is not between 1MiB and 1GiB", phrase.Quote(size))
		}
	}
	return c
}

// count reads how many there may be, 1 at least.
func (s *section) count(key string, into *int) {
	most := *into
	if n := s.number(key, maxConnections, "how many there may be at a time", into); n != nil && *into == 0 {
		s.fault(n, key, "with 0 nobody gets in (write how many there may be at a time, such as %d)", most)
	}
}
