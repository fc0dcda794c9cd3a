package gateway

import (
	"fmt"
	"net/netip"

	"sensorgateway/gateway/api"
	"sensorgateway/gateway/conn"
	"sensorgateway/gateway/limit"
)

// Limits are what clients may take of the server.
type Limits = limit.Limits

// The reasons for which [Options.Refused] is called when a limit is reached.
const (
	ReasonLimit       = "limit"     // of WebSocket clients
	ReasonHandshake   = "handshake" // a request to upgrade that is no valid handshake
	ReasonConnections = conn.ReasonConnections
	ReasonHost        = conn.ReasonHost
	ReasonDescriptors = conn.ReasonDescriptors
	ReasonQueues      = conn.ReasonQueues
	ReasonQueries     = api.ReasonQueries
)

// Limits returns how much of each limit is used.
func (s *Server) Limits() []limit.Count {
	return append(s.budget.Counts(), limit.Count{Name: "clients", Current: int64(s.clients.Taken()), Maximum: int64(s.clients.Most)})
}

// admit takes the places that a client needs. If one is not free, it returns an error
// that says which. left gives them back.
func (s *Server) admit(c *session, path string) error {
	if full, ok := s.clients.Take(c.host(), c.Identity.Denied == nil || c.Identity.Token != ""); !ok {
		return fmt.Errorf("too many clients %s", full)
	}
	if p := c.rules.places; p != nil {
		if _, ok := p.Take(netip.Prefix{}, false); !ok {
			s.clients.Leave(c.host())
			return fmt.Errorf("too many clients of %s", path)
		}
	}
	if err := c.Identity.Connect(c.ID, path); err != nil {
		s.freePlaces(c)
		return err
	}
	return nil
}

// left ends what an upgrade began.
func (s *Server) left(c *session) {
	c.Identity.Disconnect()
	s.freePlaces(c)
	s.sessions.Done()
}

func (s *Server) freePlaces(c *session) {
	if p := c.rules.places; p != nil {
		p.Leave(netip.Prefix{})
	}
	s.clients.Leave(c.host())
}
