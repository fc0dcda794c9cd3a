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

// A Proxy is one whose word on a client's address and scheme is taken: on the one
// header that it sets itself, for it may pass on any other as the client sent it.
type Proxy struct {
	From   netip.Prefix // its addresses
	Header string       // one of [ProxyHeaders]
}

// protoHeader is what the proxy says the client's scheme with.
func (p *Proxy) protoHeader() string {
	if p.Header == forwarded {
		return "Forwarded with proto="
	}
	return forwardedProto
}

// proxy returns the proxy that has an address, nil if it is none.
func (p *Policy) proxy(addr netip.Addr) *Proxy {
	i := slices.IndexFunc(p.Proxies, func(x Proxy) bool { return x.From.Contains(addr) })
	if i < 0 {
		return nil
	}
	return &p.Proxies[i]
}

// IsProxy reports whether an address is that of a listed proxy.
func (p *Policy) IsProxy(addr netip.Addr) bool { return p.proxy(plain(addr)) != nil }

// hop is a client as a proxy saw it. The zero hop is one that did not say.
type hop struct {
	addr  netip.Addr
	text  string // the address, with the port if it was there
	proto string // the scheme that it used; "" is unknown
}

// From returns where a request comes from: the address by which it is limited, and
// what people are shown. Through a listed proxy, that is the last hop that is no
// listed proxy, if the proxy names it; else both are the connection's.
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

// scheme returns that by which the client believes to speak to us.
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
// Only the last entries of a header are a proxy's: what stands before them is what
// the client sent.
func (p *Policy) client(r *http.Request) (h hop) {
	listed := p.proxy(parseAddrPort(r.RemoteAddr))
	parse := parseForwardedFor
	if listed.Header == forwarded {
		parse = parseForwarded
	}
search:
	for _, line := range slices.Backward(r.Header.Values(listed.Header)) {
		for _, h = range slices.Backward(parse(line)) {
			if p.proxy(h.addr) == nil { // else its own entry names who was behind it
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

// parseForwardedFor returns the hops of a line of X-Forwarded-For. Commas are in no
// address, so whatever a client has sent spoils nothing of what stands behind it.
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
