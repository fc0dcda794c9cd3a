//go:build linux

package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"math"
	random "math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"sensorgateway/gateway/enroll"
	"sensorgateway/gateway/fleet"
	"sensorgateway/gateway/history"
	"sensorgateway/gateway/uplink"
	"sensorgateway/gateway/uplink/ship"
	"sensorgateway/sensors/sim"
	"sensorgateway/wire"
)

const (
	interval = 100 * time.Millisecond
	logDir   = "log" // in a gateway's state directory, as the program has it

	// pageSize and share determine the log's size. Its journal, of which three quarters are
	// used, must have a page for each second: if it were full sooner, blocks would be
	// shorter than a minute.
	pageSize = 4096
	share    = 12
)

var sensors = []wire.SensorInfo{
	{ID: 0, Name: "indoor", Model: "SHT3x", IntervalMS: interval.Milliseconds(), Primary: true, Values: wire.Quantities()[:2]},
	{ID: 1, Name: "outdoor", Model: "SHT3x", IntervalMS: interval.Milliseconds(), Values: wire.Quantities()[:2]},
}

// gateway is a simulated one.
type gateway struct {
	name   string
	number int
	dir    string
	epoch  string
	size   int64     // of its log
	boot   time.Time // of its machine
	logger *slog.Logger
	chips  *chips

	next   uint32 // the number of the next tick
	missed int64  // ticks that were due before the previous one was made
	late   int64  // ticks that the log had not written in time

	log      *history.Log
	uplink   *uplink.Uplink
	shipper  *ship.Shipper
	sessions tls.ClientSessionCache
	end      context.CancelFunc
	rest     func() // ends its measurements
	parts    sync.WaitGroup
	events   *events
	before   uplink.Stats // of earlier starts
}

// newGateway returns the gateway with a number, whose log has room for the time long.
func newGateway(number int, dir string, long time.Duration, boot time.Time, e *events, log *slog.Logger) (*gateway, error) {
	name := fmt.Sprintf("pi-%d", number)
	g := &gateway{
		name: name, number: number, dir: filepath.Join(dir, name), epoch: rand.Text(), boot: boot, next: 1, events: e, logger: log.With("gateway", name),
		size: max(int64(long/time.Second)*4/3, 128) * pageSize * share, chips: newChips(uint64(number)), sessions: tls.NewLRUClientSessionCache(1),
	}
	return g, os.Mkdir(g.dir, 0o700)
}

// identity returns the identity that it got by its enrolment.
func (g *gateway) identity() (*uplink.Identity, error) {
	m, err := enroll.Device{Dir: g.dir}.Membership()
	if err != nil {
		return nil, err
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(g.dir, enroll.CertFile), filepath.Join(g.dir, enroll.KeyFile))
	if err != nil {
		return nil, err
	}
	authority, err := os.ReadFile(filepath.Join(g.dir, enroll.AuthorityFile))
	if err != nil {
		return nil, err
	}
	keys, err := fleet.ParseKeys([]byte(m.Keys))
	if err != nil {
		return nil, err
	}
	id := &uplink.Identity{Gateway: fleet.Gateway{Site: m.Site, Name: m.Name}, Keys: func() []ed25519.PublicKey { return keys }}
	for _, text := range m.Brokers {
		broker, err := url.Parse(text)
		if err != nil {
			return nil, err
		}
		id.Brokers = append(id.Brokers, broker)
	}
	id.TLS = &tls.Config{RootCAs: x509.NewCertPool(), Certificates: []tls.Certificate{pair}, ClientSessionCache: g.sessions, MinVersion: tls.VersionTLS12}
	id.TLS.RootCAs.AppendCertsFromPEM(authority)
	return id, nil
}

