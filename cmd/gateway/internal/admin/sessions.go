package admin

import (
	"cmp"
	"net/http"
	"slices"
	"time"

	"sensorgateway/gateway/access"
	"sensorgateway/gateway/access/tokens"
)

// The kinds of sessions.
const (
	kindClient = "client" // that is connected by WebSocket
	kindLogin  = "login"  // of a browser, connected or not
)

// maxSessions is how many an answer has: each is some 250 bytes.
const maxSessions = 1000

// session is a client that is connected, or the login of a browser. Times are Unix
// milliseconds.
type session struct {
	ID       string      `json:"id"`
	Kind     string      `json:"kind"`
	Token    string      `json:"token,omitempty"` // the ID of its token; "" without one
	Login    string      `json:"login,omitempty"` // of a client: the ID of its login
	Name     string      `json:"name"`            // "" without a token
	Role     tokens.Role `json:"role"`
	How      string      `json:"how"`            // the client is known: bearer, basic, subprotocol, cookie, ticket, certificate, nothing
	From     string      `json:"from"`           // where it is, or was when it logged in
	Path     string      `json:"path,omitempty"` // of a client
	Since    int64       `json:"since"`
	Used     int64       `json:"used"` // the last use: of a client, now
	UsedFrom string      `json:"used_from,omitempty"`
	You      bool        `json:"you,omitempty"` // it is the login of whoever asks
}

func (a *API) listSessions(r *http.Request) (int, any, error) {
	now, you := time.Now().UnixMilli(), access.Of(r)
	all := []session{}
	for _, c := range a.Guard.Connected() {
		id := c.Identity
		all = append(all, session{
			ID: c.ID, Kind: kindClient, Token: id.Token, Login: id.Login, Name: id.Name, Role: id.Role, How: id.How, From: id.From,
			Path: c.Path, Since: c.Since.UnixMilli(), Used: now,
		})
	}
	for _, t := range a.Guard.Tokens.Summaries() {
		for _, l := range t.Logins {
			s := session{
				ID: l.ID, Kind: kindLogin, Token: t.ID, Name: t.Name, Role: t.Role, How: "cookie", From: l.From,
				Since: l.Created.UnixMilli(), Used: l.Created.UnixMilli(), You: l.ID == you.Login,
			}
			if !l.Used.At.IsZero() {
				s.Used, s.UsedFrom = l.Used.At.UnixMilli(), l.Used.From
			}
			all = append(all, s)
		}
	}
	total := len(all)
	slices.SortStableFunc(all, func(a, b session) int { return cmp.Compare(b.Since, a.Since) })
	return http.StatusOK, map[string]any{"sessions": all[:min(total, maxSessions)], "total": total}, nil
}

// endSession closes a client's connection, or ends a login and with it all of its
// connections.
func (a *API) endSession(r *http.Request) (int, any, error) {
	id := r.PathValue("id")
	if who := a.Guard.Dismiss(id); who != nil {
		a.Ended(author(r), kindClient, id, who.Label())
		return http.StatusNoContent, nil, nil
	}
	name := ""
	err := a.Guard.Tokens.Edit(author(r), func(f *tokens.File) error {
		if i := slices.IndexFunc(f.Logins, func(l tokens.Login) bool { return l.ID == id }); i >= 0 {
			name = f.ByID(f.Logins[i].Token).Name
		}
		if !f.LogOut(id) {
			return unknown("session", r)
		}
		return nil
	})
	if err == nil {
		a.Ended(author(r), kindLogin, id, name)
	}
	return http.StatusNoContent, nil, stored(err)
}
