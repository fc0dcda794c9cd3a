package access

import (
	"net/http"
	"slices"
	"strings"
)

// MaySendToken answers a preflight request (Fetch, section 4.8): whether a page, of any
// origin, may send a token in a header with a GET. It returns whether r was such a request.
// The page may: one that has a token is not hostile, and whoever guesses tokens can do so
// without a browser.
func MaySendToken(w http.ResponseWriter, r *http.Request) bool {
	return maySend(w, r, http.MethodGet, "authorization")
}

// maySend is MaySendToken for another method, with these headers.
func maySend(w http.ResponseWriter, r *http.Request, method string, headers ...string) bool {
	if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") != method {
		return false
	}
	asked := strings.Split(strings.ToLower(r.Header.Get("Access-Control-Request-Headers")), ",")
	for i, name := range asked {
		if asked[i] = strings.TrimSpace(name); !slices.Contains(headers, asked[i]) {
			return false
		}
	}
	if !slices.Contains(asked, "authorization") {
		return false
	}
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*") // never with what browsers send by themselves, such as the cookie (section 3.2.5)
	h.Set("Access-Control-Allow-Methods", method)
	h.Set("Access-Control-Allow-Headers", strings.Join(headers, ", "))
	h.Set("Access-Control-Max-Age", "600") // s
	w.WriteHeader(http.StatusNoContent)
	return true
}

// sendsToken returns whether a request has a token in a header. For a page of another
// site, a browser sends that only after a preflight request.
func sendsToken(r *http.Request) bool {
	scheme, _, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.EqualFold(scheme, "Bearer")
}
