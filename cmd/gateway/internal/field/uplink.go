package field

import (
	"cmp"
	"context"
	"path/filepath"

	"sensorgateway/cmd/gateway/internal/config"
	"sensorgateway/cmd/gateway/internal/console"
	"sensorgateway/cmd/gateway/internal/field/broker"
	"sensorgateway/cmd/gateway/internal/field/doctor"
	"sensorgateway/cmd/gateway/internal/member"
	"sensorgateway/wire"
)

// runUplink checks the way to the fleet's hubs.
func runUplink(ctx context.Context, env console.Env, load Load, s *source, state string) error {
	cfg, _, err := s.open(load, false)
	if _, usage := err.(console.UsageError); usage {
		return err
	}
	p := &patient{Patient: doctor.New(ctx, s.root)}
	p.Cfg, p.CfgErr = cfg, err
	var r doctor.Report
	if err != nil {
		p.Cfg = &config.Config{}
		p.CheckConfig(&r)
		return printReport(env.Stdout, r, s.json)
	}
	p.CheckConfig(&r)
	p.Cfg.State = cmp.Or(state, env.Getenv("GATEWAY_STATE"), p.Cfg.State, doctor.DefaultState)
	p.gateway = s.running(ctx, cfg)
	p.checkUplink(ctx, &r)
	return printReport(env.Stdout, r, s.json)
}

// checkUplink asks the gateway that runs how its uplink is, and tries the brokers beside it.
func (p *patient) checkUplink(ctx context.Context, r *doctor.Report) {
	if p.Cfg.Uplink == nil {
		r.Add("uplink", doctor.Skip, "write uplink: {} in the configuration, and enroll the gateway: sudo gateway enroll https://HUB:8443 --name NAME --code CODE", "the configuration has none: this gateway is in no fleet")
		return
	}
	p.checkRunning(ctx, r)
	m := &member.Member{Config: *p.Cfg.Uplink, State: p.Cfg.State, Log: filepath.Join(p.Cfg.State, "log"), Synced: p.Synced}
	broker.Check(ctx, r, broker.Options{Identity: m.Identity, Now: p.Now, Synced: p.Synced(), Alone: p.gateway == nil})
}

// checkRunning says how the gateway that runs finds its uplink.
func (p *patient) checkRunning(ctx context.Context, r *doctor.Report) {
	if p.gateway == nil {
		return
	}
	var answer struct{ Uplink *wire.Uplink }
	_, err := p.gateway.get(ctx, "/readyz", &answer)
	switch {
	case err != nil:
		r.Add("gateway", doctor.Skip, "", "%s: %v", p.gateway.base, err)
	case answer.Uplink == nil:
		r.Add("gateway", doctor.Warn, "restart it, so that it reads its configuration: sudo systemctl restart gateway", "%s says nothing of an uplink", p.gateway.base)
	case !answer.Uplink.Connected:
		r.Add("gateway", doctor.Warn, "", "%s says: %s", p.gateway.base, answer.Uplink.State)
	default:
		r.Add("gateway", doctor.Pass, "", "%s says: %s; %d readings wait", p.gateway.base, answer.Uplink.State, answer.Uplink.Unsent)
	}
}
