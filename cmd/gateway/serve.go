package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime/debug"
	"time"

	"sensorgateway/cmd/gateway/internal/address"
	"sensorgateway/cmd/gateway/internal/announce"
	"sensorgateway/cmd/gateway/internal/chips"
	"sensorgateway/cmd/gateway/internal/config"
	"sensorgateway/cmd/gateway/internal/console"
	"sensorgateway/cmd/gateway/internal/field"
	"sensorgateway/cmd/gateway/internal/logging"
	"sensorgateway/cmd/gateway/internal/machine"
	"sensorgateway/cmd/gateway/internal/state"
	"sensorgateway/cmd/gateway/internal/supervise"
	"sensorgateway/sensors/trace"
)

// gcPercent is how much garbage may pile up, in percent of the memory in use. The
// runtime's 100 is for machines with more memory, and little garbage is made here.
const gcPercent = 50

//go:embed simulate.yaml
var simulateYAML []byte

// serveOptions are the flags of the command without a subcommand.
type serveOptions struct {
	config, simulate, replay, listen, state, logFormat, root string

	replayed []byte // the configuration of what is replayed; nil: nothing is

	insecure bool // a demonstration for whoever reaches the port

	origin func(flag string) string // where the flag's value was given, see [origin]
}

// serve runs the gateway until ctx ends.
func serve(ctx context.Context, o serveOptions, getenv func(string) string, stdout, stderr io.Writer) error {
	begin := time.Now()
	supervise.Endure()
	if getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	simulate, err := machine.ParseSimulation(o.simulate)
	if err != nil {
		return console.UsageError{Err: fmt.Errorf("%s=%w", o.origin("simulate"), err)}
	}
	if o.insecure && simulate == nil && o.replay == "" {
		return console.UsageError{Err: errors.New("--insecure is for --simulate, whose motors are not real; for real ones write insecure: true in the configuration, and make a token: gateway token add")}
	}
	var player *trace.Player
	if o.replay != "" {
		if o.simulate != "" || o.config != "" {
			return console.UsageError{Err: errors.New("--replay goes without --simulate and --config: the recording says which chips there are")}
		}
		if player, o.replayed, err = field.OpenReplay(o.replay); err != nil {
			return err
		}
		simulate = machine.Replayed()
	}
	cfg, err := o.configuration(simulate)
	if err != nil {
		return err
	}
	log, lines := logging.New(stderr, cfg.LogFormat, getenv, isTerminal(stderr))
	defer lines.End()
	g := &running{cfg: cfg, log: log, lines: lines, simulate: simulate, player: player, root: o.root, demonstration: o.insecure, systemd: supervise.Systemd{Log: log}, memory: state.MemoryDir(getenv)}
	g.announce = func(s announce.Start) { s.Log(log, time.Since(begin)) }
	if isTerminal(stdout) && cfg.LogFormat == "auto" {
		g.announce = func(s announce.Start) { s.Print(stdout, time.Since(begin)) }
	}
	defer g.close()
	if err := g.build(ctx); err != nil {
		return err
	}
	for _, warning := range g.warnings() {
		log.Warn(warning)
	}
	err = runTasks(ctx, g.tasks(), g.guard)
	log.Info("stopped", "clients", g.server.Clients())
	return err
}

// configuration reads the file, or what stands for it, and applies the flags.
func (o serveOptions) configuration(simulate *machine.Simulation) (cfg *config.Config, err error) {
	known := chips.Table()
	if o.replayed != nil {
		if cfg, err = config.Parse(o.replay, o.replayed, known); err == nil {
			cfg.File = o.replay // it says which chips there are
		}
	} else if o.config == "" && simulate != nil {
		cfg, err = config.Parse("simulate.yaml", simulateYAML, known)
	} else {
		if o.config == "" {
			o.config = config.DefaultFile
		}
		cfg, err = config.Read(o.config, known)
	}
	if err != nil {
		return nil, err
	}
	if o.insecure {
		cfg.Insecure = true
		if o.listen == "" {
			_, port, _ := net.SplitHostPort(cfg.Listen) // it is checked
			o.listen = ":" + port
		}
	}
	if o.listen != "" {
		if cfg.Listen, err = address.CheckListen(o.listen, cfg.Insecure || cfg.TLS != nil); err != nil {
			text := o.origin("listen") + ": " + err.Error()
			if _, malformed := address.CheckListen(o.listen, true); malformed == nil && simulate != nil {
				text += "; with --simulate, --insecure allows that"
			}
			return nil, config.Error{{Text: text}}
		}
	}
	if o.state != "" {
		cfg.State = o.state
	} else if simulate != nil {
		cfg.State = "" // the numbers of a demonstration are not those of the real sensors
	}
	if o.logFormat != "" {
		if err := logging.CheckFormat(o.logFormat); err != nil {
			return nil, config.Error{{Text: o.origin("log-format") + ": " + err.Error()}}
		}
		cfg.LogFormat = o.logFormat
	}
	return cfg, nil
}