// start opens the log and connects.
func (g *gateway) start() (err error) {
	var names []string
	for _, s := range sensors {
		names = append(names, s.Name)
	}
	g.log, err = history.Open(history.Options{
		Dir: filepath.Join(g.dir, logDir), Sensors: names, Values: sensors, MaxBytes: g.size, Boot: "simulated", Log: g.logger,
	})
	if err != nil {
		return err
	}
	g.log.Begin(g.epoch, []uint32{g.next, g.next})
	clock := func() (time.Time, bool) { return time.Now(), true }
	if g.shipper, err = ship.New(ship.Options{Feed: g.log, File: filepath.Join(g.dir, "uplink.json"), Clock: clock, Log: g.logger}); err != nil {
		return errors.Join(err, g.log.Close())
	}
	g.uplink = uplink.New(uplink.Options{
		Identity: g.identity, Sensors: len(sensors), Hello: g.hello, Clock: clock, Feed: g.log, Shipper: g.shipper, Log: g.logger,
		Motors: func() []wire.MotorState { return nil }, Alarms: func() (all, recent []wire.Alarm) { return nil, []wire.Alarm{} }, Event: g.events.add,
		Command: func(uplink.Operator, wire.Command) (any, error) {
			return nil, wire.Errorf(404, "there is no motor here")
		},
		Lost:    func(string) {},
		Refused: func(hub, why string) { g.logger.Warn("an order was refused", "hub", hub, "why", why) },
	})
	ctx, end := context.WithCancel(context.Background())
	g.end = end
	g.parts.Go(func() { _ = g.log.Run(ctx) })
	g.parts.Go(func() { _ = g.uplink.Run(ctx) })
	return nil
}

// stop ends it in order.
func (g *gateway) stop() error {
	if g.end == nil {
		return nil
	}
	g.end()
	g.parts.Wait()
	g.end = nil
	s, _ := g.uplink.Stats()
	g.before.Bytes, g.before.Messages = g.before.Bytes+s.Bytes, g.before.Messages+s.Messages
	return g.log.Close()
}

// messages returns how many messages it has published.
func (g *gateway) messages() int64 {
	s, _ := g.uplink.Stats()
	return g.before.Messages + s.Messages
}

func (g *gateway) hello() wire.Hello {
	return wire.Hello{
		Server: "gateway", Name: g.name, Version: "simulated", Epoch: g.epoch, Time: time.Now().UnixMilli(), Simulated: true, ClockSynced: true,
		Sensors: append([]wire.SensorInfo{}, sensors...), Motors: []wire.MotorState{},
	}
}

// run measures at 10 Hz until ctx ends. If a tick's time is over when the previous one is
// done, the tick is left out but uses a number, as on a gateway.
func (g *gateway) run(ctx context.Context) {
	begin, first := time.Now().Add(random.N(interval)), g.next
	timer := time.NewTimer(time.Until(begin))
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		records := g.chips.measure(g.next, begin.Add(time.Duration(g.next-first)*interval))
		if !g.log.Append(records, g.boot.UnixMilli()) {
			g.late++
		}
		g.uplink.Tick(records, 0)
		due := max(uint32(time.Since(begin)/interval)+first, g.next) + 1
		g.missed += int64(due - g.next - 1)
		g.next = due
		timer.Reset(time.Until(begin.Add(time.Duration(due-first) * interval)))
	}
}

// chips are two SHT3x in an emulated environment, with their resolution and noise.
type chips struct {
	air     *sim.Environment
	noise   *random.Rand
	records []wire.Record
}

func newChips(seed uint64) *chips {
	return &chips{sim.NewEnvironment(seed), random.New(random.NewPCG(seed, 1)), make([]wire.Record, len(sensors))}
}

// Repeatability of an SHT3x (datasheet, version 7, tables 1 and 2), which is three standard
// deviations.
const (
	noiseTemperature = 0.04 / 3 // °C
	noiseHumidity    = 0.08 / 3 // %
)

// measure returns the records of the tick that was due at a time. They are valid until the
// next call. A real gateway's machine is less busy than this one, so lateness is simulated:
// one measurement in eight is a millisecond late.
func (c *chips) measure(seq uint32, due time.Time) []wire.Record {
	for i, place := range []sim.Place{sim.Indoor, sim.Outdoor} {
		air := c.air.At(place, due)
		// 16 bits for -45 to 130 °C, and for 0 to 100 % (section 4.13).
		t := math.Round((air.Temperature + noiseTemperature*c.noise.NormFloat64() + 45) / 175 * 65535)
		h := math.Round(max(min(air.Humidity+noiseHumidity*c.noise.NormFloat64(), 100), 0) / 100 * 65535)
		c.records[i] = wire.Record{Sensor: uint16(i), Flags: wire.Simulated, Seq: seq, Reading: wire.Reading{
			Values: [2]float32{float32(-45 + 175*t/65535), float32(100 * h / 65535)}, UnixMilli: due.UnixMilli() + c.noise.Int64N(8)/7,
		}}
	}
	return c.records
}

// events counts what happens to uplinks, by kind.
type events struct {
	mu   sync.Mutex
	kind map[string]int
}

func (e *events) add(x wire.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.kind[x.Kind]++
}

func (e *events) String() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.kind) == 0 {
		return "none"
	}
	return fmt.Sprint(e.kind)[len("map"):]
}
