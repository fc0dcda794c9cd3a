// Package admin answers administrators over HTTP: who has a token, and who is connected
// or logged in. Both can be changed.
//
// It refuses to know how an administrator is known, which is settled before it is asked,
// and how tokens are stored.
package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"rsc.io/qr"

	"sensorgateway/cmd/gateway/internal/phrase"
	"sensorgateway/gateway/access"
	"sensorgateway/gateway/access/tokens"
	"sensorgateway/wire"
)

// The paths of the API.
const (
	tokensPath   = "/api/v1/tokens"
	sessionsPath = "/api/v1/sessions"
)

// maxBody is how large a request's body may be. One with 64 sensors and 32 motors is smaller.
const maxBody = 16 << 10

// API answers administrators.
type API struct {
	Guard   *access.Guard
	Sensors []wire.SensorInfo        // that there are, for scopes
	Motors  func() []wire.MotorState // likewise
	// Ended is called when an administrator has ended somebody's session, with its kind.
	Ended func(by tokens.Author, kind, id, name string)
}

// Mount adds the paths, and those below them, to a mux.
func (a *API) Mount(mux *http.ServeMux) {
	handler := a.handler()
	for _, path := range []string{tokensPath, sessionsPath} {
		mux.Handle(path, handler)
		mux.Handle(path+"/", handler)
	}
}

// Pages adds the path of tokens to pages, as its requests have a body.
func (a *API) Pages(pages map[string]http.Handler) map[string]http.Handler {
	pages[tokensPath] = a.handler()
	return pages
}

func (a *API) handler() http.Handler {
	mux := http.NewServeMux()
	for pattern, answer := range map[string]func(*http.Request) (status int, body any, err error){
		"GET " + tokensPath:                   a.listTokens,
		"POST " + tokensPath:                  a.addToken,
		"DELETE " + tokensPath + "/{id}":      a.revokeToken,
		"POST " + tokensPath + "/{id}/rotate": a.rotateToken,
		"POST " + tokensPath + "/{id}/link":   a.linkToken,
		"GET " + sessionsPath:                 a.listSessions,
		"DELETE " + sessionsPath + "/{id}":    a.endSession,
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			switch status, body, err := answer(r); {
			case err != nil:
				e := wire.AsError(err)
				if e.Code == http.StatusForbidden {
					a.Guard.Refused(access.ReasonScope, access.Of(r).Label(), e.Message)
				}
				access.WriteError(w, e)
			case body == nil:
				w.WriteHeader(status)
			default:
				access.WriteJSON(w, status, body)
			}
		})
	}
	for path, methods := range map[string]string{
		tokensPath: "GET, HEAD, POST", tokensPath + "/{id}": "DELETE", tokensPath + "/{id}/rotate": "POST", tokensPath + "/{id}/link": "POST",
		sessionsPath: "GET, HEAD", sessionsPath + "/{id}": "DELETE",
	} {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Allow", methods)
			access.WriteError(w, wire.Errorf(http.StatusMethodNotAllowed, "Only %s here", methods))
		})
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		access.WriteError(w, wire.Errorf(http.StatusNotFound, "There is no %s", r.URL.Path))
	})
	return a.Guard.Administrators(mux)
}

// author is who sends a request.
func author(r *http.Request) tokens.Author {
	id := access.Of(r)
	return tokens.Author{ID: id.Token, Name: id.Name, How: id.How, From: id.From}
}

// token is a token as administrators see it. Times are Unix milliseconds; 0 is never.
type token struct {
	ID        string      `json:"id"`
	Name      string      `json:"name"`
	Role      tokens.Role `json:"role"`
	Sensors   []string    `json:"sensors,omitempty"` // none: all
	Motors    []string    `json:"motors,omitempty"`
	Gateways  []string    `json:"gateways,omitempty"` // of a fleet, at its hub
	Expires   int64       `json:"expires,omitempty"`
	Expired   bool        `json:"expired,omitempty"`
	Created   int64       `json:"created"`
	By        string      `json:"by"`
	Used      int64       `json:"used,omitempty"`
	UsedFrom  string      `json:"used_from,omitempty"`
	Browsers  int         `json:"browsers"`  // that are logged in with it
	Connected int         `json:"connected"` // clients, now
}

func tokenOf(s tokens.Summary, connected int) token {
	return token{
		ID: s.ID, Name: s.Name, Role: s.Role, Sensors: s.Sensors, Motors: s.Motors, Gateways: s.Gateways,
		Expires: unixMilli(s.Expires), Expired: !s.Expires.IsZero() && !time.Now().Before(s.Expires), Created: unixMilli(s.Created), By: s.By,
		Used: unixMilli(s.Used.At), UsedFrom: s.Used.From, Browsers: len(s.Logins), Connected: connected,
	}
}

