package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"sensorgateway/cmd/gateway/internal/config"
	"sensorgateway/cmd/gateway/internal/console"
	"sensorgateway/cmd/gateway/internal/logging"
	"sensorgateway/cmd/gateway/internal/metrics"
	"sensorgateway/cmd/gateway/internal/state"
	"sensorgateway/gateway"
	"sensorgateway/gateway/access"
	"sensorgateway/gateway/chat"
	"sensorgateway/gateway/dashboard"
	"sensorgateway/gateway/host"
	"sensorgateway/gateway/motor"
	"sensorgateway/gateway/pins"
	"sensorgateway/sensors"
	"sensorgateway/sensors/bus"
	"sensorgateway/wire"
)

const (
	// farewellTime is how long clients have to go when the gateway stops; the
	// whole stop takes less than the 5 s that are promised.
	farewellTime = 3 * time.Second
	diskTime     = time.Second // and how long a disk has beyond that
	// gcPercent is the garbage that may pile up, in percent of what is in use. The
	// runtime's 100 is for machines with more memory; here hardly any is made.
	gcPercent = 50
)

//go:embed simulate.yaml
var simulateYAML []byte

// serveOptions are the flags of the command without a subcommand.
type serveOptions struct {
	config, simulate, listen, state, logFormat string

	origin func(flag string) string // of its value, as [origin] has it
}

// serve runs the gateway until ctx ends.
//
// It starts from the inside out: the motors' outputs are off before anybody can
// connect, then come buses, server and sockets, and only then the ticks. It
// stops from the outside in: the motors are off at once, the sampler finishes
// its ticks, the clients are told to come back, the numbers that were reached
// are written down.
func serve(ctx context.Context, o serveOptions, getenv func(string) string, stdout, stderr io.Writer) error {
	begin := time.Now()
	if getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	simulate, err := parseSimulation(o.simulate)
	if err != nil {
		return console.UsageError{Err: fmt.Errorf("%s=%w", o.origin("simulate"), err)}
	}
	cfg, err := o.configuration(simulate)
	if err != nil {
		return err
	}
	log := logging.New(stderr, cfg.LogFormat, getenv, isTerminal(stderr))
	g := &running{cfg: cfg, log: log, simulate: simulate, systemd: supervisor{log}, memory: state.MemoryDir(getenv)}

	hardware := pins.Hardware(pins.System())
	if simulate != nil {
		hardware = simulate.pins(cfg, simulate.room)
	}
	g.buildMotors(hardware)
	defer g.motors.Off()
	if cfg.TLS != nil {
		if g.certificates, err = access.NewCertificates(cfg.TLS.Cert, cfg.TLS.Key, log); err != nil {
			return config.Error{{File: cfg.File, Line: cfg.TLS.Line, Text: "tls: " + err.Error()}}
		}
	}
	buses, err := openBuses(cfg, simulate, log)
	if err != nil {
		return err
	}
	defer buses.close()
	if err := g.build(buses); err != nil {
		return err
	}
	if g.listeners, err = listen(cfg.Listen); err != nil {
		return errors.Join(err, g.closeState())
	}
	defer closeAll(g.listeners)
	g.announce = g.tellLog
	if isTerminal(stdout) && cfg.LogFormat == "auto" {
		g.announce = func(d time.Duration) { g.tellPerson(stdout, d) }
	}
	return g.run(ctx, begin)
}

// configuration reads the file, or what stands for it, and applies the flags.
func (o serveOptions) configuration(simulate *simulation) (cfg *config.Config, err error) {
	chips := map[string]config.Chip{}
	for name, c := range sensors.Chips() {
		chips[name] = config.Chip{Addresses: c.Addresses, MinInterval: c.MinInterval, Values: c.Quantities()}
	}
	if o.config == "" && simulate != nil {
		cfg, err = config.Parse("simulate.yaml", simulateYAML, chips)
	} else {
		if o.config == "" {
			o.config = config.DefaultFile
		}
		cfg, err = config.Read(o.config, chips)
	}
	if err != nil {
		return nil, err
	}
	if o.listen != "" {
		if cfg.Listen, err = config.CheckListen(o.listen, cfg.Insecure || cfg.TLS != nil); err != nil {
			return nil, config.Error{{Text: o.origin("listen") + ": " + err.Error()}}
		}
	}
	if o.state != "" {
		cfg.State = o.state
	} else if simulate != nil {
		cfg.State = "" // the numbers of a demonstration are not those of the real sensors
	}
	if o.logFormat != "" {
		if err := logging.CheckFormat(o.logFormat); err != nil {
			return nil, config.Error{{Text: o.origin("log-format") + ": " + err.Error()}}
		}
		cfg.LogFormat = o.logFormat
	}
	return cfg, nil
}

