package metrics

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"sensorgateway/gateway/host"
	"sensorgateway/gateway/hub"
	"sensorgateway/wire"
)

// throughFresh is how old the newest reading of a sensor can be at a hub: a block comes
// each minute, and one may be late.
const throughFresh = 3 * time.Minute

// ExposeThrough writes for Prometheus what a hub knows of a gateway, of the sensors and
// motors that the client may see. A metric that means the same as on the gateway has the same name. The states
// of the motors and of the clock are left out while the gateway is away, since nobody knows them.
func ExposeThrough(w io.Writer, g *hub.Remote, clients int, sensor, motor func(name string) bool) {
	t := &expositionText{}
	hello, _ := g.Hello()
	o, now := g.Overview(), time.Now()
	here := o.Presence.State == hub.Here
	writeName(t, hello.Name)
	t.family("gateway_build_info", "gauge", "The version that runs.")
	t.sample("", label("version", hello.Version), 1)
	t.gauge("gateway_hub_connected", "Whether the gateway is connected to the fleet's broker.", oneIf(here))
	if o.Presence.Since > 0 {
		t.gauge("gateway_hub_connected_since_seconds", "Since when it is, or is not, Unix time.", wire.Seconds(o.Presence.Since))
	}
	if o.Stored > 0 {
		t.gauge("gateway_hub_lag_seconds", "Age of the newest reading that is stored at the hub.", ageOf(now, o, o.Stored))
	}
	t.gauge("gateway_hub_month_bytes", "Bytes of the gateway's messages in the calendar month (UTC).", float64(o.Bytes))
	t.gauge("gateway_hub_ws_clients", "WebSocket clients of the gateway that are connected to the hub.", float64(clients))
	writeThrough(t, g, hello.Sensors, newestOf(o, now), sensor)
	if here {
		t.gauge("gateway_clock_synced", "Whether the system clock is synchronised.", oneIf(hello.ClockSynced))
		var motors []wire.MotorState
		for _, m := range g.Motors() {
			if motor(m.Target) {
				motors = append(motors, m)
			}
		}
		writeMotors(t, motors)
	}
	alarms, _ := g.AlarmStates()
	writeAlarms(t, limitAlarms(alarms, func(s, m string) bool { return (s == "" || sensor(s)) && (m == "" || motor(m)) }))
	_, _ = w.Write(t.b) // an error means that the client has left
}

// newest is the newest reading of a sensor.
type newest struct {
	hub.Newest
	live bool // it is young enough, has not failed, and the gateway is connected
	age  float64
}

// newestOf returns the newest reading of each sensor that has one.
func newestOf(o hub.Overview, now time.Time) map[string]newest {
	all := map[string]newest{}
	for _, n := range o.Readings {
		age := ageOf(now, o, n.Record.UnixMilli)
		all[n.Sensor] = newest{n, n.Record.Fault == wire.Good && o.Presence.State == hub.Here && age <= throughFresh.Seconds(), age}
	}
	return all
}

// writeThrough writes the sensors of a gateway as a hub knows them.
func writeThrough(t *expositionText, g *hub.Remote, sensors []wire.SensorInfo, known map[string]newest, sees func(name string) bool) {
	var readings []reading
	var names []string
	for _, info := range sensors {
		if !sees(info.Name) {
			continue
		}
		r := reading{label: label("sensor", info.Name), quantities: info.Quantities()}
		if n, some := known[info.Name]; some {
			r.quantities, r.values, r.live = n.Quantities, n.Record.Values, n.live
		}
		readings, names = append(readings, r), append(names, info.Name)
	}
	writeReadings(t, readings)
	t.family("gateway_hub_reading_age_seconds", "gauge", "Age of the newest reading at the hub, a failed one included.")
	for i, r := range readings {
		if n, some := known[names[i]]; some {
			t.sample("", r.label, n.age)
		}
	}
	t.family("gateway_readings_total", "counter", "Ticks that gave a reading, since the start of the hub.")
	for i, r := range readings {
		t.sample("", r.label, float64(g.Measured(names[i]).Good))
	}
	t.family("gateway_i2c_errors_total", "counter", "Ticks that failed, since the start of the hub.")
	for i, r := range readings {
		var failed [len(causes)]uint64
		for cause, n := range g.Measured(names[i]).Failed {
			failed[causeIndex(cause)] += n
		}
		for j, cause := range causes {
			t.sample("", r.label+","+label("cause", cause.String()), float64(failed[j]))
		}
	}
}

// Machine is what a gateway has said of its machine.
type Machine struct {
	Numbers []byte    // JSON, as [process.Machine] has them; nil: none have come
	At      time.Time // when they came
	Why     error     // why none came since; nil: no more were asked for
}

// throughPayload is the payload of a metrics message of a gateway that is seen through a
// hub: what of [payload] the hub knows.
type throughPayload struct {
	TS          float64                  `json:"ts"` // Unix seconds
	*host.Stats                          // nil: none have come
	Age         *float64                 `json:"machine_age_seconds"`      // of these
	Why         string                   `json:"machine_reason,omitempty"` // why there are none, or none later
	Clients     int                      `json:"clients"`
	ClockSynced bool                     `json:"clock_synced"`
	Sensors     map[string]sensorPayload `json:"sensors"`
}

// PayloadThrough returns what a WebSocket client of a gateway's /metrics gets at a hub.
func PayloadThrough(g *hub.Remote, clients int, m Machine, sees func(sensor string) bool) any {
	now := time.Now()
	hello, _ := g.Hello()
	p := throughPayload{TS: wire.Seconds(now.UnixMilli()), Clients: clients, ClockSynced: hello.ClockSynced, Sensors: map[string]sensorPayload{}}
	if m.Numbers != nil {
		p.Stats, p.Age = &host.Stats{}, new(max(now.Sub(m.At).Truncate(time.Millisecond).Seconds(), 0))
		if err := json.Unmarshal(m.Numbers, p.Stats); err != nil {
			p.Stats, p.Age, m.Why = nil, nil, fmt.Errorf("what it has sent is not understood: %w", err)
		}
	}
	if m.Why != nil {
		p.Why = m.Why.Error()
	}
	known := newestOf(g.Overview(), now)
	for _, info := range hello.Sensors {
		if !sees(info.Name) {
			continue
		}
		measured := g.Measured(info.Name)
		s := sensorPayload{Up: known[info.Name].live, Readings: measured.Good}
		for _, n := range measured.Failed {
			s.Errors += n
		}
		p.Sensors[info.Name] = s
	}
	return p
}
