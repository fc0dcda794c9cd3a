package access

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strings"
)

// The ways to present a secret.
const (
	byBearer      = "bearer"
	byBasic       = "basic"
	bySubprotocol = "subprotocol"
	byCookie      = "cookie"
	byTicket      = "ticket"
	byCertificate = "certificate" // nothing secret is sent
	byNothing     = "nothing"
)

// tokenProtocol begins the subprotocol that is a token, for browsers, which can send
// no header with a WebSocket. It is never chosen.
const tokenProtocol = "gateway.token."

// presented is the credential that a request presents.
type presented struct {
	how, secret string
}

// ambient returns whether browsers send it by themselves, for a page of any site.
func ambient(how string) bool { return how == byBasic || how == byCookie || how == byCertificate }

// present returns the first credential of a request, in the order of wire/README.md, "Who
// you are"; an error is 400. cookie is the name of the gateway's cookie, view that of the
// one for frames. A ticket comes before the latter: with a new ticket, it is replaced.
func present(r *http.Request, cookie, view string) (presented, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if _, ok := query["token"]; ok {
		return presented{}, errors.New("a token in an address ends up in logs and histories; fix: send it as Authorization: Bearer, or fetch a ticket for the address from POST /api/v1/tickets")
	}
	headers := r.Header.Values("Authorization")
	if len(headers) > 1 {
		return presented{}, errors.New("there are several Authorization headers; fix: send one")
	}
	var all []presented
	foreign := presented{how: byNothing} // a password for somebody else, such as a proxy before us
	if len(headers) == 1 {
		scheme, value, _ := strings.Cut(headers[0], " ")
		value = strings.Trim(value, " ")
		switch {
		case strings.EqualFold(scheme, "Bearer"):
			all = append(all, presented{byBearer, value})
		case strings.EqualFold(scheme, "Basic"):
			if p := (presented{byBasic, password(value)}); strings.HasPrefix(p.secret, "gwt_") {
				all = append(all, p)
			} else {
				foreign = p
			}
		}
	}
	for _, token := range tokenProtocols(r) {
		all = append(all, presented{bySubprotocol, token})
	}
	if c, err := r.Cookie(cookie); err == nil && cookie != "" {
		all = append(all, presented{byCookie, c.Value})
	}
	if tickets, ok := query["ticket"]; ok {
		if err != nil || len(tickets) != 1 {
			return presented{}, errors.New("there are several tickets in the address, or it is malformed; fix: send one")
		}
		all = append(all, presented{byTicket, tickets[0]})
	}
	if c, err := r.Cookie(view); err == nil && view != "" {
		all = append(all, presented{byCookie, c.Value})
	}
	if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
		all = append(all, presented{how: byCertificate})
	}
	return append(all, foreign)[0], nil
}

// password returns that of Basic authentication (RFC 7617, section 2).
func password(value string) string {
	text, err := base64.StdEncoding.DecodeString(value)
	if err != nil {
		return ""
	}
	_, password, _ := strings.Cut(string(text), ":")
	return password
}

// tokenProtocols returns the tokens among the subprotocols that a client offers.
func tokenProtocols(r *http.Request) (secrets []string) {
	for _, line := range r.Header.Values("Sec-WebSocket-Protocol") {
		for p := range strings.SplitSeq(line, ",") {
			if secret, ok := strings.CutPrefix(strings.TrimSpace(p), tokenProtocol); ok {
				secrets = append(secrets, secret)
			}
		}
	}
	return secrets
}

// withoutTicket removes the ticket from the address of a request, which is a copy: its
// handlers need not know how its sender was identified.
func withoutTicket(r *http.Request) *http.Request {
	var kept []string
	for part := range strings.SplitSeq(r.URL.RawQuery, "&") {
		if name, _, _ := strings.Cut(part, "="); name != "ticket" {
			kept = append(kept, part)
		}
	}
	u := *r.URL
	u.RawQuery = strings.Join(kept, "&")
	r.URL = &u
	return r
}
