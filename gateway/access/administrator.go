package access

import (
	"errors"
	"net/http"

	"sensorgateway/gateway/access/tokens"
	"sensorgateway/wire"
)

// Administrators lets the requests of administrators through. It identifies a request if
// that was not done before. One that changes something, with a credential that browsers
// send by themselves, must come from the gateway's own page or from no page: any other
// page, even an allowed one, could have caused it against its user's will.
func (g *Guard) Administrators(serve http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, known := r.Context().Value(contextKey{}).(*Identity)
		if !known {
			var refusal *Refusal
			if id, refusal = g.Identify(r); refusal != nil {
				g.refuse(w, r, refusal)
				return
			}
			var done func()
			r, done = id.With(r)
			defer done()
		}
		changes := r.Method != http.MethodGet && r.Method != http.MethodHead
		reason, err := ReasonScope, error(nil)
		switch {
		case id.Token == "" || !id.Role.AtLeast(tokens.Admin):
			err = errors.New("this is for administrators; fix: log in with an admin's token (gateway token add NAME --role admin)")
		case changes && ambient(id.How):
			reason, err = ReasonOrigin, g.Policy.checkOwnOrigin(r)
		}
		if err != nil {
			g.Refused(reason, id.Label(), err.Error())
			WriteError(w, wire.Errorf(http.StatusForbidden, "%v", err))
			return
		}
		w.Header().Set("Cache-Control", "no-store")
		serve.ServeHTTP(w, r)
	})
}

// WriteError answers a request to the API that cannot be carried out.
func WriteError(w http.ResponseWriter, e *wire.Error) {
	WriteJSON(w, e.Code, wire.Envelope{Type: wire.TypeError, Payload: e})
}

// WriteJSON answers a request to the API.
func WriteJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(append(wire.JSON(v), '\n')) // it fails if the client has left
}
