package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"sensorgateway/cmd/gateway/internal/announce"
	"sensorgateway/cmd/gateway/internal/auditor"
	"sensorgateway/cmd/gateway/internal/chips"
	"sensorgateway/cmd/gateway/internal/config"
	"sensorgateway/cmd/gateway/internal/logging"
	"sensorgateway/cmd/gateway/internal/machine"
	"sensorgateway/cmd/gateway/internal/member"
	"sensorgateway/cmd/gateway/internal/metrics"
	"sensorgateway/cmd/gateway/internal/notify"
	"sensorgateway/cmd/gateway/internal/supervise"
	"sensorgateway/cmd/gateway/internal/trouble"
	"sensorgateway/gateway"
	"sensorgateway/gateway/access"
	"sensorgateway/gateway/access/tokens"
	"sensorgateway/gateway/alarm"
	"sensorgateway/gateway/api"
	"sensorgateway/gateway/audit"
	"sensorgateway/gateway/certificates"
	"sensorgateway/gateway/chat"
	"sensorgateway/gateway/dashboard"
	"sensorgateway/gateway/homeassistant"
	"sensorgateway/gateway/host"
	"sensorgateway/gateway/motor"
	"sensorgateway/gateway/uplink"
	"sensorgateway/sensors"
	"sensorgateway/sensors/timer"
	"sensorgateway/sensors/trace"
	"sensorgateway/wire"
)

// farewellTime is how long clients have to leave when the gateway stops; the whole
// stop takes less than the 5 s that are promised.
const farewellTime = 3 * time.Second

// running is the gateway: its parts, in the order in which they are built.
type running struct {
	cfg      *config.Config
	log      *slog.Logger
	lines    *logging.Queue      // of log
	simulate *machine.Simulation // nil: real chips and pins
	player   *trace.Player       // nil: chips are not replayed
	systemd  supervise.Systemd
	root     string               // where /sys is
	memory   string               // directory of files in memory, see [state.Options]
	announce func(announce.Start) // that it is ready

	seconds      *timer.Seconds // the common tick of all parts that work once a second
	notify       notify.Notifier
	motors       *motor.Controller
	certificates *certificates.Set // nil without TLS
	buses        machine.Buses
	tree         fs.FS // where the kernel shows the sensors that it reads
	sockets      []net.Listener
	clock        *sensors.Clock
	trouble      trouble.Storage
	storage      *storage
	sensors      []wire.SensorInfo // by their numbers
	first        *announce.Firsts
	auditor      *auditor.Auditor
	sampler      *sensors.Sampler
	alarms       *alarm.Alarms
	pulse        supervise.Pulse
	refusals     *access.Refusals
	tokens       *tokens.Store
	access       *access.Guard
	// demonstration lets whoever connects do everything: --insecure with --simulate.
	demonstration bool
	server        *gateway.Server
	metrics       *metrics.Collector

	homeAssistant *homeassistant.Bridge // nil: there is none
	uplink        *uplink.Uplink        // nil: likewise
}

