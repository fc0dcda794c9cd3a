package config

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"sensorgateway/cmd/gateway/internal/address"
	"sensorgateway/cmd/gateway/internal/phrase"
	"sensorgateway/gateway/access"
)

// TLS names the files of the gateway's certificate.
type TLS struct {
	Cert, Key string // full paths of PEM files: the chain, the gateway's own first, and its private key
	Clients   string // likewise, of the authorities whose certificates identify clients; "": none do
	Line      int    // of the file that names them
	HSTS      bool   // browsers come by https alone from then on
}

// tls reads how connections are encrypted; nil is not at all.
func (s *section) tls() *TLS {
	n := s.value("tls")
	if n == nil {
		return nil
	}
	t := s.section(n, "tls")
	if t == nil {
		return nil
	}
	defer t.done()
	c := &TLS{Line: n.Line, HSTS: true}
	t.must("cert", "key")
	t.pemPath("cert", "/etc/gateway/gateway.crt", &c.Cert)
	t.pemPath("key", "/etc/gateway/gateway.key", &c.Key)
	t.fullPath("clients", "/etc/gateway/clients.crt", &c.Clients)
	t.truth("hsts", &c.HSTS)
	return c
}

// pemPath reads the path of a file that must be named.
func (s *section) pemPath(key, example string, into *string) {
	if s.fullPath(key, example, into) == nil && !s.has(key) {
		s.problem(s.node, "%s: no %s (add one, such as %s: %s)", s.path, key, key, example)
	}
}

// fullPath reads the path of a file that may be named.
func (s *section) fullPath(key, example string, into *string) *yaml.Node {
	n := s.text(key, into)
	if n != nil && !isFullPath(*into) {
		s.fault(n, key, "%s is not the full path of a file (begin it at the root, such as %s)", phrase.Quote(*into), example)
	}
	return n
}

// hosts reads the further names of this machine, as they are compared: in lower
// case, addresses without brackets and in their shortest form.
func (s *section) hosts() (hosts []string) {
	for at, n := range s.texts("hosts") {
		host, err := address.ParseHost(n.Value)
		if err != nil {
			s.fault(n, at, "%v", err)
			continue
		}
		hosts = append(hosts, host)
	}
	return hosts
}

// origins reads the further pages and programs that may connect, by what they
// send as their origin.
func (s *section) origins() (origins []string) {
	for at, n := range s.texts("origins") {
		origin, err := address.ParseOrigin(n.Value)
		if err != nil {
			s.fault(n, at, "%v", err)
			continue
		}
		origins = append(origins, origin)
	}
	return origins
}

// outside reads the address by which browsers reach the gateway through a proxy;
// nil is its own.
func (s *section) outside() *url.URL {
	const form = "(write it as browsers show it, such as https://greenhouse.example or https://greenhouse.example/gw/)"
	var text string
	n := s.text("url", &text)
	if n == nil {
		return nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" {
		s.fault(n, "url", "%s is not the http or https address of a page %s", phrase.Quote(text), form)
		return nil
	}
	if u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		s.fault(n, "url", "%s has more than a host and a path %s", phrase.Quote(text), form)
		return nil
	}
	origin, err := access.ParseOrigin(u.Scheme + "://" + u.Host)
	if err != nil {
		s.fault(n, "url", "%s %v", phrase.Quote(text), err)
		return nil
	}
	u.Host = strings.TrimPrefix(origin, u.Scheme+"://")
	u.Path = strings.TrimSuffix(u.Path, "/") + "/"
	u.RawPath = ""
	return u
}

// proxies reads whose word on a client's address is taken.
func (s *section) proxies() (proxies []access.Proxy) {
	list := s.list("proxies", `begin each with "- from: ADDRESS"`)
	if list == nil {
		return nil
	}
	lines := map[netip.Prefix]int{}
	for i, n := range list.Content {
		p := s.section(n, fmt.Sprintf("proxies[%d]", i))
		if p == nil {
			continue
		}
		p.must("from", "header")
		var proxy access.Proxy
		from := p.prefix("from", &proxy.From)
		known := access.ProxyHeaders()
		switch n := p.text("header", &proxy.Header); {
		case n == nil && !p.has("header"):
			s.problem(p.node, "%s: no header (add the one that this proxy sets itself: header: %s)", p.path, phrase.OneOf(known))
		case n == nil: // noted
		default:
			at := slices.IndexFunc(known, func(k string) bool { return strings.EqualFold(k, proxy.Header) })
			if at < 0 {
				p.fault(n, "header", "%s is not a header that the gateway understands (write %s)", phrase.Quote(proxy.Header), phrase.OneOf(known))
			} else {
				proxy.Header = known[at]
			}
		}
		if from != nil {
			if line, twice := lines[proxy.From]; twice {
				p.fault(from, "from", "%s is on line %d already (a proxy has one header: remove one)", phrase.Quote(from.Value), line)
			}
			lines[proxy.From] = from.Line
		}
		p.done()
		proxies = append(proxies, proxy)
	}
	return proxies
}

// prefix reads an address, or a range of them, that must be there.
func (s *section) prefix(key string, into *netip.Prefix) *yaml.Node {
	const form = "(write an address or a range, such as 127.0.0.1 or 10.0.0.0/8)"
	var text string
	n := s.text(key, &text)
	if n == nil {
		if !s.has(key) {
			s.problem(s.node, "%s: no %s (add the address that the proxy connects from, such as %s: 127.0.0.1)", s.path, key, key)
		}
		return nil
	}
	if addr, err := netip.ParseAddr(text); err == nil {
		addr = addr.Unmap().WithZone("")
		*into = netip.PrefixFrom(addr, addr.BitLen())
		return n
	}
	prefix, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		s.fault(n, key, "%s is neither an address nor a range of them %s", phrase.Quote(text), form)
	case prefix.Masked() != prefix:
		s.fault(n, key, "%s is more than its first %d bits (write %s)", phrase.Quote(text), prefix.Bits(), prefix.Masked())
	case prefix.Addr().Is4In6():
		s.fault(n, key, "%s is a range of IPv4 addresses in IPv6 %s", phrase.Quote(text), form)
	case prefix.Bits() == 0:
		s.fault(n, key, "%s would take anybody for a proxy %s", phrase.Quote(text), form)
	default:
		*into = prefix
		return n
	}
	return nil
}

// commands reads who may drive motors.
func (s *section) commands() access.Commands {
	known := []string{string(access.LocalCommands), string(access.AnybodyCommands)}
	s.choice("commands", known)
	var policy string
	n := s.text("commands", &policy)
	if n != nil && !slices.Contains(known, policy) {
		s.fault(n, "commands", "unknown value %s (write %s)", phrase.Quote(policy), phrase.OneOf(known))
	}
	return access.Commands(policy)
}

// open reads a key that can say one thing: open to whoever connects.
func (s *section) open(key string) bool {
	const open = "open"
	var value string
	n := s.text(key, &value)
	if n != nil && value != open {
		s.fault(n, key, "unknown value %s (write %s, or remove the line: then it takes a token)", phrase.Quote(value), open)
	}
	return n != nil && value == open
}

// Policy returns what the file says about clients. Where it says nothing of
// commands, those for simulated motors come from this machine.
func (c *Config) Policy(simulated bool) *access.Policy {
	p := &access.Policy{Hosts: c.Hosts, Origins: c.Origins, URL: c.URL, Proxies: c.Proxies, Commands: c.Commands}
	if simulated && p.Commands == access.NobodyCommands {
		p.Commands = access.LocalCommands
	}
	return p
}
