// Package access decides who may connect and who may command: a [Policy] checks a
// request's host, origin and address, and a [Guard] says whose request it is.
//
// It refuses to know what a request is for, and which routes and motors there
// are: its answers are yes, or no, why, and the line of the configuration that
// would change that.
package access

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
)

// Commands says who may drive motors. Whoever may connect may stop them.
type Commands string

// What commands can be.
const (
	NobodyCommands Commands = ""
	// LocalCommands are those of programs on this machine, as far as an address can
	// tell: behind a proxy that adds no header everybody is local.
	LocalCommands Commands = "local"
	// AnybodyCommands are those of whoever reaches the port.
	AnybodyCommands Commands = "unauthenticated"
)

// A Policy is what the configuration says about clients. It must not be copied or
// changed once it is used.
type Policy struct {
	Hosts    []string // more names and addresses of this gateway, as [ParseHost] returns them
	Origins  []string // more origins that may connect, as [ParseOrigin] returns them
	URL      *url.URL // by which browsers reach it through a proxy; nil: by its own address
	Proxies  []Proxy
	Commands Commands

	once    sync.Once
	machine []string // MachineNames, after once
}

// Check refuses a request that a web page of another site may have caused. Its
// error says what is wrong and the fix; the answer is 403. The reason is one word
// for it.
//
// A page can make a browser send requests to any address and connect to any
// WebSocket, but the browser then sends the page's Origin (RFC 6455, section 10.2).
// That the Origin equals the Host is not enough: with DNS rebinding, both are the
// other site's name for our address. So the Host has to be a name of this gateway.
func (p *Policy) Check(r *http.Request) (reason string, err error) {
	if err := p.checkHost(r); err != nil {
		return ReasonHost, err
	}
	if err := p.checkOrigin(r); err != nil {
		return ReasonOrigin, err
	}
	return "", nil
}

func (p *Policy) checkHost(r *http.Request) error {
	h, ok := parseHost(r.Host)
	if !ok {
		return fmt.Errorf("host %s is neither a name nor an address; fix: send host and port of the URL, such as localhost:8765", quote(r.Host))
	}
	if !p.isOurs(h, localAddr(r)) {
		return fmt.Errorf("host %s is not one of ours; fix: add it to hosts: in the configuration, hosts: [%[1]s]", quote(h.String()))
	}
	return nil
}

// MayCommand returns why the sender of the request may not drive the motors, nil if
// it may.
func (p *Policy) MayCommand(r *http.Request) error {
	switch p.Commands {
	case AnybodyCommands:
		return nil
	case LocalCommands:
		return p.checkLocal(r)
	}
	return errors.New("nobody may command motors yet; everybody may stop them; fix: make a token, gateway token add me --role operator, and send it; or write in the configuration commands: local for programs on this machine (an address is no identity: behind a proxy that adds no header everybody is local), or commands: unauthenticated for whoever reaches the port")
}

// checkLocal refuses a client that is not a program on this machine, as far as the
// connection shows. A request that a proxy has forwarded is remote.
func (p *Policy) checkLocal(r *http.Request) error {
	const only = "commands: local in the configuration lets only programs on this machine command, "
	const fix = "; fix: run it there and connect to an address that is no proxy's, or write commands: unauthenticated, which lets whoever reaches the port command"
	peer := parseAddrPort(r.RemoteAddr)
	if !peer.IsLoopback() {
		return errors.New(only + "and this is another one" + fix)
	}
	if name := forwardedBy(r.Header); name != "" {
		return errors.New(only + "and the header " + quote(name) + " says that this came through a proxy" + fix)
	}
	if p.proxy(peer) != nil {
		return fmt.Errorf("%sand %s is one of proxies:, whose clients are remote%s", only, peer, fix)
	}
	return nil
}

// isOurs reports whether h names this gateway, on a connection to its address local.
// The port may be any: an SSH tunnel changes it.
func (p *Policy) isOurs(h host, local netip.Addr) bool {
	if p.URL != nil {
		if ours, ok := parseHost(p.URL.Host); ok && h == ours {
			return true
		}
	}
	if h.addr.IsValid() {
		return h.addr == local || h.addr.IsLoopback() && local.IsLoopback() ||
			slices.ContainsFunc(p.Hosts, func(ours string) bool { return parseAddr(ours) == h.addr })
	}
	p.once.Do(func() { p.machine = MachineNames() })
	return h.name == "localhost" && local.IsLoopback() || slices.Contains(p.Hosts, h.name) || slices.Contains(p.machine, h.name)
}

