package access

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"sensorgateway/gateway/access/tokens"
)

const (
	ticketTime = 30 * time.Second
	maxTickets = 4096 // not yet used
	maxRequest = 4 << 10
)

// tickets let the holder of a token open an address once, where no header can be sent.
type tickets struct {
	mu sync.Mutex
	of map[[sha256.Size]byte]*ticket
}

type ticket struct {
	id      Identity
	path    string
	expires time.Time
}

var errTicket = errors.New("the ticket is not good: it was used, is older than 30 s, or is for another path; fix: fetch another")

// add returns a ticket for an identity on a path.
func (t *tickets) add(id Identity, path string, now time.Time) (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.of == nil {
		t.of = map[[sha256.Size]byte]*ticket{}
	}
	if len(t.of) >= maxTickets {
		for h, k := range t.of {
			if now.After(k.expires) {
				delete(t.of, h)
			}
		}
	}
	if len(t.of) >= maxTickets {
		return "", errors.New("there are too many tickets that nobody uses; fix: wait 30 s")
	}
	text := rand.Text() + rand.Text()
	t.of[sha256.Sum256([]byte(text))] = &ticket{id, path, now.Add(ticketTime)}
	return text, nil
}

// take returns the identity that a ticket is for. The ticket is used up in any case.
func (t *tickets) take(text, path string, now time.Time) (*Identity, error) {
	h := sha256.Sum256([]byte(text))
	t.mu.Lock()
	k := t.of[h]
	delete(t.of, h)
	t.mu.Unlock()
	if k == nil || now.After(k.expires) || k.path != path {
		return nil, errTicket
	}
	return &k.id, nil
}

// ticketRequest is the body of a request for a ticket. Both members may be missing.
type ticketRequest struct {
	Path string      `json:"path"` // "/" if not given
	Role tokens.Role `json:"role"` // the identity's own if not given
}

// pageOfOthers lets a page of any origin send its token to h, and read the answer.
func pageOfOthers(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if maySend(w, r, http.MethodPost, "authorization", "content-type") {
			return
		}
		if sendsToken(r) {
			w.Header().Set("Access-Control-Allow-Origin", "*")
		}
		h.ServeHTTP(w, r)
	})
}

// serveTickets answers POST /api/v1/tickets.
func (g *Guard) serveTickets(w http.ResponseWriter, r *http.Request) {
	id, refusal := g.Identify(r)
	if refusal != nil {
		g.refuse(w, r, refusal)
		return
	}
	var q ticketRequest
	if err := readJSON(r, &q); err != nil {
		answer(w, http.StatusUnprocessableEntity, err.Error())
		return
	}
	if q.Path == "" {
		q.Path = "/"
	}
	lower := *id
	lower.How = byTicket
	switch {
	case !strings.HasPrefix(q.Path, "/") || strings.ContainsAny(q.Path, "?#"):
		answer(w, http.StatusUnprocessableEntity, `path must be a path such as "/sensors/outdoor", without ? and #`)
		return
	case q.Role == "":
	case !id.Role.AtLeast(q.Role) || !q.Role.AtLeast(tokens.Viewer):
		answer(w, http.StatusForbidden, "a ticket gives no more than its owner may: "+string(id.Role))
		return
	default:
		lower.limit(q.Role)
	}
	text, err := g.tickets.add(lower, q.Path, time.Now())
	if err != nil {
		w.Header().Set("Retry-After", "30")
		answer(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	WriteJSON(w, http.StatusOK, map[string]any{"ticket": text, "expires_ms": ticketTime.Milliseconds()})
}

// readJSON reads the body of a POST. For a page of another site, a browser sends JSON
// only after a preflight request (Fetch, section 4.8).
func readJSON(r *http.Request, into any) error {
	kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	body, err := io.ReadAll(io.LimitReader(r.Body, maxRequest+1))
	switch {
	case err != nil || len(body) > maxRequest:
		return errors.New("the body is too large")
	case len(body) == 0:
		return nil
	case strings.TrimSpace(strings.ToLower(kind)) != "application/json":
		return errors.New("the body is JSON; fix: send Content-Type: application/json")
	}
	if json.Unmarshal(body, into) != nil {
		return errors.New("the body is no JSON of that form") // what is in it may be secret
	}
	return nil
}

func answer(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Cache-Control", "no-store")
	http.Error(w, text, code)
}
