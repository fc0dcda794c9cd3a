// Package alarm raises alarms and clears them: those that are configured, by
// conditions on readings over time, and built-in ones, by what the gateway knows of
// itself. Somebody acknowledges them. What changes is an event, is stored over a
// restart, and is posted to a webhook.
//
// It refuses to know who listens to its events, whose connection an acknowledgement
// comes from, and what makes a sensor, a motor or the storage fail: it is given
// functions that say so.
//
// # What a reading does
//
// [Alarms.Tick] evaluates the conditions on each record's values. A value that was not
// measured neither raises nor clears an alarm: until the next one it is not known
// whether the condition holds, and that time does not count towards how long it must
// hold. Conditions on ages, and built-in alarms, are evaluated by the goroutine of
// [Alarms.Run]. All times are the monotonic clock's.
package alarm

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"sensorgateway/wire"
)

const (
	// maxOutbox is how many changes can wait for their notification, for 20 ms at most. If
	// there are more, the oldest are dropped, because newer ones replace them.
	maxOutbox = 1000
)

// Options are what alarms are made of.
type Options struct {
	Rules   []Rule
	Sensors []wire.SensorInfo // by their numbers; each has the built-in alarm that it is lost
	Checks  []Check           // further built-in alarms
	Notify  func(wire.Event)

	// File has what survives a restart; "" is none. It is not touched before Claimed is
	// closed, which says that no other gateway uses its directory.
	File    string
	Claimed <-chan struct{}
	Webhook *Webhook // nil: there is none
	// Synced returns whether the system clock is synchronised: while it is not, an expires of a
	// command may be wrong; nil: it always is.
	Synced func() bool

	Seconds func() <-chan time.Time // returns what has a value once a second; nil: the runtime's ticker
	Log     *slog.Logger
	// Guard wraps what a goroutine runs, to make a panic safe; nil: nothing is done.
	Guard func(run func(context.Context) error) func(context.Context) error
}

// Alarms is all alarms of a gateway. It listens to its ticks and events.
type Alarms struct {
	opts     Options
	all      []*alarm
	byName   map[string]*alarm
	bySensor [][]*rule // whose values are evaluated with each record
	onAge    []*rule
	checks   []*check
	began    time.Time

	wake  chan struct{} // a check may have another result; size 1: one stands for all
	dirty chan struct{} // there is something to store; size 1 likewise
	ready chan struct{} // closed when what was stored is known
	posts chan struct{} // there is something to post; size 1 likewise

	urgent atomic.Bool // what there is to store is stored at once
	loaded atomic.Bool // the file is read, and written from now on
	ended  atomic.Bool // nothing is stored any more

	// order is held while alarms change and until the changes are in the outbox, so that events
	// come in their order.
	order   sync.Mutex
	changes []wire.Alarm // of the evaluation that runs

	mu      sync.Mutex // all below and the states of all alarms; never held over a call
	sensors []sensor
	recent  []wire.Alarm // cleared, the newest last
	queue   []delivery   // to be posted, the oldest first
	counts  Deliveries
	writes  uint64        // of the file
	outbox  []wire.Alarm  // changes of which nobody was notified yet
	waits   chan struct{} // closed when what has changed is stored; nil: nothing has
	stored  chan struct{} // closed when the last change is stored; nil: there was none
}

// alarm is one alarm and how it is. [Alarms].mu guards what changes.
type alarm struct {
	wire.Alarm
	hold    time.Duration // it is raised after its condition has held for so long
	settle  time.Duration // and cleared after what clears it has held for so long
	since   time.Time     // since when the condition that would raise or clear it holds; zero: it does not
	unknown time.Time     // since when it is not known whether that condition holds; zero: it is known
	command command       // that acknowledged it
}

// rule is a configured alarm.
type rule struct {
	*alarm
	Condition
}

// sensor is what is known of a sensor.
type sensor struct {
	good  time.Time // when the last good reading came
	lost  string    // why it is lost; "" if it is not
	fails bool      // the last reading failed
}

