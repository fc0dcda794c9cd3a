package metrics

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"sensorgateway/gateway/alarm"
	"sensorgateway/gateway/host"
	"sensorgateway/gateway/limit"
	"sensorgateway/gateway/uplink"
	"sensorgateway/gateway/uplink/ship"
	"sensorgateway/sensors"
	"sensorgateway/wire"
)

// fixedSource is a gateway with two sensors on a machine of known numbers.
func fixedSource() Source {
	return Source{
		Name: "north \"farm\"", Version: "1.2.3", LogLost: func() int64 { return 4321 },
		Sensors: []wire.SensorInfo{{Name: "outdoor", IntervalMS: 100}, {Name: "cellar-2", IntervalMS: 10_000}},
		Host: func() host.Stats {
			yes, no := &host.Condition{Now: true, Occurred: true}, &host.Condition{}
			return host.Stats{
				CPU: new(0.25), Load1: new(0.42), CPUTemperature: new(41.16), Uptime: new(86461.55),
				Throttled:   &host.Throttled{UnderVoltage: yes, FrequencyCapped: no, Throttled: &host.Condition{Occurred: true}, SoftTemperatureLimit: no},
				MemoryTotal: new(uint64(452145152)), MemoryAvailable: new(uint64(294219776)), DiskFree: new(uint64(7 << 30)),
				Received: new(uint64(1 << 40)), Sent: new(uint64(1000)), ReceivedRate: new(12.5), SentRate: new(0.0),
				ProcessCPU: new(18.01), ProcessMemory: new(uint64(11505664)), ProcessFiles: new(uint64(12)),
			}
		},
		Lateness: &sensors.Histogram{},
		Missed:   func() int64 { return 3 },
		Repeats:  func(f func(string, int64)) { f("1", 12); f("1-1.2", 0) },
		Recoveries: func(f func(bus, step string, taken, helped int64)) {
			f("1", "reopen", 2, 1)
			f("1", "power", 0, 0)
		},
		Resets:  func(f func(sensor string, taken, helped int64)) { f("outdoor", 4, 3) },
		Clients: func() int { return 2 },
		Frames:  func() int64 { return 12345678901 },
		Accounts: func() (wire.Stats, uint64) {
			return wire.Stats{Produced: 115, Delivered: 100, Conflated: 7, Missed: 5, Queued: 2}, 1
		},
		Refused: func() map[string]uint64 { return map[string]uint64{"origin": 2, "host": 0} },
		Limits: func() []limit.Count {
			return []limit.Count{{Name: "connections", Current: 3, Maximum: 512}, {Name: "clients", Current: 2, Maximum: 10000}}
		},
		Synced:  func() bool { return true },
		Steps:   func() int64 { return 1 },
		Durable: func() error { return nil }, EStopStored: func() error { return nil },
		Stored: func() int64 { return 12345678 }, DurableAge: func() time.Duration { return 750 * time.Millisecond },
		Lost: func() int { return 321 },
		Late: func() uint64 { return 16 }, Alarms: fixedAlarms{}, Uplink: fixedUplink,
	}
}

// fixedAlarms are alarms of which one is raised, and a webhook.
type fixedAlarms struct{}

func (fixedAlarms) All(f func(wire.Alarm)) {
	f(wire.Alarm{Name: "hot", Severity: wire.SeverityCritical, State: wire.AlarmAcknowledged, Sensor: "outdoor"})
	f(wire.Alarm{Name: "motor_fault:motor_1", Severity: wire.SeverityCritical, State: wire.AlarmCleared, Motor: "motor_1"})
	f(wire.Alarm{Name: "clock_unsynced", Severity: wire.SeverityWarning, State: wire.AlarmCleared})
}

func (fixedAlarms) Deliveries() (alarm.Deliveries, bool) {
	return alarm.Deliveries{Delivered: 4, Failed: 3, Dropped: 2, Waiting: 1}, true
}

func goodRecord(sensor uint16, temperature, humidity float32) wire.Record {
	return wire.Record{Sensor: sensor, Reading: wire.Reading{Values: [2]float32{temperature, humidity}}}
}

