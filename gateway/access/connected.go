package access

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A Connection is a client that is connected now.
type Connection struct {
	ID       string // unique in this process
	Path     string
	Since    time.Time
	Identity *Identity

	dismissed atomic.Bool
}

// connected are the clients that are connected now.
type connected struct {
	most int // of one token; 0: any number

	mu      sync.Mutex
	of      map[string]*Connection
	byToken map[string]int
}

// Connect counts a client as connected, for [Guard.Connected], until Disconnect. It returns
// an error if too many clients have the same token.
func (id *Identity) Connect(client, path string) error {
	c := id.connected
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if id.Token != "" {
		if c.most > 0 && c.byToken[id.Token] >= c.most {
			return fmt.Errorf("too many clients with the token of %s: %d (clients_per_token: under limits: in the configuration)", id.Name, c.most)
		}
		c.byToken[id.Token]++
	}
	if id.entry != nil {
		id.entry.Connect()
	}
	id.connection = &Connection{ID: client, Path: path, Since: time.Now(), Identity: id}
	c.of[client] = id.connection
	return nil
}

// Disconnect ends what Connect began; without it, it does nothing.
func (id *Identity) Disconnect() {
	if id.connection == nil {
		return
	}
	c := id.connected
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.of, id.connection.ID)
	if id.entry != nil {
		id.entry.Disconnect()
	}
	if id.Token != "" {
		if c.byToken[id.Token]--; c.byToken[id.Token] == 0 {
			delete(c.byToken, id.Token)
		}
	}
}

// Connected returns the clients that are connected, the newest first.
func (g *Guard) Connected() []*Connection {
	c := &g.connected
	c.mu.Lock()
	all := make([]*Connection, 0, len(c.of))
	for _, one := range c.of {
		all = append(all, one)
	}
	c.mu.Unlock()
	slices.SortFunc(all, func(a, b *Connection) int { return b.Since.Compare(a.Since) })
	return all
}

// MostOfOneToken returns how many clients have the same token, of the token with the most.
func (g *Guard) MostOfOneToken() (most int) {
	g.connected.mu.Lock()
	defer g.connected.mu.Unlock()
	for _, n := range g.connected.byToken {
		most = max(most, n)
	}
	return most
}

// Dismiss ends the identity of this one connected client, and returns it; nil if there is
// no such client.
func (g *Guard) Dismiss(client string) *Identity {
	g.connected.mu.Lock()
	defer g.connected.mu.Unlock()
	one := g.connected.of[client]
	if one == nil {
		return nil
	}
	one.dismissed.Store(true)
	return one.Identity
}
