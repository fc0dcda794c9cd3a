//go:build !nohub

package hub

import (
	"io"
	"net/http"

	"sensorgateway/cmd/gateway/internal/hub/serving"
	"sensorgateway/cmd/gateway/internal/metrics"
	"sensorgateway/gateway/access"
	"sensorgateway/gateway/history/collect"
	"sensorgateway/gateway/host"
	"sensorgateway/gateway/hub"
	"sensorgateway/gateway/limit"
	"sensorgateway/wire"
)

// newMetrics returns what /metrics shows of the hub.
func (o *serveOptions) newMetrics(w *web, registry *hub.Registry, stored *collect.Collection) *metrics.Hub {
	return metrics.NewHub(metrics.HubSource{
		Version: o.env.Version, LogLost: o.logLost, Host: host.NewReader(host.Root("/"), o.dir()).Read,
		Gateways: registry.All, Sites: registry.Sites, Counts: registry.Counts, Wanted: w.wanted.Counts, Stored: stored.Size,
		Clients: w.gateways.Clients, Served: w.gateways.Served, Refused: w.refusals.Counts, Audit: w.auditor.Log,
		Limits: func() []limit.Count {
			return append(w.budget.Counts(), limit.Count{Name: "clients", Current: int64(w.gateways.Clients()), Maximum: int64(w.clients)})
		},
	})
}

// through returns the metrics of a single gateway as far as the hub knows them, which are
// asked for below the gateway's path.
func through() serving.Metrics {
	return serving.Metrics{
		Exposition: func(out io.Writer, g *hub.Remote, clients int, id *access.Identity) {
			metrics.ExposeThrough(out, g, clients, id.Sensors.Has, id.Motors.Has)
		},
		Payload: func(g *hub.Remote, clients int, m serving.Machine, id *access.Identity) any {
			return metrics.PayloadThrough(g, clients, metrics.Machine(m), id.Sensors.Has)
		},
	}
}

// expose answers Prometheus.
func (w *web) expose(out http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		out.Header().Set("Allow", "GET, HEAD")
		access.WriteError(out, wire.Errorf(http.StatusMethodNotAllowed, "Only GET here"))
		return
	}
	out.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	out.Header().Set("Cache-Control", "no-store")
	w.metrics.Expose(out, visible(r))
}
