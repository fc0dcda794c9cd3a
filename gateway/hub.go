package gateway

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"sensorgateway/wire"
)

const (
	// backlog is how many ticks' messages may wait for the hub. Fan-out never
	// blocks, so it fills only when the machine is out of breath for seconds.
	backlog = 64

	pingEvery  = 30 * time.Second
	pongWithin = 10 * time.Second
	tooSlow    = 30 * time.Second // a client that has taken nothing for so long
)

// sensorSet has bit i set for the sensor with index i.
type sensorSet uint64

func (set sensorSet) has(sensor uint16) bool { return set>>sensor&1 == 1 }

// hub is the fan-out: one goroutine that gives each tick to all sessions.
type hub struct {
	s     *Server
	beats atomic.Int64

	full, free chan *[]wire.Record
	quit, done chan struct{}

	mu    sync.Mutex // all below; held for a fan-out, which never blocks
	epoch string
	feeds map[feedKey]*feed
	last  []wire.Record // by sensor
	known sensorSet     // those in last
}

// A feed is a kind of subscription: its members get the same bytes.
type feed struct {
	feedKey
	members []*session
	frame   []byte // the present tick's, encoded once; reused
	text    []byte // of one reading, on its way into frame
}

type feedKey struct {
	protocol string
	sensors  sensorSet
}

func newHub(s *Server) *hub {
	h := &hub{
		s: s, epoch: s.opts.Epoch, feeds: map[feedKey]*feed{}, last: make([]wire.Record, len(s.opts.Sensors)),
		full: make(chan *[]wire.Record, backlog), free: make(chan *[]wire.Record, backlog),
		quit: make(chan struct{}), done: make(chan struct{}),
	}
	for range backlog {
		records := make([]wire.Record, 0, len(s.opts.Sensors))
		h.free <- &records
	}
	return h
}

func (h *hub) publish(records []wire.Record) {
	select {
	case b := <-h.free:
		*b = append((*b)[:0], records...)
		h.full <- b // has room for all there are
	case <-h.done:
	}
}

func (h *hub) run() {
	defer close(h.done)
	second := time.NewTicker(time.Second)
	defer second.Stop()
	for {
		select {
		case b := <-h.full:
			h.spread(*b)
			h.free <- b
		case <-second.C:
			h.sweep(time.Now())
		case <-h.quit:
			return
		}
		h.beats.Add(1)
	}
}

func (h *hub) stop() {
	close(h.quit)
	<-h.done
}

// spread gives a tick to all. It allocates nothing and waits for nobody.
func (h *hub) spread(records []wire.Record) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, r := range records {
		h.last[r.Sensor] = r
		h.known |= 1 << r.Sensor
	}
	for _, f := range h.feeds {
		f.encode(records, h.s.opts.Sensors)
		if len(f.frame) == 0 {
			continue
		}
		for _, c := range f.members {
			c.out.offer(f.frame)
		}
	}
}

// encode makes the frames of a tick for the feed, to be sent in one write.
func (f *feed) encode(records []wire.Record, sensors []wire.SensorInfo) {
	f.frame = f.frame[:0]
	n := 0
	for _, r := range records {
		if !f.sensors.has(r.Sensor) {
			continue
		}
		n++
		switch f.protocol {
		case wire.ReadingsV1:
			f.frame = appendHeader(f.frame, opBinary, wire.ReadingSize)
			f.frame = r.Reading.Append(f.frame)
		case wire.ReadingsJSON:
			f.text = wire.AppendSensorJSON(f.text[:0], sensors[r.Sensor].Name, r)
			f.frame = appendFrame(f.frame, opText, f.text)
		}
	}
	if f.protocol == wire.ReadingsV2 && n > 0 {
		f.frame = appendHeader(f.frame, opBinary, n*wire.RecordSize)
		for _, r := range records {
			if f.sensors.has(r.Sensor) {
				f.frame = r.Append(f.frame)
			}
		}
	}
}

