package hub

import (
	"fmt"
	"testing"

	"sensorgateway/gateway/fleet"
	"sensorgateway/gateway/history/codec"
	"sensorgateway/wire"
)

// TestListedAreBounded holds that a gateway that sends readings of ever new sensors, and ever new
// alarms, does not take all memory, and that what is known of it goes on.
func TestListedAreBounded(t *testing.T) {
	h := newHub(t, t.TempDir())
	r := h.g.remote(pi)
	alarm := wire.Alarm{State: wire.AlarmRaised, Severity: wire.SeverityInfo, Since: 1_800_000_000}
	send := func(name string, seq uint32) {
		t.Helper()
		var packer codec.Packer
		var sum codec.Summary
		records := []wire.Record{{Seq: seq, Reading: wire.Reading{UnixMilli: 1_700_000_000_000, Values: [2]float32{20, 50}}}}
		sum.Add(records[0])
		parts, err := fleet.ParseUp(packer.AppendBlock(fleet.AppendUpHeader(nil, nil), codec.Origin{Sensor: name, Epoch: "e", Boot: "b"}, seq-1, sum, records))
		if err != nil {
			t.Fatal(err)
		}
		r.durable(parts[0], false)
		alarm.Name = name
		r.event(alarm.Event())
	}
	for n := range listed + 10 {
		send(fmt.Sprint("s", n), 1)
	}
	if len(r.ends) != listed || len(r.newest) != listed || len(r.alarms) != listed {
		t.Errorf("%d ends, %d newest readings and %d alarms, want %d of each", len(r.ends), len(r.newest), len(r.alarms), listed)
	}
	alarm.State, alarm.Cleared = wire.AlarmCleared, 1_800_000_001
	send("s0", 2)
	if r.newest["s0"].record.Seq != 2 {
		t.Errorf("the newest reading of a known sensor has the number %d, want 2", r.newest["s0"].record.Seq)
	}
	if good := r.Measured("s0").Good; good != 2 || r.alarms[0].State != wire.AlarmCleared {
		t.Errorf("%d readings of a known sensor, want 2; a known alarm: %+v", good, r.alarms[0])
	}
}