// build makes the parts, from the inside out: the motors' outputs are off before
// anything else, and what can fail comes before the storage, so that a start that
// fails uses no numbers. Nothing runs yet.
func (g *running) build(ctx context.Context) (err error) {
	g.seconds = timer.NewSeconds(timer.Kernel)
	g.buildMotors()
	if err := g.buildCertificates(); err != nil {
		return err
	}
	if g.buses, err = machine.OpenBuses(g.cfg, g.simulate, g.log); err != nil {
		return err
	}
	if g.tree, err = machine.Tree(g.cfg, g.simulate, g.root); err != nil {
		return err
	}
	if g.sockets, err = machine.ListenAhead(g.cfg.Listen, g.log); err != nil {
		return err
	}
	g.clock = g.newClock()
	g.motors.SetClockSynced(g.clock.Synced)
	g.trouble.Notify = g.notify.Event
	g.motors.DoubtEStop()
	g.storage, err = openStorage(ctx, storageOptions{
		cfg: g.cfg, memory: g.memory, changed: g.trouble.Readings, latchChanged: g.trouble.Latch, latchRead: g.motors.RestoreEStop,
		damaged: g.trouble.Damaged, evicted: g.trouble.Evicted, newEpoch: g.epochChanged, seconds: g.seconds.C, guard: g.guard, log: g.log,
	})
	if err != nil {
		return err
	}
	g.motors.SetLatch(g.storage.latch)
	g.sensors = g.sensorInfos()
	g.first = announce.NewFirsts(len(g.sensors))
	g.auditor = g.newAuditor()
	g.sampler = g.newSampler(ctx)
	g.alarms = g.newAlarms()
	g.buildAccess()
	if g.uplink, err = g.newUplink(); err != nil {
		return err
	}
	g.server = gateway.New(g.serverOptions())
	g.metrics = g.newMetrics()
	g.homeAssistant = g.newHomeAssistant()
	g.notify.Listen(g.listeners()...)
	return nil
}

// close releases what build has made, the motors first. What has run has ended.
func (g *running) close() {
	g.motors.Off()
	for _, l := range g.sockets {
		_ = l.Close() // most often the server has closed it
	}
	g.buses.Close()
}

// tasks are what runs, in the order in which it starts. It stops from the outside
// in: the motors are off at once and the sampler finishes its ticks; then the
// clients are sent away, and the newest readings and numbers are written to the disk.
func (g *running) tasks() []task {
	tasks := []task{{name: "seconds", run: g.seconds.Run, last: true},
		{name: "motors", run: g.motors.Run, ready: g.motors.Ready()}, // off, before anybody can connect
		{name: "alarms", run: g.alarms.Run, ready: g.alarms.Ready()}} // the alarms of before the restart are known
	for _, l := range g.sockets {
		tasks = append(tasks, task{name: "clients of " + l.Addr().String(), last: true,
			run: func(context.Context) error { return g.server.Serve(l) }}) // until the shutdown
	}
	return append(tasks,
		task{name: "shutdown of the server", run: g.shutdownServer, last: true},
		task{name: "storage", run: g.storage.run, last: true},
		task{name: "audit log", run: g.auditor.Run, last: true},
		task{name: "sampler", run: g.sampler.Run},
		task{name: "events of the storage", run: func(ctx context.Context) error { return g.trouble.Resend(ctx, g.seconds.C(), g.server.Event) }},
		task{name: "metrics", run: g.metrics.Run},
		task{name: "home assistant", run: g.homeAssistant.Run},
		task{name: "uplink", run: g.uplink.Run},
		task{name: "pulse", run: func(ctx context.Context) error { return g.pulse.Watch(ctx, g.seconds.C(), g.beats()) }},
		task{name: "certificates", run: g.watchCertificates},
		task{name: "memory", run: func(ctx context.Context) error { return machine.FreeMemory(ctx, g.server.Clients) }},
		task{name: "certificate of the fleet", run: func(ctx context.Context) error { return member.Renew(ctx, g.cfg.State, g.log) }},
		task{name: "tokens", run: g.followTokens, last: true},
		task{name: "systemd", run: g.supervise},
	)
}

// beats are counters that grow at least once a second while their parts work.
func (g *running) beats() map[string]func() int64 {
	return map[string]func() int64{
		"the scheduler of ticks": g.sampler.Beats, "the broadcast": g.server.Beats, "the motors' control": g.motors.Beats,
	}
}

// supervise says that the gateway is ready, to people and to systemd, and then
// feeds systemd's watchdog.
func (g *running) supervise(ctx context.Context) error {
	if g.first.Wait(ctx) {
		g.announce(g.start())
		g.systemd.Ready(g.status())
	}
	g.systemd.Watchdog(ctx, g.status, g.beats())
	g.systemd.Stopping()
	return nil
}

