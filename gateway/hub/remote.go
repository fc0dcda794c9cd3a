package hub

import (
	"reflect"
	"slices"
	"sync"
	"time"

	"sensorgateway/gateway/fleet"
	"sensorgateway/gateway/history/codec"
	"sensorgateway/gateway/hub/twin"
	"sensorgateway/wire"
)

// Remote is a gateway as its hub knows it: while nobody watches, a hello and some numbers.
type Remote struct {
	registry *Registry
	name     string

	mu         sync.Mutex // guards what follows; never held while listeners are notified
	site       string
	hello      *fleet.Hello // nil: none has come. It is replaced, not changed
	received   time.Time    // of hello
	twins      twin.Finder
	presence   Presence
	connection uint64 // that presence is about
	motors     []wire.MotorState
	alarms     []wire.Alarm      // all, in the gateway's order
	recent     []wire.Alarm      // that were cleared, the newest last
	newest     map[string]newest // by sensor
	stored     int64
	bytes      int64
	heard      bool   // something has come since silent gateways were last looked for
	month      string // of bytes, 2006-01
	head       *fleet.AuditHead
	device     string // that head and audit are of; "": it is not known
	audit      string
	changed    uint64
	listeners  []*Listener // replaced, not changed

	ordering   chan struct{}       // size 1: full while an order is sent
	clients    map[string]struct{} // that have commanded it and are connected
	commanded  time.Time           // when one of these has commanded last
	clientsNow bool                // the list of clients is to be sent at once
	clientsDue time.Time           // when it is to be sent again
	watched    bool                // it was asked for ticks
	watchDue   time.Time           // when it is to be asked again
	unwatched  time.Time           // since when nobody listens to records
	sending    bool                // what was due is being sent
	failed     time.Time           // when that could not be sent

	ends      map[string]end   // of what is stored, by sensor
	unchecked bool             // it is to be found out whether readings are missing
	unread    bool             // a warning said that readings of it cannot be read
	unsure    bool             // likewise, that it cannot be found out whether some are missing
	asked     map[Gap]struct{} // gaps that were asked for

	keysConnection uint64                       // the connection that keysTried is about
	keysTried      map[fleet.KeyChange]struct{} // changes that were answered
	keysSending    bool
	keysWarned     uint64 // the connection for which a warning said that this hub's key is not known

	dirty bool   // its file is to be written soon
	saved uint64 // the value of changed when the file was written
}

// newest is the newest record of a sensor.
type newest struct {
	epoch      string
	record     wire.Record // of values
	quantities []wire.Quantity
}

func newRemote(g *Registry, at fleet.Gateway) *Remote {
	return &Remote{
		registry: g, name: at.Name, site: at.Site, presence: Presence{State: Never},
		newest: map[string]newest{}, ends: map[string]end{}, ordering: make(chan struct{}, 1), unchecked: true,
		clients: map[string]struct{}{}, asked: map[Gap]struct{}{}, keysTried: map[fleet.KeyChange]struct{}{},
	}
}

// gateway returns its address.
func (r *Remote) gateway() fleet.Gateway {
	r.mu.Lock()
	defer r.mu.Unlock()
	return fleet.Gateway{Site: r.site, Name: r.name}
}

// touch notes a change. r.mu is held.
func (r *Remote) touch() { r.changed = r.registry.changes.Add(1) }

// version returns the version of the gateway's last change.
func (r *Remote) version() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return max(r.changed, uint64(r.registry.started))
}

// Overview returns what a list of gateways shows of this one.
func (r *Remote) Overview() Overview {
	month := monthOf(r.registry.o.Now())
	r.mu.Lock()
	defer r.mu.Unlock()
	o := Overview{
		Site: r.site, Name: r.name, Presence: r.presence, Alarms: raised(r.alarms), Stored: r.stored, Audit: r.audit,
		Changed: max(r.changed, uint64(r.registry.started)),
	}
	if at, lately := r.twins.Found(r.registry.o.Now()); lately {
		o.Twin = twinText + ", seen on " + at.UTC().Format(time.RFC3339)
	}
	if r.month == month {
		o.Bytes = r.bytes
	}
	if r.hello == nil {
		return o
	}
	o.Title, o.Version, o.Behind = r.hello.Name, r.hello.Version, r.hello.Behind(r.received)
	if r.hello.Uplink != nil {
		o.Uplink = r.hello.Uplink.State
	}
	for _, s := range r.hello.Sensors {
		if n, some := r.newest[s.Name]; some {
			o.Readings = append(o.Readings, Newest{s.Name, n.epoch, n.quantities, n.record})
		}
	}
	return o
}