// New returns alarms that are all cleared. [Alarms.Run] reads what was stored.
func New(o Options) *Alarms {
	if o.Guard == nil {
		o.Guard = func(run func(context.Context) error) func(context.Context) error { return run }
	}
	if o.Seconds == nil {
		o.Seconds = func() <-chan time.Time { return time.Tick(time.Second) }
	}
	a := &Alarms{
		opts: o, byName: map[string]*alarm{}, bySensor: make([][]*rule, len(o.Sensors)), sensors: make([]sensor, len(o.Sensors)),
		began: time.Now(), wake: make(chan struct{}, 1), dirty: make(chan struct{}, 1), ready: make(chan struct{}), posts: make(chan struct{}, 1),
	}
	for _, r := range o.Rules {
		at := r.When.Sensor
		c := &rule{a.add(wire.Alarm{Name: r.Name, Severity: r.Severity, Condition: r.String(), Sensor: o.Sensors[at].Name}, r.For, 0), r.Condition}
		if r.When.OnAge {
			a.onAge = append(a.onAge, c)
		} else {
			a.bySensor[at] = append(a.bySensor[at], c)
		}
	}
	for i, s := range o.Sensors {
		one := a.add(wire.Alarm{Name: SensorLost + ":" + s.Name, Severity: wire.SeverityWarning, Sensor: s.Name}, 0, Settle)
		a.checks = append(a.checks, &check{one, func() error { return a.sensors[i].failure() }})
	}
	for _, c := range o.Checks {
		one := a.add(wire.Alarm{Name: c.Name, Severity: c.Severity, Motor: c.Motor}, c.For, c.Settle)
		a.checks = append(a.checks, &check{one, c.Failure})
	}
	a.changes = make([]wire.Alarm, 0, len(a.all))
	return a
}

func (a *Alarms) add(w wire.Alarm, hold, settle time.Duration) *alarm {
	w.State = wire.AlarmCleared
	one := &alarm{Alarm: w, hold: hold, settle: settle}
	a.all = append(a.all, one)
	a.byName[w.Name] = one
	return one
}

// Tick evaluates the conditions on values with the records of a tick. It allocates
// nothing while no alarm changes.
func (a *Alarms) Tick(records []wire.Record, _ int64) {
	a.order.Lock()
	defer a.order.Unlock()
	now := time.Now()
	a.mu.Lock()
	for i := range records {
		r := &records[i]
		if int(r.Sensor) >= len(a.sensors) {
			continue
		}
		s := &a.sensors[r.Sensor]
		if s.fails = r.Fault != wire.Good; !s.fails {
			s.good, s.lost = now, ""
		}
		for _, c := range a.bySensor[r.Sensor] {
			c.evaluate(a, r, now)
		}
	}
	a.mu.Unlock()
	a.publish()
}

// evaluate evaluates the condition with a record of its sensor. a.mu is held.
func (c *rule) evaluate(a *Alarms, r *wire.Record, now time.Time) {
	v := r.Values[c.When.Value]
	if r.Fault != wire.Good || v != v {
		c.doubt(now)
		return
	}
	holds := c.When.Meets(v)
	clears := !holds
	if c.Until.Text != "" {
		clears = c.Until.Meets(v)
	}
	if c.decide(holds, clears, now) {
		value := v
		a.change(c.alarm, &value, "", wire.Seconds(r.UnixMilli))
	}
}

// evaluateAge evaluates a condition on an age. If a sensor has not measured since the start,
// its age is the time since then, at least. a.mu is held.
func (c *rule) evaluateAge(a *Alarms, now time.Time) {
	s := a.sensors[c.When.Sensor]
	never := s.good.IsZero()
	if never {
		s.good = a.began
	}
	age := now.Sub(s.good)
	holds := c.When.MeetsAge(age)
	clears := !holds
	if c.Until.Text != "" {
		clears = c.Until.MeetsAge(age)
	}
	if never && !holds {
		c.doubt(now)
		return
	}
	if c.decide(holds, clears, now) {
		value := float32(age.Seconds())
		a.change(c.alarm, &value, "", unix(now))
	}
}

// doubt notes that it is not known whether the condition holds.
func (a *alarm) doubt(now time.Time) {
	if a.unknown.IsZero() {
		a.unknown = now
	}
}

// decide notes whether the conditions that raise and clear the alarm hold, and returns
// whether it is to be raised or cleared now.
func (a *alarm) decide(holds, clears bool, now time.Time) bool {
	if !a.unknown.IsZero() { // that time does not count
		if !a.since.IsZero() {
			a.since = a.since.Add(now.Sub(a.unknown))
		}
		a.unknown = time.Time{}
	}
	changes, after := holds, a.hold
	if a.Raised() {
		changes, after = clears, a.settle
	}
	if !changes {
		a.since = time.Time{}
		return false
	}
	if a.since.IsZero() {
		a.since = now
	}
	return now.Sub(a.since) >= after
}