func failedRecord(sensor uint16, f wire.Fault) wire.Record {
	return wire.Record{Sensor: sensor, Fault: f, Reading: wire.Failed(f, 0)}
}

// fixedMetrics have seen a little of everything.
func fixedMetrics() *Collector {
	source, lateness := fixedSource(), &sensors.Histogram{}
	for _, late := range []time.Duration{0, 100 * time.Microsecond, 3 * time.Millisecond, time.Second} {
		lateness.Observe(late)
	}
	source.Lateness = lateness
	m := New(source)
	for range 9 {
		m.Tick([]wire.Record{goodRecord(0, 20, 50), goodRecord(1, 12.5, 80)}, 0)
	}
	m.Tick([]wire.Record{goodRecord(0, 21.37, 68.3), failedRecord(1, wire.NoAck)}, 0)
	m.Tick([]wire.Record{failedRecord(1, wire.Fault(77))}, 0)
	m.MotorChanged(wire.MotorState{Target: "motor_1", Reason: "boot"})
	m.MotorChanged(wire.MotorState{Target: "motor_1", Running: true, Speed: 0.5, Reason: "command"})
	m.MotorChanged(wire.MotorState{Target: "motor_1", Reason: "interlock:indoor.temperature < 60"})
	m.MotorChanged(wire.MotorState{Target: "motor_1", Running: true, Speed: 0.75, Reason: "command", Control: &wire.Control{By: "anna"}})
	return m
}

func exposition(m *Collector) string {
	var b strings.Builder
	m.Expose(&b, everything, everything)
	return b.String()
}

func TestMetricsText(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		want, err := os.ReadFile("testdata/metrics.txt")
		if err != nil {
			t.Fatal(err)
		}
		got := exposition(fixedMetrics())
		parseMetrics(t, got)
		got = strings.Replace(got, runtime.Version(), "go1.0", 1)
		got = regexp.MustCompile(`(?m)^go_goroutines [1-9]\d*$`).ReplaceAllString(got, "go_goroutines 1")
		if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	})
}

func TestMetricsOfOtherQuantities(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := fixedSource()
		source.Sensors = []wire.SensorInfo{
			{Name: "air", IntervalMS: 100, Values: []wire.Quantity{wire.CO2}},
			{Name: "roof", IntervalMS: 100, Values: []wire.Quantity{wire.Pressure, wire.Temperature}},
			{Name: "pipe", IntervalMS: 100, Values: []wire.Quantity{wire.Temperature}},
		}
		m := New(source)
		m.Tick([]wire.Record{goodRecord(0, 612, wire.NotMeasured()), goodRecord(1, 1013.25, -3.5), goodRecord(2, 55.5, wire.NotMeasured())}, 0)
		m.Tick([]wire.Record{failedRecord(2, wire.NoAck)}, 0)
		got := exposition(m)
		parseMetrics(t, got)
		for _, want := range []string{
			"# HELP gateway_temperature_celsius Temperature; absent while the sensor fails.\n# TYPE gateway_temperature_celsius gauge\n" +
				"gateway_temperature_celsius{sensor=\"roof\"} -3.5\n",
			"gateway_pressure_pascal{sensor=\"roof\"} 101325\n",
			"gateway_co2_ppm{sensor=\"air\"} 612\n",
		} {
			if !strings.Contains(got, want) {
				t.Errorf("without %s", want)
			}
		}
		if strings.Contains(got, "humidity") || strings.Contains(got, `celsius{sensor="pipe"}`) {
			t.Errorf("a quantity that is not measured: %s", got)
		}
	})
}