func (g *running) status() string {
	return fmt.Sprintf("%s, %d clients", g.server.Quality(), g.server.Clients())
}

// start returns what the announcement says.
func (g *running) start() announce.Start {
	_, port, _ := net.SplitHostPort(g.sockets[0].Addr().String()) // the address of a socket is host:port
	return announce.Start{
		Name: g.name(), Version: version, Config: g.cfg, Simulated: g.simulate != nil, Port: port,
		Sensors: g.sensors, Firsts: g.first, Err: g.sampler.Err, Motors: g.motors.States(),
		Tokens: g.tokens.Made(), Closed: g.access.Closed(), Open: g.demonstration,
	}
}

// shutdownServer closes the clients and the sockets when ctx ends.
func (g *running) shutdownServer(ctx context.Context) error {
	<-ctx.Done()
	farewell, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewellTime)
	defer cancel()
	if err := g.server.Shutdown(farewell); !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil // the connections of clients that have not left in time are cut
}

// epochChanged is called when sequence numbers could not be continued.
func (g *running) epochChanged(epoch string, next []uint32) {
	g.storage.history.Begin(epoch, next)
	g.auditor.SetEpoch(epoch, next)
	g.server.SetEpoch(epoch)
}

// newSampler returns the sampler that reads the configured chips, until ctx ends.
func (g *running) newSampler(ctx context.Context) *sensors.Sampler {
	first := g.storage.state.First()
	var configs []sensors.Config
	for i, c := range g.cfg.Sensors {
		chip, _ := sensors.Lookup(c.Chip, c.Device) // it is checked
		if c.Further != "" {
			own := &configs[len(configs)-1]
			own.Also = append(own.Also, sensors.Further{ID: uint16(i), Name: c.Name, Value: chip.Further(c.Further), FirstSeq: first[i]})
			continue
		}
		if g.simulate == nil && c.Class == "" {
			machine.WarnClaimed(c, g.log)
		}
		chip = chip.Of(ctx, g.tree, c.ID, c.Interval)
		on := g.buses.Of(c)
		if g.player != nil {
			chip, on = g.player.Chip(len(configs), chip), g.player.Bus(len(configs))
		}
		configs = append(configs, sensors.Config{
			ID: uint16(i), Name: c.Name, Chip: chip, Bus: on, Address: c.Address,
			Interval: c.Interval, StuckAfter: c.StuckAfter, Median: c.Median, FirstSeq: first[i],
		})
	}
	var flags wire.Flags
	if g.simulate != nil {
		flags = wire.Simulated
	}
	return sensors.NewSampler(sensors.Options{
		Sensors: configs, Clock: g.clock, Flags: flags, Publish: g.notify.Tick, Event: g.notify.Event, Guard: g.guard, Log: g.log,
	})
}

// sensorInfos are the configured sensors as clients see them, by their numbers.
func (g *running) sensorInfos() []wire.SensorInfo {
	infos := chips.Infos(g.cfg)
	for i, first := range g.storage.state.First() {
		infos[i].NextSeq = first
	}
	return infos
}

// name is the gateway's, for people.
func (g *running) name() string { return cmp.Or(g.cfg.Name, machine.Name()) }