func unixMilli(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func (a *API) listTokens(*http.Request) (int, any, error) {
	count := map[string]int{}
	for _, c := range a.Guard.Connected() {
		count[c.Identity.Token]++
	}
	all := []token{}
	for _, s := range a.Guard.Tokens.Summaries() {
		all = append(all, tokenOf(s, count[s.ID]))
	}
	return http.StatusOK, map[string]any{"tokens": all}, nil
}

// tokenRequest asks for a token. A scope that is missing is everything.
type tokenRequest struct {
	Name     string      `json:"name"`
	Role     tokens.Role `json:"role"` // viewer if not given
	Sensors  []string    `json:"sensors"`
	Motors   []string    `json:"motors"`
	Gateways []string    `json:"gateways"` // of a fleet, at its hub
	Expires  expiry      `json:"expires"`
}

// expiry is the end of a token as it is asked for: Unix milliseconds, or a text as
// [phrase.ParseExpiry] reads it; "" if it is not given, or 0, which is never.
type expiry struct {
	text  string
	given bool
}

// UnmarshalJSON takes a number or a text.
func (e *expiry) UnmarshalJSON(data []byte) error {
	e.text, e.given = string(data), string(data) != "0" && string(data) != "null"
	if data[0] != '"' {
		return nil
	}
	return json.Unmarshal(data, &e.text)
}

// made is a token that was made: its text is shown this once.
type made struct {
	Token         string   `json:"token,omitempty"`
	Link          string   `json:"link"`              // logs a browser in, once
	LinkQR        []string `json:"link_qr,omitempty"` // its QR code, a text a row, "1" for dark; without the light border
	LinkExpiresMS int64    `json:"link_expires_ms"`
	token
}

func (a *API) addToken(r *http.Request) (int, any, error) {
	var q tokenRequest
	if err := readBody(r, &q); err != nil {
		return 0, nil, err
	}
	t, err := a.check(r, q)
	if err != nil {
		return 0, nil, err
	}
	answer, err := a.make(r, func(f *tokens.File) (string, *tokens.Token, error) {
		text, err := f.Add(t)
		if err != nil { // another has the name, or there are too many
			return "", nil, wire.Errorf(http.StatusConflict, "%v", err)
		}
		return text, f.Find(t.Name), nil
	})
	return http.StatusCreated, answer, err
}

// check returns the token that is asked for, if its maker may make it.
func (a *API) check(r *http.Request, q tokenRequest) (t tokens.Token, err error) {
	t = tokens.Token{Name: q.Name, Role: q.Role, Sensors: q.Sensors, Motors: q.Motors, Gateways: q.Gateways, By: access.Of(r).Name}
	if t.Role == "" {
		t.Role = tokens.Viewer
	}
	if err := tokens.CheckName(t.Name); err != nil {
		return t, unprocessable("name: %v", err)
	}
	if !slices.Contains(tokens.Roles(), t.Role) {
		return t, unprocessable("role: it is viewer, operator or admin")
	}
	for _, scope := range []struct {
		of           string
		names, known []string
	}{{"sensors", t.Sensors, a.sensors()}, {"motors", t.Motors, a.motors()}} {
		if scope.names != nil && len(scope.names) == 0 {
			return t, unprocessable("%s: an empty scope would be everything; fix: name some, or leave it out", scope.of)
		}
		for _, name := range scope.names {
			if !slices.Contains(scope.known, name) {
				return t, unprocessable("%s: there is no %q; there are %s", scope.of, name, strings.Join(scope.known, ", "))
			}
		}
	}
	switch err := tokens.CheckGateways(t.Gateways); {
	case err != nil:
		return t, unprocessable("gateways: %v", err)
	case t.Gateways != nil && !a.Guard.Hub:
		return t, unprocessable("gateways: only a fleet's hub limits tokens to gateways")
	case t.Gateways != nil && len(t.Gateways) == 0:
		return t, unprocessable("gateways: an empty scope would be everything; fix: name some, or leave it out")
	}
	if q.Expires.given {
		if t.Expires, err = phrase.ParseExpiry(q.Expires.text, time.Now()); err != nil {
			return t, unprocessable("expires: %v", err)
		}
	}
	return t, widens(access.Of(r), t)
}

func (a *API) sensors() (names []string) {
	for _, s := range a.Sensors {
		names = append(names, s.Name)
	}
	return names
}

func (a *API) motors() (names []string) {
	for _, m := range a.Motors() {
		names = append(names, m.Target)
	}
	return names
}

// widens returns an error if the token would have rights that its maker id does not have.
func widens(id *access.Identity, t tokens.Token) error {
	for _, scope := range []struct {
		of         string
		own, given []string
	}{{"sensors", id.Sensors, t.Sensors}, {"motors", id.Motors, t.Motors}, {"gateways", id.Gateways, t.Gateways}} {
		beyond := func(name string) bool { return !slices.Contains(scope.own, name) }
		if len(scope.own) > 0 && (len(scope.given) == 0 || slices.ContainsFunc(scope.given, beyond)) {
			return wire.Errorf(http.StatusForbidden, "the %s of %s are %s: a token that it gives or renews cannot have more; fix: an administrator without a scope can do that", scope.of, id.Label(), strings.Join(scope.own, ", "))
		}
	}
	return nil
}

// make makes the text of a token, and a link for it, and shows both.
func (a *API) make(r *http.Request, change func(*tokens.File) (string, *tokens.Token, error)) (*made, error) {
	m := &made{}
	err := a.Guard.Tokens.Edit(author(r), func(f *tokens.File) error {
		text, t, err := change(f)
		if err != nil {
			return err
		}
		code, err := f.AddCode(t.Name)
		if err != nil {
			return err
		}
		m.Token, m.Link, m.LinkExpiresMS = text, a.Guard.Policy.Page(r)+"login#"+code, tokens.CodeTime.Milliseconds()
		m.LinkQR = qrRows(m.Link)
		m.token = tokenOf(tokens.Summary{Token: *t}, 0)
		return nil
	})
	return m, stored(err)
}

// qrRows returns the QR code of a text, nil if it is too long for one.
func qrRows(text string) (rows []string) {
	code, err := qr.Encode(text, qr.M)
	if err != nil {
		return nil
	}
	for y := range code.Size {
		row := make([]byte, code.Size)
		for x := range row {
			row[x] = '0'
			if code.Black(x, y) {
				row[x] = '1'
			}
		}
		rows = append(rows, string(row))
	}
	return rows
}

func (a *API) rotateToken(r *http.Request) (int, any, error) {
	answer, err := a.make(r, func(f *tokens.File) (string, *tokens.Token, error) {
		t, err := find(f, r)
		if err != nil {
			return "", nil, err
		}
		text, err := f.Rotate(t.Name)
		return text, t, err
	})
	return http.StatusOK, answer, err
}

func (a *API) linkToken(r *http.Request) (int, any, error) {
	answer, err := a.make(r, func(f *tokens.File) (string, *tokens.Token, error) {
		t, err := find(f, r)
		return "", t, err
	})
	return http.StatusOK, answer, err
}

// find returns the token of a request's path, if its sender may have its rights.
func find(f *tokens.File, r *http.Request) (*tokens.Token, error) {
	t := f.ByID(r.PathValue("id"))
	if t == nil {
		return nil, unknown("token", r)
	}
	return t, widens(access.Of(r), *t)
}

func (a *API) revokeToken(r *http.Request) (int, any, error) {
	err := a.Guard.Tokens.Edit(author(r), func(f *tokens.File) error {
		t := f.ByID(r.PathValue("id"))
		if t == nil {
			return unknown("token", r)
		}
		return f.Revoke(t.Name)
	})
	return http.StatusNoContent, nil, stored(err)
}

// readBody reads a request's JSON. An unknown key is an error: if a misspelled scope were
// ignored, the token would have more rights than were meant.
func readBody(r *http.Request, into any) error {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	switch {
	case err != nil:
		return wire.Errorf(http.StatusBadRequest, "the body cannot be read")
	case len(body) > maxBody:
		return wire.Errorf(http.StatusRequestEntityTooLarge, "the body is larger than %d bytes", maxBody)
	case !strings.EqualFold(strings.TrimSpace(kind), "application/json"): // a page of another site cannot send that without a preflight
		return wire.Errorf(http.StatusUnsupportedMediaType, "the body is JSON; fix: send Content-Type: application/json")
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return unprocessable("the body is no JSON of that form: %v", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return unprocessable("there is more text after the JSON")
	}
	return nil
}

// stored returns the error of a change as clients see it.
func stored(err error) error {
	var known *wire.Error
	if err == nil || errors.As(err, &known) {
		return err
	}
	return wire.Errorf(http.StatusServiceUnavailable, "the tokens could not be stored: %v", err)
}

func unprocessable(format string, args ...any) error {
	return wire.Errorf(http.StatusUnprocessableEntity, format, args...)
}

func unknown(what string, r *http.Request) error {
	return wire.Errorf(http.StatusNotFound, "there is no %s %q", what, r.PathValue("id"))
}
