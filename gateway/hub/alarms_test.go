package hub

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"sensorgateway/gateway/fleet"
	"sensorgateway/wire"
)

// said is what a gateway says of its alarms: the events of what happened to them, and how
// they are after each.
type said struct {
	events []wire.Event
	all    [][]wire.Alarm
	recent [][]wire.Alarm
}

// life is that of two alarms, of which one is raised again.
func life() (s said) {
	hot := wire.Alarm{Name: "hot", State: wire.AlarmCleared, Severity: wire.SeverityCritical, Condition: "indoor.temperature > 35", Sensor: "indoor"}
	lost := wire.Alarm{Name: "sensor_lost:indoor", State: wire.AlarmCleared, Severity: wire.SeverityWarning, Sensor: "indoor"}
	recent := []wire.Alarm{}
	at := 1_700_000_000.5
	step := func(a *wire.Alarm, state string) {
		at++
		switch a.State = state; state {
		case wire.AlarmRaised:
			a.Since, a.Cleared, a.Acknowledged, a.Reason = at, 0, nil, fmt.Sprintf("reason %v", at)
		case wire.AlarmAcknowledged:
			a.Acknowledged = &wire.Acknowledgement{By: "anna", TS: at}
		case wire.AlarmCleared:
			a.Cleared, a.Value = at, new(float32(at-1_700_000_000))
			recent = append(recent, *a)
		}
		s.events = append(s.events, a.Event())
		s.all = append(s.all, []wire.Alarm{hot, lost})
		s.recent = append(s.recent, append([]wire.Alarm{}, recent...))
	}
	step(&hot, wire.AlarmRaised)
	step(&hot, wire.AlarmAcknowledged)
	step(&lost, wire.AlarmRaised)
	step(&hot, wire.AlarmCleared)
	step(&hot, wire.AlarmRaised)
	step(&lost, wire.AlarmCleared)
	step(&hot, wire.AlarmCleared)
	step(&hot, wire.AlarmRaised)
	return s
}

// TestAlarmStates holds that a hub lists alarms as the gateway does, whichever hello was
// sent ahead of which events, also if they come twice, and after the hub's restart.
func TestAlarmStates(t *testing.T) {
	s := life()
	none := []wire.Alarm{{Name: "hot", State: wire.AlarmCleared, Condition: "indoor.temperature > 35"}, {Name: "sensor_lost:indoor", State: wire.AlarmCleared}}
	for ahead := range len(s.events) { // hello is sent before the events that lead to it
		for behind := range ahead + 1 {
			h := newHub(t, t.TempDir())
			r := h.g.remote(pi)
			hello := func(all, recent []wire.Alarm) {
				h := notice(t, helloOf("n", 5))
				h.Hello.Alarms, h.Hello.Recent = all, recent
				r.news(notice(t, wire.JSON(wire.Envelope{Type: wire.TypeHello, Payload: h.Hello})), false)
			}
			hello(none, []wire.Alarm{})
			for i, e := range s.events {
				if i == behind {
					hello(s.all[ahead], s.recent[ahead])
				}
				for range 1 + i%2 {
					r.news(notice(t, wire.JSON(wire.Envelope{Type: wire.TypeEvent, Payload: e})), false)
				}
				if all, recent := r.AlarmStates(); i >= ahead && (!same(all, s.all[i]) || !same(recent, s.recent[i])) {
					t.Fatalf("hello of %d after %d, then %d:\n%s\n%s\nwant\n%s\n%s", ahead, behind, i, wire.JSON(all), wire.JSON(recent), wire.JSON(s.all[i]), wire.JSON(s.recent[i]))
				}
			}
			if err := r.write(); err != nil {
				t.Fatal(err)
			}
			all, recent := newHub(t, h.dir).g.remote(pi).AlarmStates()
			if last := len(s.events) - 1; !same(all, s.all[last]) || !same(recent, s.recent[last]) {
				t.Fatalf("after a restart:\n%s\n%s", wire.JSON(all), wire.JSON(recent))
			}
		}
	}
}

func same(a, b []wire.Alarm) bool { return string(wire.JSON(a)) == string(wire.JSON(b)) }

// TestAlarmsOfAnOlderGateway holds that what was cleared is known of a gateway whose hello
// does not list it, and that there is a limit.
func TestAlarmsOfAnOlderGateway(t *testing.T) {
	h := newHub(t, t.TempDir())
	r := h.g.remote(pi)
	old := helloOf("n", 5)
	if strings.Contains(string(old), "recent") {
		t.Fatalf("%s", old)
	}
	r.news(notice(t, old), false)
	for i := range wire.RecentAlarms + 5 {
		a := wire.Alarm{Name: "hot", State: wire.AlarmRaised, Since: 1_800_000_000 + float64(i)}
		r.news(fleet.Notice{Event: new(a.Event())}, false)
		a.State, a.Cleared = wire.AlarmCleared, a.Since+0.5
		r.news(fleet.Notice{Event: new(a.Event())}, false)
	}
	r.news(notice(t, old), false)
	all, recent := r.AlarmStates()
	if len(recent) != wire.RecentAlarms || recent[len(recent)-1].Since != 1_800_000_000+wire.RecentAlarms+4 || recent[0].Since != 1_800_000_005 || len(all) != 1 || !all[0].Raised() {
		t.Errorf("%+v, %+v", all, recent)
	}
	gone := notice(t, old)
	gone.Hello.Recent = []wire.Alarm{}
	r.news(gone, false)
	if _, recent := r.AlarmStates(); !reflect.DeepEqual(recent, []wire.Alarm{}) {
		t.Errorf("the gateway lists none: %+v", recent)
	}
}
