// Package access decides who may connect and who may command: a [Policy] checks a
// request's host, origin and address, and [Certificates] identify the gateway to
// TLS clients.
//
// It refuses to know what a request is for, and which routes and motors there
// are: its answers are yes, or no and why.
package access

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
)

// A Policy is what the configuration says about clients. It must not be copied or
// changed once it is used.
type Policy struct {
	Hosts          []string // more names and addresses of this gateway, lower case, without port
	Origins        []string // more origins whose pages may connect, such as "https://panel.example"
	RemoteCommands bool     // commands come from anywhere, not from this machine only

	once    sync.Once
	machine []string // MachineNames, after once
}

// Check refuses a request that a web page of another site may have caused. Its
// error says what is wrong and the fix; the answer is 403.
//
// A page can make a browser send requests to any address and connect to any
// WebSocket, but the browser then sends the page's Origin (RFC 6455, section 10.2).
// That the Origin equals the Host is not enough: with DNS rebinding, both are the
// other site's name for our address. So the Host has to be a name of this gateway.
func (p *Policy) Check(r *http.Request) (reason string, err error) {
	h, ok := parseHost(r.Host)
	if !ok {
		return ReasonHost, fmt.Errorf("host %s is neither a name nor an address; fix: send host and port of the URL, such as localhost:8765", quote(r.Host))
	}
	if !p.isOurs(h, localAddr(r)) {
		return ReasonHost, fmt.Errorf("host %s is not one of ours; fix: add it to hosts: in the configuration", quote(h.String()))
	}
	if err := p.checkOrigin(r); err != nil {
		return ReasonOrigin, err
	}
	return "", nil
}

// MayCommand tells whether the sender of the request may drive the motors: any
// program on this machine, or everybody if the configuration says so. A request
// through a proxy on this machine counts as remote; but a proxy that sets no header
// cannot be told from a program that runs here.
func (p *Policy) MayCommand(r *http.Request) bool {
	return p.RemoteCommands || parseAddrPort(r.RemoteAddr).IsLoopback() && !isProxied(r.Header)
}

func isProxied(header http.Header) bool {
	for name := range header {
		switch {
		case name == "Forwarded", name == "Via", name == "X-Real-Ip", strings.HasPrefix(name, "X-Forwarded-"):
			return true
		}
	}
	return false
}

// isOurs tells whether h names this gateway, on a connection to its address local.
// The port may be any: an SSH tunnel changes it.
func (p *Policy) isOurs(h host, local netip.Addr) bool {
	if h.addr.IsValid() {
		return h.addr == local || h.addr.IsLoopback() && local.IsLoopback() ||
			slices.ContainsFunc(p.Hosts, func(ours string) bool { return parseAddr(ours) == h.addr })
	}
	p.once.Do(func() { p.machine = MachineNames() })
	return h.name == "localhost" && local.IsLoopback() || slices.Contains(p.Hosts, h.name) || slices.Contains(p.machine, h.name)
}

// checkOrigin refuses a page that is neither the gateway's nor one of p.Origins. A
// client that is no page sends no Origin. The Host of r has been checked.
func (p *Policy) checkOrigin(r *http.Request) error {
	origins := r.Header.Values("Origin")
	switch {
	case len(origins) == 0:
		return nil
	case len(origins) > 1:
		return fmt.Errorf("there are %d Origin headers; fix: send one", len(origins))
	case origins[0] == "null":
		return errors.New(`origin "null" could be any page; fix: open the page by http, not as a file and not in a sandbox`)
	}
	scheme, port := "http", ":80" // the default port, which may be left out
	if r.TLS != nil {
		scheme, port = "https", ":443"
	}
	canonical := func(authority string) string { return strings.TrimSuffix(strings.ToLower(authority), port) }
	own := scheme + "://" + canonical(r.Host)
	theirs, authority, _ := strings.Cut(origins[0], "://")
	if theirs+"://"+canonical(authority) == own || slices.Contains(p.Origins, origins[0]) {
		return nil
	}
	return fmt.Errorf("origin %s is not %s; fix: add it to origins: in the configuration", quote(origins[0]), quote(own))
}
