package control

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"sensorgateway/wire"
)

// Who takes part. phone is another connection of anna's token; ben and carl have none.
var (
	anna  = Client{"1", "a", "anna"}
	phone = Client{"2", "a", "anna"}
	ben   = Client{ID: "3", Name: "ben"}
	carl  = Client{ID: "4", Name: "carl"}
)

var clients = map[string]Client{"anna": anna, "phone": phone, "ben": ben, "carl": carl}

var begin = time.UnixMilli(1712345678901)

// act does what a word says, at a time: "ben request", "anna lost", "time".
func act(b *Baton, holder Client, what string, now time.Time) (*wire.Event, error) {
	who, action, _ := strings.Cut(what, " ")
	cl := clients[who]
	switch action {
	case "":
		e, _ := b.Due(holder, now)
		return e, nil
	case "lost", "revoked":
		reason := map[string]string{"lost": wire.ReasonDisconnect, "revoked": wire.ReasonRevoked}[action]
		return b.Lost(cl.ID, holder, reason, now), nil
	case "request allow":
		allow := true
		return b.Act(wire.Command{Action: wire.RequestControl, AllowTakeover: &allow}, cl, holder, now)
	}
	return b.Act(wire.Command{Action: action}, cl, holder, now)
}

// shown returns who has control, who requests it, and the event, or the error.
func shown(b *Baton, e *wire.Event, err error) string {
	text := map[string]string{"1": "anna", "2": "phone", "3": "ben", "4": "carl", "": "nobody"}[b.has.ID]
	if b.allow {
		text += "+"
	}
	if !b.asks.None() {
		text += " < " + b.asks.Name
	}
	if err != nil {
		return text + ": " + err.Error()
	}
	if e == nil {
		return text
	}
	text += ": " + e.Action
	for _, m := range []struct{ word, name string }{{"by", e.By}, {"from", e.From}, {"to", e.To}, {"for", e.Reason}, {"at", e.Holder}} {
		if m.name != "" {
			text += " " + m.word + " " + m.name
		}
	}
	return text
}