// running is the gateway, built.
type running struct {
	cfg          *config.Config
	log          *slog.Logger
	simulate     *simulation
	listeners    []net.Listener
	certificates *access.Certificates // nil without TLS
	systemd      supervisor
	state        *state.State
	history      *kept
	memory       string // see counters
	latch        *state.Latch
	motors       *motor.Controller
	sampler      *sensors.Sampler
	server       *gateway.Server
	room         *chat.Room
	metrics      *metrics.Collector
	clock        *sensors.Clock
	first        *firsts
	pulse        pulse
	announce     func(time.Duration)
}

func (g *running) build(buses buses) error {
	g.clock = g.newClock()
	lock, err := state.Claim(g.cfg.State)
	if err != nil {
		return err
	}
	g.latch = state.NewLatch(g.cfg.State, g.log)
	if by := g.latch.By(); by != "" {
		g.motors.EStop(by)
	}
	if err := g.openHistory(); err != nil {
		return err
	}
	g.state = g.openState(lock)
	g.history.Begin(g.state.Epoch(), g.state.First())
	chips := sensors.Chips()
	var infos []wire.SensorInfo
	var configs []sensors.Config
	primary := 0
	for i, c := range g.cfg.Sensors {
		if c.Name == g.cfg.Primary {
			primary = i
		}
		if driver, ok := bus.Claimed(c.Bus, c.Address); ok && g.simulate == nil {
			g.log.Warn("the kernel's own driver holds this chip, and both will disturb each other", "sensor", c.Name,
				"driver", driver, "fix", fmt.Sprintf("echo %d-%04x | sudo tee /sys/bus/i2c/drivers/%s/unbind", c.Bus, c.Address, driver))
		}
		chip := chips[c.Chip]
		configs = append(configs, sensors.Config{
			ID: uint16(i), Name: c.Name, Chip: chip, Bus: buses[c.Bus], Address: c.Address,
			Interval: c.Interval, StuckAfter: c.StuckAfter, FirstSeq: g.state.First()[i],
		})
		infos = append(infos, wire.SensorInfo{
			ID: uint16(i), Name: c.Name, Model: chip.Model, IntervalMS: c.Interval.Milliseconds(), NextSeq: g.state.First()[i], Values: chip.Quantities(),
		})
	}
	infos[primary].Primary = true
	g.room = chat.NewRoom(g.log)
	options := gateway.Options{
		Version: version, Epoch: g.state.Epoch(), Simulated: g.simulate != nil, Sensors: infos, Primary: primary,
		ClockSynced: g.clock.Synced, Alive: g.pulse.check, Page: dashboard.Handler(), Log: g.log,
		History:  g.history,
		Access:   &access.Policy{Hosts: g.cfg.Hosts, Origins: g.cfg.Origins, RemoteCommands: g.cfg.RemoteCommands},
		Handlers: g.handlers(), Motors: g.motors,
		Rooms:      map[string]func(gateway.Peer) gateway.Guest{"/chat": func(p gateway.Peer) gateway.Guest { return g.room.Enter(p) }},
		Metrics:    func() any { return g.metrics.Payload() },
		Exposition: func(w io.Writer) { g.metrics.Expose(w) },
		Crashed:    g.motors.Off,
	}
	if g.certificates != nil {
		options.TLS = g.certificates.Config()
	}
	g.server = gateway.New(options)
	g.first = newFirsts(len(configs))
	g.sampler = sensors.NewSampler(sensors.Options{
		Sensors: configs, Clock: g.clock, Flags: g.flags(), Event: g.server.Event, Log: g.log,
		Publish: func(records []wire.Record, offset int64) {
			g.state.Cover(records)
			g.history.Append(records, offset) // before anybody can have seen them
			g.first.see(records)
			g.metrics.Tick(records, offset)
			g.motors.Observe(records)
			g.server.Publish(records)
		},
	})
	g.metrics = g.newMetrics()
	for _, m := range g.motors.States() {
		g.metrics.MotorChanged(m)
	}
	return nil
}

// newMetrics returns what /metrics shows.
func (g *running) newMetrics() *metrics.Collector {
	source := metrics.Source{
		Version: version, Host: host.NewReader(os.DirFS("/"), g.cfg.State).Read,
		Lateness: g.sampler.Lateness(), Missed: g.sampler.Missed,
		Clients: g.server.Clients, Frames: g.server.Frames, Accounts: g.server.Accounts,
		Synced: g.clock.Synced, Steps: g.clock.Steps, Durable: g.history.Durable, Stored: g.history.Size,
	}
	for _, c := range g.cfg.Sensors {
		source.Sensors = append(source.Sensors, metrics.Sensor{Name: c.Name, Interval: c.Interval})
	}
	return metrics.New(source)
}

