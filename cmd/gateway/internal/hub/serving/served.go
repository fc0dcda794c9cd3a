package serving

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/bits"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"sensorgateway/cmd/gateway/internal/admin"
	"sensorgateway/gateway"
	"sensorgateway/gateway/access"
	"sensorgateway/gateway/alarm"
	"sensorgateway/gateway/api"
	"sensorgateway/gateway/chat"
	"sensorgateway/gateway/fleet"
	"sensorgateway/gateway/history/collect"
	"sensorgateway/gateway/hub"
	"sensorgateway/gateway/hub/demand"
	"sensorgateway/gateway/limit"
	"sensorgateway/wire"
)

// served is a gateway that somebody looks at.
type served struct {
	g       *Gateways
	name    string
	number  int64 // no other server has it
	remote  *hub.Remote
	hello   fleet.Hello
	sensors []wire.SensorInfo // by their numbers here
	log     *collect.Reader   // nil: it cannot be read
	server  *gateway.Server   // the Gateways' mu guards it until it has begun; then it does not change
	stop    func()            // listening
	feed    feed
	clients clients
	machine machine

	once sync.Once // for begin, which takes a while
	uses int       // requests that are being answered, or that wait for begin; the Gateways' mu guards it
	used time.Time

	unwatch func() // ends the live records; nil: none come; the Gateways' mu guards it
}

// begin makes the server and its parts.
func (s *served) begin() {
	s.clients.s = s
	s.machine.of(s.remote.AskMachine, s.away)
	var names []string
	for i, info := range s.hello.Sensors[:min(len(s.hello.Sensors), gateway.MaxSensors)] {
		info.ID = uint16(i)
		s.sensors, names = append(s.sensors, info), append(names, info.Name)
	}
	log, err := s.g.o.Reader(s.name, s.hello.Epoch, names)
	if err != nil {
		s.g.o.Log.Warn("a gateway is served without what is stored of it", "gateway", s.name, "err", err)
	} else {
		s.log = log
	}
	s.feed.of(s)
	server := gateway.New(s.options())
	s.g.mu.Lock()
	s.server = server
	s.g.mu.Unlock()
	s.stop = s.remote.Listen(hub.Listener{ // before what is there is read: what comes meanwhile is not missed
		Stored: s.feed.stored, MotorChanged: server.State,
		Event:    func(e wire.Event) { server.Event(e) },
		Hello:    func(h fleet.Hello) { s.g.changed(s, h) },
		Presence: s.presence,
	})
	s.feed.begin()
}

// retryLog ends a server that has begun without its log, if that can be read now: the next
// server has it. It is called when blocks have come, which are in the log if it can be used.
func (s *served) retryLog() {
	if s.log != nil {
		return
	}
	if _, err := s.g.o.Reader(s.name, s.hello.Epoch, nil); err != nil {
		return // begin has warned
	}
	s.g.mu.Lock()
	defer s.g.mu.Unlock()
	s.g.end(s)
}

// is returns whether a hello agrees with what clients were told. States are not compared.
func (s *served) is(h fleet.Hello) bool {
	sameSensor := func(a, b wire.SensorInfo) bool {
		return a.Name == b.Name && a.Model == b.Model && a.ID == b.ID && a.IntervalMS == b.IntervalMS && a.Primary == b.Primary && slices.Equal(a.Quantities(), b.Quantities()) &&
			maps.Equal(a.Calibration, b.Calibration) && a.Median == b.Median
	}
	sameMotor := func(a, b wire.MotorState) bool { return a.Target == b.Target }
	return h.Epoch == s.hello.Epoch && h.Version == s.hello.Version && h.Name == s.hello.Name && h.Simulated == s.hello.Simulated && slices.EqualFunc(h.Sensors, s.hello.Sensors, sameSensor) && slices.EqualFunc(h.Motors, s.hello.Motors, sameMotor)
}

func (s *served) options() gateway.Options {
	room := chat.NewRoom(s.g.o.Log)
	administrators := &admin.API{Guard: s.g.o.Guard, Sensors: s.sensors, Motors: s.clients.States, Ended: s.g.o.SessionEnded}
	o := gateway.Options{
		Name: cmp.Or(s.hello.Name, s.name), Version: s.hello.Version, Epoch: s.hello.Epoch, Simulated: s.hello.Simulated, Sensors: s.sensors,
		Primary:     max(slices.IndexFunc(s.sensors, func(i wire.SensorInfo) bool { return i.Primary }), 0),
		ClockSynced: func() bool { h, _ := s.remote.Hello(); return h.ClockSynced },
		Alive:       s.alive, Warnings: s.warnings, Uplink: s.uplink, Remote: true, Hub: s.g.o.Hub, Earlier: s.earlier,
		Page: s.page(administrators), Pages: administrators.Pages(maps.Clone(s.g.o.Pages)), Access: identified{}, Refused: s.g.o.Refused,
		Motors: &s.clients, Handlers: s.clients.handlers(), Limits: limit.Default(), Log: s.g.o.Log.With("gateway", s.name),
		Endpoints: map[string]func(gateway.Sender, *http.Request, *access.Identity) gateway.Receiver{
			"/chat": func(c gateway.Sender, r *http.Request, id *access.Identity) gateway.Receiver {
				query := r.URL.Query()
				return room.Enter(c, chat.Options{History: query.Get("history"), Signed: query.Get("from") == "1", From: id.Source(), Silence: id.Silence(),
					Language: strings.Join(r.Header.Values("Accept-Language"), ",")})
			},
		},
	}
	if s.log != nil {
		o.History, o.Late, o.Lacks, o.LacksSince = s.log, true, s.lacks, s.lacksSince
	}
	if m := s.g.o.Metrics; m.Payload != nil {
		o.Metrics = func(id *access.Identity) any { return m.Payload(s.remote, s.server.Clients(), s.machine.known(), id) }
		o.Exposition = func(w io.Writer, id *access.Identity) { m.Exposition(w, s.remote, s.server.Clients(), id) }
	}
	return o
}

