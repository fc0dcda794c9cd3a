// Package homeassistant shows the gateway to Home Assistant over an MQTT broker: a
// device with its sensors and motors, their states, and, where the configuration
// lets it, commands for the motors.
//
// It refuses to know which motors there are to drive and how: it has a function
// that carries out a command, as an operator of its own.
package homeassistant

import (
	"context"
	"log/slog"
	"net/url"
	"sync"
	"time"

	"sensorgateway/gateway/mqtt"
	"sensorgateway/wire"
)

// Operator is who commands motors from Home Assistant.
const Operator = "home-assistant"

// Options are what a bridge is made of.
type Options struct {
	Broker       *url.URL // mqtt://host:port, or mqtts:// for TLS
	User         string   // "" is nobody
	PasswordFile string   // read at each connection; "" is none

	ID        string // of the device; letters, digits, "-" and "_"
	Name      string // of the device, for people
	Version   string // of the gateway
	Page      string // its address, for people; "" is none
	Simulated bool

	Sensors []wire.SensorInfo // by their numbers
	Motors  func() []wire.MotorState
	Alarms  func(f func(wire.Alarm)) // calls f with each there is

	// MaxRun is for how long Home Assistant may start a motor; 0: it may not.
	MaxRun time.Duration
	// Command carries out a command of [Operator], and Lost stops what it started.
	Command func(wire.Command) error
	Lost    func()

	Log *slog.Logger
}

// Bridge is the way to Home Assistant. It listens to what happens in the gateway. A nil
// Bridge shows nothing.
type Bridge struct {
	opts   Options
	topics topics
	wake   chan struct{} // there is something to publish before the next second; size 1: one stands for all

	mu         sync.Mutex
	latest     []wire.Record     // of each sensor
	seen       []bool            // it has one
	directions map[string]string // of motors that are off: for their next start
	started    bool              // Home Assistant started a motor since it was lost last
	offline    bool              // Home Assistant said that it ends
	begun      bool              // Home Assistant said that it has started, so it knows no state
	earlier    []byte            // an announcement that the broker retained, not looked at yet
	second     time.Time         // in which commands are counted
	commands   int               // in this second
	warned     time.Time         // when a refused command was logged last
}

// New returns a bridge. [Bridge.Run] connects it.
func New(opts Options) *Bridge {
	n := len(opts.Sensors)
	return &Bridge{
		opts: opts, topics: newTopics(opts.ID), wake: make(chan struct{}, 1),
		latest: make([]wire.Record, n), seen: make([]bool, n), directions: map[string]string{},
	}
}

// Tick notes the records of a tick.
func (b *Bridge) Tick(records []wire.Record, _ int64) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range records {
		if int(r.Sensor) < len(b.latest) {
			b.latest[r.Sensor], b.seen[r.Sensor] = r, true
		}
	}
}

// Event has the alarms' states published soon, if one has changed.
func (b *Bridge) Event(e wire.Event) {
	if e.Kind == wire.EventAlarm {
		b.poke()
	}
}

// MotorChanged has the motors' states published soon.
func (b *Bridge) MotorChanged(wire.MotorState) { b.poke() }

func (b *Bridge) poke() {
	if b == nil {
		return
	}
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// Run connects to the broker, again whenever the connection ends, until ctx ends. When it
// returns, whatever Home Assistant started has stopped.
func (b *Bridge) Run(ctx context.Context) error {
	if b == nil {
		return nil
	}
	mqtt.Keep(ctx, func(ctx context.Context, _ int) error {
		defer b.lost()
		return b.connection(ctx)
	}, func(err error) {
		b.opts.Log.Warn("home assistant cannot be reached through the broker; it is tried again", "broker", b.opts.Broker.Redacted(), "err", err)
	})
	return nil
}

// lost stops what Home Assistant started, because Home Assistant no longer can.
func (b *Bridge) lost() {
	b.mu.Lock()
	started := b.started
	b.started = false
	b.mu.Unlock()
	if started {
		b.opts.Lost()
	}
}