func TestMetricsPayload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got, err := json.Marshal(fixedMetrics().Payload(func(string) bool { return true }))
		if err != nil {
			t.Fatal(err)
		}
		got = regexp.MustCompile(`"goroutines":[1-9]\d*`).ReplaceAll(got, []byte(`"goroutines":1`))
		const want = `{"ts":946684800,"cpu_ratio":0.25,"load1":0.42,"cpu_temperature_celsius":41.16,` +
			`"throttled":{"under_voltage":{"now":true,"occurred":true},"frequency_capped":{"now":false,"occurred":false},` +
			`"throttled":{"now":false,"occurred":true},"soft_temperature_limit":{"now":false,"occurred":false}},` +
			`"memory_total_bytes":452145152,"memory_available_bytes":294219776,"disk_free_bytes":7516192768,"uptime_seconds":86461.55,` +
			`"network_receive_bytes":1099511627776,"network_transmit_bytes":1000,` +
			`"network_receive_bytes_per_second":12.5,"network_transmit_bytes_per_second":0,` +
			`"process_cpu_seconds":18.01,"process_resident_memory_bytes":11505664,"process_open_fds":12,` +
			`"goroutines":1,"clients":2,"frames":12345678901,"ticks_missed":3,"clock_synced":true,"running_seconds":0,` +
			`"sensors":{"cellar-2":{"up":false,"readings":9,"errors":2},"outdoor":{"up":true,"readings":10,"errors":0}}}`
		if string(got) != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	})
}

// A stale number must never be scraped as live.
func TestMetricsOfASensor(t *testing.T) {
	type seen struct {
		up, temperature, humidity string // "" is absent
	}
	synctest.Test(t, func(t *testing.T) {
		m := New(fixedSource())
		check := func(when, sensor string, want seen) {
			t.Helper()
			values := parseMetrics(t, exposition(m))
			l := `{sensor="` + sensor + `"}`
			got := seen{values["gateway_sensor_up"+l], values["gateway_temperature_celsius"+l], values["gateway_humidity_ratio"+l]}
			if got != want {
				t.Errorf("%s, %s: %+v, want %+v", when, sensor, got, want)
			}
		}
		live, down := seen{"1", "-0.1", "1"}, seen{"0", "", ""}
		check("before the first record", "outdoor", down)
		m.Tick([]wire.Record{goodRecord(0, -0.1, 100), goodRecord(1, -0.1, 100)}, 0)
		check("measured", "outdoor", live)
		m.Tick([]wire.Record{failedRecord(0, wire.Timeout)}, 0)
		check("failed", "outdoor", down)
		check("not concerned", "cellar-2", live)
		// A record that says it failed, whatever its numbers.
		m.Tick([]wire.Record{{Sensor: 0, Fault: wire.Stuck, Reading: wire.Reading{Values: [2]float32{20, 50}}}}, 0)
		check("failed with a number", "outdoor", down)
		m.Tick([]wire.Record{goodRecord(0, -0.1, 100)}, 0)
		check("back", "outdoor", live)
		time.Sleep(2200 * time.Millisecond) // two of its intervals and 2 s
		check("a tick is missing", "outdoor", live)
		time.Sleep(time.Millisecond)
		check("the ticks have stopped", "outdoor", down)
		check("its next tick is far", "cellar-2", live)
		time.Sleep(22 * time.Second)
		check("the ticks have stopped", "cellar-2", down)
	})
}

func TestEveryFaultHasItsCause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := New(fixedSource())
		for f := 1; f < 256; f++ {
			m.Tick([]wire.Record{failedRecord(0, wire.Fault(f))}, 0)
		}
		values := parseMetrics(t, exposition(m))
		unnamed := 0
		for f := 1; f < 256; f++ {
			name := wire.Fault(f).String()
			got := values[`gateway_i2c_errors_total{sensor="outdoor",cause="`+name+`"}`]
			switch {
			case f == int(wire.Other):
				continue
			case strings.HasPrefix(name, "fault_"):
				if got != "" {
					t.Errorf("the unknown fault %d has a cause of its own", f)
				}
				unnamed++
			case got != "1":
				t.Errorf("%s was counted %q times, want once", name, got)
			}
		}
		if got := values[`gateway_i2c_errors_total{sensor="outdoor",cause="other"}`]; got != "247" || unnamed != 246 {
			t.Errorf("other was counted %s times; %d faults have no name", got, unnamed)
		}
	})
}

func TestMotorStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := New(fixedSource())
		for _, s := range []wire.MotorState{
			{Target: "a", Reason: "boot"},
			{Target: "b", Reason: "boot"},
			{Target: "a", Running: true, Speed: 1, Reason: "command"},
			{Target: "a", Running: true, Speed: 0.5, Reason: "command"},
			{Target: "a", Reason: "lease"},
			{Target: "a", Reason: "estop"}, // it stood already
			{Target: "a", Running: true, Speed: 1, Reason: "command"},
			{Target: "a", Reason: `interlock:x.age < "5"`},
			{Target: "b", Running: true, Speed: 0.25, Reason: "command"},
			{Target: "a", Running: true, Speed: 1, Reason: "command"},
			{Target: "a", Reason: "a \"new\" one\\\n"},
		} {
			m.MotorChanged(s)
		}
		got := map[string]string{}
		for name, value := range parseMetrics(t, exposition(m)) {
			if strings.HasPrefix(name, "gateway_motor_") && !strings.Contains(name, "controlled") && (value != "0" || !strings.Contains(name, "stops")) {
				got[name] = value
			}
		}
		want := map[string]string{
			`gateway_motor_running{motor="a"}`: "0", `gateway_motor_running{motor="b"}`: "1",
			`gateway_motor_speed_ratio{motor="a"}`: "0", `gateway_motor_speed_ratio{motor="b"}`: "0.25",
			`gateway_motor_stops_total{motor="a",reason="lease"}`:             "1",
			`gateway_motor_stops_total{motor="a",reason="interlock"}`:         "1",
			`gateway_motor_stops_total{motor="a",reason="a \"new\" one\\\n"}`: "1",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	})
}

func TestObserveAllocatesNothing(t *testing.T) {
	m := New(fixedSource())
	records := []wire.Record{goodRecord(0, 21.5, 40), failedRecord(1, wire.BusDown)}
	if n := testing.AllocsPerRun(1000, func() { m.Tick(records, 0) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Ticks, motors, scrapes and the machine at the same time, for the race detector.
func TestMetricsTogether(t *testing.T) {
	m := New(fixedSource())
	var all sync.WaitGroup
	for _, f := range []func(int){
		func(i int) {
			m.Tick([]wire.Record{goodRecord(0, float32(i), float32(i)), failedRecord(1, wire.NoAck)}, 0)
		},
		func(i int) { m.MotorChanged(wire.MotorState{Target: "a", Running: i%2 == 0, Reason: "command"}) },
		func(i int) { m.readHost() },
		func(i int) { m.Payload(func(string) bool { return true }) },
	} {
		all.Go(func() {
			for i := range 100 {
				f(i)
			}
		})
	}
	for range 50 {
		values := parseMetrics(t, exposition(m))
		if v, h := values[`gateway_temperature_celsius{sensor="outdoor"}`], values[`gateway_humidity_ratio{sensor="outdoor"}`]; v != "" &&
			math.Abs(metricNumber(t, v)/100-metricNumber(t, h)) > 1e-6 {
			t.Errorf("%s °C and a humidity of %s are of two readings", v, h)
		}
	}
	all.Wait()
	values := parseMetrics(t, exposition(m))
	if got := values[`gateway_readings_total{sensor="outdoor"}`]; got != "100" {
		t.Errorf("%s readings, want 100", got)
	}
	if got := values[`gateway_motor_stops_total{motor="a",reason="command"}`]; got != "50" {
		t.Errorf("%s stops, want 50", got)
	}
}

func BenchmarkObserve(b *testing.B) {
	m := New(fixedSource())
	records := []wire.Record{goodRecord(0, 21.5, 40), failedRecord(1, wire.BusDown)}
	b.ReportAllocs()
	for b.Loop() {
		m.Tick(records, 0)
	}
}

func BenchmarkMetricsText(b *testing.B) {
	m := fixedMetrics()
	var buf bytes.Buffer
	b.ReportAllocs()
	for b.Loop() {
		buf.Reset()
		m.Expose(&buf, everything, everything)
	}
}

func everything(string) bool { return true }

func fixedUplink() (uplink.Stats, bool) {
	return uplink.Stats{
		Status:    ship.Status{Unsent: 1200, Waiting: ship.Budget, Used: 450, Budget: 500, Lost: 3},
		Connected: true, Behind: 90 * time.Second, Bytes: 77, Takeovers: 2,
	}, true
}
