package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"

	"sensorgateway/cmd/gateway/internal/phrase"
)

// CheckListen returns the address to listen on that listen asks for, as
// host:port; port 0 is any free one, no host means all interfaces. Without exposed
// it refuses whatever other machines can reach: that needs TLS, or an insecure that
// allows it without.
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
	case err != nil && isPort(listen):
		return "", "", fmt.Errorf("%s is only a port (write localhost:%s, or :%[2]s for all interfaces)", phrase.Quote(listen), listen)
	case err != nil && strings.Count(listen, ":") > 1:
		return "", "", fmt.Errorf("%s is not host:port (an IPv6 address needs brackets: [::1]:8765)", phrase.Quote(listen))
	case err != nil:
		return "", "", fmt.Errorf("%s has no port (write host:port, such as %s)", phrase.Quote(listen), DefaultListen)
	case !isPort(port):
		return "", "", fmt.Errorf("port %s is not a number from 0 to 65535", phrase.Quote(port))
	case host != "" && !isHost(host):
		return "", "", errors.New(phrase.Quote(host) + " is neither a host name nor an address (write localhost, an address of this machine, or nothing for all interfaces)")
	}
	n, _ := strconv.ParseUint(port, 10, 16)
	return host, strconv.FormatUint(n, 10), nil
}

func isPort(s string) bool {
	_, err := strconv.ParseUint(s, 10, 16)
	return err == nil
}

// A host name is RFC 1123's (section 2.1): labels of letters, digits and
// hyphens, the last not all digits, or it would be a mistaken IPv4 address.
var hostForm = regexp.MustCompile(`^([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)*[A-Za-z]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$`)

func isHost(host string) bool {
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
