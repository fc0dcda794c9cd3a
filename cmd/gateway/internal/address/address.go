// Package address reads the addresses of machines: where to listen, what a host is called.
// It refuses to know who writes them, and opens none.
package address

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"sensorgateway/cmd/gateway/internal/phrase"
	"sensorgateway/gateway/access"
)

// Where a gateway listens unless it is told.
const (
	// DefaultListen is where one without TLS does.
	DefaultListen = "localhost:8765"
	// DefaultListenTLS is where one with TLS does: on all interfaces.
	DefaultListenTLS = ":8443"
)

// CheckListen returns the address that listen asks for, as host:port: port 0 is any
// free one, no host means all interfaces. Unless exposed is true, it refuses an
// address that other machines can reach: that needs TLS, or insecure: true, which
// allows it without TLS.
func CheckListen(listen string, exposed bool) (string, error) {
	host, port, err := splitListen(listen)
	switch {
	case err != nil:
		return "", err
	case !exposed && host == "":
		return "", fmt.Errorf("%s is all interfaces: other machines can reach it, unencrypted (set tls, or write insecure: true in the file to allow that, or listen on localhost:%s)",
			phrase.Quote(listen), port)
	case !exposed && !IsLoopback(host):
		return "", fmt.Errorf("other machines can reach %s, unencrypted (set tls, or write insecure: true in the file to allow that, or listen on localhost:%s)",
			phrase.Quote(listen), port)
	}
	return net.JoinHostPort(host, port), nil
}

// splitListen returns the host and the decimal port of listen, both well-formed.
func splitListen(listen string) (host, port string, err error) {
	host, port, err = net.SplitHostPort(listen)
	switch {
	case strings.Contains(listen, "://"):
		return "", "", fmt.Errorf("%s is a URL (write host:port, such as %s)", phrase.Quote(listen), DefaultListen)
	case err != nil && IsPort(listen):
		return "", "", fmt.Errorf("%s is only a port (write localhost:%s, or :%[2]s for all interfaces)", phrase.Quote(listen), listen)
	case err != nil && strings.Count(listen, ":") > 1:
		return "", "", fmt.Errorf("%s is not host:port (an IPv6 address needs brackets: [::1]:8765)", phrase.Quote(listen))
	case err != nil:
		return "", "", fmt.Errorf("%s has no port (write host:port, such as %s)", phrase.Quote(listen), DefaultListen)
	case !IsPort(port):
		return "", "", fmt.Errorf("port %s is not a number from 0 to 65535", phrase.Quote(port))
	case host != "" && !IsHost(host):
		return "", "", errors.New(phrase.Quote(host) + " is neither a host name nor an address (write localhost, an address of this machine, or nothing for all interfaces)")
	}
	n, _ := strconv.ParseUint(port, 10, 16)
	return host, strconv.FormatUint(n, 10), nil
}

// IsPort reports whether s is the number of a port.
func IsPort(s string) bool {
	_, err := strconv.ParseUint(s, 10, 16)
	return err == nil
}

// A host name is RFC 1123's (section 2.1): labels of letters, digits and
// hyphens, the last not all digits, or it would be a mistaken IPv4 address.
var hostForm = regexp.MustCompile(`^([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)*[A-Za-z]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$`)

// IsHost reports whether host is a host's name or address.
func IsHost(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	return len(host) <= 253 && hostForm.MatchString(host)
}

// IsLoopback reports whether only this machine can reach host.
func IsLoopback(host string) bool {
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.Unmap().IsLoopback()
	}
	return strings.EqualFold(host, "localhost")
}

// ParseHost returns the name or address that a browser shows without its port.
func ParseHost(text string) (string, error) {
	name := strings.ToLower(text)
	if addr, err := netip.ParseAddr(name); err == nil && addr.Zone() != "" {
		return "", fmt.Errorf("%s has a zone, which browsers do not send (write %s)", phrase.Quote(text), addr.WithZone(""))
	}
	host, ok := access.ParseHost(name)
	switch {
	case ok:
		return host, nil
	case strings.Contains(name, "*"):
		return "", fmt.Errorf("%s: no name stands for others (write each one, such as greenhouse.example)", phrase.Quote(text))
	}
	for _, rawURL := range []string{name, "//" + name} {
		if u, err := url.Parse(rawURL); err == nil && IsHost(u.Hostname()) {
			return "", fmt.Errorf("%s is more than a host (write %s)", phrase.Quote(text), u.Hostname())
		}
	}
	return "", fmt.Errorf("%s is neither a host name nor an address (write it as browsers show it, such as greenhouse.example)", phrase.Quote(text))
}

// ParseOrigin returns text, an origin as it is sent, in lower case. Origins are
// compared as text, so one that is written otherwise would never match, and is
// refused.
func ParseOrigin(text string) (string, error) {
	lower := strings.ToLower(text)
	if lower != "" && lower != "null" && !strings.Contains(lower, "://") {
		if _, err := access.ParseOrigin("https://" + lower); err == nil {
			return "", fmt.Errorf("%s has no scheme (write http:// or https:// before it, whichever the page has)", phrase.Quote(text))
		}
	}
	origin, err := access.ParseOrigin(lower)
	switch {
	case err != nil:
		return "", fmt.Errorf("%s %w", phrase.Quote(text), err)
	case origin != lower:
		return "", fmt.Errorf("%s is not what browsers send (write %s)", phrase.Quote(text), origin)
	}
	return origin, nil
}

// ParseBroker returns the address of an MQTT broker. A user or password in it is an
// error; instead is the part of its text that says where to write them.
func ParseBroker(text, instead string) (*url.URL, error) {
	const form = "(write mqtt://host, mqtt://host:port, or mqtts:// for TLS)"
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme != "mqtt" && u.Scheme != "mqtts" || !IsHost(u.Hostname()):
		return nil, fmt.Errorf("%s is not the address of an MQTT broker %s", phrase.Quote(text), form)
	case u.User != nil:
		return nil, fmt.Errorf("a user or password in the address is seen by whoever reads the log (%s)", instead)
	case u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" || u.Port() != "" && !IsPort(u.Port()):
		return nil, fmt.Errorf("%s has more than a host and a port %s", phrase.Quote(text), form)
	}
	return u, nil
}
