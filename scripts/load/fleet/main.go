//go:build linux

// Command fleet measures a fleet: many gateways in this one process, two hubs, a broker,
// and dashboards at the hubs. It checks that no reading is lost or doubled on the way, and
// prints the cost for each gateway. scripts/fleet runs it.
//
// A gateway here consists of the real log of readings, uplink and identity, and of
// simulated readings as an SHT3x would make them. The hubs are the built program.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// options are the flags.
type options struct {
	program    string
	scripts    string // the directory of scripts/cluster
	gateways   int
	dashboards int
	minutes    float64
	mosquitto  bool
	dir        string // of hubs and broker
	logs       string // of gateways
}

func main() {
	var o options
	flag.StringVar(&o.program, "program", "", "the gateway's `binary`")
	flag.StringVar(&o.scripts, "scripts", "scripts", "`directory` of the script cluster")
	flag.IntVar(&o.gateways, "gateways", 100, "how many gateways")
	flag.IntVar(&o.dashboards, "dashboards", 20, "how many dashboards, each at a gateway")
	flag.Float64Var(&o.minutes, "minutes", 2, "how many `minutes` they look; before that, nobody does for a fifth of the time, at least for one minute, or for as long if it is less")
	flag.BoolVar(&o.mosquitto, "mosquitto", false, "one Mosquitto for a broker, not three nodes of RabbitMQ")
	flag.StringVar(&o.dir, "dir", "", "`directory` for hubs and broker, which is theirs alone")
	flag.StringVar(&o.logs, "logs", "", "`directory` for the gateways, which is theirs alone")
	flag.Parse()
	if o.program == "" || o.dir == "" || o.logs == "" || flag.NArg() > 0 || o.gateways < 1 || o.gateways > maxGateways || o.dashboards < 0 || o.dashboards > maxDashboards || o.minutes <= 0 || o.minutes > 24*60 {
		fmt.Fprintf(os.Stderr, "usage: fleet -program BINARY -dir DIRECTORY -logs DIRECTORY [-gateways N] [-dashboards K] [-minutes M] [-mosquitto]; N to %d, K to %d\n", maxGateways, maxDashboards)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the second one ends it at once
	said := &sample{out: os.Stderr, left: maxSaid}
	log := slog.New(slog.NewTextHandler(said, &slog.HandlerOptions{Level: slog.LevelWarn}))
	if err := measure(ctx, o, log); err != nil {
		fmt.Fprintf(os.Stderr, "fleet: %v\n", err)
		os.Exit(1)
	}
}

// rest returns for how long nobody looks before the dashboards connect.
func (o options) rest() time.Duration {
	m := max(o.minutes/5, min(o.minutes, 1))
	if m > 1 { // a gateway sends once a minute
		m = float64(int(m))
	}
	return minutes(m)
}

func minutes(m float64) time.Duration { return time.Duration(m * float64(time.Minute)) }
