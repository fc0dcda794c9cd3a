package main

import (
	"context"
	"math"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"sensorgateway/cmd/gateway/internal/config"
	"sensorgateway/gateway/host"
	"sensorgateway/sensors"
	"sensorgateway/wire"
)

const (
	hostEvery = time.Second
	// hostFresh is how old the machine's numbers can be: if the machine cannot
	// be read any more, they are absent and not frozen.
	hostFresh = 5 * time.Second
)

// metricsSource is where the numbers come from that others keep.
type metricsSource struct {
	version  string
	configs  []config.Sensor // by the sensor number of their records
	host     func() host.Stats
	lateness *sensors.Histogram
	missed   func() int64 // ticks
	clients  func() int   // WebSocket clients now
	frames   func() int64 // sent to them
	accounts func() (sum wire.Stats, abandoned uint64)
	synced   func() bool  // the system clock
	steps    func() int64 // of it
	durable  func() error // why readings are not
	kept     func() int64 // bytes of readings
}

// serverMetrics is what /metrics tells: of the sensors, whose records it sees,
// of the motors, whose states it is told, and of everything else by asking.
type serverMetrics struct {
	metricsSource
	begin   time.Time
	sensors []*sensorMetrics
	machine atomic.Pointer[machine]

	mu     sync.Mutex // all below
	start  time.Time
	motors map[string]*motorMetrics
}

// machine is the machine at a moment.
type machine struct {
	at time.Time
	host.Stats
}

// sensorMetrics is one sensor. The hot path writes it without a lock.
type sensorMetrics struct {
	name     string
	fresh    time.Duration // how old its newest record can be
	newest   atomic.Uint64 // temperature and humidity: their bits, NaN if it failed
	at       atomic.Int64  // of the newest record, ns since serverMetrics.begin
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
var stopReasons = [...]string{"command", "lease", "run_ms", "max_run", "disconnect", "interlock", "estop", "fault", "shutdown"}

// newMetrics begins to count.
func newMetrics(source metricsSource) *serverMetrics {
	now := time.Now()
	m := &serverMetrics{metricsSource: source, begin: now, start: now, motors: map[string]*motorMetrics{}}
	for _, c := range source.configs {
		// A sampler tells of each tick within a second, and one may be missed.
		s := &sensorMetrics{name: c.Name, fresh: 2*c.Interval + 2*time.Second}
		s.keep(wire.Failed(wire.Other, 0), 0) // until the first record
		m.sensors = append(m.sensors, s)
	}
	m.readHost()
	return m
}

// run reads the machine once a second until ctx ends, so that nobody who asks
// for the numbers waits for files, the hub least of all.
func (m *serverMetrics) run(ctx context.Context) {
	tick := time.NewTicker(hostEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			m.readHost()
		case <-ctx.Done():
			return
		}
	}
}

func (m *serverMetrics) readHost() { m.machine.Store(&machine{time.Now(), m.host()}) }

// stats returns the machine, empty if it is known no more.
func (m *serverMetrics) stats() host.Stats {
	if now := m.machine.Load(); time.Since(now.at) < hostFresh {
		return now.Stats
	}
	return host.Stats{}
}

// observe is told the records of each tick. It allocates nothing and waits for
// nobody.
func (m *serverMetrics) observe(records []wire.Record) {
	at := time.Since(m.begin)
	for _, r := range records {
		s := m.sensors[r.Sensor]
		if r.Fault == wire.Good {
			s.readings.Add(1)
			s.keep(r.Reading, at)
		} else {
			s.errors[causeIndex(r.Fault)].Add(1)
			s.keep(wire.Failed(r.Fault, r.UnixMilli), at)
		}
	}
}

func (s *sensorMetrics) keep(r wire.Reading, at time.Duration) {
	s.newest.Store(uint64(math.Float32bits(r.Values[0]))<<32 | uint64(math.Float32bits(r.Values[1])))
	s.at.Store(int64(at))
}

// live returns the newest reading of a sensor, and false if it failed or came
// too long before now: a stale number must never pass for a live one.
func (s *sensorMetrics) live(now time.Duration) (temperature, humidity float32, ok bool) {
	at := time.Duration(s.at.Load()) // before the reading, which is as new or newer
	bits := s.newest.Load()
	temperature, humidity = math.Float32frombits(uint32(bits>>32)), math.Float32frombits(uint32(bits))
	return temperature, humidity, temperature == temperature && now-at <= s.fresh
}

// motor is told each state of a motor, the first one included.
func (m *serverMetrics) motor(state wire.MotorState) {
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

// started returns when the gateway started, by the system clock as it is now.
func (m *serverMetrics) started() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	m.start = startedAt(m.start, now.Round(0), now.Sub(m.begin))
	return m.start
}

// startedAt returns when something started that has run for so long: a machine
// without a clock of its own starts in the past, and learns the time later. What
// was said before is kept unless it is wrong by a second, for a start that moves
// looks like a restart.
func startedAt(said, now time.Time, running time.Duration) time.Time {
	if start := now.Add(-running); start.Sub(said).Abs() > time.Second {
		return start
	}
	return said
}

// metricsPayload is the payload of a metrics message.
type metricsPayload struct {
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

// payload returns what WebSocket clients of /metrics get.
func (m *serverMetrics) payload() any {
	now := time.Now()
	p := metricsPayload{
		TS: float64(now.UnixMilli()) / 1000, Stats: m.stats(), Goroutines: runtime.NumGoroutine(),
		Clients: m.clients(), Frames: m.frames(), TicksMissed: m.missed(), ClockSynced: m.synced(),
		Running: now.Sub(m.begin).Truncate(time.Millisecond).Seconds(), Sensors: map[string]sensorPayload{},
	}
	for _, s := range m.sensors {
		_, _, up := s.live(now.Sub(m.begin))
		sensor := sensorPayload{Up: up, Readings: s.readings.Load()}
		for i := range s.errors {
			sensor.Errors += s.errors[i].Load()
		}
		p.Sensors[s.name] = sensor
	}
	return p
}
