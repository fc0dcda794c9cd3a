package access

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// The headers that a [Proxy] can name the client with.
const (
	forwardedFor   = "X-Forwarded-For"
	forwarded      = "Forwarded" // RFC 7239
	forwardedProto = "X-Forwarded-Proto"
)

// ProxyHeaders are what Header of a [Proxy] can be.
func ProxyHeaders() []string { return []string{forwardedFor, forwarded} }

// A Proxy is trusted with a client's address and scheme, but only in the one header that
// it sets itself: it may pass on any other as the client sent it.
type Proxy struct {
	From   netip.Prefix // its addresses
	Header string       // one of [ProxyHeaders]
}

// protoHeader names the header in which the proxy sends the client's scheme.
func (p *Proxy) protoHeader() string {
	if p.Header == forwarded {
		return "Forwarded with proto="
	}
	return forwardedProto
}

// proxy returns the listed proxy that has this address, nil if there is none.
func (p *Policy) proxy(addr netip.Addr) *Proxy {
	i := slices.IndexFunc(p.Proxies, func(x Proxy) bool { return x.From.Contains(addr) })
	if i < 0 {
		return nil
	}
	return &p.Proxies[i]
}

// IsProxy reports whether an address is that of a listed proxy.
func (p *Policy) IsProxy(addr netip.Addr) bool { return p.proxy(plain(addr)) != nil }

// hop is a client as a proxy saw it. The zero hop is an unknown client.
type hop struct {
	addr  netip.Addr
	text  string // the address, with the port if it was there
	proto string // the scheme that it used; "" is unknown
}

// From returns where a request comes from: the address by which it is limited, and the
// name for people. Behind a listed proxy, that is the last hop that is no listed proxy,
// if the proxy names it; else it is the connection's address.
func (p *Policy) From(r *http.Request) (addr netip.Addr, name string) {
	addr = parseAddrPort(r.RemoteAddr)
	if p.proxy(addr) == nil {
		return addr, r.RemoteAddr
	}
	if h := p.client(r); h.addr.IsValid() {
		return h.addr, h.text
	}
	return addr, "unknown, through " + r.RemoteAddr
}

// scheme returns the scheme of the address that the client has used.
func (p *Policy) scheme(r *http.Request) string {
	if p.proxy(parseAddrPort(r.RemoteAddr)) != nil {
		if h := p.client(r); h.proto != "" {
			return h.proto
		}
	}
	if r.TLS != nil {
		return "https"
	}
	return "http"
}

// client returns the hop behind the listed proxies that a request came through.
// Only the last entries of a header come from proxies: the client may have sent those
// before them.
func (p *Policy) client(r *http.Request) (h hop) {
	listed := p.proxy(parseAddrPort(r.RemoteAddr))
	parse := parseForwardedFor
	if listed.Header == forwarded {
		parse = parseForwarded
	}
search:
	for _, line := range slices.Backward(r.Header.Values(listed.Header)) {
		for _, h = range slices.Backward(parse(line)) {
			if p.proxy(h.addr) == nil { // else the entry before is the one that this proxy added
				break search
			}
		}
	}
	if listed.Header == forwardedFor {
		if lines := r.Header.Values(forwardedProto); len(lines) == 1 {
			h.proto = knownProto(lines[0])
		}
	}
	return h
}

// knownProto returns the scheme of a page that s names, "" if none. Some proxies, such
// as Traefik, name that of the WebSocket.
func knownProto(s string) string {
	switch strings.ToLower(strings.TrimSpace(s)) {
	case "http", "ws":
		return "http"
	case "https", "wss":
		return "https"
	}
	return ""
}

// parseForwardedFor returns the hops of a line of X-Forwarded-For. No address contains a
// comma, so nothing that a client has sent can spoil the entries after it.
func parseForwardedFor(line string) (hops []hop) {
	for item := range strings.SplitSeq(line, ",") {
		hops = append(hops, parseNode(strings.Trim(item, " \t")))
	}
	return hops
}

// parseNode reads an address, with or without brackets and a port.
func parseNode(s string) hop {
	if strings.Contains(s, "%") { // a zone means nothing to others, and may be any text
		return hop{}
	}
	if node, err := netip.ParseAddrPort(s); err == nil {
		return hop{addr: plain(node.Addr()), text: s}
	}
	if inside, found := strings.CutPrefix(s, "["); found {
		if inside, found = strings.CutSuffix(inside, "]"); !found || !strings.Contains(inside, ":") {
			return hop{}
		}
		s = inside
	}
	addr := parseAddr(s)
	if !addr.IsValid() {
		return hop{}
	}
	return hop{addr: addr, text: addr.String()}
}