// Hello returns the newest hello, without its alarms. It is not to be changed.
func (r *Remote) Hello() (fleet.Hello, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.hello == nil {
		return fleet.Hello{}, false
	}
	return *r.hello, true
}

// Motors returns the states of the motors, in the order of hello.
func (r *Remote) Motors() []wire.MotorState {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.motors)
}

// monthOf returns the month in which bytes are counted.
func monthOf(t time.Time) string { return t.UTC().Format("2006-01") }

// count counts the bytes of a message of the gateway.
func (r *Remote) count(bytes int) {
	month := monthOf(r.registry.o.Now())
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.month != month {
		r.month, r.bytes = month, 0
	}
	r.bytes, r.heard = r.bytes+int64(bytes), true
}

// here notes the gateway's presence. An offline of a connection that is not the newest is the
// will of an old one: the gateway is back already.
func (r *Remote) here(p fleet.Presence) {
	now := r.registry.o.Now().UnixMilli()
	r.mu.Lock()
	var next Presence
	switch {
	case p.Online && (r.presence.State != Here || r.connection != p.Connection):
		next = Presence{Here, now}
	case !p.Online && (r.presence.State == Here && r.connection == p.Connection || r.presence.State == Never):
		next = Presence{Away, now}
	default:
		r.mu.Unlock()
		return
	}
	changed := next != r.presence
	r.presence, r.connection = next, p.Connection
	if p.Online {
		r.again()
	}
	r.dirty = true
	r.touch()
	r.mu.Unlock()
	if p.Online {
		r.registry.attendTo(r)
	}
	if changed {
		r.notify(func(l *Listener) { tell(l.Presence, next) })
	}
}

// news handles a message of news. again: the broker may have sent it before.
func (r *Remote) news(n fleet.Notice, again bool) {
	r.ofDevice(r.registry.o.Device(r.name))
	switch {
	case n.Hello != nil:
		if !again {
			r.sawStart(n.Hello.Nonce)
		}
		r.setHello(n.Hello)
	case n.State != nil:
		r.setMotor(*n.State)
	case n.Event != nil:
		r.event(*n.Event)
	case n.Audit != nil:
		r.auditHead(*n.Audit, again)
	}
}

func (r *Remote) setHello(h *fleet.Hello) {
	now := r.registry.o.Now()
	r.mu.Lock()
	r.hello, r.received = h, now
	before := r.motors
	r.motors = slices.Clone(h.Motors)
	r.takeAlarms(h)
	for name := range r.newest { // a sensor that is no longer configured
		if !slices.ContainsFunc(h.Sensors, func(s wire.SensorInfo) bool { return s.Name == name }) {
			delete(r.newest, name)
		}
	}
	motors := r.motors
	r.dirty = true
	r.touch()
	r.mu.Unlock()
	r.here(fleet.Presence{Online: true, Connection: h.Connection})
	r.sinceConnected(h)
	r.checkHub()
	r.registry.compareKeys(r)
	r.notify(func(l *Listener) {
		tell(l.Hello, *h)
		for _, m := range motors {
			if !slices.ContainsFunc(before, func(b wire.MotorState) bool { return reflect.DeepEqual(b, m) }) {
				tell(l.MotorChanged, m)
			}
		}
	})
}

// sinceConnected takes the time since when the gateway is here from its first hello: its online
// may have waited at the broker while the hub was away.
func (r *Remote) sinceConnected(h *fleet.Hello) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.presence.State == Here && r.connection == h.Connection && h.ClockSynced && h.Time < r.presence.Since {
		r.presence.Since = h.Time
	}
}

