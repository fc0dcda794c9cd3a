package access

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"sensorgateway/gateway/access/tokens"
)

// Options are a Guard's.
type Options struct {
	Policy  *Policy
	Tokens  *tokens.Store
	Exposed bool // it listens beyond this machine
	Hub     bool // it is a fleet's hub, which limits tokens to gateways
	Open    bool // whoever connects may see
	Metrics bool // whoever connects may see /metrics
	// Demonstration lets whoever connects do everything until a token is made:
	// nothing real moves.
	Demonstration bool
	// Client returns the name in the certificate of a client, and a context that ends when
	// the certificate is no longer valid. It is called if the client has sent one.
	Client   func(*tls.ConnectionState) (name string, valid context.Context, err error)
	PerToken int                              // clients that may be connected with one token; 0: any number
	Refused  func(reason, client, why string) // as in [Refusals.Refused]
	// Logged is called when somebody has logged in or out with a browser, with the words
	// "in" and "out"; nil: nobody is told.
	Logged func(what, token, name, from string)
	Log    *slog.Logger
}

// A Guard says who sends a request.
type Guard struct {
	Options
	tries     tries
	tickets   tickets
	connected connected
}

// NewGuard returns a guard.
func NewGuard(o Options) *Guard {
	if o.Logged == nil {
		o.Logged = func(string, string, string, string) {}
	}
	return &Guard{Options: o, connected: connected{most: o.PerToken, of: map[string]*Connection{}, byToken: map[string]int{}}}
}

// Refusal is why a request is not answered.
type Refusal struct {
	Status     int
	Reason     string // one of a few fixed words: refusals are counted and logged by it
	From       string // where it comes from, for people
	Err        error  // for people
	RetryAfter time.Duration
	invalid    bool // a credential was presented
}

// Identify returns who sends a request, or why it is refused. A right secret is looked up
// first: failed tries of others from the same address never lock its holder out.
func (g *Guard) Identify(r *http.Request) (*Identity, *Refusal) {
	addr, from := g.Policy.From(r)
	refuse := func(status int, reason string, err error) (*Identity, *Refusal) {
		return nil, &Refusal{Status: status, Reason: reason, From: from, Err: err}
	}
	if err := g.Policy.checkHost(r); err != nil {
		return refuse(http.StatusForbidden, ReasonHost, err)
	}
	p, err := present(r, g.cookie(r), viewCookie(g.cookie(r)))
	if err != nil {
		return refuse(http.StatusBadRequest, ReasonForm, err)
	}
	if p.how == byCertificate && g.Policy.proxy(parseAddrPort(r.RemoteAddr)) != nil {
		p.how = byNothing // the certificate is the proxy's, not its clients'
	}
	// A page of another site can send only what browsers send by themselves.
	if ambient(p.how) || p.how == byNothing {
		if err := g.Policy.checkOrigin(r); err != nil {
			return refuse(http.StatusForbidden, ReasonOrigin, err)
		}
	}
	id, err := g.find(p, r, from)
	if err == nil {
		id.From, id.Addr, id.connected = from, addr, &g.connected
		return id, nil
	}
	if !errors.Is(err, errClient) { // a certificate that is shown has to verify, as in TLS
		if err := g.Policy.checkOrigin(r); err != nil && g.anonymous(r, from) != nil {
			return refuse(http.StatusForbidden, ReasonOrigin, err)
		}
		if id := g.anonymous(r, from); id != nil {
			id.Addr, id.connected = addr, &g.connected
			return id, nil
		}
	}
	f := &Refusal{Status: http.StatusUnauthorized, Reason: ReasonToken, From: from, Err: err}
	if p.how != byNothing {
		f.invalid, f.RetryAfter = true, g.tries.fail(addr, time.Now())
	}
	return nil, f
}

// find returns whose credential is presented.
func (g *Guard) find(p presented, r *http.Request, from string) (*Identity, error) {
	switch p.how {
	case byNothing:
		return nil, g.needed()
	case byTicket:
		id, err := g.tickets.take(p.secret, r.URL.Path, time.Now())
		if err == nil && id.Ended() != "" {
			err = errTicket
		}
		return id, err
	case byCertificate:
		return g.findNamed(r, from)
	case byCookie:
	default:
		if err := tokens.CheckText(p.secret); err != nil {
			return nil, err
		}
	}
	e, err := g.Tokens.Find(p.secret, from)
	switch {
	case e == nil, (e.Login != nil) != (p.how == byCookie):
		if p.how == byCookie {
			return nil, errors.New("you are not logged in any more; fix: log in at /login")
		}
		return nil, errors.New("the token is not one of this gateway: it was revoked, or it is another gateway's")
	case err != nil:
		return nil, expired(e, err)
	}
	if len(e.Gateways) > 0 && !g.Hub { // this gateway could not apply the limit
		return nil, fmt.Errorf("the token of %s is for gateways of a fleet, at its hub", e.Name)
	}
	if e.Login != nil {
		return identityOfLogin(e, p.secret), nil
	}
	return identityOf(e, p.how), nil
}

// errClient is the error of a client's certificate that does not verify.
var errClient = errors.New("the client certificate is not good")

