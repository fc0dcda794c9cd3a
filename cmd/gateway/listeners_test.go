package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"testing"
	"time"

	"sensorgateway/cmd/gateway/internal/machine"
	"sensorgateway/gateway/alarm"
	"sensorgateway/wire"
)

// newSimulation returns a gateway on emulated hardware with 50 alarms, built and not
// running. It listens on this machine only if o does not say where.
func newSimulation(t *testing.T, o serveOptions) *running {
	t.Helper()
	o.listen = cmp.Or(o.listen, "127.0.0.1:0")
	o.origin = func(flag string) string { return flag }
	simulate, err := machine.ParseSimulation("steady")
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := o.configuration(simulate)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		c, err := alarm.ParseCondition("indoor.temperature > 35 for 30s until indoor.temperature < 33", func(string) (*wire.SensorInfo, bool) { return &wire.SensorInfo{}, true })
		if err != nil {
			t.Fatal(err)
		}
		cfg.Alarms = append(cfg.Alarms, alarm.Rule{Name: fmt.Sprint("hot", i), Severity: wire.SeverityCritical, Condition: c})
	}
	g := &running{cfg: cfg, log: slog.New(slog.NewTextHandler(io.Discard, nil)), simulate: simulate}
	t.Cleanup(g.close)
	if err := g.build(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := g.server.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
	return g
}

// A number is reserved, and its record in the log, before anything can show it.
func TestListenersInOrder(t *testing.T) {
	g := newSimulation(t, serveOptions{})
	all := g.listeners()
	if all[0] != g.storage.state || all[1] != g.storage.history {
		t.Errorf("the state and the log are not before the others: %T", all)
	}
	if _, last := all[len(all)-1].(broadcast); !last {
		t.Errorf("the clients are not the last: %T", all)
	}
}

// All that listen together allocate nothing for a tick, while the log is written.
func TestTickAllocatesNothing(t *testing.T) {
	g := newSimulation(t, serveOptions{})
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() { stopped <- g.storage.run(ctx) }()
	defer func() {
		cancel()
		if err := <-stopped; err != nil {
			t.Error(err)
		}
	}()
	records := make([]wire.Record, len(g.cfg.Sensors))
	tick := func() {
		for i := range records {
			r := &records[i]
			r.Sensor, r.Seq = uint16(i), r.Seq+1
			r.Reading = wire.Reading{Values: [2]float32{20, 50}, UnixMilli: 1782907200000 + 100*int64(r.Seq)}
		}
		g.notify.Tick(records, 1782907200000)
	}
	for range 100 { // buffers grow
		tick()
	}
	if n := testing.AllocsPerRun(500, tick); n != 0 {
		t.Errorf("%v allocations a tick", n)
	}
}
