// Package metrics is what /metrics shows, of a gateway, of a hub, and of a gateway that is
// seen through a hub: the text for Prometheus, and the payload of the metrics messages.
//
// It refuses to know where its numbers come from: what it does not count itself
// it is given as functions.
package metrics

import (
	"math"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"sensorgateway/cmd/gateway/internal/notify"
	"sensorgateway/gateway/alarm"
	"sensorgateway/gateway/host"
	"sensorgateway/gateway/limit"
	"sensorgateway/gateway/uplink"
	"sensorgateway/wire"
)

// Source is where the numbers come from that others have.
type Source struct {
	Name     string // of the gateway
	Version  string
	LogLost  func() int64      // log lines
	Sensors  []wire.SensorInfo // by the sensor number of their records
	Host     func() host.Stats
	Seconds  func() <-chan time.Time // returns a channel with a value once a second; nil: the runtime's ticker
	Lateness Histogram               // of ticks
	Missed   func() int64            // ticks
	// Repeats calls f for each I²C bus with how many transfers were made again, and
	// Recoveries with each step against a bus that does not answer.
	Repeats     func(f func(bus string, n int64))
	Recoveries  func(f func(bus, step string, taken, helped int64))
	Resets      func(f func(sensor string, taken, helped int64)) // of chips that hung
	Clients     func() int                                       // WebSocket clients now
	Frames      func() int64                                     // sent to them
	Refused     func() map[string]uint64                         // clients, by reason
	Limits      func() []limit.Count
	Accounts    func() (sum wire.Stats, abandoned uint64)
	Synced      func() bool          // the system clock
	Steps       func() int64         // of it
	Durable     func() error         // why readings are not stored durably
	DurableAge  func() time.Duration // of the oldest reading that is not stored durably yet
	Stored      func() int64         // bytes of readings
	Lost        func() int           // stored readings that were found to be lost
	Late        func() uint64        // readings that were broadcast before they were written
	Audit       Audit                // nil without an audit log
	EStopStored func() error         // why the e-stop's latch is not stored durably
	Alarms      Alarms
	Uplink      func() (s uplink.Stats, ok bool) // not ok: the gateway is in no fleet
}

// Alarms are those that there are, and what became of what was posted of them.
type Alarms interface {
	All(f func(wire.Alarm))
	Deliveries() (d alarm.Deliveries, ok bool)
}

// Audit counts the records of the audit log.
type Audit interface {
	Written() int64
	Lost() int64
	Err() error // why none can be written at the moment
}

// Histogram counts durations in buckets.
type Histogram interface {
	// Each calls f for each bucket in order; the last has no upper bound, which is 0.
	Each(f func(bound time.Duration, n int64))
	Sum() time.Duration
}

// Collector counts records and motors' stops as it is notified of them, and asks
// for everything else when somebody reads the metrics.
type Collector struct {
	notify.Nop
	process
	source  Source
	sensors []*sensorMetrics

	mu     sync.Mutex // all below
	motors map[string]*motorMetrics
}

// sensorMetrics is one sensor. The hot path writes it without a lock.
type sensorMetrics struct {
	info     wire.SensorInfo
	fresh    time.Duration // how old its newest record can be
	newest   atomic.Uint64 // the bits of its two values, NaN if it failed
	at       atomic.Int64  // of the newest record, ns since Collector.begin
	readings atomic.Uint64
	errors   [len(causes)]atomic.Uint64
}

// motorMetrics is one motor.
type motorMetrics struct {
	wire.MotorState
	stops map[string]uint64 // by reason
}

// causes are the values of the label "cause", in the order of [causeIndex].
var causes = [...]wire.Fault{
	wire.NoAck, wire.Checksum, wire.Timeout, wire.Stuck, wire.Implausible,
	wire.WarmingUp, wire.BusDown, wire.Absent, wire.Other,
}

// causeIndex returns where a fault stands in causes; unknown ones are the last.
func causeIndex(f wire.Fault) int { return min(int(f), len(causes)) - 1 }

// stopReasons are the usual values of the label "reason".
var stopReasons = [...]string{
	wire.ReasonCommand, wire.ReasonLease, wire.ReasonRunMS, wire.ReasonMaxRun, wire.ReasonDisconnect, wire.ReasonRevoked,
	wire.ReasonInterlock, wire.ReasonEStop, wire.ReasonFault, wire.ReasonShutdown,
}

