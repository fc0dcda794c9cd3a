package metrics

import (
	"io"
	"slices"
	"time"

	"sensorgateway/gateway/fleet"
	"sensorgateway/gateway/host"
	"sensorgateway/gateway/hub"
	"sensorgateway/gateway/hub/count"
	"sensorgateway/gateway/hub/demand"
	"sensorgateway/gateway/limit"
	"sensorgateway/wire"
)

// HubSource is where the numbers of a hub come from.
type HubSource struct {
	Version  string
	LogLost  func() int64 // log lines
	Host     func() host.Stats
	Gateways func() []hub.Overview // of the fleet, at the hub's sites
	Sites    func() []hub.Site
	Counts   func() count.Counts
	Wanted   func() demand.Counts
	Stored   func() int64 // bytes of readings
	Clients  func() int   // WebSocket clients of all gateways
	Served   func() int   // gateways that have, or had a moment ago
	Refused  func() map[string]uint64
	Limits   func() []limit.Count
	Audit    Audit
}

// Hub is the metrics of a hub.
type Hub struct {
	process
	source HubSource
}

// NewHub returns the metrics of a hub that has started just now.
func NewHub(source HubSource) *Hub {
	h := &Hub{source: source}
	h.begun(source.Version, source.Host, source.LogLost, nil)
	return h
}

// Expose writes all metrics for Prometheus, those by gateway and site of what the client
// may see.
func (h *Hub) Expose(w io.Writer, visible func(fleet.Gateway) bool) {
	t := &expositionText{}
	h.writeProgram(t)
	all := slices.DeleteFunc(h.source.Gateways(), func(o hub.Overview) bool { return !visible(fleet.Gateway{Site: o.Site, Name: o.Name}) })
	h.writeGateways(t, all)
	h.writeSites(t, all)
	writeCounts(t, h.source.Counts())
	writeWanted(t, h.source.Wanted())
	t.gauge("gateway_hub_stored_bytes", "Bytes that the readings of all gateways take.", float64(h.source.Stored()))
	t.gauge("gateway_hub_served_gateways", "Gateways that somebody looks at through the hub, or did a moment ago.", float64(h.source.Served()))
	t.gauge("gateway_ws_clients", "WebSocket clients that are connected.", float64(h.source.Clients()))
	writeRefused(t, h.source.Refused())
	writeLimits(t, h.source.Limits())
	writeAudit(t, h.source.Audit)
	h.writeMachine(t)
	_, _ = w.Write(t.b) // an error means that the client has left
}

func (h *Hub) writeGateways(t *expositionText, all []hub.Overview) {
	type place struct{ site, state string }
	gateways, alarms := map[place]int{}, map[string]int{}
	var lags []float64
	now := time.Now()
	for _, o := range all {
		gateways[place{o.Site, o.Presence.State}]++
		for _, a := range o.Alarms {
			alarms[a.Severity]++
		}
		if o.Presence.State == hub.Here && o.Stored > 0 {
			lags = append(lags, ageOf(now, o, o.Stored))
		}
	}
	t.family("gateway_hub_gateways", "gauge", "Gateways of the fleet, by whether they are connected to the broker.")
	for _, site := range sitesOf(all) {
		for _, state := range []string{hub.Here, hub.Away, hub.Never} {
			t.sample("", label("site", site)+","+label("state", state), float64(gateways[place{site, state}]))
		}
	}
	t.family("gateway_hub_alarms", "gauge", "Alarms that are raised, of all gateways.")
	for _, severity := range []string{wire.SeverityInfo, wire.SeverityWarning, wire.SeverityCritical} {
		t.sample("", label("severity", severity), float64(alarms[severity]))
	}
	if len(lags) == 0 {
		return
	}
	slices.Sort(lags)
	t.gauge("gateway_hub_lag_median_seconds", "Median age of the newest stored reading of connected gateways.", lags[(len(lags)-1)/2])
	t.gauge("gateway_hub_lag_p99_seconds", "The 99th percentile of that age.", lags[(99*len(lags)+99)/100-1])
	t.gauge("gateway_hub_lag_max_seconds", "The highest of these ages.", lags[len(lags)-1])
}