// change raises an alarm, or clears one that is raised. a.mu and a.order are held.
func (a *Alarms) change(one *alarm, value *float32, reason string, at float64) {
	one.since, one.Value = time.Time{}, value
	if one.Raised() {
		one.State, one.Cleared = wire.AlarmCleared, at
		a.remember(one.Alarm)
	} else {
		one.State, one.Since, one.Reason = wire.AlarmRaised, at, reason
		one.Cleared, one.Acknowledged = 0, nil
	}
	a.changes = append(a.changes, one.Alarm)
	a.waiter()
}

// remember lists an alarm among the recent ones. a.mu is held.
func (a *Alarms) remember(cleared wire.Alarm) {
	a.recent = append(a.recent, cleared)
	a.recent = slices.Delete(a.recent, 0, max(len(a.recent)-wire.RecentAlarms, 0))
}

// publish has the changes stored and posted; release notifies of them. a.order is held.
func (a *Alarms) publish() {
	if len(a.changes) == 0 {
		return
	}
	for _, w := range a.changes {
		a.post(w.Event())
	}
	a.mu.Lock()
	a.outbox = append(a.outbox, a.changes...)
	a.outbox = a.outbox[max(len(a.outbox)-maxOutbox, 0):]
	a.mu.Unlock()
	a.changes = a.changes[:0]
	signal(a.dirty)
	signal(a.wake)
}

// release logs the published changes and notifies of them, once they are stored or the disk
// takes too long: what was shown is to be known after a restart.
func (a *Alarms) release() {
	a.mu.Lock()
	outbox, stored := a.outbox, a.stored
	a.outbox = nil
	a.mu.Unlock()
	if len(outbox) == 0 {
		return
	}
	a.awaitStored(stored)
	for _, w := range outbox {
		e := w.Event()
		level := slog.LevelWarn
		if w.State != wire.AlarmRaised {
			level = slog.LevelInfo
		}
		a.opts.Log.Log(context.Background(), level, "alarm "+w.State, attributes(w, e)...)
		a.opts.Notify(e)
	}
}

func attributes(w wire.Alarm, e wire.Event) []any {
	list := []any{"name", w.Name, "severity", w.Severity}
	if w.Condition != "" {
		list = append(list, "condition", w.Condition)
	}
	if w.Value != nil {
		list = append(list, "value", strconv.FormatFloat(float64(*w.Value), 'f', -1, 32))
	}
	if w.Reason != "" {
		list = append(list, "reason", w.Reason)
	}
	if e.By != "" {
		list = append(list, "by", e.By)
	}
	return list
}

// All calls f with each alarm there is, as it is: the configured ones in the order of
// the configuration, then the built-in ones.
func (a *Alarms) All(f func(wire.Alarm)) {
	all, _ := a.States()
	for _, w := range all {
		f(w)
	}
}

// States returns all alarms as they are, in the order of All, and those that were cleared,
// the newest last. Neither is nil.
func (a *Alarms) States() (all, recent []wire.Alarm) {
	a.mu.Lock()
	defer a.mu.Unlock()
	all = make([]wire.Alarm, len(a.all))
	for i, one := range a.all {
		all[i] = one.Alarm
	}
	return all, append([]wire.Alarm{}, a.recent...)
}

// List is what is answered at /api/v1/alarms.
type List struct {
	Alarms []wire.Alarm `json:"alarms"` // that are raised, the newest first
	Recent []wire.Alarm `json:"recent"` // that were cleared, the newest first

	Conditions []string `json:"conditions"` // of all that are configured
}

// List returns the alarms that are raised and those that were, if may returns true for the
// names of their sensor and motor. A name is "" if the alarm concerns no sensor or no motor.
func (a *Alarms) List(may func(sensor, motor string) bool) List {
	all, recent := a.States()
	return ListOf(all, recent, may)
}

// ListOf is List for alarms that are given as States returns them.
func ListOf(all, recent []wire.Alarm, may func(sensor, motor string) bool) List {
	l := List{Alarms: []wire.Alarm{}, Recent: []wire.Alarm{}, Conditions: []string{}}
	for _, w := range all {
		if w.Condition != "" && may(w.Sensor, w.Motor) {
			l.Conditions = append(l.Conditions, w.Condition)
		}
		if w.Raised() && may(w.Sensor, w.Motor) {
			l.Alarms = append(l.Alarms, w)
		}
	}
	slices.SortStableFunc(l.Alarms, func(v, w wire.Alarm) int { return cmp.Compare(w.Since, v.Since) })
	for _, w := range slices.Backward(recent) {
		if may(w.Sensor, w.Motor) {
			l.Recent = append(l.Recent, w)
		}
	}
	return l
}

func unix(t time.Time) float64 { return wire.Seconds(t.UnixMilli()) }

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