// lacks says which minutes are only summarised; if ask, it has the gateway asked for them.
func (s *served) lacks(sensor uint16, from, to int64, ask bool) string {
	minutes, err := s.log.Summarised(sensor, from, to)
	if err == nil && !ask {
		return demand.Answer{Minutes: len(minutes), Why: "sums have the means of these minutes; their readings are asked for without step"}.String()
	}
	return s.want(minutes, err)
}

func (s *served) lacksSince(sensor uint16, after uint32) string {
	return s.want(s.log.SummarisedSince(sensor, after))
}

func (s *served) want(minutes []collect.Gap, err error) string {
	if err != nil {
		s.g.o.Log.Warn("cannot find out which readings are only summarised", "gateway", s.name, "err", err)
		return ""
	}
	all := make([]hub.Gap, len(minutes))
	for i, m := range minutes {
		all[i] = hub.Gap(m)
	}
	return s.g.o.Want(s.name, all, s.away()).String()
}

// page answers what is neither a client's connection nor a reading.
func (s *served) page(administrators *admin.API) http.Handler {
	mux := http.NewServeMux()
	administrators.Mount(mux)
	mux.Handle("/api/v1/alarms", api.JSON(func(r *http.Request) any {
		all, recent := s.remote.AlarmStates()
		return alarm.ListOf(all, recent, access.Of(r).Sees)
	}))
	mux.Handle("/", s.g.o.Guard.Embedded(s.g.o.Page))
	return mux
}

// awayOf says since when a gateway is not connected, "" if it is.
func awayOf(remote *hub.Remote, name string) string {
	switch p := remote.Overview().Presence; p.State {
	case hub.Here:
		return ""
	case hub.Away:
		return fmt.Sprintf("%s is away since %s: what is shown of it is as it was then", name, time.UnixMilli(p.Since).UTC().Format(time.RFC3339))
	}
	return fmt.Sprintf("%s is not known to be connected", name)
}

func (s *served) away() string { return awayOf(s.remote, s.name) }

func (s *served) alive() error {
	if away := s.away(); away != "" {
		return errors.New(away)
	}
	return nil
}

// warnings are the gateway's own, and that it is away.
func (s *served) warnings() []string {
	h, _ := s.remote.Hello()
	all := slices.Clone(h.Warnings)
	if away := s.away(); away != "" {
		all = append(all, away)
	}
	return all
}

// uplink is how the gateway's way to the hubs was when it said so, nil if it did not.
func (s *served) uplink() *wire.Uplink {
	h, _ := s.remote.Hello()
	if h.Uplink == nil {
		return nil
	}
	u := *h.Uplink
	if away := s.away(); away != "" {
		u.Connected, u.State = false, away
	}
	return &u
}

// presence notifies clients that the gateway has left, or is back.
func (s *served) presence(p hub.Presence) {
	e := wire.Event{Kind: wire.EventUplinkBack, TS: wire.Seconds(p.Since)}
	if p.State != hub.Here {
		e.Kind, e.Reason = wire.EventUplinkLost, s.away()
	}
	s.server.Event(e)
}

// close closes the clients, and ends what the server is made of.
func (s *served) close(ctx context.Context) {
	s.once.Do(s.begin) // or waits until it has
	s.stop()
	if err := s.server.Shutdown(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		s.g.o.Log.Warn("a gateway's clients were not closed in order", "gateway", s.name, "err", err)
	}
	s.feed.end()
	s.machine.end()
}

// earlier returns the newest reading of a sensor in any epoch, if it has the quantities
// that the sensor measures now. When a gateway has just begun another epoch, nothing of
// that is stored for a minute.
func (s *served) earlier(sensor int) (wire.Record, bool) {
	for _, n := range s.remote.Overview().Readings {
		if n.Sensor == s.sensors[sensor].Name && slices.Equal(n.Quantities, s.sensors[sensor].Quantities()) {
			n.Record.Flags |= wire.Historical
			return n.Record, true
		}
	}
	return wire.Record{}, false
}

