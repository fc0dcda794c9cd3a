package metrics

import (
	"io"
	"maps"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"sensorgateway/gateway/host"
	"sensorgateway/gateway/uplink/ship"
	"sensorgateway/wire"
)

// expositionText is a text in the expositionText format of Prometheus, version 0.0.4.
type expositionText struct {
	b      []byte
	name   string          // of the family that is written
	head   string          // of it, until its first sample
	hidden map[string]bool // labels whose samples are left out
}

// family begins a metric with all its samples. One without samples is not
// written at all.
func (t *expositionText) family(name, kind, help string) {
	t.name = name
	t.head = "# HELP " + name + " " + help + "\n# TYPE " + name + " " + kind + "\n"
}

// sample adds a value to the family; labels as [label] returns them, separated
// by commas.
func (t *expositionText) sample(suffix, labels string, value float64) {
	if first, _, _ := strings.Cut(labels, ","); t.hidden[first] {
		return
	}
	t.b = append(append(append(t.b, t.head...), t.name...), suffix...)
	t.head = ""
	if labels != "" {
		t.b = append(append(append(t.b, '{'), labels...), '}')
	}
	t.b = strconv.AppendFloat(append(t.b, ' '), value, 'f', -1, 64)
	t.b = append(t.b, '\n')
}

func (t *expositionText) gauge(name, help string, value float64) {
	t.family(name, "gauge", help)
	t.sample("", "", value)
}

func (t *expositionText) counter(name, help string, value float64) {
	t.family(name, "counter", help)
	t.sample("", "", value)
}

// optional writes a value that may be absent, as write does.
func optional[T uint64 | float64](write func(name, help string, value float64), name, help string, value *T) {
	if value != nil {
		write(name, help, float64(*value))
	}
}

// Expose writes all metrics for Prometheus, of the sensors and motors that the client
// may see. What is not known is left out.
func (m *Collector) Expose(w io.Writer, sensor, motor func(name string) bool) {
	t := &expositionText{hidden: m.hidden(sensor, motor)}
	t.family("gateway_build_info", "gauge", "The version that runs.")
	t.sample("", label("version", m.source.Version)+","+label("goversion", runtime.Version()), 1)
	t.gauge("gateway_start_time_seconds", "When the gateway started, Unix time.", float64(m.started().UnixMilli())/1000)
	m.writeSensors(t)
	m.writeResets(t)
	t.counter("gateway_ticks_missed_total", "Ticks that were not made because the machine was late.", float64(m.source.Missed()))
	m.writeLateness(t)
	m.writeBuses(t)
	t.gauge("gateway_ws_clients", "WebSocket clients that are connected.", float64(m.source.Clients()))
	t.counter("gateway_ws_frames_total", "Frames of readings that were sent to WebSocket clients.", float64(m.source.Frames()))
	m.writeAccounts(t)
	m.writeRefused(t)
	m.writeLimits(t)
	t.gauge("gateway_clock_synced", "Whether the system clock is synchronised.", oneIf(m.source.Synced()))
	t.counter("gateway_clock_steps_total", "How often the system clock was set while the gateway ran.", float64(m.source.Steps()))
	t.gauge("gateway_history_durable", "Whether readings are kept on a disk.", oneIf(m.source.Durable() == nil))
	t.gauge("gateway_history_durable_age_seconds", "How long the oldest reading has waited that a power cut would lose now.", m.source.DurableAge().Seconds())
	t.gauge("gateway_history_bytes", "Bytes that the kept readings take.", float64(m.source.Stored()))
	t.counter("gateway_history_lost_total", "Stored readings that were found to be damaged or missing.", float64(m.source.Lost()))
	t.counter("gateway_history_late_total", "Readings that were broadcast before they were handed to the system: a crash at that moment would have lost them.", float64(m.source.Late()))
	t.gauge("gateway_estop_stored", "Whether the latch of the e-stop is stored for a restart.", oneIf(m.source.EStopStored() == nil))
	if audit := m.source.Audit; audit != nil {
		t.counter("gateway_audit_records_total", "Records written to the audit log.", float64(audit.Written()))
		t.counter("gateway_audit_lost_total", "Records of the audit log that the disk took none of for too long.", float64(audit.Lost()))
		t.gauge("gateway_audit_writable", "Whether the disk takes the records of the audit log.", oneIf(audit.Err() == nil))
	}
	m.writeMotors(t)
	m.writeAlarms(t)
	m.writeUplink(t)
	t.gauge("go_goroutines", "Goroutines of the gateway.", float64(runtime.NumGoroutine()))
	writeHost(t, m.stats())
	_, _ = w.Write(t.b) // an error means that the client has left
}

