package main

import (
	"context"
	"slices"
	"testing"

	"sensorgateway/cmd/gateway/internal/auditor"
	"sensorgateway/gateway/audit"
	"sensorgateway/wire"
)

// end writes what a gateway that was only built still has to write.
func end(t *testing.T, g *running) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, run := range []func(context.Context) error{g.auditor.Run, g.storage.run} {
		if err := run(ctx); err != nil {
			t.Error(err)
		}
	}
}

// What happens after a new epoch has begun is recorded as in it.
func TestNewEpochIsAudited(t *testing.T) {
	g := newSimulation(t, serveOptions{state: t.TempDir()})
	before := g.storage.state.Epoch()
	g.auditor.Event(wire.Event{Kind: wire.EventEStop})
	g.epochChanged("another", make([]uint32, len(g.sensors)))
	g.auditor.Event(wire.Event{Kind: wire.EventReset})
	end(t, g)
	dir, key, _ := auditor.Files(g.cfg.State)
	records, err := audit.Read(dir, key, audit.Query{})
	records = slices.DeleteFunc(records, func(r audit.Record) bool { return r.Kind != audit.KindLatch })
	if err != nil || len(records) != 2 || records[0].Epoch != before || records[1].Epoch != "another" {
		t.Errorf("%+v, %v, want one of the epoch %s and one of the next", records, err, before)
	}
}