// New returns a collector that begins to count.
func New(source Source) *Collector {
	m := &Collector{source: source, motors: map[string]*motorMetrics{}}
	m.begun(source.Version, source.Host, source.LogLost, source.Seconds)
	for _, info := range source.Sensors {
		// The records of a tick come within a second, and one tick may be missed.
		s := &sensorMetrics{info: info, fresh: 2*time.Duration(info.IntervalMS)*time.Millisecond + 2*time.Second}
		s.set(wire.Failed(wire.Other, 0), 0) // until the first record
		m.sensors = append(m.sensors, s)
	}
	return m
}

// Tick counts the records of a tick. It allocates nothing and waits for nobody.
func (m *Collector) Tick(records []wire.Record, _ int64) {
	at := time.Since(m.begin)
	for _, r := range records {
		s := m.sensors[r.Sensor]
		if r.Fault == wire.Good {
			s.readings.Add(1)
			s.set(r.Reading, at)
		} else {
			s.errors[causeIndex(r.Fault)].Add(1)
			s.set(wire.Failed(r.Fault, r.UnixMilli), at)
		}
	}
}

func (s *sensorMetrics) set(r wire.Reading, at time.Duration) {
	s.newest.Store(uint64(math.Float32bits(r.Values[0]))<<32 | uint64(math.Float32bits(r.Values[1])))
	s.at.Store(int64(at))
}

// live returns the newest values of a sensor, and false if it failed or came
// too long before now: a stale number must never pass for a live one.
func (s *sensorMetrics) live(now time.Duration) (values [2]float32, ok bool) {
	at := time.Duration(s.at.Load()) // loaded first: the values are as new or newer
	bits := s.newest.Load()
	values = [2]float32{math.Float32frombits(uint32(bits >> 32)), math.Float32frombits(uint32(bits))}
	return values, values[0] == values[0] && now-at <= s.fresh
}

// MotorChanged is called with each state of a motor, the first one included.
func (m *Collector) MotorChanged(state wire.MotorState) {
	m.mu.Lock()
	defer m.mu.Unlock()
	mm := m.motors[state.Target]
	if mm == nil {
		mm = &motorMetrics{stops: map[string]uint64{}}
		for _, reason := range stopReasons { // from zero on: the first stop must be seen as one
			mm.stops[reason] = 0
		}
		m.motors[state.Target] = mm
	}
	if mm.Running && !state.Running {
		// Which interlock it was stands in the log: conditions make poor labels.
		reason, _, _ := strings.Cut(state.Reason, ":")
		mm.stops[reason]++
	}
	mm.MotorState = state
}

// payload is the payload of a metrics message.
type payload struct {
	TS float64 `json:"ts"` // Unix seconds
	host.Stats
	Goroutines  int                      `json:"goroutines"`
	Clients     int                      `json:"clients"`
	Frames      int64                    `json:"frames"`
	TicksMissed int64                    `json:"ticks_missed"`
	ClockSynced bool                     `json:"clock_synced"`
	Running     float64                  `json:"running_seconds"`
	Sensors     map[string]sensorPayload `json:"sensors"`
}

type sensorPayload struct {
	Up       bool   `json:"up"`
	Readings uint64 `json:"readings"`
	Errors   uint64 `json:"errors"`
}

// Payload returns what a WebSocket client of /metrics gets that may see these sensors.
func (m *Collector) Payload(sees func(sensor string) bool) any {
	now := time.Now()
	p := payload{
		TS: wire.Seconds(now.UnixMilli()), Stats: m.stats(), Goroutines: runtime.NumGoroutine(),
		Clients: m.source.Clients(), Frames: m.source.Frames(), TicksMissed: m.source.Missed(), ClockSynced: m.source.Synced(),
		Running: now.Sub(m.begin).Truncate(time.Millisecond).Seconds(), Sensors: map[string]sensorPayload{},
	}
	for _, s := range m.sensors {
		if !sees(s.info.Name) {
			continue
		}
		_, up := s.live(now.Sub(m.begin))
		sensor := sensorPayload{Up: up, Readings: s.readings.Load()}
		for i := range s.errors {
			sensor.Errors += s.errors[i].Load()
		}
		p.Sensors[s.info.Name] = sensor
	}
	return p
}
