package gateway

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gorilla/websocket"

	"sensorgateway/gateway/access"
	"sensorgateway/gateway/api"
	"sensorgateway/gateway/conn"
	"sensorgateway/gateway/limit"
	"sensorgateway/wire"
)

// bodyTime is how long the body of a login may take.
const bodyTime = 5 * time.Second

// routes answers everything that a client may ask for, plain or by upgrade:
// wire/README.md, "Addresses".
func (s *Server) routes() http.Handler {
	plain := http.NewServeMux()
	plain.Handle("/", api.New(api.Options{
		Sensors: s.opts.Sensors, Live: s.broadcaster, History: s.opts.History, Lacks: s.opts.Lacks, Alive: s.opts.Alive,
		Exposition: s.opts.Exposition, Else: s.opts.Page, Log: s.opts.Log, Share: s.share,
		Host: func(r *http.Request) string { return limit.Host(access.Of(r).Addr).String() },
		Refused: func(r *http.Request, reason, why string) {
			s.opts.Refused(reason, access.Of(r).Label(), why)
		},
	}))
	for path := range s.opts.Endpoints {
		plain.HandleFunc(path, api.NeedsUpgrade)
	}
	if s.opts.Diagnostics {
		plain.HandleFunc("/echo", api.NeedsUpgrade)
		plain.HandleFunc("/relay", api.NeedsUpgrade)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		upgrade := websocket.IsWebSocketUpgrade(r)
		page := s.opts.Pages[r.URL.Path]
		if upgrade || page == nil || r.Method != http.MethodPost {
			api.DropBody(w, r)
		} else {
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTime)) // which a TCP connection has
			conn.ReadsBody(r)
		}
		if r.TLS != nil && s.opts.HSTS {
			w.Header().Set("Strict-Transport-Security", "max-age=2592000") // 30 days (RFC 6797)
		}
		switch {
		case !upgrade && page != nil:
			page.ServeHTTP(w, r)
			return
		case !upgrade && r.URL.Path == "/healthz":
			// A load balancer asks by whatever name it has, or by none.
			plain.ServeHTTP(w, r)
			return
		case !upgrade && access.MaySendToken(w, r):
			return
		}
		id, refusal := s.opts.Access.Identify(r)
		if refusal != nil {
			s.opts.Refused(refusal.Reason, refusal.From, refusal.Err.Error())
			refusal.ServeHTTP(w, r)
			return
		}
		r, done := id.With(r)
		defer done()
		if upgrade {
			s.upgrade(w, r, id)
			return
		}
		plain.ServeHTTP(w, r)
	})
}

// route gives a session the endpoint of its path.
func (s *Server) route(c *session, r *http.Request, protocol string) {
	u := r.URL
	c.protocol = protocol
	if sensor, ok := s.streamOf(u.Path); ok {
		s.routeStream(c, u, sensor)
		return
	}
	c.protocol = "" // no readings, no hello
	enter := s.opts.Endpoints[u.Path]
	switch {
	case enter != nil:
		c.endpoint, c.rules = &external{enter: enter, request: r}, listenerRules
	case u.Path == "/echo" && s.opts.Diagnostics:
		c.endpoint, c.rules = echo{}, s.echoRules
	case u.Path == "/relay" && s.opts.Diagnostics:
		c.endpoint, c.rules = &s.relay, s.relayRules
	case u.Path == "/metrics" && s.opts.Metrics != nil:
		c.endpoint, c.rules, c.metrics = metrics{}, listenerRules, true
	default:
		c.endpoint, c.rules = unknown{wire.CloseReasonEndpoint}, listenerRules
	}
}

// streamOf returns the sensor of a path of readings, -1 for all sensors.
func (s *Server) streamOf(path string) (sensor int, ok bool) {
	if path == "/" {
		return -1, true
	}
	name, ok := strings.CutPrefix(path, "/sensors/")
	if !ok {
		return 0, false
	}
	sensor = s.broadcaster.index(name)
	return sensor, sensor >= 0
}

// routeStream subscribes a session to what a stream begins with: one sensor, or
// all of them, of which readings.v1 carries the primary one. With ?since=UNIXMS
// the past comes first.
func (s *Server) routeStream(c *session, u *url.URL, sensor int) {
	t := &stream{own: sensor}
	if sensor < 0 {
		t.own = s.broadcaster.primary(c)
	}
	if c.protocol == "" {
		c.protocol = wire.ReadingsV1
	}
	one := sensor >= 0 || c.protocol == wire.ReadingsV1 || c.scope.Single()
	var since []string
	var err error
	if since, t.past = u.Query()["since"]; t.past {
		t.since, err = api.UnixMilli("since", since)
	}
	if err == nil && t.past && !one {
		err = errors.New("since goes with one sensor: /sensors/NAME?since=UNIXMS")
	}
	if err == nil && c.protocol == wire.ReadingsV1 {
		err = s.broadcaster.carries(t.own)
	}
	if err != nil {
		c.protocol = ""
		c.endpoint, c.rules = unknown{err.Error()}, listenerRules
		return
	}
	switch {
	case t.past: // live once it has caught up
	case one:
		c.sensors = 1 << t.own
	default:
		c.sensors = c.scope
	}
	c.endpoint, c.rules = t, streamRules
}