func (r *Remote) setMotor(m wire.MotorState) {
	r.mu.Lock()
	i := slices.IndexFunc(r.motors, func(x wire.MotorState) bool { return x.Target == m.Target })
	if i >= 0 { // else the hello that lists it has not come yet
		r.motors = slices.Clone(r.motors)
		r.motors[i] = m
		r.touch()
	}
	r.mu.Unlock()
	r.notify(func(l *Listener) { tell(l.MotorChanged, m) })
}

func (r *Remote) event(e wire.Event) {
	if e.Kind == wire.EventAlarm && e.Alarm != "" {
		r.mu.Lock()
		r.setAlarm(e)
		r.touch()
		r.mu.Unlock()
	}
	r.notify(func(l *Listener) { tell(l.Event, e) })
}

// live takes the records of a tick.
func (r *Remote) live(records []wire.Record) {
	r.mu.Lock()
	if r.hello == nil || r.presence.State != Here {
		r.mu.Unlock()
		return // it is not known whose they are until hello comes
	}
	sensors := r.hello.Sensors
	records = slices.DeleteFunc(records, func(x wire.Record) bool {
		i := slices.IndexFunc(sensors, func(s wire.SensorInfo) bool { return s.ID == x.Sensor })
		if i >= 0 {
			r.note(sensors[i].Name, newest{r.hello.Epoch, x, sensors[i].Quantities()})
		}
		return i < 0
	})
	r.touch()
	r.mu.Unlock()
	r.notify(func(l *Listener) {
		if l.Records != nil && len(records) > 0 {
			l.Records(sensors, records)
		}
	})
}

// note notes a record unless a newer one is known: by number within an epoch, by time between
// earlier epochs; the present epoch is newer than those. r.mu is held.
func (r *Remote) note(sensor string, n newest) {
	present := ""
	if r.hello != nil {
		present = r.hello.Epoch
	}
	old, some := r.newest[sensor]
	switch {
	case !some:
	case old.epoch == n.epoch && !wire.Before(old.record.Seq, n.record.Seq):
		return
	case old.epoch != n.epoch && (old.epoch == present || n.epoch != present && n.record.UnixMilli < old.record.UnixMilli):
		return
	}
	r.newest[sensor] = n
}

// durable handles blocks that are stored now. asked: they are an answer, so they did not come
// in order, and earlier ones may still come.
func (r *Remote) durable(u fleet.Blocks, asked bool) {
	now := r.registry.o.Now().UnixMilli()
	var unpack codec.Unpacker
	block, _, err := codec.ParseBlock(u.Blocks[len(u.Blocks)-1])
	var records []wire.Record
	if err == nil {
		records, err = unpack.Records(nil, block, 0)
	}
	r.mu.Lock()
	r.stored = max(r.stored, min(block.Summary.To, now)) // a gateway's clock may have been wrong
	if _, some := r.newest[u.Sensor]; err == nil && len(records) > 0 && (some || len(r.newest) < listed) {
		last := records[len(records)-1]
		quantities := correct(&last, u.Values)
		r.note(u.Sensor, newest{u.Epoch, last, quantities})
	}
	check := !asked && r.follow(u)
	r.touch()
	r.mu.Unlock()
	if check {
		r.registry.check(r)
	}
	r.notify(func(l *Listener) { tell(l.Stored, u) })
}

// saidBefore returns whether a warning, one of r's fields, was said before, and notes that it is.
func (r *Remote) saidBefore(warning *bool) (said bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	said, *warning = *warning, true
	return said
}

// correct applies the calibration to a measured record, and returns its quantities.
func correct(x *wire.Record, all []fleet.Values) []wire.Quantity {
	var sensor wire.SensorInfo
	for _, v := range all {
		if !wire.Before(x.Seq, v.From) {
			sensor = v.Sensor
		}
	}
	corrections := sensor.Calibrations()
	corrections.Apply(x)
	return sensor.Quantities()
}
