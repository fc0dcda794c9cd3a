package auditor

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"testing"

	"sensorgateway/gateway/audit"
	"sensorgateway/wire"
)

// The newest numbers of a record are of its epoch: none of a sensor that has not been read
// since it began.
func TestNewestOfEpoch(t *testing.T) {
	dir, key, anchor := Files(t.TempDir())
	a := New(audit.New(audit.Options{Dir: dir, Key: key, Anchor: anchor, Log: slog.New(slog.DiscardHandler)}), "v1", "e1", []wire.SensorInfo{{Name: "indoor", NextSeq: math.MaxUint32}, {Name: "outdoor"}})
	a.Tick([]wire.Record{{Sensor: 0, Seq: math.MaxUint32}, {Sensor: 1, Seq: 3}}, 0)
	a.Event(wire.Event{Kind: wire.EventEStop})
	a.SetEpoch("e2", []uint32{0, 4})
	a.Event(wire.Event{Kind: wire.EventReset})
	a.Tick([]wire.Record{{Sensor: 0, Seq: 0}}, 0)
	a.Event(wire.Event{Kind: wire.EventEStop})
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // what waits is written before the end
	if err := a.Run(ctx); err != nil {
		t.Fatal(err)
	}
	records, err := audit.Read(dir, key, audit.Query{})
	if err != nil || len(records) != 4 {
		t.Fatalf("%+v, %v", records, err)
	}
	for i, want := range []string{"e1 map[]", "e1 map[indoor:4294967295 outdoor:3]", "e2 map[]", "e2 map[indoor:0]"} {
		if got := fmt.Sprint(records[i].Epoch, " ", records[i].Newest); got != want {
			t.Errorf("record %d: %s, want %s", i, got, want)
		}
	}
}

// A stop that nobody commanded is recorded in the chain of what was done, however much is
// refused at the same time, with the sensors' newest numbers.
func TestStopsBesideRefusals(t *testing.T) {
	dir, key, anchor := Files(t.TempDir())
	a := New(audit.New(audit.Options{Dir: dir, Key: key, Anchor: anchor, Log: slog.New(slog.DiscardHandler)}), "v1", "e1", []wire.SensorInfo{{Name: "indoor"}, {Name: "outdoor"}})
	a.Tick([]wire.Record{{Sensor: 0, Seq: 7}}, 0)
	for i := range 100 {
		a.Refused("origin", fmt.Sprint("192.0.2.", i), "no")
	}
	a.MotorChanged(wire.MotorState{Target: "fan", Running: true, Reason: wire.ReasonLease}) // still slowing down
	a.MotorChanged(wire.MotorState{Target: "fan", Reason: wire.ReasonLease, Interlocks: []wire.Interlock{{Condition: "indoor.temperature < 60", Holds: true}}})
	a.MotorChanged(wire.MotorState{Target: "fan", Reason: wire.ReasonLease, Control: &wire.Control{By: "anna"}})
	a.MotorChanged(wire.MotorState{Target: "fan", Reason: wire.ReasonCommand})                                                                 // its command is a record
	a.Event(wire.Event{Kind: wire.EventControl, Action: wire.GrantControl, Target: "fan", By: "anna", To: "anna", Reason: wire.ReasonCommand}) // so is that
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // what waits is written before the end
	if err := a.Run(ctx); err != nil {
		t.Fatal(err)
	}
	records, err := audit.Read(dir, key, audit.Query{})
	if err != nil {
		t.Fatal(err)
	}
	var stops []audit.Record
	for _, r := range records {
		if r.Kind == audit.KindMotor {
			stops = append(stops, r)
		}
	}
	if len(stops) != 1 || stops[0].Chain != audit.Done || stops[0].Result != wire.ReasonLease || len(stops[0].Interlocks) != 1 ||
		stops[0].Epoch != "e1" || len(stops[0].Newest) != 1 || stops[0].Newest["indoor"] != 7 {
		t.Errorf("%+v", stops)
	}
}
