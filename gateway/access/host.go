package access

import (
	"net"
	"net/http"
	"net/netip"
	"os"
	"regexp"
	"strconv"
	"strings"
)

// host is what a Host header names: an address, or a name.
type host struct {
	addr netip.Addr // without zone, IPv4 as such
	name string     // lower case, without trailing dot
}

func (h host) String() string {
	if h.addr.IsValid() {
		return h.addr.String()
	}
	return h.name
}

// As in RFC 1123, section 2.1, and with the underscore that some networks use.
var nameForm = regexp.MustCompile(`^[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*$`)

// parseHost reads a Host header, uri-host [ ":" port ] of RFC 9110, section 7.2.
func parseHost(s string) (h host, ok bool) {
	s, port, hasPort := cutPort(s)
	if _, err := strconv.ParseUint(port, 10, 16); hasPort && err != nil {
		return h, false
	}
	if inside, found := strings.CutPrefix(s, "["); found {
		inside, found = strings.CutSuffix(inside, "]")
		// RFC 6874 writes the zone's % as %25; some clients do, some do not.
		h.addr = parseAddr(strings.Replace(inside, "%25", "%", 1))
		return h, found && strings.Contains(inside, ":") && h.addr.IsValid()
	}
	h.name = strings.TrimSuffix(strings.ToLower(s), ".")
	if len(h.name) > 253 || !nameForm.MatchString(h.name) {
		return h, false
	}
	h.addr = parseAddr(h.name)
	// "127.1", which some programs take for an address, is neither an address here nor a
	// name (WHATWG URL, ends-in-a-number checker).
	return h, h.addr.IsValid() || !numberForm.MatchString(h.name)
}

// numberForm is what some programs take for an IPv4 address.
var numberForm = regexp.MustCompile(`(^|\.)(0x[0-9a-f]*|[0-9]+)$`)

// cutPort cuts s around the colon before its port.
func cutPort(s string) (before, port string, found bool) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 || strings.HasSuffix(s, "]") {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}

// parseAddr returns the address that s is, or the zero Addr.
func parseAddr(s string) netip.Addr {
	addr, _ := netip.ParseAddr(s)
	return plain(addr)
}

// parseAddrPort returns the address of s, an address with a port, or the zero Addr.
func parseAddrPort(s string) netip.Addr {
	addr, _ := netip.ParseAddrPort(s)
	return plain(addr.Addr())
}

// plain returns addr in the form in which addresses are compared: without a zone,
// which has a meaning on one machine only, and IPv4 in IPv6 as IPv4.
func plain(addr netip.Addr) netip.Addr { return addr.WithZone("").Unmap() }

// localAddr is the address that the client connected to, or the zero Addr.
func localAddr(r *http.Request) netip.Addr {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return netip.Addr{}
	}
	return parseAddrPort(local.String())
}

// MachineNames returns the names of this machine in its network: its host name and
// the one of multicast DNS (RFC 6762), with .local.
func MachineNames() []string {
	name, err := os.Hostname()
	if err != nil {
		return nil
	}
	return machineNames(name)
}

func machineNames(hostname string) []string {
	h, ok := parseHost(hostname)
	label, domain, _ := strings.Cut(h.name, ".")
	switch {
	case !ok || h.addr.IsValid() || label == "localhost":
		return nil // has no name of its own
	case domain == "" || domain == "local":
		return []string{label, label + ".local"}
	}
	return []string{label, label + ".local", h.name}
}

// maxQuoted is more than any name of a host has (RFC 1035, section 2.3.4), with a
// scheme and a port.
const maxQuoted = 300

// quote makes a client's text fit for an error, and for the configuration: what Go
// quotes, YAML understands.
func quote(s string) string {
	if len(s) > maxQuoted {
		s = s[:maxQuoted] + "…"
	}
	return strconv.QuoteToASCII(s)
}