// feed gives the server the records of the gateway, each number once and in order: live
// ones at once, stored ones unless a later live one came first. Clients get those missing
// between from the log, once they are there (see [gateway.Options.Late]).
type feed struct {
	s     *served
	queue chan []wire.Record // live ticks; what comes faster than it is broadcast is left out: the log will have it
	due   atomic.Uint64      // sensors of which something was stored, as bits
	wake  chan struct{}      // size 1: there are some
	quit  chan struct{}
	done  sync.WaitGroup

	// Used by begin, and then by the goroutine only.
	known  []bool   // by sensor: whether there is a last number
	last   []uint32 // that was published
	newest []int64  // time in the clients' present streams, Unix ms; 0: none
	tick   []wire.Record
}

const feedQueue = 256 // a few seconds of ticks

// of makes it the feed of a server.
func (f *feed) of(s *served) {
	n := len(s.sensors)
	f.s, f.known, f.last, f.newest = s, make([]bool, n), make([]uint32, n), make([]int64, n)
	f.queue, f.wake, f.quit = make(chan []wire.Record, feedQueue), make(chan struct{}, 1), make(chan struct{})
}

// begin publishes the newest record of each sensor, stored or live, and goes on with what
// comes.
func (f *feed) begin() {
	newest := f.s.remote.Overview().Readings
	for i, info := range f.s.sensors {
		f.catchUp(i)
		k := slices.IndexFunc(newest, func(n hub.Newest) bool { return n.Sensor == info.Name && n.Epoch == f.s.hello.Epoch })
		if k >= 0 { // the log may have it later
			newest[k].Record.Sensor = uint16(i)
			f.publish([]wire.Record{newest[k].Record})
		}
	}
	f.s.server.RestartStreams() // there is no client yet: the call waits until all this was broadcast, so that no client gets it as new
	f.done.Go(func() {
		for {
			select {
			case tick := <-f.queue:
				f.publish(tick)
			case <-f.wake:
				f.s.retryLog()
				for due := f.due.Swap(0); due != 0; due &= due - 1 {
					f.catchUp(bits.TrailingZeros64(due))
				}
			case <-f.quit:
				return
			}
		}
	})
}

func (f *feed) end() {
	close(f.quit)
	f.done.Wait()
}

// live takes a tick.
func (f *feed) live(sensors []wire.SensorInfo, records []wire.Record) {
	var tick []wire.Record
	for _, r := range records {
		k := slices.IndexFunc(sensors, func(i wire.SensorInfo) bool { return i.ID == r.Sensor })
		if k >= 0 && k < len(f.s.sensors) && sensors[k].Name == f.s.sensors[k].Name {
			r.Sensor = uint16(k)
			tick = append(tick, r)
		}
	}
	select {
	case f.queue <- tick:
	default: // what comes later shows the gap
	}
}

// stored is called when blocks were stored.
func (f *feed) stored(u fleet.Blocks) {
	i := slices.IndexFunc(f.s.sensors, func(i wire.SensorInfo) bool { return i.Name == u.Sensor })
	if i < 0 || u.Epoch != f.s.hello.Epoch {
		return
	}
	f.due.Or(1 << i)
	select {
	case f.wake <- struct{}{}:
	default: // it wakes already
	}
}

// publish broadcasts the records of a tick whose numbers come after the last published. If one
// has an earlier time than the number before it, the gateway's clock was set back: the clients'
// streams begin anew, as on the gateway, because times never run backwards within a stream.
func (f *feed) publish(records []wire.Record) {
	f.tick = f.tick[:0]
	for _, r := range records {
		if f.known[r.Sensor] && !wire.Before(f.last[r.Sensor], r.Seq) || slices.ContainsFunc(f.tick, func(x wire.Record) bool { return x.Sensor == r.Sensor }) {
			continue
		}
		f.known[r.Sensor], f.last[r.Sensor] = true, r.Seq
		if r.UnixMilli < f.newest[r.Sensor] {
			f.s.server.RestartStreams()
			clear(f.newest)
		}
		f.newest[r.Sensor] = r.UnixMilli
		r.Flags &^= wire.Historical
		f.tick = append(f.tick, r)
	}
	if len(f.tick) > 0 {
		f.s.server.Publish(f.tick)
	}
}

// catchUp broadcasts what is stored beyond the last number, tick by tick; at first the
// newest alone.
func (f *feed) catchUp(sensor int) {
	if f.s.log == nil {
		return
	}
	newest, some := f.s.log.Newest(uint16(sensor))
	if !some || f.known[sensor] && !wire.Before(f.last[sensor], newest) {
		return
	}
	after := newest - 1
	if f.known[sensor] {
		after = f.last[sensor]
	}
	next := f.s.log.Since(uint16(sensor), after)
	batch, err := next()
	for ; err == nil; batch, err = next() {
		for i := range batch {
			f.publish(batch[i : i+1])
		}
	}
	if !errors.Is(err, io.EOF) {
		f.s.g.o.Log.Warn("what a gateway has sent is stored and not shown: it cannot be read", "gateway", f.s.name, "sensor", f.s.sensors[sensor].Name, "err", err)
	}
}
