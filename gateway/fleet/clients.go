package fleet

import (
	"time"

	"sensorgateway/wire"
)

// TypeClients is the type of the body of a [Cmd] that is no client's: which clients of the
// hub are connected. It is not answered.
const TypeClients = "clients"

// A client of a hub is connected for its gateway while it is named or commands: a hub
// that was killed, and a line that was cut, end it as much as its own word does.
const (
	ClientsRepeat = 2 * time.Second // how often a hub names them while one may keep something running
	ClientsTime   = 6 * time.Second // how long a client is connected after its hub has named it last, or it has commanded
)

// MaxClients is how many a hub names at most.
const MaxClients = 128

// What of commands a gateway takes. Those that it refuses for it are answered as far as
// its line is not to be filled with that, so a hub refuses more itself.
const (
	// MaxCommands is how many commands of a client it carries out in a second: as many as
	// come from one by WebSocket, and some that the way has held up. A stop always is.
	MaxCommands = 25
	// MaxWaiting is how many commands wait in it.
	MaxWaiting = 32
	// MaxUnanswered is how many commands of a hub are under way to it, wait in it or are
	// carried out: there is room for some of another hub.
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
		return Connected{}, false, nil // it is a client's, and answered as such
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
