package main

import (
	"context"
	"net"
	"os"
	"os/signal"
	"syscall"

	"sensorgateway/cmd/gateway/internal/address"
	"sensorgateway/cmd/gateway/internal/admin"
	"sensorgateway/cmd/gateway/internal/warnings"
	"sensorgateway/gateway"
	"sensorgateway/gateway/access"
	"sensorgateway/gateway/access/tokens"
	"sensorgateway/gateway/limit"
	"sensorgateway/gateway/statefile"
)

// buildAccess makes the parts that decide who a client is.
func (g *running) buildAccess() {
	g.refusals = access.NewRefusals(g.log, access.ReasonHost, access.ReasonOrigin, access.ReasonForm, access.ReasonScope, access.ReasonToken,
		"commands", "orders", "rate", "restarting", gateway.ReasonSlow, gateway.ReasonNoPong,
		gateway.ReasonLimit, gateway.ReasonHandshake, gateway.ReasonConnections, gateway.ReasonHost, gateway.ReasonDescriptors, gateway.ReasonQueues, gateway.ReasonQueries)
	g.tokens = tokens.Open(g.cfg.State, g.log)
	g.tokens.Changed, g.tokens.Watch = g.auditor.TokenChanged, statefile.Watch
	host, _, _ := net.SplitHostPort(g.cfg.Listen) // it was checked
	g.access = access.NewGuard(access.Options{
		Policy: g.cfg.Policy(g.simulate != nil && !g.demonstration), Tokens: g.tokens, Exposed: !address.IsLoopback(host), Open: g.cfg.OpenAccess, Metrics: g.cfg.OpenMetrics,
		Demonstration: g.simulate != nil && g.demonstration, Refused: g.refused, Logged: g.auditor.Logged, Log: g.log,
		Client: g.certificates.Client, PerToken: g.cfg.Limits.ClientsPerToken,
	})
}

// administrators returns the API by which administrators manage tokens and sessions.
func (g *running) administrators() *admin.API {
	return &admin.API{Guard: g.access, Sensors: g.sensors, Motors: g.motors.States, Ended: g.auditor.SessionEnded}
}

// limits returns, for each limited resource, how much of it clients use.
func (g *running) limits() []limit.Count {
	return append(g.server.Limits(), limit.Count{Name: "clients_per_token", Current: int64(g.access.MostOfOneToken()), Maximum: int64(g.cfg.Limits.ClientsPerToken)})
}

// refused counts a refusal, logs it and records it.
func (g *running) refused(reason, client, why string) {
	g.refusals.Refused(reason, client, why)
	g.auditor.Refused(reason, client, why)
}

// followTokens follows the file of tokens, and reads it again on SIGHUP.
func (g *running) followTokens(ctx context.Context) error {
	hangup := make(chan os.Signal, 1) // size 1: those that come while one is handled mean the same
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	return g.tokens.Run(ctx, hangup)
}

// warnings are what the configuration allows to everybody, or to nobody, and what to
// do about it: now, for the tokens may change. It waits for nothing.
func (g *running) warnings() []string {
	all := warnings.Of(g.cfg, g.tokens.Made())
	if g.demonstration {
		all = append(all, "--insecure lets whoever reaches the port do everything, without encryption: it is for demonstrations")
	}
	if err := g.access.Closed(); err != nil {
		all = append(all, err.Error())
	}
	return all
}
