package access

import (
	"net/http"
	"time"

	"sensorgateway/gateway/access/tokens"
)

// Embedded answers requests for the page. In a frame of another site's page a browser
// sends no cookie of [Guard.logIn]. So who has fetched a ticket for the view without
// controls, with which that page begins the frame's address, gets a cookie for it there:
// one of that site's pages alone, to see and to stop with, whatever the ticket's owner
// may do besides.
func (g *Guard) Embedded(page http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := Of(r)
		// A certificate may end before its token does, and what it was good for with it.
		if id.How != byTicket || id.Token == "" || id.Certificate != nil || r.Method != http.MethodGet || r.URL.Path != "/" || !r.URL.Query().Has("kiosk") || !inFrame(r) {
			page.ServeHTTP(w, r)
			return
		}
		if !g.embedded(r, id) {
			secret, err := g.Tokens.LogInViewer(id.Token, id.From+", in a frame")
			if err != nil {
				g.Log.Error("a frame could not be logged in", "name", id.Name, "client", id.From, "err", err)
				answer(w, http.StatusInternalServerError, "the frame could not be logged in: "+err.Error())
				return
			}
			g.Log.Info("logged in", "name", id.Name, "client", id.From, "page", "in a frame")
			if e, _ := g.Tokens.Find(secret, id.From); e != nil {
				g.Logged("in", e.ID, id.Name, id.From)
			}
			// Partitioned: it is sent in frames of that site alone, whoever embeds the gateway
			// besides (https://www.ietf.org/archive/id/draft-cutler-httpbis-partitioned-cookies-01.html).
			http.SetCookie(w, &http.Cookie{
				Name: viewCookie(g.cookie(r)), Value: secret, Path: "/", MaxAge: int(cookieTime / time.Second),
				Secure: true, HttpOnly: true, SameSite: http.SameSiteNoneMode, Partitioned: true,
			})
		}
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("Location", "./?"+r.URL.RawQuery) // which has no ticket any more; relative, for a proxy may have put a prefix before it
		w.WriteHeader(http.StatusSeeOther)
	})
}

// inFrame returns whether a browser asks for what it shows in a frame. Elsewhere a ticket
// logs nobody in: a link would, as somebody whom its author has chosen. Browsers say so
// where the connection cannot be read by others (Fetch Metadata, section 2), and only
// there they take the cookie.
func inFrame(r *http.Request) bool { return r.Header.Get("Sec-Fetch-Dest") == "iframe" }

// embedded returns whether a frame has a cookie already, of the ticket's owner.
func (g *Guard) embedded(r *http.Request, id *Identity) bool {
	c, err := r.Cookie(viewCookie(g.cookie(r)))
	if err != nil {
		return false
	}
	e, err := g.Tokens.Find(c.Value, id.From)
	return err == nil && e != nil && e.Login != nil && e.ID == id.Token
}

// viewCookie is the name of the cookie for frames, beside that of the page itself: in
// frames of the gateway's own site, both are sent.
func viewCookie(cookie string) string {
	if cookie == "" {
		return ""
	}
	return cookie + "-view"
}

// identityOfLogin returns that of a browser.
func identityOfLogin(e *tokens.Entry, secret string) *Identity {
	id := identityOf(e, byCookie)
	if tokens.ForViewing(secret) {
		id.limit(tokens.Viewer)
	}
	return id
}