// TestStates: how each message, a loss and the time change each state.
func TestStates(t *testing.T) {
	none := Client{}
	for _, state := range []struct {
		name   string
		holder Client // without control
		before []string
		after  map[string]string
	}{
		{"nobody has it", none, nil, map[string]string{
			"ben request":       "ben: grant by ben to ben for command at ben",
			"ben request allow": "ben+: grant by ben to ben for command at ben",
			"ben grant":         "nobody: 409 nobody requests control of m",
			"ben deny":          "nobody: 409 nobody requests control of m",
			"ben release":       "nobody: 409 nobody has control of m",
			"ben lost":          "nobody",
			"time":              "nobody",
		}},
		{"anna has it", none, []string{"anna request"}, map[string]string{
			"anna request":        "anna",
			"anna request allow":  "anna+",
			"phone request":       "phone: grant by anna from anna to anna for command at anna",
			"phone request allow": "phone+: grant by anna from anna to anna for command at anna",
			"ben request":         "anna < ben: request by ben at anna",
			"anna grant":          "anna: 409 nobody requests control of m",
			"ben grant":           "anna: 409 nobody requests control of m",
			"anna deny":           "anna: 409 nobody requests control of m",
			"anna release":        "nobody: release by anna from anna for command",
			"phone release":       "nobody: release by anna from anna for command",
			"ben release":         "anna: 409 anna has control of m, and not you",
			"anna lost":           "nobody: release by anna from anna for disconnect",
			"anna revoked":        "nobody: release by anna from anna for revoked",
			"phone lost":          "anna",
			"ben lost":            "anna",
			"time":                "anna",
		}},
		{"ben asks anna", none, []string{"anna request", "ben request"}, map[string]string{
			"anna request":       "anna < ben",
			"anna request allow": "anna+ < ben",
			"phone request":      "phone < ben: grant by anna from anna to anna for command at anna",
			"ben request":        "anna < ben",
			"carl request":       "anna < ben: 409 ben requests control of m already: try again in 10s",
			"anna grant":         "ben: grant by anna from anna to ben for command at ben",
			"phone grant":        "ben: grant by anna from anna to ben for command at ben",
			"ben grant":          "anna < ben: 409 ben requests control of m from anna, and not from you",
			"carl grant":         "anna < ben: 409 ben requests control of m from anna, and not from you",
			"anna deny":          "anna: deny by anna to ben for command at anna",
			"phone deny":         "anna: deny by anna to ben for command at anna",
			"carl deny":          "anna < ben: 409 ben requests control of m from anna, and not from you",
			"anna release":       "ben: grant by anna from anna to ben for command at ben",
			"ben release":        "anna: release by ben for command at anna",
			"carl release":       "anna < ben: 409 anna has control of m, and not you",
			"anna lost":          "ben: grant by anna from anna to ben for disconnect at ben",
			"anna revoked":       "ben: grant by anna from anna to ben for revoked at ben",
			"phone lost":         "anna < ben",
			"ben lost":           "anna: release by ben for disconnect at anna",
			"ben revoked":        "anna: release by ben for revoked at anna",
			"time":               "anna: deny to ben for timeout at anna",
		}},
		{"ben asks anna, who allows a takeover", none, []string{"anna request allow", "ben request allow"}, map[string]string{
			"anna request": "anna < ben",
			"anna grant":   "ben+: grant by anna from anna to ben for command at ben",
			"anna deny":    "anna+: deny by anna to ben for command at anna",
			"time":         "ben+: grant from anna to ben for timeout at ben",
		}},
		{"anna holds it by a lease", anna, nil, map[string]string{
			"anna request":  "anna: grant by anna to anna for command at anna",
			"phone request": "phone: grant by anna to anna for command at anna",
			"ben request":   "nobody < ben: request by ben at anna",
			"anna release":  "nobody: 409 nobody has control of m",
			"anna grant":    "nobody: 409 nobody requests control of m",
			"anna lost":     "nobody",
			"time":          "nobody",
		}},
		{"ben asks anna, who holds it by a lease", anna, []string{"ben request"}, map[string]string{
			"anna request": "anna < ben: grant by anna to anna for command at anna",
			"carl request": "nobody < ben: 409 ben requests control of m already: try again in 10s",
			"anna grant":   "ben: grant by anna from anna to ben for command at ben",
			"anna deny":    "nobody: deny by anna to ben for command at anna",
			"ben release":  "nobody: release by ben for command at anna",
			"ben lost":     "nobody: release by ben for disconnect at anna",
			"carl grant":   "nobody < ben: 409 ben requests control of m from anna, and not from you",
			"time":         "nobody: deny to ben for timeout at anna",
		}},
	} {
		for what, want := range state.after {
			b := &Baton{Motor: "m"}
			for _, w := range state.before {
				if _, err := act(b, state.holder, w, begin); err != nil {
					t.Fatal(err)
				}
			}
			now := begin
			if what == "time" {
				if e, next := b.Due(state.holder, begin.Add(DefaultTimeout-1)); e != nil || !next.IsZero() && !next.Equal(begin.Add(DefaultTimeout)) {
					t.Errorf("%s: before its time: %+v, next at %v", state.name, e, next)
				}
				now = begin.Add(DefaultTimeout)
			}
			e, err := act(b, state.holder, what, now)
			got := shown(b, e, err)
			if err != nil {
				got = strings.Replace(got, ": ", fmt.Sprintf(": %d ", wire.AsError(err).Code), 1)
			}
			if got != want {
				t.Errorf("%s, %s:\n got %s\nwant %s", state.name, what, got, want)
			}
		}
	}
}

