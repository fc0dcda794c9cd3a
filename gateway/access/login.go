package access

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"errors"
	"html"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"sensorgateway/gateway/access/tokens"
)

// cookieTime is how long browsers keep the cookie, at most: the gateway ends a login
// that is not used for 30 days.
const cookieTime = 400 * 24 * time.Hour

//go:embed login.html
var loginHTML string

var inlineForm = regexp.MustCompile(`(?s)<(script|style)>(.*?)</(script|style)>`)

// loginPolicy lets the page have its own script and style, which are in it, and
// connect to nothing but the gateway.
var loginPolicy = func() string {
	sources := map[string]string{}
	for _, m := range inlineForm.FindAllStringSubmatch(loginHTML, -1) {
		sum := sha256.Sum256([]byte(m[2]))
		sources[m[1]] = "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	}
	return "default-src 'none'; script-src " + sources["script"] + "; style-src " + sources["style"] +
		"; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}()

// servePage sends the page to log in; why says why it came.
func servePage(w http.ResponseWriter, status int, why string) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", loginPolicy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(strings.Replace(loginHTML, "{{why}}", html.EscapeString(why), 1))) // it fails if the client has left
}

// Pages returns the handlers of the requests with which clients log in and out and fetch
// tickets, by path. They answer everybody.
func (g *Guard) Pages() map[string]http.Handler {
	return map[string]http.Handler{
		"/login":          page(g.ours(g.serveLogin), http.MethodGet, http.MethodHead, http.MethodPost),
		"/logout":         page(g.ours(g.logOut), http.MethodPost),
		"/api/v1/tickets": pageOfOthers(page(g.serveTickets, http.MethodPost)),
	}
}

func (g *Guard) serveLogin(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		g.logIn(w, r)
		return
	}
	servePage(w, http.StatusOK, "")
}

// page lets requests with these methods through.
func page(serve http.HandlerFunc, methods ...string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !slices.Contains(methods, r.Method) {
			w.Header().Set("Allow", strings.Join(methods, ", "))
			answer(w, http.StatusMethodNotAllowed, "only "+strings.Join(methods, " and ")+" here")
			return
		}
		serve(w, r)
	})
}

// Ours lets requests through that no page of another site can have caused, without asking
// who sends them.
func (g *Guard) Ours(h http.Handler) http.Handler { return g.ours(h.ServeHTTP) }

// ours lets requests through that no page of another site can have caused.
func (g *Guard) ours(serve http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if reason, err := g.Policy.Check(r); err != nil {
			_, from := g.Policy.From(r)
			g.refuse(w, r, &Refusal{Status: http.StatusForbidden, Reason: reason, From: from, Err: err})
			return
		}
		serve(w, r)
	}
}

// loginRequest is the body of a login: a token, or a code.
type loginRequest struct {
	Token string `json:"token"`
	Code  string `json:"code"`
	Ask   bool   `json:"ask"` // asks for whom the code is, without using it
}

// logIn gives a browser a cookie for a token or a login code.
func (g *Guard) logIn(w http.ResponseWriter, r *http.Request) {
	addr, from := g.Policy.From(r)
	var q loginRequest
	if err := readJSON(r, &q); err != nil {
		answer(w, http.StatusUnprocessableEntity, err.Error())
		return
	}
	secret, err := strings.TrimSpace(q.Token), error(nil)
	if q.Code == "" {
		err = tokens.CheckText(secret)
	} else {
		secret = q.Code
	}
	if name := g.Tokens.CodeName(q.Code); err == nil && q.Ask && name != "" {
		WriteJSON(w, http.StatusOK, map[string]string{"name": name})
		return
	}
	cookie, name := "", ""
	if err == nil && !q.Ask {
		cookie, name, err = g.Tokens.LogIn(secret, from)
		if err != nil && !errors.Is(err, tokens.ErrRevoked) && !errors.Is(err, tokens.ErrExpired) {
			g.Log.Error("a login could not be stored", "name", name, "client", from, "err", err)
			// Whoever asks may be a stranger, who is not told where the state is.
			answer(w, http.StatusInternalServerError, "the login could not be stored; fix: do what the gateway's log says, then log in again")
			return
		}
	}
	switch {
	case errors.Is(err, tokens.ErrExpired):
		err = errors.New("the token has expired; fix: have another one made")
	case q.Ask || q.Code != "" && errors.Is(err, tokens.ErrRevoked):
		err = errors.New("the link is not good: it was used, or is older than 15 minutes; fix: have another one made")
	case errors.Is(err, tokens.ErrRevoked):
		err = errors.New("the token is not one of this gateway: it was revoked, or it is another gateway's")
	}
	if err != nil {
		wait := g.tries.fail(addr, time.Now())
		g.refuse(w, r, &Refusal{Status: http.StatusUnauthorized, Reason: ReasonToken, From: from, Err: err, RetryAfter: wait, invalid: true})
		return
	}
	g.Log.Info("logged in", "name", name, "client", from)
	if e, _ := g.Tokens.Find(cookie, from); e != nil {
		g.Logged("in", e.ID, name, from)
	}
	g.setCookie(w, r, cookie, cookieTime)
	WriteJSON(w, http.StatusOK, map[string]string{"name": name})
}

// logOut ends the login whose cookie the browser sends.
func (g *Guard) logOut(w http.ResponseWriter, r *http.Request) {
	_, from := g.Policy.From(r)
	c, err := r.Cookie(g.cookie(r))
	if err == nil {
		if e, _ := g.Tokens.Find(c.Value, from); e != nil && e.Login != nil {
			if err := g.Tokens.LogOut(e.Login); err != nil {
				g.Log.Error("a login could not be ended", "name", e.Name, "err", err)
				answer(w, http.StatusInternalServerError, "the login could not be ended: "+err.Error())
				return
			}
			g.Log.Info("logged out", "name", e.Name, "client", from)
			g.Logged("out", e.ID, e.Name, from)
		}
	}
	g.setCookie(w, r, "", -1)
	w.WriteHeader(http.StatusNoContent)
}

// cookie returns the name of the gateway's cookie. It has the gateway's ID, because
// gateways on other ports and prefixes may have the same host. With TLS it has the prefix that keeps others from setting it (RFC
// 6265bis, section 4.1.3.2).
func (g *Guard) cookie(r *http.Request) string {
	id := g.Tokens.Gateway()
	switch {
	case id == "":
		return ""
	case g.Policy.scheme(r) == "https":
		return "__Host-gw-" + id
	}
	return "gw-" + id
}

func (g *Guard) setCookie(w http.ResponseWriter, r *http.Request, value string, age time.Duration) {
	seconds := int(age / time.Second)
	if age < 0 {
		seconds = -1
	}
	http.SetCookie(w, &http.Cookie{
		Name: g.cookie(r), Value: value, Path: "/", MaxAge: seconds,
		Secure: g.Policy.scheme(r) == "https", HttpOnly: true, SameSite: http.SameSiteStrictMode,
	})
}