// checkOrigin refuses a page that is neither the gateway's nor one of p.Origins. A
// client that is no page sends no Origin, or one of its own making. The Host of r
// has been checked.
func (p *Policy) checkOrigin(r *http.Request) error {
	origins := r.Header.Values("Origin")
	switch {
	case len(origins) == 0:
		return nil
	case len(origins) > 1:
		return fmt.Errorf("there are %d Origin headers; fix: send one", len(origins))
	}
	sent, scheme := strings.ToLower(origins[0]), p.scheme(r)
	own := origin(scheme, r.Host)
	theirs, _, _ := strings.Cut(sent, "://")
	entry, err := entryOf(sent)
	switch {
	case p.isOwn(r, sent), err == nil && slices.Contains(p.Origins, entry):
		return nil
	case err != nil:
		return fmt.Errorf("origin %s is not %s, nor one that the configuration could name; fix: send none, or that of a page, such as %[2]s", quote(origins[0]), quote(own))
	case sent == "null":
		return errors.New(`origin "null" could be any page; fix: open the page by http, not as a file and not in a sandbox; or let any such page in, with origins: ["null"] in the configuration`)
	}
	fix := fmt.Sprintf("add it to origins: in the configuration, origins: [%s]", quote(entry))
	switch web := theirs == "http" || theirs == "https"; {
	case web && theirs != scheme && origin(theirs, r.Host) == entry: // only the scheme is not ours
		fix = p.schemeFix(r, entry)
	case web:
		fix += fmt.Sprintf("; if that is this gateway's own page behind a proxy, write url: %s", quote(entry))
	}
	return fmt.Errorf("origin %s is not %s; fix: %s", quote(origins[0]), quote(own), fix)
}

// Page returns the address of the gateway's page as the sender of a request reaches it,
// with a slash at its end. The Host of r has been checked.
func (p *Policy) Page(r *http.Request) string {
	if p.URL != nil {
		return p.URL.String()
	}
	return p.scheme(r) + "://" + r.Host + "/"
}

// isOwn reports whether an origin, in lower case, is that of the gateway's own page.
func (p *Policy) isOwn(r *http.Request, sent string) bool {
	scheme, authority, _ := strings.Cut(sent, "://")
	return origin(scheme, authority) == origin(p.scheme(r), r.Host) || p.URL != nil && sent == originOf(p.URL)
}

// checkOwnOrigin refuses a page that is not the gateway's own. The origin of r has been
// checked, so there is one at most.
func (p *Policy) checkOwnOrigin(r *http.Request) error {
	sent := r.Header.Get("Origin")
	if len(r.Header.Values("Origin")) == 0 || p.isOwn(r, strings.ToLower(sent)) {
		return nil
	}
	return fmt.Errorf("origin %s is not this gateway's own page, and what a browser sends unasked changes nothing for another; fix: send the token as Authorization: Bearer", quote(sent))
}

// schemeFix returns how to tell the gateway whether a proxy before it has TLS.
func (p *Policy) schemeFix(r *http.Request, entry string) string {
	fix := fmt.Sprintf("write in the configuration url: %s, if a proxy before the gateway makes this address of it", quote(entry))
	peer := parseAddrPort(r.RemoteAddr)
	if proxy := p.proxy(peer); proxy != nil {
		return fmt.Sprintf("let the proxy send %s, or %s", proxy.protoHeader(), fix)
	}
	for _, header := range []string{forwardedFor, forwarded} {
		if len(r.Header.Values(header)) > 0 && peer.IsValid() {
			return fmt.Sprintf("write in the configuration proxies: [{from: %s, header: %s}], if that is your proxy, and let it send %s; or %s",
				quote(peer.String()), header, (&Proxy{Header: header}).protoHeader(), fix)
		}
	}
	return fix
}
