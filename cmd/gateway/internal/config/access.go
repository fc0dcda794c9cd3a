package config

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"sensorgateway/cmd/gateway/internal/phrase"
)

// TLS names the files of the gateway's certificate.
type TLS struct {
	Cert, Key string // full paths of PEM files: the chain, the gateway's own first, and its private key
	Line      int    // of the file that names them
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
	c := &TLS{Line: n.Line}
	t.pemPath("cert", "/etc/gateway/gateway.crt", &c.Cert)
	t.pemPath("key", "/etc/gateway/gateway.key", &c.Key)
	return c
}

// pemPath reads the path of a file that must be named.
func (s *section) pemPath(key, example string, into *string) {
	switch n := s.text(key, into); {
	case n == nil && !s.has(key):
		s.problem(s.node, "%s: no %s (add one, such as %s: %s)", s.path, key, key, example)
	case n == nil: // noted
	case !isFullPath(*into):
		s.fault(n, key, "%s is not the full path of a file (begin it at the root, such as %s)", phrase.Quote(*into), example)
	}
}

// hosts reads the further names of this machine, as they are compared: in lower
// case, addresses without brackets and in their shortest form.
func (s *section) hosts() (hosts []string) {
	for at, n := range s.texts("hosts") {
		host, err := ParseHostName(n.Value)
		if err != nil {
			s.fault(n, at, "%v", err)
			continue
		}
		hosts = append(hosts, host)
	}
	return hosts
}

// ParseHostName returns the name or address that a browser shows without its port.
func ParseHostName(text string) (string, error) {
	name := strings.ToLower(text)
	addr, err := netip.ParseAddr(name)
	switch {
	case err == nil && addr.Zone() != "":
		return "", fmt.Errorf("%s has a zone, which browsers do not send (write %s)", phrase.Quote(text), addr.WithZone(""))
	case err == nil:
		return addr.String(), nil
	case isHost(name):
		return name, nil
	case strings.Contains(name, "*"):
		return "", fmt.Errorf("%s: no name stands for others (write each one, such as greenhouse.example)", phrase.Quote(text))
	}
	for _, rawURL := range []string{name, "//" + name} {
		if u, err := url.Parse(rawURL); err == nil && isHost(u.Hostname()) {
			return "", fmt.Errorf("%s is more than a host (write %s)", phrase.Quote(text), u.Hostname())
		}
	}
	return "", fmt.Errorf("%s is neither a host name nor an address (write it as browsers show it, such as greenhouse.example)", phrase.Quote(text))
}

// origins reads the further pages that may connect, as browsers send them.
func (s *section) origins() (origins []string) {
	for at, n := range s.texts("origins") {
		origin, err := parseOrigin(n.Value)
		if err != nil {
			s.fault(n, at, "%v", err)
			continue
		}
		origins = append(origins, origin)
	}
	return origins
}

// defaultPorts are those that browsers leave out of an origin.
var defaultPorts = map[string]string{"http": "80", "https": "443"}

// parseOrigin returns text, an origin as RFC 6454 (section 6.2) has browsers
// send it, in lower case. Origins are compared as text, so one that is written
// otherwise would never match, and is refused.
func parseOrigin(text string) (string, error) {
	origin := strings.ToLower(text)
	switch {
	case strings.Contains(origin, "*"):
		return "", fmt.Errorf("%s would let in pages that nobody knows (write each origin, such as https://scada.example)", phrase.Quote(text))
	case origin == "null":
		return "", fmt.Errorf("%s is the origin of any local file and of any page in a sandbox (serve the page by http or https)", phrase.Quote(text))
	case !strings.Contains(origin, "://"):
		if _, err := canonicalOrigin("https://" + origin); err == nil {
			return "", fmt.Errorf("%s has no scheme (write http:// or https:// before it, whichever the page has)", phrase.Quote(text))
		}
	}
	canonical, err := canonicalOrigin(origin)
	switch {
	case err != nil:
		return "", fmt.Errorf("%s %w", phrase.Quote(text), err)
	case canonical != origin:
		return "", fmt.Errorf("%s is not what browsers send (write %s)", phrase.Quote(text), canonical)
	}
	return origin, nil
}

// canonicalOrigin returns the origin of a URL in lower case.
func canonicalOrigin(rawURL string) (string, error) {
	const form = "(write scheme://host or scheme://host:port, such as https://scada.example)"
	u, err := url.Parse(rawURL)
	if err != nil {
		return "", fmt.Errorf("is not an origin %s", form)
	}
	usual, known := defaultPorts[u.Scheme]
	host := u.Hostname()
	switch {
	case (u.Scheme == "ws" || u.Scheme == "wss") && isHost(host):
		return "", errors.New("is an address to connect to (write that of the page that connects, such as https://scada.example)")
	case !known || !isHost(host):
		return "", fmt.Errorf("is not an origin %s", form)
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		host = addr.WithZone("").String()
		if addr.Is6() {
			host = "[" + host + "]"
		}
	}
	port := u.Port()
	if port == "" {
		return u.Scheme + "://" + host, nil
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil || number == 0 {
		return "", fmt.Errorf("has a port that is not a number from 1 to 65535 %s", form)
	}
	port = strconv.FormatUint(number, 10)
	if port == usual {
		return u.Scheme + "://" + host, nil
	}
	return u.Scheme + "://" + host + ":" + port, nil
}

// What commands can say.
var commandPolicies = []string{"local", "unauthenticated"}

// remoteCommands reads whether clients on other machines may command.
func (s *section) remoteCommands() bool {
	policy := commandPolicies[0]
	if n := s.text("commands", &policy); n != nil && !slices.Contains(commandPolicies, policy) {
		s.fault(n, "commands", "unknown value %s (write %s)", phrase.Quote(policy), phrase.OneOf(commandPolicies))
	}
	return policy == "unauthenticated"
}
