package access

import (
	"net/http"
	"strings"
)

// MaySendToken answers a browser that asks whether a page of whatever origin may send a
// token in a header with a GET (Fetch, section 4.8), and returns whether the request was
// that. The page may: one that has a token is no hostile one, and one that guesses can do
// so without a browser.
func MaySendToken(w http.ResponseWriter, r *http.Request) bool {
	if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") != http.MethodGet ||
		!strings.EqualFold(strings.TrimSpace(r.Header.Get("Access-Control-Request-Headers")), "authorization") {
		return false
	}
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*") // never what a browser sends unasked, such as the cookie (section 3.2.5)
	h.Set("Access-Control-Allow-Headers", "authorization")
	h.Set("Access-Control-Max-Age", "600") // s
	w.WriteHeader(http.StatusNoContent)
	return true
}

// sendsToken returns whether a request has a token in a header, as no page can make a
// browser do that it does not ask before.
func sendsToken(r *http.Request) bool {
	scheme, _, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.EqualFold(scheme, "Bearer")
}
