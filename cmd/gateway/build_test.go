package main

import (
	"context"
	"slices"
	"strings"
	"testing"

	"sensorgateway/cmd/gateway/internal/auditor"
	"sensorgateway/gateway/access"
	"sensorgateway/gateway/access/tokens"
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

// Once there is a token, nobody is told to make one.
func TestWarningsFollowTokens(t *testing.T) {
	g := newSimulation(t, serveOptions{state: t.TempDir(), listen: ":0", insecure: true})
	defer end(t, g)
	const closed = "nobody may connect from another machine yet"
	warned := func() bool {
		hello := g.server.Hello(&access.Identity{Valid: t.Context()})
		return slices.ContainsFunc(hello.Warnings, func(w string) bool { return strings.Contains(w, closed) })
	}
	if !warned() {
		t.Errorf("no warning that %s", closed)
	}
	var token string
	err := tokens.Edit(g.cfg.State, func(f *tokens.File) (err error) {
		token, err = f.Add(tokens.Token{Name: "anna", Role: tokens.Operator})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.tokens.Find(token, ""); err != nil { // it notices the change
		t.Fatal(err)
	}
	if warned() {
		t.Errorf("anna has a token, and the warning is still that %s", closed)
	}
}
