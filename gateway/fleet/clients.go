package fleet

import (
	"time"

	"sensorgateway/wire"
)

// TypeClients is the type of the body of a [Cmd] that comes from the hub itself, and says
// which of its clients are connected. It is not answered.
const TypeClients = "clients"

// For a gateway, a client of a hub is connected while the hub names it or it commands. So it
// is lost too if its hub is killed or the line is cut.
const (
	ClientsRepeat = 2 * time.Second // how often a hub names them while one may keep something running
	ClientsTime   = 6 * time.Second // how long a client is connected after its hub has named it last, or it has commanded
)

// MaxClients is how many clients a hub names at most.
const MaxClients = 128

// Limits of the commands that a gateway takes. It does not answer all that exceed them, so as
// not to fill its line, so a hub refuses such commands itself.
const (
	// MaxCommands is how many commands of a client it carries out in a second: as many as a
	// WebSocket client may send, and some that were held up on the way. Stops have no limit.
	MaxCommands = 25
	// MaxWaiting is how many commands can wait in the gateway.
	MaxWaiting = 32
	// MaxUnanswered is how many commands of one hub can be under way to it, wait in it or be
	// carried out: it leaves room for commands of another hub.
	MaxUnanswered = 24
)

// Connected is the payload of [TypeClients]: the clients of the order's hub that have
// commanded the gateway and are connected still. The others have lost their connection.
type Connected struct {
	Clients []string `json:"clients"`
}

// Connected returns the body of a [Cmd] if it is one of [TypeClients].
func (o Order) Connected() (c Connected, is bool, err error) {
	r, err := wire.ParseRequest(o.Body)
	if err != nil || r.Type != TypeClients {
		return Connected{}, false, nil // it is a client's command, and answered as such
	}
	if r.Payload == nil {
		return Connected{}, true, wire.Errorf(422, "clients: the payload is missing")
	}
	if err := strict(r.Payload, &c); err != nil {
		return Connected{}, true, wire.Errorf(422, "clients: %v", err)
	}
	if len(c.Clients) > MaxClients {
		return Connected{}, true, wire.Errorf(422, "clients: %d, of %d at most", len(c.Clients), MaxClients)
	}
	return c, true, nil
}
