// Package overview shows all gateways of a hub at once: as JSON, and as a page that asks
// for that again and again.
//
// It refuses to know how a gateway's state is learned, and who may see it: it is given the
// registry, and functions that say so.
package overview

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"sensorgateway/gateway/fleet"
	"sensorgateway/gateway/hub"
	"sensorgateway/wire"
)

// Options are what the overview is made of.
type Options struct {
	Registry *hub.Registry
	// Visible returns which gateways the client of a request may see.
	Visible func(*http.Request) func(fleet.Gateway) bool
	// Limit removes from an overview what the client of the request may not see; nil: it may
	// see everything.
	Limit func(*http.Request, *hub.Overview)
	// You returns what the client of a request learns about itself; nil: nothing.
	You func(*http.Request) wire.You
}

// answer is what the API answers. Times are Unix milliseconds.
type answer struct {
	Time     int64      `json:"time"`
	Version  uint64     `json:"version"` // to be given as since the next time
	Total    int        `json:"total"`   // how many gateways there are; gateways has only those that have changed since
	You      wire.You   `json:"you"`
	Sites    []hub.Site `json:"sites"`
	Gateways []row      `json:"gateways"`
}

type row struct {
	Site     string       `json:"site"`
	Name     string       `json:"name"`
	Title    string       `json:"title,omitempty"`
	Version  string       `json:"version,omitempty"`
	Presence hub.Presence `json:"presence"`
	Readings []reading    `json:"readings,omitempty"`
	Alarms   []wire.Alarm `json:"alarms,omitempty"`
	Stored   int64        `json:"stored,omitempty"`    // the newest reading that is durable at the hub
	BehindMS int64        `json:"behind_ms,omitempty"` // by which the gateway's clock is behind the hub's, if it is not synchronised
	Bytes    int64        `json:"bytes"`               // received in this month
	Uplink   string       `json:"uplink,omitempty"`    // how its way to the hub is, as it says
	Audit    string       `json:"audit,omitempty"`     // what is wrong with its audit log
	Twin     string       `json:"twin,omitempty"`      // that another device has its identity
}

type reading struct {
	Sensor string  `json:"sensor"`
	Time   int64   `json:"time"`
	Fault  string  `json:"fault,omitempty"`
	Values []value `json:"values"`
}

type value struct {
	wire.Quantity
	Value *json.Number `json:"value"` // null: it was not measured
}

// API answers GET /api/v1/gateways: all gateways of the sites of the hub that the client
// may see, or with ?site=NAME and ?q=TEXT those of a site and those with a text in site,
// name, title or version. ?since=VERSION answers only what has changed after that
// version of an earlier answer.
func API(o Options) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			fail(w, wire.Errorf(http.StatusMethodNotAllowed, "method not allowed"))
			return
		}
		query := r.URL.Query()
		since, err := strconv.ParseUint(query.Get("since"), 10, 64)
		if err != nil && query.Has("since") {
			fail(w, wire.Errorf(http.StatusBadRequest, "since must be the version of an earlier answer"))
			return
		}
		visible := o.Visible(r)
		if site := query.Get("site"); site != "" {
			all := visible
			visible = func(g fleet.Gateway) bool { return g.Site == site && all(g) }
		}
		a := answer{Time: time.Now().UnixMilli(), Version: o.Registry.Version(), Sites: o.Registry.Sites(), Gateways: []row{}}
		if since > a.Version { // of an earlier start of the hub, whose clock was set back since
			since = 0
		}
		if o.You != nil {
			a.You = o.You(r)
		}
		overviews, total := o.Registry.Changed(since, visible)
		a.Total = total
		for _, x := range overviews {
			if o.Limit != nil {
				o.Limit(r, &x)
			}
			if matches(x, query.Get("q")) {
				a.Gateways = append(a.Gateways, rowOf(x))
			}
		}
		etag := a.etag()
		w.Header().Set("ETag", etag)
		w.Header().Set("Cache-Control", "no-cache")
		w.Header().Set("Content-Type", "application/json")
		if r.Header.Get("If-None-Match") == etag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		if r.Method == http.MethodGet {
			_, _ = w.Write(wire.JSON(a)) // the client may have gone
		}
	})
}

func fail(w http.ResponseWriter, e *wire.Error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(e.Code)
	_, _ = w.Write(wire.JSON(wire.Envelope{Type: wire.TypeError, Payload: e}))
}

// etag returns the tag of the answer: it depends on content and client, not on the time.
func (a *answer) etag() string {
	h := fnv.New64a()
	_, _ = h.Write(wire.JSON([]any{a.You, a.Sites})) // a hash never fails
	return fmt.Sprintf(`"%x-%x-%x"`, a.Version, a.Total, h.Sum64())
}

// matches returns whether each word of a query is in one of a gateway's texts.
func matches(o hub.Overview, q string) bool {
	text := strings.ToLower(strings.Join([]string{o.Site, o.Name, o.Title, o.Version}, "\n"))
	for _, word := range strings.Fields(strings.ToLower(q)) {
		if !strings.Contains(text, word) {
			return false
		}
	}
	return true
}

func rowOf(o hub.Overview) row {
	r := row{
		Site: o.Site, Name: o.Name, Title: o.Title, Version: o.Version, Presence: o.Presence, Alarms: o.Alarms,
		Stored: o.Stored, BehindMS: o.Behind.Milliseconds(), Bytes: o.Bytes, Uplink: o.Uplink, Audit: o.Audit, Twin: o.Twin,
	}
	for _, n := range o.Readings {
		x := reading{Sensor: n.Sensor, Time: n.Record.UnixMilli, Values: []value{}}
		if n.Record.Fault != wire.Good {
			x.Fault = n.Record.Fault.String()
		}
		for i, q := range n.Quantities[:min(len(n.Quantities), len(n.Record.Values))] {
			x.Values = append(x.Values, value{q, number(n.Record.Values[i], q.Decimals)})
		}
		r.Readings = append(r.Readings, x)
	}
	return r
}

// number returns a value with its decimals, nil for NaN and infinity.
func number(v float32, decimals int) *json.Number {
	if f := float64(v); math.IsNaN(f) || math.IsInf(f, 0) {
		return nil
	}
	n := json.Number(strconv.FormatFloat(float64(v), 'f', decimals, 32))
	return &n
}
