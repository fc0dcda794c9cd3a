package notify

import (
	"fmt"
	"slices"
	"testing"

	"sensorgateway/wire"
)

// recorder writes into a list that all recorders share what each is notified of.
type recorder struct {
	name string
	list *[]string
}

func (r recorder) Tick(records []wire.Record, offset int64) {
	r.add("tick %d at %d", records[0].Seq, offset)
}
func (r recorder) Event(e wire.Event)             { r.add("event %s", e.Kind) }
func (r recorder) MotorChanged(m wire.MotorState) { r.add("motor %s", m.Target) }
func (r recorder) add(format string, args ...any) {
	*r.list = append(*r.list, r.name+": "+fmt.Sprintf(format, args...))
}

// interlock stops a motor in a tick and makes an event of it.
type interlock struct {
	Nop
	all *Notifier
}

func (i interlock) Tick([]wire.Record, int64) {
	i.all.MotorChanged(wire.MotorState{Target: "fan"})
	i.all.Event(wire.Event{Kind: "estop"})
}

func TestOrder(t *testing.T) {
	var got []string
	var n Notifier
	n.Event(wire.Event{}) // nobody listens
	n.Listen(recorder{"log", &got}, interlock{all: &n}, recorder{"server", &got})
	n.Tick([]wire.Record{{Seq: 7}}, 99)
	want := []string{
		"log: tick 7 at 99",
		"log: motor fan", "server: motor fan", // before the tick goes on
		"log: event estop", "server: event estop",
		"server: tick 7 at 99",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// The log has what was measured, all others the values; nothing is changed for those before.
func TestCalibrated(t *testing.T) {
	var log, seen [][2]float32
	var n Notifier
	c := NewCalibrated([]wire.SensorInfo{{Name: "plain"}, {Name: "corrected", Calibration: map[string]wire.Calibration{"humidity": {Scale: 2, Offset: 1}}}})
	n.Listen(values{all: &log}, c, values{all: &seen}, values{all: &seen})
	records := []wire.Record{{Sensor: 1, Reading: wire.Reading{Values: [2]float32{20, 50}}}, {Sensor: 0, Reading: wire.Reading{Values: [2]float32{30, 60}}}}
	n.Tick(records, 1)
	if want := [][2]float32{{20, 50}, {30, 60}}; !slices.Equal(log, want) || records[0].Values != want[0] {
		t.Errorf("the log has %v, the records are %v", log, records)
	}
	if want := [][2]float32{{20, 101}, {30, 60}, {20, 101}, {30, 60}}; !slices.Equal(seen, want) {
		t.Errorf("seen is %v, want %v", seen, want)
	}
	n.Listen(c)
	if allocs := testing.AllocsPerRun(100, func() { n.Tick(records, 1) }); allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

type values struct {
	Nop
	all *[][2]float32
}

func (v values) Tick(records []wire.Record, _ int64) {
	for _, r := range records {
		*v.all = append(*v.all, r.Values)
	}
}

// counter is a listener like those of the gateway: it has its own state.
type counter struct {
	Nop
	records int
}

func (c *counter) Tick(records []wire.Record, _ int64) { c.records += len(records) }

func TestTickAllocatesNothing(t *testing.T) {
	var n Notifier
	counters := [6]counter{}
	var listeners []Listener
	for i := range counters {
		listeners = append(listeners, &counters[i])
	}
	n.Listen(listeners...)
	records := make([]wire.Record, 64)
	if allocs := testing.AllocsPerRun(100, func() { n.Tick(records, 1) }); allocs != 0 {
		t.Errorf("%v allocations a tick", allocs)
	}
	if got := counters[5].records; got != 101*len(records) {
		t.Errorf("the last listener has %d records", got)
	}
}
