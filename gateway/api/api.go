// Package api answers plain HTTP requests: the newest reading, readings of the
// past, which sensors and motors there are, and whether the gateway does its work.
//
// It knows HTTP and the wire. It refuses to know WebSocket and its clients, and
// where readings come from: what is live and what is retained it asks for through
// [Live] and [History].
package api

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"sensorgateway/gateway/access"
	"sensorgateway/gateway/limit"
	"sensorgateway/wire"
)

// Live is the gateway as it is now.
type Live interface {
	Hello(*access.Identity) wire.Hello          // what that client may see
	Newest(sensor int) (r wire.Record, ok bool) // not ok: none has been made yet
	Ready() (reason string, ok bool)            // whether a client would get readings
}

// History is the readings that are retained. Its readers return a batch, which is
// valid until the next call, and io.EOF at the end.
type History interface {
	// Between reads the records of a time, Unix milliseconds, from <= t < to, in the
	// order they were made in, whatever epoch that was in.
	Between(sensor uint16, from, to int64) (next func() ([]wire.Record, error))
	// Buckets reads the records of a time summarised, a bucket for each step.
	Buckets(sensor uint16, from, to, step int64) (next func() ([]wire.Bucket, error))
	Storage
}

// Storage is the state of what stores the readings.
type Storage interface {
	// Durable returns why readings are not stored durably, nil if they are.
	Durable() error
	// DurableAge returns how long the oldest reading that is not durable yet has
	// waited, 0 if all are durable.
	DurableAge() time.Duration
	// Lost returns how many stored readings were found to be lost since the start, at
	// least, and why the last ones are, "" if none are.
	Lost() (reason string, readings int)
}

// Options are an API's.
type Options struct {
	Sensors []wire.SensorInfo
	Live    Live
	History History // nil: nothing is retained
	// Lacks returns what History lacks of the readings of a time, as the value of the header
	// Readings-Lacking, "" if nothing; nil: nothing is ever lacking. ask is false if the client
	// asks for buckets shorter than a minute: then what is lacking is not asked for.
	Lacks func(sensor uint16, from, to int64, ask bool) string
	Alive func() error // nil while records are made and broadcast
	// Exposition writes the Prometheus text of what a client may see; nil: there is none.
	Exposition func(io.Writer, *access.Identity)
	Else       http.Handler // answers whatever the API does not
	// Host names the host that a request counts for.
	Host func(*http.Request) string
	// Refused counts a request that is refused: reason is one word for why.
	Refused func(r *http.Request, reason, why string)
	Share   *limit.Share // that queries have of the processor; nil: all of it
	Log     *slog.Logger
}

// An API answers plain requests.
type API struct {
	opts    Options
	mux     *http.ServeMux
	queries *queries
}

// New returns an API.
func New(o Options) *API {
	a := &API{opts: o, mux: http.NewServeMux(), queries: newQueries(o.Share)}
	for path, answer := range map[string]http.HandlerFunc{
		"/sensors/{name}":  ToPages(a.newest),
		"/api/v1/sensors":  ToPages(a.sensors),
		"/api/v1/motors":   ToPages(a.motors),
		"/api/v1/readings": ToPages(a.readings),
		"/healthz":         a.healthz,
		"/readyz":          a.readyz,
		"/metrics":         a.metrics,
	} {
		a.mux.HandleFunc(path, getOnly(answer))
	}
	a.mux.HandleFunc("OPTIONS /healthz", a.healthz) // haproxy asks so if it was given a path and no method
	a.mux.Handle("/", o.Else)
	return a
}

// ServeHTTP answers a request.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.mux.ServeHTTP(w, r) }

// getOnly refuses what would change something. (With a method in the pattern,
// other methods would be passed to "/", which takes all other requests.)
func getOnly(answer http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			access.WriteError(w, wire.Errorf(http.StatusMethodNotAllowed, "Only GET here"))
			return
		}
		answer(w, r)
	}
}

// JSON answers with a value, as the API does.
func JSON(value func(*http.Request) any) http.Handler {
	return getOnly(ToPages(func(w http.ResponseWriter, r *http.Request) { access.WriteJSON(w, http.StatusOK, value(r)) }))
}