// hidden are the labels of what a client may not see.
func (m *Collector) hidden(sensor, motor func(name string) bool) map[string]bool {
	hidden := map[string]bool{}
	for _, s := range m.sensors {
		if !sensor(s.info.Name) {
			hidden[label("sensor", s.info.Name)] = true
		}
	}
	m.source.Alarms.All(func(a wire.Alarm) {
		if a.Sensor != "" && !sensor(a.Sensor) || a.Motor != "" && !motor(a.Motor) {
			hidden[label("name", a.Name)] = true
		}
	})
	m.mu.Lock()
	defer m.mu.Unlock()
	for name := range m.motors {
		if !motor(name) {
			hidden[label("motor", name)] = true
		}
	}
	return hidden
}

func (m *Collector) writeBuses(t *expositionText) {
	t.family("gateway_bus_repeats_total", "counter", "Transfers of an I²C bus that were made again because no chip acknowledged them.")
	m.source.Repeats(func(bus string, n int64) { t.sample("", label("bus", bus), float64(n)) })
	t.family("gateway_bus_recoveries_total", "counter", "Steps against an I²C bus that did not answer.")
	m.source.Recoveries(func(bus, step string, taken, _ int64) {
		t.sample("", label("bus", bus)+","+label("step", step), float64(taken))
	})
	t.family("gateway_bus_recoveries_helped_total", "counter", "Those after which it answered.")
	m.source.Recoveries(func(bus, step string, _, helped int64) {
		t.sample("", label("bus", bus)+","+label("step", step), float64(helped))
	})
}

func (m *Collector) writeSensors(t *expositionText) {
	type reading struct {
		label  string
		values [2]float32
		live   bool
	}
	now := time.Since(m.begin)
	var readings []reading // each sensor is read once
	for _, s := range m.sensors {
		r := reading{label: label("sensor", s.info.Name)}
		r.values, r.live = s.live(now)
		readings = append(readings, r)
	}
	t.family("gateway_sensor_up", "gauge", "Whether the sensor measures.")
	for _, r := range readings {
		t.sample("", r.label, oneIf(r.live))
	}
	for _, q := range wire.Quantities() {
		begun := false
		for i, s := range m.sensors {
			value := slices.IndexFunc(s.info.Quantities(), func(own wire.Quantity) bool { return own.Name == q.Name })
			if value < 0 {
				continue
			}
			if !begun {
				t.family("gateway_"+q.Metric.Name, "gauge", q.Metric.Help+"; absent while the sensor fails.")
				begun = true
			}
			if r := readings[i]; r.live && r.values[value] == r.values[value] {
				t.sample("", r.label, shortest(q.Metric.Base(r.values[value])))
			}
		}
	}
	t.family("gateway_readings_total", "counter", "Ticks that gave a reading.")
	for i, s := range m.sensors {
		t.sample("", readings[i].label, float64(s.readings.Load()))
	}
	t.family("gateway_i2c_errors_total", "counter", "Ticks that failed.")
	for i, s := range m.sensors {
		for j, cause := range causes {
			t.sample("", readings[i].label+","+label("cause", cause.String()), float64(s.errors[j].Load()))
		}
	}
}

func (m *Collector) writeResets(t *expositionText) {
	t.family("gateway_sensor_resets_total", "counter", "Soft resets of the sensor's chip, because it hung.")
	m.source.Resets(func(sensor string, taken, _ int64) { t.sample("", label("sensor", sensor), float64(taken)) })
	t.family("gateway_sensor_resets_helped_total", "counter", "Those after which it measured.")
	m.source.Resets(func(sensor string, _, helped int64) { t.sample("", label("sensor", sensor), float64(helped)) })
}

