//go:build !nohub

package hub

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sensorgateway/gateway/fleet"
	"sensorgateway/gateway/history/codec"
	"sensorgateway/gateway/history/collect"
	"sensorgateway/gateway/hub/aside"
	"sensorgateway/wire"
)

// TestBrokerAddress holds that a broker that no gateway could reach is refused at the start.
func TestBrokerAddress(t *testing.T) {
	for broker, wrong := range map[string]string{
		"mqtts://broker.example": "", "mqtt://[::1]:1883": "", "mqtts://broker.example/": "", "MQTTS://broker.example": "",
		"mqtts://:8883": "not the address", "mqtts://broker.example:99999": "more than a host and a port", "mqtts://a b": "not the address",
		"mqtts://broker.example?x": "more than a host and a port", "mqtts://me:secret@broker.example": "leave it out", "broker.example": "not the address",
	} {
		o := serveOptions{here: &here{}, listen: ":8443", name: "hub-a", logFormat: "auto", brokers: []string{broker}, size: 1}
		err := o.check()
		if wrong == "" && (err != nil || len(o.urls) != 1) || wrong != "" && (err == nil || !strings.Contains(err.Error(), wrong)) {
			t.Errorf("%s: %v, want %q", broker, err, wrong)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", broker, err)
		}
		if err != nil && strings.Contains(err.Error(), "password_file") { // a key of gateway.yaml: the hub has no such file
			t.Errorf("%s: the hub has no such key: %v", broker, err)
		}
	}
}

// A gateway is left alone for ten minutes if it says that it can send nothing, not because the
// broker was away for a moment.
func TestUnasked(t *testing.T) {
	if err := unasked(wire.Errorf(503, "the hub has no connection to the broker")); wire.AsError(err).Code != 408 {
		t.Errorf("on the way: %v", err)
	}
	if err := unasked(fleet.Refusal{Why: wire.Errorf(503, "the bytes are used")}); wire.AsError(err).Code != 503 {
		t.Errorf("the gateway's: %v", err)
	}
	if err := unasked(nil); err != nil {
		t.Error(err)
	}
}

// TestUnusableLog holds that readings of a gateway whose log cannot be used are durable all the
// same, and in its log as soon as that can be used; and that its failure is none of the others.
func TestUnusableLog(t *testing.T) {
	dir, log := t.TempDir(), slog.New(slog.NewTextHandler(t.Output(), nil))
	of := func(name string) string { return filepath.Join(dir, gatewaysDir, name, collect.LogDir) }
	if err := errors.Join(os.MkdirAll(filepath.Dir(of("pi-7")), 0o700), os.WriteFile(of("pi-7"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	stored, err := collect.Open(collect.Options{Dir: filepath.Join(dir, gatewaysDir), Log: log})
	if err != nil {
		t.Fatal(err)
	}
	kept := aside.New(aside.Options{Dir: filepath.Join(dir, asideDir), Store: store(stored), Log: log})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- stored.Run(ctx) }()
	var packer codec.Packer
	var sum codec.Summary
	record := wire.Record{Seq: 1, Reading: wire.Reading{Values: [2]float32{20, 50}, UnixMilli: 1_700_000_000_000}}
	sum.Add(record)
	parts, err := fleet.ParseUp(packer.AppendBlock(fleet.AppendUpHeader(nil, nil), codec.Origin{Sensor: "indoor", Epoch: "e", Boot: "b"}, 0, sum, []wire.Record{record}))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"pi-7", "pi-8"} {
		if err := kept.Store(ctx, name, parts[0]); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	left := func() int {
		files, _ := filepath.Glob(filepath.Join(dir, asideDir, "*", "*"))
		return len(files)
	}
	if left() != 1 {
		t.Errorf("%d messages are aside, want that of pi-7", left())
	}
	if err := os.Remove(of("pi-7")); err != nil {
		t.Fatal(err)
	}
	storing, end := context.WithCancel(ctx)
	go func() { ended <- kept.Run(storing) }()
	again, late := time.NewTicker(time.Millisecond), time.After(30*time.Second)
	defer again.Stop()
	for left() > 0 {
		select {
		case <-again.C:
		case <-late:
			t.Fatal("it stays aside")
		}
	}
	end()
	err = <-ended
	cancel()
	if err = errors.Join(err, <-ended); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"pi-7", "pi-8"} {
		if segments, _ := filepath.Glob(filepath.Join(of(name), "*")); len(segments) == 0 {
			t.Errorf("%s has no readings", name)
		}
	}
}