// ageOf returns the seconds since a time in Unix ms by a gateway's clock.
func ageOf(now time.Time, o hub.Overview, at int64) float64 {
	return max((now.Sub(time.UnixMilli(at)) - o.Behind).Seconds(), 0)
}

// sitesOf returns the sites of gateways, in order.
func sitesOf(all []hub.Overview) (sites []string) {
	for _, o := range all {
		sites = append(sites, o.Site)
	}
	slices.Sort(sites)
	return slices.Compact(sites)
}

// writeSites writes the state of the hub's connections to the brokers of those sites of
// which the client may see a gateway.
func (h *Hub) writeSites(t *expositionText, all []hub.Overview) {
	seen := sitesOf(all)
	sites := slices.DeleteFunc(h.source.Sites(), func(s hub.Site) bool { return !slices.Contains(seen, s.Name) })
	t.family("gateway_hub_broker_connected", "gauge", "Whether the hub is connected to the broker of the site.")
	for _, s := range sites {
		t.sample("", label("site", s.Name), oneIf(s.Connected))
	}
	t.family("gateway_hub_broker_connections_total", "counter", "How often it has been connected.")
	for _, s := range sites {
		t.sample("", label("site", s.Name), float64(s.Connections))
	}
}

func writeWanted(t *expositionText, c demand.Counts) {
	t.family("gateway_hub_wanted_minutes_total", "counter", "Minutes of sensors that were only summarised, and of which clients wanted the readings: whether the gateway has sent what it has of them.")
	t.sample("", label("outcome", "answered"), float64(c.Answered))
	t.sample("", label("outcome", "refused"), float64(c.Refused))
	t.sample("", label("outcome", "unanswered"), float64(c.Silent))
}

func writeCounts(t *expositionText, c count.Counts) {
	t.family("gateway_hub_messages_total", "counter", "Messages of gateways.")
	for _, m := range c.Messages {
		t.sample("", label("kind", string(m.Kind)), float64(m.Messages))
	}
	t.family("gateway_hub_receive_bytes_total", "counter", "Bytes of their topics and payloads.")
	for _, m := range c.Messages {
		t.sample("", label("kind", string(m.Kind)), float64(m.Bytes))
	}
	t.counter("gateway_hub_messages_refused_total", "Messages that were not taken: their sender is not of the fleet, or they cannot be understood.", float64(c.Refused))
	t.counter("gateway_hub_messages_dropped_total", "Live messages for which there was no room.", float64(c.Dropped))
	t.counter("gateway_hub_messages_unstored_total", "Messages whose readings could not be stored; the broker sends them again.", float64(c.Unstored))
	t.counter("gateway_hub_blocks_total", "Blocks of readings that are durable; one that comes again counts again.", float64(c.Blocks))
	t.counter("gateway_hub_readings_total", "Readings in these blocks, failed ones included.", float64(c.Readings))
	t.family("gateway_hub_gaps_total", "counter", "Gaps in stored readings that gateways were asked for; open ones were not answered, and are asked for again.")
	t.sample("", label("outcome", "answered"), float64(c.Gaps))
	t.sample("", label("outcome", "open"), float64(c.GapsLeft))
	t.family("gateway_hub_orders_total", "counter", "Orders to gateways; the broker has those that were sent.")
	for _, o := range c.Orders {
		t.sample("", label("kind", string(o.Kind))+","+label("outcome", "sent"), float64(o.Sent))
		t.sample("", label("kind", string(o.Kind))+","+label("outcome", "failed"), float64(o.Failed))
	}
	t.family("gateway_hub_commands_total", "counter", "Commands of clients that were sent, by the gateway's answer.")
	t.sample("", label("outcome", "carried_out"), float64(c.Confirmed))
	t.sample("", label("outcome", "refused"), float64(c.Denied))
	t.sample("", label("outcome", "unanswered"), float64(c.Silent))
	t.gauge("gateway_hub_watched_gateways", "Gateways that are asked for each tick.", float64(c.Watched))
}