// findNamed returns the identity for the name in a client's certificate.
func (g *Guard) findNamed(r *http.Request, from string) (*Identity, error) {
	name, valid, err := g.Client(r.TLS)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errClient, err)
	}
	e, err := g.Tokens.Named(name, from)
	switch {
	case e == nil:
		return nil, fmt.Errorf("the client certificate is that of %s, and there is no such token, or no longer; fix: gateway token add NAME, with the name in it", quote(name))
	case err != nil:
		return nil, expired(e, err)
	}
	if len(e.Gateways) > 0 && !g.Hub {
		return nil, fmt.Errorf("the token of %s is for gateways of a fleet, at its hub", e.Name)
	}
	id := identityOf(e, byCertificate)
	id.Certificate = valid
	return id, nil
}

// expired returns the error of a token that has expired, with the name of its holder.
func expired(e *tokens.Entry, err error) error {
	if errors.Is(err, tokens.ErrExpired) {
		return fmt.Errorf("the token of %s has expired; fix: have another one made", e.Name)
	}
	return err
}

// identityOf returns the identity of an entry.
func identityOf(e *tokens.Entry, how string) *Identity {
	id := &Identity{
		Token: e.ID, Name: e.Name, How: how, Role: tokens.Admin, Chats: true, Sensors: e.Sensors, Motors: e.Motors, Gateways: e.Gateways, Valid: e.Valid,
		entry: e,
	}
	if e.Login != nil {
		id.Login = e.Login.ID
	}
	id.limit(e.Role)
	return id
}

// limit takes from an identity what the role may not do.
func (id *Identity) limit(role tokens.Role) {
	id.Role = role
	if !role.AtLeast(tokens.Operator) {
		id.Chats = false
		id.Denied = fmt.Errorf("%s is a %s, who may see and stop; fix: have an operator's token made: gateway token add NAME --role operator", id.Label(), role)
	}
}

// needed returns the error of a client that needs a token.
func (g *Guard) needed() error {
	if g.Tokens.Made() {
		return errors.New("this gateway asks for a token; fix: log in at /login, or send it as Authorization: Bearer (gateway token add NAME makes one)")
	}
	if g.Hub {
		return errors.New("nobody may look at the fleet from another machine yet; fix: make a token on the hub's machine, gateway token add me --role operator --state DIRECTORY")
	}
	return errors.New("nobody may connect from another machine yet; fix: make a token on the gateway's own machine, gateway token add me --role operator, or write access: open in its configuration to let everybody see the readings")
}

// Closed returns why nobody can connect from another machine, nil if somebody can.
func (g *Guard) Closed() error {
	if g.Exposed && !g.Tokens.Made() && !g.everybody() {
		return g.needed()
	}
	return nil
}

// everybody returns whether everybody who connects may see, until a token is made.
func (g *Guard) everybody() bool {
	return g.Demonstration || !g.Exposed || g.Open || g.Policy.Commands == AnybodyCommands
}

// anonymous returns the identity of a sender without a token, nil if it needs one.
func (g *Guard) anonymous(r *http.Request, from string) *Identity {
	id := Anybody(from)
	id.Valid = g.Tokens.NoneMade()
	switch made := g.Tokens.Made(); {
	case made && g.Open:
		id.Valid = context.Background()
		id.Denied = errors.New("commands need the token of an operator; fix: log in at /login, or send it as Authorization: Bearer")
	case !made && g.Demonstration && g.Policy.Commands == NobodyCommands: // the configuration says nothing else
	case !made && (g.everybody() || g.Policy.checkLocal(r) == nil):
		id.Denied = g.Policy.MayCommand(r)
	case g.Metrics && r.URL.Path == "/metrics":
		id.Valid = context.Background()
		id.Denied, id.Chats = g.needed(), false
	default:
		return nil
	}
	if id.Denied != nil {
		id.Role = tokens.Viewer
	}
	return id
}

// refuse counts a refusal and answers it.
func (g *Guard) refuse(w http.ResponseWriter, r *http.Request, f *Refusal) {
	g.Refused(f.Reason, f.From, f.Err.Error())
	f.ServeHTTP(w, r)
}

// ServeHTTP answers a request that is refused; a browser that wants to see the page
// gets the one to log in.
func (f *Refusal) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	if sendsToken(r) {
		h.Set("Access-Control-Allow-Origin", "*") // who has sent a token may read why it is refused
	}
	if f.Status == http.StatusUnauthorized {
		// Never Basic: browsers would ask for it, and keep it.
		challenge := `Bearer realm="gateway"`
		if f.invalid {
			challenge += `, error="invalid_token"` // RFC 6750, section 3.1
		}
		h.Set("WWW-Authenticate", challenge)
		if f.RetryAfter > 0 {
			h.Set("Retry-After", fmt.Sprint(int64((f.RetryAfter+time.Second-1)/time.Second)))
		}
		if r.URL.Path == "/" && r.Method == http.MethodGet && strings.Contains(r.Header.Get("Accept"), "text/html") {
			servePage(w, f.Status, f.Err.Error())
			return
		}
	}
	http.Error(w, f.Err.Error(), f.Status)
}