// writeAccounts writes the accounts of all clients' readings: what was produced
// is the sum of the rest, exactly.
func (m *Collector) writeAccounts(t *expositionText) {
	sum, abandoned := m.source.Accounts()
	t.counter("gateway_ws_readings_produced_total", "Readings that were due to WebSocket clients.", float64(sum.Produced))
	t.family("gateway_ws_readings_total", "counter", "What became of them; abandoned ones waited for a client that left.")
	for _, o := range []struct {
		outcome string
		n       uint64
	}{{"delivered", sum.Delivered}, {"conflated", sum.Conflated}, {"missed", sum.Missed}, {"abandoned", abandoned}} {
		t.sample("", label("outcome", o.outcome), float64(o.n))
	}
	t.gauge("gateway_ws_readings_queued", "Readings that wait for clients.", float64(sum.Queued))
}

func (m *Collector) writeRefused(t *expositionText) {
	t.family("gateway_refused_total", "counter", "Requests and connections that were refused.")
	refused := m.source.Refused()
	for _, reason := range slices.Sorted(maps.Keys(refused)) {
		t.sample("", label("reason", reason), float64(refused[reason]))
	}
}

func (m *Collector) writeLimits(t *expositionText) {
	counts := m.source.Limits()
	t.family("gateway_limit_current", "gauge", "How much clients take of what is limited.")
	for _, c := range counts {
		t.sample("", label("limit", c.Name), float64(c.Current))
	}
	t.family("gateway_limit_maximum", "gauge", "How much clients may take of it.")
	for _, c := range counts {
		t.sample("", label("limit", c.Name), float64(c.Maximum))
	}
}

// writeLateness writes a histogram of Prometheus, whose buckets contain the ones
// below them; those of the source do not.
func (m *Collector) writeLateness(t *expositionText) {
	t.family("gateway_sample_lateness_seconds", "histogram", "How long after its deadline a tick began.")
	count := 0.0
	m.source.Lateness.Each(func(bound time.Duration, n int64) {
		count += float64(n)
		le := "+Inf"
		if bound > 0 {
			le = strconv.FormatFloat(bound.Seconds(), 'f', -1, 64)
		}
		t.sample("_bucket", label("le", le), count)
	})
	t.sample("_sum", "", m.source.Lateness.Sum().Seconds())
	t.sample("_count", "", count)
}

func (m *Collector) writeMotors(t *expositionText) {
	m.mu.Lock()
	defer m.mu.Unlock()
	names := slices.Sorted(maps.Keys(m.motors))
	t.family("gateway_motor_running", "gauge", "Whether the motor is driven.")
	for _, name := range names {
		t.sample("", label("motor", name), oneIf(m.motors[name].Running))
	}
	t.family("gateway_motor_speed_ratio", "gauge", "What the motor is driven with, 0 to 1.")
	for _, name := range names {
		t.sample("", label("motor", name), m.motors[name].Speed)
	}
	t.family("gateway_motor_controlled", "gauge", "Whether somebody has control of the motor.")
	for _, name := range names {
		t.sample("", label("motor", name), oneIf(m.motors[name].Control != nil))
	}
	t.family("gateway_motor_stops_total", "counter", "Stops of a motor that ran.")
	for _, name := range names {
		stops := m.motors[name].stops
		for _, reason := range slices.Sorted(maps.Keys(stops)) {
			t.sample("", label("motor", name)+","+label("reason", reason), float64(stops[reason]))
		}
	}
}

func (m *Collector) writeAlarms(t *expositionText) {
	t.family("gateway_alarm", "gauge", "Whether the alarm is raised, acknowledged or not.")
	m.source.Alarms.All(func(a wire.Alarm) {
		t.sample("", label("name", a.Name)+","+label("severity", a.Severity), oneIf(a.Raised()))
	})
	d, ok := m.source.Alarms.Deliveries()
	if !ok {
		return
	}
	t.family("gateway_webhook_deliveries_total", "counter", "Alarms that were to be posted; failed ones are tries, dropped ones were the oldest of too many.")
	t.sample("", label("outcome", "delivered"), float64(d.Delivered))
	t.sample("", label("outcome", "failed"), float64(d.Failed))
	t.sample("", label("outcome", "dropped"), float64(d.Dropped))
	t.gauge("gateway_webhook_waiting", "Alarms that wait for the webhook to take them.", float64(d.Waiting))
}