// TestLeaseEnds: the client that was asked no longer holds the motor, so no answer is needed.
func TestLeaseEnds(t *testing.T) {
	b := &Baton{Motor: "m"}
	if _, err := act(b, anna, "ben request", begin); err != nil {
		t.Fatal(err)
	}
	e, next := b.Due(Client{}, begin.Add(time.Second))
	if got := shown(b, e, nil); got != "ben: grant to ben for free at ben" || !next.IsZero() {
		t.Errorf("%s, next at %v", got, next)
	}
}

// TestWhoIsTold: whom a change concerns, besides those who subscribe.
func TestWhoIsTold(t *testing.T) {
	for what, want := range map[string]string{
		"anna request, ben request":                "[1 3]",
		"anna request, ben request, anna grant":    "[1 3]",
		"anna request, ben request, anna deny":     "[3 1]",
		"anna request, ben request, ben lost":      "[3 1]",
		"anna request, phone request":              "[1 2]",
		"anna request, ben request, phone request": "[1 2 3]",
		"anna request, anna release":               "[1]",
	} {
		b, e := &Baton{Motor: "m"}, (*wire.Event)(nil)
		for w := range strings.SplitSeq(what, ", ") {
			var err error
			if e, err = act(b, Client{}, w, begin); err != nil {
				t.Fatal(err)
			}
		}
		if got := fmt.Sprint(e.Clients); got != want {
			t.Errorf("%s: %s, want %s", what, got, want)
		}
	}
}

func TestShow(t *testing.T) {
	b := &Baton{Motor: "m"}
	for _, what := range []string{"anna request allow", "ben request"} {
		if _, err := act(b, Client{}, what, begin); err != nil {
			t.Fatal(err)
		}
	}
	var s wire.MotorState
	b.Show(&s)
	if *s.Control != (wire.Control{By: "anna", Since: 1712345678.901, AllowTakeover: true}) || *s.ControlRequest != (wire.ControlRequest{By: "ben", Until: 1712345688.901}) {
		t.Errorf("%+v %+v", s.Control, s.ControlRequest)
	}
	if b.Asked() != anna.ID || !b.Waits(ben) || b.Waits(anna) || !b.Has(phone) || b.Has(ben) {
		t.Error("who is asked, waits and has it")
	}
	if err := b.Refusal(ben); err == nil || err.Error() != `m is under the control of anna: ask for it with a control message, action "request"` || wire.AsError(err).Code != 409 {
		t.Error(err)
	}
	// Another connection with the same token continues the control.
	if _, err := act(b, Client{}, "phone request", begin.Add(time.Second)); err != nil || !b.since.Equal(begin) {
		t.Errorf("since %v, %v", b.since, err)
	}
}

// TestRandomly: whatever happens, no lost client has control or waits for it, the client
// that waits is not the one that has it, and each change of control is an event.
func TestRandomly(t *testing.T) {
	names := []string{"anna", "phone", "ben", "carl"}
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 0))
		b, now, holder := &Baton{Motor: "m"}, begin, Client{}
		var log []string
		for range 60 {
			now = now.Add(time.Duration(r.IntN(4000)) * time.Millisecond)
			who := names[r.IntN(len(names))]
			what := who + " " + []string{"request", "request allow", "grant", "deny", "release", "lost"}[r.IntN(6)]
			switch r.IntN(5) {
			case 0:
				what = "time"
			case 1:
				holder = Client{}
				if r.IntN(2) == 0 {
					holder = clients[who]
				}
				continue
			}
			had := b.has
			e, err := act(b, holder, what, now)
			log = append(log, what+" -> "+shown(b, e, err))
			if strings.HasSuffix(what, "lost") && (b.has.ID == clients[who].ID || b.asks.ID == clients[who].ID) ||
				b.has.Same(b.asks) || had != b.has && (e == nil || err != nil) ||
				e != nil && !had.None() && had != b.has && !slices.Contains(e.Clients, had.ID) {
				t.Fatalf("seed %d: %s", seed, strings.Join(log, "\n"))
			}
		}
	}
}