// openState opens the epoch and the sensors' numbers.
func (g *running) openState(lock *os.File) *state.State {
	var known []state.Sensor
	for _, c := range g.cfg.Sensors {
		known = append(known, state.Sensor{Name: c.Name, Interval: c.Interval})
	}
	return state.Open(state.Options{
		Dir: g.cfg.State, Lock: lock, Sensors: known, Numbers: g.history, Memory: g.memory, Boot: bootID(), Log: g.log,
		NewEpoch: func(epoch string, next []uint32) {
			g.history.Begin(epoch, next)
			g.server.SetEpoch(epoch)
		},
	})
}

// flags are those of every record.
func (g *running) flags() wire.Flags {
	if g.simulate != nil {
		return wire.Simulated
	}
	return 0
}

func (g *running) run(ctx context.Context, begin time.Time) error {
	failed, fail := context.WithCancel(ctx)
	defer fail()
	// What ends with ctx, or with a failure.
	tasks, ctx := errgroup.WithContext(failed)
	start := func(group *errgroup.Group, run func(context.Context) error) {
		group.Go(func() error {
			defer func() {
				if r := recover(); r != nil { // nothing turns while we die
					g.motors.Off()
					panic(r)
				}
			}()
			return run(ctx)
		})
	}
	task := func(run func(context.Context) error) { start(tasks, run) }
	task(g.motors.Run)
	select {
	case <-g.motors.Ready(): // all off: now whoever wants may connect
	case <-ctx.Done():
	}
	// What runs until the very end, after ctx: the sockets.
	var sockets errgroup.Group
	for _, l := range g.listeners {
		sockets.Go(func() error { defer fail(); return g.server.Serve(l) })
	}
	task(g.sampler.Run)
	var disk errgroup.Group // ends with ctx, and with the disk: one that hangs must not keep the clients
	start(&disk, g.history.Run)
	start(&disk, g.state.Run)
	start(&disk, g.latch.Run)
	task(g.metrics.Run)
	task(func(ctx context.Context) error {
		g.pulse.watch(ctx, map[string]func() int64{
			"the scheduler of ticks": g.sampler.Beats, "the fan-out": g.server.Beats, "the motors' control": g.motors.Beats})
		return nil
	})
	task(func(ctx context.Context) error { g.watchCertificates(ctx); return nil })
	task(func(ctx context.Context) error {
		if g.first.wait(ctx) {
			g.announce(time.Since(begin))
			g.systemd.ready(g.status())
		}
		g.systemd.watchdog(ctx, g.status, g.sampler.Beats, g.server.Beats, g.motors.Beats)
		return nil
	})

	<-ctx.Done()
	g.systemd.stopping()
	err := tasks.Wait()
	kept := make(chan error, 1)
	go func() { kept <- errors.Join(disk.Wait(), g.closeState()) }()
	farewell, cancel := context.WithTimeout(context.Background(), farewellTime)
	defer cancel()
	if shutErr := g.server.Shutdown(farewell); shutErr != nil && !errors.Is(shutErr, context.DeadlineExceeded) {
		err = errors.Join(err, shutErr)
	}
	err = errors.Join(err, sockets.Wait())
	select {
	case keepErr := <-kept:
		if keepErr != nil {
			g.log.Warn("not all was kept: sequence numbers may be skipped", "err", keepErr)
		}
	case <-time.After(diskTime):
		g.log.Warn("the disk hangs: the newest readings may be lost", "state", g.cfg.State)
	}
	g.log.Info("stopped", "clients", g.server.Clients())
	return err
}

// closeState writes down what must survive, after the last tick.
func (g *running) closeState() error {
	g.latch.Close()
	return errors.Join(g.history.Close(), g.state.Close())
}

// watchCertificates loads them anew when the files change, and on SIGHUP, which
// without TLS means nothing.
func (g *running) watchCertificates(ctx context.Context) {
	hangup := make(chan os.Signal, 1) // more while one is handled mean the same
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	if g.certificates == nil {
		<-ctx.Done()
		return
	}
	var watch errgroup.Group
	watch.Go(func() error { g.certificates.Watch(ctx); return nil })
	defer func() { _ = watch.Wait() }() // returns no error
	for {
		select {
		case <-hangup:
			if err := g.certificates.Reload(); err != nil {
				g.log.Error("certificate not reloaded: the old one stays", "err", err)
			} else {
				g.log.Info("certificate reloaded")
			}
		case <-ctx.Done():
			return
		}
	}
}

func (g *running) status() string {
	return fmt.Sprintf("%s, %d clients", g.server.Quality(), g.server.Clients())
}

func closeAll(listeners []net.Listener) {
	for _, l := range listeners {
		_ = l.Close() // most often closed by the server already
	}
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