func (m *Collector) writeUplink(t *expositionText) {
	s, ok := m.source.Uplink()
	if !ok {
		return
	}
	t.gauge("gateway_uplink_connected", "Whether there is a connection to the fleet's broker.", oneIf(s.Connected))
	t.family("gateway_uplink_waiting", "gauge", "What keeps readings from going up, although there is a connection.")
	for _, reason := range []ship.Reason{ship.Unheard, ship.Full, ship.Refused, ship.Budget} {
		t.sample("", label("reason", string(reason)), oneIf(s.Waiting == reason))
	}
	t.gauge("gateway_uplink_unsent_readings", "Readings in the log that no hub has yet; the present minute is among them.", float64(s.Unsent))
	t.gauge("gateway_uplink_lag_seconds", "Age of the oldest of them.", s.Behind.Seconds())
	t.counter("gateway_uplink_lost_readings_total", "Readings that were evicted from the log before they went up, or cannot be read.", float64(s.Lost))
	t.counter("gateway_uplink_bytes_total", "Bytes on the wire to and from the broker.", float64(s.Bytes))
	t.gauge("gateway_uplink_month_bytes", "Bytes of the calendar month.", float64(s.Used))
	t.gauge("gateway_uplink_budget_bytes", "Bytes that a month may have, 0 for no limit.", float64(s.Budget))
	t.counter("gateway_uplink_takeovers_total", "Connections that another device with the same identity has taken over.", float64(s.Takeovers))
}

func writeHost(t *expositionText, s host.Stats) {
	optional(t.counter, "process_cpu_seconds_total", "Processor time of the gateway.", s.ProcessCPU)
	optional(t.gauge, "process_resident_memory_bytes", "Memory of the gateway.", s.ProcessMemory)
	optional(t.gauge, "process_open_fds", "Open file descriptors of the gateway.", s.ProcessFiles)
	optional(t.gauge, "gateway_host_cpu_ratio", "Busy part of all cores in the last second, 0 to 1.", s.CPU)
	optional(t.gauge, "gateway_host_load1", "Tasks that run or wait, mean of a minute.", s.Load1)
	optional(t.gauge, "gateway_host_cpu_temperature_celsius", "Temperature of the processor.", s.CPUTemperature)
	optional(t.gauge, "gateway_host_memory_total_bytes", "Memory of the machine.", s.MemoryTotal)
	optional(t.gauge, "gateway_host_memory_available_bytes", "Memory that programs can still have.", s.MemoryAvailable)
	optional(t.gauge, "gateway_host_disk_free_bytes", "Space that is left where the state is kept.", s.DiskFree)
	optional(t.gauge, "gateway_host_uptime_seconds", "Since the machine started.", s.Uptime)
	optional(t.counter, "gateway_host_network_receive_bytes_total", "Bytes that the machine received.", s.Received)
	optional(t.counter, "gateway_host_network_transmit_bytes_total", "Bytes that the machine sent.", s.Sent)
	if s.Throttled == nil {
		return
	}
	conditions := []struct {
		cause string
		*host.Condition
	}{
		{"under_voltage", s.Throttled.UnderVoltage},
		{"frequency_capped", s.Throttled.FrequencyCapped},
		{"throttled", s.Throttled.Throttled},
		{"soft_temperature_limit", s.Throttled.SoftTemperatureLimit},
	}
	t.family("gateway_host_throttled", "gauge", "What a Raspberry Pi's firmware complains of now.")
	for _, c := range conditions {
		if c.Condition != nil {
			t.sample("", label("cause", c.cause), oneIf(c.Now))
		}
	}
	t.family("gateway_host_throttled_occurred", "gauge", "What it was seen to complain of since the machine started.")
	for _, c := range conditions {
		if c.Condition != nil {
			t.sample("", label("cause", c.cause), oneIf(c.Occurred))
		}
	}
}

// label returns name="value", escaped.
func label(name, value string) string {
	return name + `="` + labelEscapes.Replace(value) + `"`
}

var labelEscapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// shortest returns the number that is written as f is: 21.37, not 21.3700008.
func shortest(f float32) float64 {
	v, _ := strconv.ParseFloat(strconv.FormatFloat(float64(f), 'g', -1, 32), 64) // parses what it formatted
	return v
}
