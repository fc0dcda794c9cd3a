package access

import (
	"errors"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// defaultPorts are those that browsers leave out of an origin.
var defaultPorts = map[string]string{"http": "80", "https": "443", "ws": "80", "wss": "443"}

// origin returns the origin for a scheme and a Host header.
func origin(scheme, authority string) string {
	authority = strings.ToLower(authority)
	if port, ok := defaultPorts[scheme]; ok {
		authority = strings.TrimSuffix(authority, ":"+port)
	}
	return scheme + "://" + authority
}

func originOf(u *url.URL) string { return origin(u.Scheme, u.Host) }

// nativeForm is the origins that programs other than browsers send: file:// and
// capacitor://localhost, for example.
var nativeForm = regexp.MustCompile(`^[a-z][a-z0-9+.-]*://[a-z0-9._-]*$`)

const originForm = "(write scheme://host or scheme://host:port, such as https://scada.example)"

// ParseOrigin returns the origin of a URL as browsers send it (RFC 6454, section
// 6.2), in lower case, or one that only programs send, which may be empty or "null".
func ParseOrigin(text string) (string, error) {
	text = strings.ToLower(text)
	switch {
	case text == "" || text == "null":
		return text, nil
	case len(text) > maxQuoted:
		return "", errors.New("is longer than any origin " + originForm)
	case strings.Contains(text, "*"):
		return "", errors.New("would let in pages that nobody knows (write each origin, such as https://scada.example)")
	}
	u, err := url.Parse(text)
	if err != nil {
		return "", errors.New("is not an origin " + originForm)
	}
	if _, known := defaultPorts[u.Scheme]; known {
		return webOrigin(u)
	}
	native := u.Scheme + "://" + u.Host
	if u.Scheme == "" || !strings.Contains(text, "://") || !nativeForm.MatchString(native) {
		return "", errors.New("is not an origin " + originForm)
	}
	return native, nil
}

// webOrigin returns the origin of a URL whose scheme has a port.
func webOrigin(u *url.URL) (string, error) {
	h, ok := parseHost(u.Hostname())
	if addr := parseAddr(u.Hostname()); addr.IsValid() {
		h, ok = host{addr: addr}, true
	}
	if !ok {
		return "", errors.New("is not an origin " + originForm)
	}
	name := h.String()
	if h.addr.Is6() {
		name = "[" + name + "]"
	}
	port := u.Port()
	if port == "" {
		return u.Scheme + "://" + name, nil
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil || number == 0 {
		return "", errors.New("has a port that is not a number from 1 to 65535 " + originForm)
	}
	return origin(u.Scheme, name+":"+strconv.FormatUint(number, 10)), nil
}

// entryOf returns the entry, under origins: in the configuration, that allows what a client
// sent as its origin. Programs send addresses with a slash at the end, or without a scheme;
// browsers never do, so accepting these forms lets no page in.
func entryOf(sent string) (string, error) {
	if sent != "" && sent != "null" && !strings.Contains(sent, "://") {
		sent = "http://" + sent
	}
	return ParseOrigin(sent)
}

// ParseHost returns a name or an address, which has no port, in the form in which hosts
// are compared.
func ParseHost(text string) (string, bool) {
	if addr, err := netip.ParseAddr(text); err == nil {
		return plain(addr).String(), true
	}
	h, ok := parseHost(text)
	_, _, port := cutPort(text)
	return h.String(), ok && !port && !h.addr.Is6()
}