// serverOptions is what the server is made of.
func (g *running) serverOptions() gateway.Options {
	room := chat.NewRoom(g.log)
	o := gateway.Options{
		Name: g.name(), Version: version, Epoch: g.storage.state.Epoch(), Simulated: g.simulate != nil, Sensors: g.sensors,
		Primary:     slices.IndexFunc(g.sensors, func(s wire.SensorInfo) bool { return s.Primary }),
		ClockSynced: g.clock.Synced, Alive: g.pulse.Check, Page: g.page(), Seconds: g.seconds.C, Log: g.log,
		History: g.storage.history,
		Access:  g.access, Pages: g.administrators().Pages(g.pages()),
		Proxy: g.access.Policy.IsProxy, Limits: g.cfg.Limits,
		Refused:  g.refused,
		Handlers: g.handlers(), Motors: g.motors, Diagnostics: g.cfg.Diagnostics || g.simulate != nil,
		Endpoints: map[string]func(gateway.Sender, *http.Request, *access.Identity) gateway.Receiver{
			"/chat": func(c gateway.Sender, r *http.Request, id *access.Identity) gateway.Receiver {
				query := r.URL.Query()
				return room.Enter(c, chat.Options{History: query.Get("history"), Signed: query.Get("from") == "1", From: id.Source(), Silence: id.Silence(),
					Language: strings.Join(r.Header.Values("Accept-Language"), ",")})
			},
		},
		Metrics:    func(id *access.Identity) any { return g.metrics.Payload(id.Sensors.Has) },
		Exposition: func(w io.Writer, id *access.Identity) { g.metrics.Expose(w, id.Sensors.Has, id.Motors.Has) },
		Crashed:    g.crashed, Warnings: g.warnings, Uplink: g.uplink.State,
	}
	if g.certificates != nil {
		o.TLS, o.HSTS = g.certificates.Config(), g.cfg.TLS.HSTS
	}
	return o
}

// page handles the requests that are neither a WebSocket connection nor a reading.
func (g *running) page() http.Handler {
	mux := http.NewServeMux()
	mux.Handle(auditor.Path, g.access.Administrators(&auditor.Records{State: g.cfg.State, Log: g.log}))
	mux.Handle("/api/v1/alarms", api.JSON(g.listAlarms))
	g.administrators().Mount(mux)
	mux.Handle("/", g.access.Embedded(dashboard.Handler(g.cfg.Origins)))
	return mux
}

// pages returns the handlers that answer everybody, without a check of who asks.
func (g *running) pages() map[string]http.Handler {
	pages := g.access.Pages()
	for path, file := range dashboard.Client() {
		pages[path] = g.access.Ours(file)
	}
	return pages
}

func (g *running) newAuditor() *auditor.Auditor {
	var log *audit.Log
	if g.cfg.State != "" {
		dir, key, anchor := auditor.Files(g.cfg.State)
		log = audit.New(audit.Options{Dir: dir, Key: key, Anchor: anchor, Log: g.log, Synced: g.clock.Synced, Seconds: g.seconds.C, Guard: g.guard})
	}
	return auditor.New(log, version, g.storage.state.Epoch(), g.sensors)
}

// newMetrics returns what /metrics shows.
func (g *running) newMetrics() *metrics.Collector {
	source := metrics.Source{
		Name: g.name(), Version: version, LogLost: g.lines.Lost, Sensors: g.sensors, Host: host.NewReader(host.Root("/"), g.cfg.State).Read, Seconds: g.seconds.C,
		Lateness: g.sampler.Lateness(), Missed: g.sampler.Missed, Repeats: g.buses.Repeats, Recoveries: g.buses.Recoveries, Resets: g.sampler.Resets,
		Clients: g.server.Clients, Frames: g.server.Frames, Refused: g.refusals.Counts, Limits: g.limits, Accounts: g.server.Accounts,
		Synced: g.clock.Synced, Steps: g.clock.Steps, Durable: g.storage.history.readingsDurable, DurableAge: g.storage.history.DurableAge, EStopStored: g.storage.latch.Stored, Stored: g.storage.history.Size,
		Lost: func() int { _, n := g.storage.history.Lost(); return n },
		Late: g.storage.history.Late, Alarms: g.alarms, Uplink: g.uplink.Stats,
	}
	if g.auditor.Log != nil {
		source.Audit = g.auditor.Log
	}
	m := metrics.New(source)
	for _, s := range g.motors.States() {
		m.MotorChanged(s)
	}
	return m
}
