package access

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"sensorgateway/gateway/access/tokens"
)

// TestEmbedded holds that only a ticket for the view without controls logs a frame in, and
// that the frame's cookie gives a viewer's rights, even if it is sent under the name of the
// other one.
func TestEmbedded(t *testing.T) {
	dir := t.TempDir()
	addToken(t, dir, tokens.Token{Name: "ayşe", Role: tokens.Admin, Sensors: []string{"indoor"}})
	g := newGuard(t, dir, Options{Exposed: true})
	page := g.Embedded(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte("the page")) }))
	file, err := tokens.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	var certificate context.Context // of the ticket's owner
	ask := func(query, dest string, header ...string) *httptest.ResponseRecorder {
		t.Helper()
		owner := identityOf(&tokens.Entry{Token: *file.Find("ayşe"), Valid: t.Context()}, byTicket)
		owner.Certificate = certificate
		text, err := g.tickets.add(*owner, "/", time.Now())
		if err != nil {
			t.Fatal(err)
		}
		r := requestFrom("192.0.2.7", "/?"+query+"&ticket="+text)
		r.Header.Set("Sec-Fetch-Dest", dest)
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		id, refusal := g.Identify(r)
		if refusal != nil {
			t.Fatal(refusal.Err)
		}
		r, done := id.With(r)
		defer done()
		w := httptest.NewRecorder()
		page.ServeHTTP(w, r)
		return w
	}
	for _, tt := range [][2]string{{"kiosk", "document"}, {"kiosk", ""}, {"x=kiosk", "iframe"}} {
		if w := ask(tt[0], tt[1]); w.Code != http.StatusOK || w.Body.String() != "the page" || w.Header().Get("Set-Cookie") != "" {
			t.Errorf("%q: %d, %v", tt, w.Code, w.Header())
		}
	}
	certificate = t.Context()
	if w := ask("kiosk", "iframe"); w.Code != http.StatusOK || w.Header().Get("Set-Cookie") != "" {
		t.Errorf("with a ticket of a certificate: %d, %v", w.Code, w.Header())
	}
	certificate = nil
	w := ask("kiosk", "iframe")
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "./?kiosk" || len(w.Result().Cookies()) != 1 {
		t.Fatalf("%d, %v", w.Code, w.Header())
	}
	cookie := w.Result().Cookies()[0]
	for _, attribute := range []string{"Secure", "HttpOnly", "SameSite=None", "Partitioned", "Path=/"} {
		if !strings.Contains(cookie.Raw, "; "+attribute) {
			t.Errorf("the cookie is not %s: %s", attribute, cookie.Raw)
		}
	}
	for _, name := range []string{cookie.Name, g.cookie(requestFrom("192.0.2.7", "/"))} {
		r := requestFrom("192.0.2.7", "/")
		r.Header.Set("Cookie", name+"="+cookie.Value)
		id, refusal := g.Identify(r)
		if refusal != nil {
			t.Fatal(refusal.Err)
		}
		if id.Name != "ayşe" || id.Role != tokens.Viewer || id.Denied == nil || id.Chats || id.Sensors.Has("outdoor") || !id.Sensors.Has("indoor") {
			t.Errorf("%s: %+v", name, id)
		}
		r.Header.Set("Cookie", name+"="+strings.TrimPrefix(cookie.Value, "view."))
		if id, refusal := g.Identify(r); refusal == nil {
			t.Errorf("%s, without its prefix: %+v", name, id)
		}
		r.Header.Set("Cookie", name+"="+cookie.Value)
		r.Header.Set("Origin", "https://evil.example")
		if id, refusal := g.Identify(r); refusal == nil {
			t.Errorf("%s, for another page: %+v", name, id)
		}
	}
	// A frame that has a cookie gets no other; one that was revoked is replaced.
	if w := ask("kiosk", "iframe", "Cookie", cookie.Name+"="+cookie.Value); w.Code != http.StatusSeeOther || w.Header().Get("Set-Cookie") != "" {
		t.Errorf("again: %d, %v", w.Code, w.Header())
	}
	e, _ := g.Tokens.Find(cookie.Value, "")
	if err := g.Tokens.LogOut(e.Login); err != nil {
		t.Fatal(err)
	}
	if w := ask("kiosk", "iframe", "Cookie", cookie.Name+"="+cookie.Value); w.Code != http.StatusSeeOther || w.Header().Get("Set-Cookie") == "" {
		t.Errorf("after its end: %d, %v", w.Code, w.Header())
	}
}
