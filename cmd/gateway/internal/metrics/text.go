package metrics

import (
	"io"
	"maps"
	"slices"
	"strconv"
	"time"

	"sensorgateway/gateway/host"
	"sensorgateway/gateway/limit"
	"sensorgateway/gateway/uplink/ship"
	"sensorgateway/wire"
)

// Expose writes all metrics for Prometheus, of the sensors and motors that the client
// may see. What is not known is left out.
func (m *Collector) Expose(w io.Writer, sensor, motor func(name string) bool) {
	t := &expositionText{hidden: m.hidden(sensor, motor)}
	writeName(t, m.source.Name)
	m.writeProgram(t)
	m.writeSensors(t)
	m.writeResets(t)
	t.counter("gateway_ticks_missed_total", "Ticks that were not made because the machine was late.", float64(m.source.Missed()))
	m.writeLateness(t)
	m.writeBuses(t)
	t.gauge("gateway_ws_clients", "WebSocket clients that are connected.", float64(m.source.Clients()))
	t.counter("gateway_ws_frames_total", "Frames of readings that were sent to WebSocket clients.", float64(m.source.Frames()))
	m.writeAccounts(t)
	writeRefused(t, m.source.Refused())
	writeLimits(t, m.source.Limits())
	t.gauge("gateway_clock_synced", "Whether the system clock is synchronised.", oneIf(m.source.Synced()))
	t.counter("gateway_clock_steps_total", "How often the system clock was set while the gateway ran.", float64(m.source.Steps()))
	t.gauge("gateway_history_durable", "Whether readings are kept on a disk.", oneIf(m.source.Durable() == nil))
	t.gauge("gateway_history_durable_age_seconds", "How long the oldest reading has waited that a power cut would lose now.", m.source.DurableAge().Seconds())
	t.gauge("gateway_history_bytes", "Bytes that the kept readings take.", float64(m.source.Stored()))
	t.counter("gateway_history_lost_total", "Stored readings that were found to be damaged or missing.", float64(m.source.Lost()))
	t.counter("gateway_history_late_total", "Readings that were broadcast before they were handed to the system: a crash at that moment would have lost them.", float64(m.source.Late()))
	t.gauge("gateway_estop_stored", "Whether the latch of the e-stop is stored for a restart.", oneIf(m.source.EStopStored() == nil))
	if audit := m.source.Audit; audit != nil {
		writeAudit(t, audit)
	}
	m.writeMotors(t)
	m.writeAlarms(t)
	m.writeUplink(t)
	m.writeMachine(t)
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
	now := time.Since(m.begin)
	var readings []reading // each sensor is read once
	for _, s := range m.sensors {
		r := reading{label: label("sensor", s.info.Name), quantities: s.info.Quantities()}
		r.values, r.live = s.live(now)
		readings = append(readings, r)
	}
	writeReadings(t, readings)
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

// writeRefused writes how many were refused, by reason.
func writeRefused(t *expositionText, refused map[string]uint64) {
	t.family("gateway_refused_total", "counter", "Requests and connections that were refused.")
	for _, reason := range slices.Sorted(maps.Keys(refused)) {
		t.sample("", label("reason", reason), float64(refused[reason]))
	}
}

func writeLimits(t *expositionText, counts []limit.Count) {
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
	var states []wire.MotorState
	for _, name := range names {
		states = append(states, m.motors[name].MotorState)
	}
	writeMotors(t, states)
	t.family("gateway_motor_stops_total", "counter", "Stops of a motor that ran.")
	for _, name := range names {
		stops := m.motors[name].stops
		for _, reason := range slices.Sorted(maps.Keys(stops)) {
			t.sample("", label("motor", name)+","+label("reason", reason), float64(stops[reason]))
		}
	}
}

func (m *Collector) writeAlarms(t *expositionText) {
	var all []wire.Alarm
	m.source.Alarms.All(func(a wire.Alarm) { all = append(all, a) })
	writeAlarms(t, all)
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
	t.gauge("gateway_uplink_summarised_readings", "Those of which hubs have the range and mean of their minute: near the end of the month's bytes nothing else goes up.", float64(s.Summarised))
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
	t.family("gateway_host_throttled_occurred", "gauge", "What the firmware has complained of since the machine started.")
	for _, c := range conditions {
		if c.Condition != nil {
			t.sample("", label("cause", c.cause), oneIf(c.Occurred))
		}
	}
}