// ToPages lets pages of other origins read the answer (Fetch, section 3.2). The
// server has refused all but those that may have readings by WebSocket too.
func ToPages(answer http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Vary", "Origin")
		if origin := r.Header.Get("Origin"); origin != "" {
			w.Header().Set("Access-Control-Allow-Origin", origin)
		}
		answer(w, r)
	}
}

// sensors answers what sensors there are.
func (a *API) sensors(w http.ResponseWriter, r *http.Request) {
	hello := a.opts.Live.Hello(access.Of(r))
	access.WriteJSON(w, http.StatusOK, struct {
		Epoch     string            `json:"epoch"`
		Time      int64             `json:"time"` // Unix milliseconds
		Simulated bool              `json:"simulated"`
		Sensors   []wire.SensorInfo `json:"sensors"`
	}{hello.Epoch, hello.Time, hello.Simulated, hello.Sensors})
}

// motors answers what motors there are, as they are now.
func (a *API) motors(w http.ResponseWriter, r *http.Request) {
	access.WriteJSON(w, http.StatusOK, map[string]any{"motors": a.opts.Live.Hello(access.Of(r)).Motors})
}

// index returns a sensor's index by its name, 404 if there is none, 403 if the
// client may not see it.
func (a *API) index(r *http.Request, name string) (int, error) {
	i := slices.IndexFunc(a.opts.Sensors, func(s wire.SensorInfo) bool { return s.Name == name })
	if i < 0 {
		return i, wire.Errorf(http.StatusNotFound, "Unknown sensor: %s", name)
	}
	if id := access.Of(r); !id.Sensors.Has(name) {
		return i, wire.Errorf(http.StatusForbidden, "%s is not in the scope of %s", name, id.Label())
	}
	return i, nil
}

// newest answers with the last record of a sensor as a readings.json message.
func (a *API) newest(w http.ResponseWriter, r *http.Request) {
	i, err := a.index(r, r.PathValue("name"))
	if err != nil {
		access.WriteError(w, wire.AsError(err))
		return
	}
	record, ok := a.opts.Live.Newest(i)
	if !ok {
		w.Header().Set("Retry-After", "1")
		access.WriteError(w, wire.Errorf(http.StatusServiceUnavailable, "No reading yet"))
		return
	}
	access.WriteJSON(w, http.StatusOK, json.RawMessage(wire.AppendSensorJSON(nil, &a.opts.Sensors[i], record)))
}

// metrics answers Prometheus.
func (a *API) metrics(w http.ResponseWriter, r *http.Request) {
	if a.opts.Exposition == nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	a.opts.Exposition(w, access.Of(r))
}

// healthz says whether the process does its work: ticks are made and broadcast.
func (a *API) healthz(w http.ResponseWriter, _ *http.Request) {
	code, reason := http.StatusOK, "ticks are made and broadcast"
	if err := a.opts.Alive(); err != nil {
		code, reason = http.StatusServiceUnavailable, err.Error()
	}
	access.WriteJSON(w, code, map[string]any{"ok": code == http.StatusOK, "reason": reason})
}

// readyz says whether a client would get readings, for which at least one sensor
// must measure, and whether they are stored durably.
func (a *API) readyz(w http.ResponseWriter, r *http.Request) {
	reason, ok := a.opts.Live.Ready()
	code := http.StatusOK
	if !ok {
		code = http.StatusServiceUnavailable
	}
	answer := map[string]any{"ok": ok, "reason": reason, "durable": false, "storage": "no readings are retained"}
	hello := a.opts.Live.Hello(access.Of(r))
	if len(hello.Warnings) > 0 {
		answer["warnings"] = hello.Warnings
	}
	if hello.Uplink != nil { // a gateway whose uplink is not connected still does its work: it is ready
		answer["uplink"] = hello.Uplink
	}
	if a.opts.History != nil {
		delete(answer, "storage")
		answer["durable_age_ms"] = a.opts.History.DurableAge().Milliseconds()
		if err := a.opts.History.Durable(); err != nil {
			answer["storage"] = err.Error()
		} else {
			answer["durable"] = true
		}
		if reason, readings := a.opts.History.Lost(); reason != "" {
			answer["lost"] = map[string]any{"reason": reason, "readings": readings}
		}
	}
	access.WriteJSON(w, code, answer)
}
