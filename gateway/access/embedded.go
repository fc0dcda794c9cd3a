package access

import (
	"net/http"
	"time"

	"sensorgateway/gateway/access/tokens"
)

// Embedded answers requests for the page. In a frame of another site's page, a browser
// does not send the cookie of [Guard.logIn]. So if the frame's address has a ticket and
// asks for the view without controls, the answer sets another cookie. Browsers send it in
// frames of that site alone. It allows to see and to stop, even if the ticket's owner may
// do more.
func (g *Guard) Embedded(page http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := Of(r)
		// A certificate may expire before its token does: the cookie would outlive it.
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
			// Partitioned: it is sent in frames of that site alone, even if other sites embed
			// the gateway too (https://www.ietf.org/archive/id/draft-cutler-httpbis-partitioned-cookies-01.html).
			http.SetCookie(w, &http.Cookie{
				Name: viewCookie(g.cookie(r)), Value: secret, Path: "/", MaxAge: int(cookieTime / time.Second),
				Secure: true, HttpOnly: true, SameSite: http.SameSiteNoneMode, Partitioned: true,
			})
		}
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("Location", "./?"+r.URL.RawQuery) // without the ticket; relative, because a proxy may have put a prefix before it
		w.WriteHeader(http.StatusSeeOther)
	})
}

// inFrame returns whether a browser loads the page into a frame. Outside of frames a ticket
// logs nobody in: else a link could log its reader in as a user whom its author chose.
// Browsers send the header on secure connections only (Fetch Metadata, section 2), and on
// no other do they accept the cookie.
func inFrame(r *http.Request) bool { return r.Header.Get("Sec-Fetch-Dest") == "iframe" }

// embedded returns whether a frame has a cookie of the ticket's owner already.
func (g *Guard) embedded(r *http.Request, id *Identity) bool {
	c, err := r.Cookie(viewCookie(g.cookie(r)))
	if err != nil {
		return false
	}
	e, err := g.Tokens.Find(c.Value, id.From)
	return err == nil && e != nil && e.Login != nil && e.ID == id.Token
}

// viewCookie returns the name of the cookie for frames. It differs from that of the page
// itself, because browsers send both in frames of the gateway's own site.
func viewCookie(cookie string) string {
	if cookie == "" {
		return ""
	}
	return cookie + "-view"
}

// identityOfLogin returns the identity of a browser that is logged in.
func identityOfLogin(e *tokens.Entry, secret string) *Identity {
	id := identityOf(e, byCookie)
	if tokens.ForViewing(secret) {
		id.limit(tokens.Viewer)
	}
	return id
}