// join greets a session and subscribes it. Nothing can come between the hello
// and the first record after its next_seq.
func (h *hub) join(c *session) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if c.protocol != wire.ReadingsV1 {
		c.sendJSON(wire.Envelope{Type: "hello", Payload: h.hello()})
	}
	f := h.feeds[c.feedKey]
	if f == nil {
		f = &feed{feedKey: c.feedKey}
		h.feeds[c.feedKey] = f
	}
	f.members = append(f.members, c)
	if h.s.stopping.Load() { // came between the farewell and the end
		c.close(wire.CloseServiceRestart, retryReason(1000))
	}
}

func (h *hub) leave(c *session) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f := h.feeds[c.feedKey]
	if f == nil {
		return
	}
	if i := slices.Index(f.members, c); i >= 0 {
		last := len(f.members) - 1
		f.members[i] = f.members[last]
		f.members[last] = nil
		f.members = f.members[:last]
	}
	if len(f.members) == 0 {
		delete(h.feeds, c.feedKey)
	}
}

func (h *hub) hello() wire.Hello {
	hello := wire.Hello{
		Server: "gateway", Version: h.s.opts.Version, Epoch: h.epoch, Time: time.Now().UnixMilli(),
		Simulated: h.s.opts.Simulated, ClockSynced: h.s.opts.ClockSynced(),
		Sensors: slices.Clone(h.s.opts.Sensors), Motors: []wire.MotorState{},
	}
	for i := range hello.Sensors {
		if h.known.has(uint16(i)) {
			hello.Sensors[i].NextSeq = h.last[i].Seq + 1
		}
	}
	return hello
}

// index returns a sensor's index by its name, -1 if there is none.
func (h *hub) index(name string) int {
	return slices.IndexFunc(h.s.opts.Sensors, func(s wire.SensorInfo) bool { return s.Name == name })
}

func (h *hub) newest(i int) (wire.Record, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.last[i], h.known.has(uint16(i))
}

// quality tells how many sensors measure, and what ails the others.
func (h *hub) quality() (reason string, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	good, ill := 0, []string{}
	for i, s := range h.s.opts.Sensors {
		switch {
		case !h.known.has(uint16(i)):
			ill = append(ill, s.Name+": no reading yet")
		case h.last[i].Fault != wire.Good:
			ill = append(ill, s.Name+": "+h.last[i].Fault.String())
		default:
			good++
		}
	}
	reason = fmt.Sprintf("%d of %d sensors measure", good, len(h.s.opts.Sensors))
	if len(ill) > 0 {
		reason += " (" + strings.Join(ill, ", ") + ")"
	}
	return reason, good > 0
}

// each calls f for every session.
func (h *hub) each(f func(*session)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, feed := range h.feeds {
		for _, c := range feed.members {
			f(c)
		}
	}
}

// sweep is each session's heartbeat: no client has a timer of its own.
func (h *hub) sweep(now time.Time) {
	h.each(func(c *session) { c.heartbeat(now) })
}

// setEpoch is rare enough to send everybody away who counts.
func (h *hub) setEpoch(epoch string) {
	h.mu.Lock()
	h.epoch = epoch
	h.mu.Unlock()
	h.farewell(func(c *session) bool { return c.protocol != wire.ReadingsV1 })
}

func (h *hub) restart() { h.farewell(func(*session) bool { return true }) }

// farewell closes sessions with 1012, each with its own time to come back at:
// one after the other from half a second on, within 4 s if they are not too many.
func (h *hub) farewell(whom func(*session) bool) {
	n := 0
	h.each(func(*session) { n++ })
	step := max(4000/max(n, 1), 1)
	i := 0
	h.each(func(c *session) {
		if whom(c) {
			c.close(wire.CloseServiceRestart, retryReason(500+i*step))
			i++
		}
	})
}

func (h *hub) cutAll() { h.each(func(c *session) { c.out.Close() }) }

func retryReason(ms int) string { return fmt.Sprintf("Service restart; retry_ms=%d", ms) }

// mustJSON marshals what cannot fail: our own payloads.
func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}
