package access

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"slices"

	"sensorgateway/gateway/access/tokens"
	"sensorgateway/wire"
)

// Identity is who a client is, and what it may do. It is determined with the client's
// request and does not change after that, but it can end.
type Identity struct {
	Token    string     // the ID of its token; "" for who has none
	Login    string     // the ID of the browser's login; "" for who has none
	Name     string     // of the token's holder; "" for who has none
	From     string     // where it is, for people
	Addr     netip.Addr // by which it is limited
	How      string     // how it was identified, one of a few fixed words
	Role     tokens.Role
	Chats    bool  // may write in the operators' room
	Denied   error // why it may not command motors; nil: it may
	Sensors  Scope // that it may see
	Motors   Scope // that it may see and command
	Gateways Scope // of a fleet, on a hub: see Reaches

	Valid       context.Context // ends when the identity is no longer valid; see Ended
	Certificate context.Context // ends when the certificate by which it was identified is no longer valid; nil: there was none

	entry      *tokens.Entry // which it is of; nil: of none
	connected  *connected    // which counts it; nil: it is not counted
	connection *Connection   // nil: it is not connected
}

// Scope is the names that an identity is limited to. An empty scope is no limit.
type Scope []string

// Has returns whether a name is in the scope.
func (s Scope) Has(name string) bool { return len(s) == 0 || slices.Contains(s, name) }

// Reaches returns whether a gateway of a fleet is in the identity's scope, by its name or
// by its site.
func (id *Identity) Reaches(site, gateway string) bool {
	return id.Gateways.Has(gateway) || id.Gateways.Has(tokens.Site+site)
}

// Sees returns whether the client may see what concerns a sensor, a motor, or, where both
// are "", neither.
func (id *Identity) Sees(sensor, motor string) bool {
	return (sensor == "" || id.Sensors.Has(sensor)) && (motor == "" || id.Motors.Has(motor))
}

// Anybody returns the identity of a client of a gateway that does not ask who clients are.
func Anybody(from string) *Identity {
	return &Identity{From: from, Addr: parseAddrPort(from), How: "nothing", Role: tokens.Operator, Chats: true, Valid: context.Background()}
}

// Everybody is the access to a server that does not ask who clients are.
type Everybody struct{}

// Identify returns the identity of anybody.
func (Everybody) Identify(r *http.Request) (*Identity, *Refusal) { return Anybody(r.RemoteAddr), nil }

// Label names the client for people.
func (id *Identity) Label() string {
	if id.Name != "" {
		return id.Name
	}
	return id.From
}

// Source names the client and the machine on which it is, for people. A port tells them
// nothing.
func (id *Identity) Source() string {
	where := id.From
	if peer, err := netip.ParseAddrPort(where); err == nil {
		where = peer.Addr().Unmap().String()
	}
	if id.Name == "" {
		return where
	}
	return id.Name + ", " + where
}

// You is what the client learns about itself.
func (id *Identity) You() wire.You {
	may := []string{"see", wire.Stop, wire.EStop}
	if id.Chats {
		may = append(may, "chat")
	}
	if id.Denied == nil {
		may = append(may, wire.TypeCommand, wire.TypeControl)
	}
	if id.Role.AtLeast(tokens.Admin) {
		may = append(may, "tokens")
	}
	you := wire.You{Name: id.Name, Role: string(id.Role), May: may}
	if id.Denied != nil {
		you.Denied = id.Denied.Error()
	}
	return you
}

// Ended returns the reason for which the connections of an identity are closed that is
// no longer valid, "" while it is.
func (id *Identity) Ended() string {
	if id.connection != nil && id.connection.dismissed.Load() {
		return wire.CloseReasonDismissed
	}
	cause := context.Cause(id.Valid)
	if cause == nil && id.Certificate != nil {
		cause = context.Cause(id.Certificate)
	}
	switch {
	case cause == nil:
		return ""
	case errors.Is(cause, tokens.ErrExpired), errors.Is(cause, context.DeadlineExceeded):
		return wire.CloseReasonExpired
	case errors.Is(cause, tokens.ErrNeeded):
		return wire.CloseReasonNeeded
	}
	return wire.CloseReasonRevoked
}

type contextKey struct{}

// With returns a request whose handlers find the identity with [Of], and whose address
// has no ticket. Its context ends when the identity does. The caller calls the function
// when the request is answered.
func (id *Identity) With(r *http.Request) (*http.Request, func()) {
	ctx, cancel := context.WithCancel(context.WithValue(r.Context(), contextKey{}, id))
	stop, stopCertificate := context.AfterFunc(id.Valid, cancel), func() bool { return true }
	if id.Certificate != nil {
		stopCertificate = context.AfterFunc(id.Certificate, cancel)
	}
	r = r.WithContext(ctx)
	if id.How == byTicket {
		r = withoutTicket(r)
	}
	return r, func() { stop(); stopCertificate(); cancel() }
}

// Of returns the identity of a request's sender; of one that was not identified, that of
// [Anybody].
func Of(r *http.Request) *Identity {
	if id, ok := r.Context().Value(contextKey{}).(*Identity); ok {
		return id
	}
	return Anybody(r.RemoteAddr)
}

// Silence returns why the client may not write in the operators' room, "" if it may.
func (id *Identity) Silence() string {
	if id.Chats {
		return ""
	}
	return "You may read along: writing here needs the token of an operator"
}
