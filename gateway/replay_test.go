package gateway

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"sensorgateway/wire"
)

// kept publishes n ticks that are kept.
func (s *testServer) kept(log *fakeHistory, n int) {
	for range n {
		var records []wire.Record
		for i := range s.opts.Sensors {
			records = append(records, wire.Record{Sensor: uint16(i), Seq: s.seq,
				Reading: wire.Reading{Values: [2]float32{20.5, 40}, UnixMilli: int64(s.seq) * 100}})
		}
		log.keep(records)
		s.tick()
	}
}

// lanes is what a client got, by sensor.
type lanes struct{ past, live map[uint16][]uint32 }

// until reads records until each sensor's live lane has reached seq, and the past
// ones go up to where these began. Other messages go to text.
func (c *client) until(seq uint32, past sensorSet, text func(string)) lanes {
	c.t.Helper()
	got := lanes{map[uint16][]uint32{}, map[uint16][]uint32{}}
	for {
		kind, b, err := c.ReadMessage()
		if err != nil {
			c.t.Fatalf("%v; so far %v", err, got)
		}
		if kind == websocket.TextMessage {
			text(string(b))
			continue
		}
		records, err := wire.ParseRecords(b)
		if err != nil {
			c.t.Fatal(err)
		}
		for _, r := range records {
			if r.Flags&wire.Conflated != 0 {
				c.t.Fatalf("%+v is conflated", r)
			}
			if r.Flags&wire.Historical != 0 {
				got.past[r.Sensor] = append(got.past[r.Sensor], r.Seq)
			} else {
				got.live[r.Sensor] = append(got.live[r.Sensor], r.Seq)
			}
		}
		whole := len(got.live) > 0
		for sensor, live := range got.live {
			before := got.past[sensor]
			whole = whole && live[len(live)-1] == seq && (!past.Has(sensor) || len(before) > 0 && before[len(before)-1] == live[0]-1)
		}
		if whole {
			return got
		}
	}
}

// span is what a lane without a gap reads.
func span(from, to uint32) (all []uint32) {
	for n := from; n <= to; n++ {
		all = append(all, n)
	}
	return all
}

// answer is a subscribed message.
type answer struct {
	Type    string
	Payload struct {
		Topic     string
		Recovered *bool
		From      map[string]uint32
		Code      int
	}
}

func (c *client) resume(topic, epoch string, since map[string]uint32) (a answer) {
	c.t.Helper()
	numbers, _ := json.Marshal(since)
	if err := c.WriteMessage(websocket.TextMessage, fmt.Appendf(nil,
		`{"type":"subscribe","payload":{"topic":%q,"epoch":%q,"since":%s}}`, topic, epoch, numbers)); err != nil {
		c.t.Fatal(err)
	}
	for { // what was live until then comes first
		kind, b, err := c.ReadMessage()
		if err != nil {
			c.t.Fatal(err)
		}
		if kind == websocket.TextMessage {
			if err := json.Unmarshal(b, &a); err != nil {
				c.t.Fatalf("%s: %v", b, err)
			}
			return a
		}
	}
}

func TestResume(t *testing.T) {
	for _, tt := range []struct {
		name      string
		epoch     string
		since     map[string]uint32
		lose      [2]uint32
		recovered bool
		from      map[string]uint32
		past      map[uint16][]uint32
	}{
		{"what was missed", "e1", map[string]uint32{"indoor": 20, "outdoor": 30}, [2]uint32{}, true, nil,
			map[uint16][]uint32{0: span(21, 1006), 1: span(31, 1006)}},
		{"one sensor of two", "e1", map[string]uint32{"outdoor": 1004}, [2]uint32{}, true, nil,
			map[uint16][]uint32{1: span(1005, 1006)}},
		{"nothing was missed", "e1", map[string]uint32{"indoor": 1006, "outdoor": 1006}, [2]uint32{}, true, nil, nil},
		{"the future", "e1", map[string]uint32{"indoor": 1007}, [2]uint32{}, false, map[string]uint32{"indoor": 1007}, nil},
		{"another epoch", "e0", map[string]uint32{"indoor": 5000}, [2]uint32{}, false, map[string]uint32{"indoor": 7},
			map[uint16][]uint32{0: span(7, 1006)}},
		{"evicted", "e1", map[string]uint32{"indoor": 20, "outdoor": 900}, [2]uint32{7, 500}, false, map[string]uint32{"indoor": 501},
			map[uint16][]uint32{0: span(501, 1006), 1: span(901, 1006)}},
		{"a hole in the middle", "e1", map[string]uint32{"indoor": 20}, [2]uint32{30, 1000}, false, map[string]uint32{"indoor": 1001},
			map[uint16][]uint32{0: append(span(21, 29), span(1001, 1006)...)}},
		{"all of it lost", "e1", map[string]uint32{"indoor": 20}, [2]uint32{7, 1006}, false, map[string]uint32{"indoor": 1007}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			log := newFakeHistory()
			s := start(t, log.options)
			s.kept(log, 900)
			c := s.dial("/", wire.ReadingsV2)
			s.kept(log, 100) // live on this connection, and again: the stream starts over
			if tt.lose[1] > 0 {
				log.lose(0, tt.lose[0], tt.lose[1])
			}
			c.read(websocket.TextMessage)
			a := c.resume("sensors", tt.epoch, tt.since)
			if a.Type != "subscribed" || a.Payload.Recovered == nil || *a.Payload.Recovered != tt.recovered || fmt.Sprint(a.Payload.From) != fmt.Sprint(tt.from) {
				t.Fatalf("answered %+v, want recovered %v from %v", a, tt.recovered, tt.from)
			}
			s.kept(log, 50)
			var past sensorSet
			for sensor := range tt.past {
				past |= 1 << sensor
			}
			got := c.until(1056, past, func(text string) { t.Errorf("unasked: %s", text) })
			for sensor := range uint16(2) {
				if fmt.Sprint(got.past[sensor]) != fmt.Sprint(tt.past[sensor]) || fmt.Sprint(got.live[sensor]) != fmt.Sprint(span(1007, 1056)) {
					t.Errorf("sensor %d: past %v\nlive %v", sensor, got.past[sensor], got.live[sensor])
				}
			}
			s.wantAccounts()
		})
	}
}

// wantAccounts checks that each client's account closes.
func (s *testServer) wantAccounts() {
	s.t.Helper()
	s.broadcaster.mu.Lock()
	defer s.broadcaster.mu.Unlock()
	for _, c := range s.broadcaster.sessions {
		if a := s.broadcaster.statsOf(c); a.Produced != a.Delivered+a.Conflated+a.Missed+a.Queued || a.Queued > a.Produced {
			s.t.Errorf("the account of %s does not close: %+v", c.ID, a)
		}
	}
}

func TestResumeIsRefused(t *testing.T) {
	log := newFakeHistory()
	s := start(t, log.options)
	s.kept(log, 10)
	v2, v1 := s.dial("/", wire.ReadingsV2), s.dial("/")
	v2.read(websocket.TextMessage)
	for _, tt := range []struct {
		c     *client
		topic string
		since map[string]uint32
		code  int
	}{
		{v2, "sensors", map[string]uint32{"nope": 1}, 404},
		{v2, "nope", map[string]uint32{"indoor": 1}, 404},
		{v2, "sensors/indoor", map[string]uint32{"outdoor": 1}, 422},
		{v2, "motors", map[string]uint32{"outdoor": 1}, 422},
		{v1, "sensors/indoor", map[string]uint32{"indoor": 1}, 422},
	} {
		if a := tt.c.resume(tt.topic, "e1", tt.since); a.Type != "error" || a.Payload.Code != tt.code {
			t.Errorf("%s %v: %+v, want error %d", tt.topic, tt.since, a, tt.code)
		}
	}
}

// What is lost during the replay is named as well.
func TestLossDuringReplay(t *testing.T) {
	log := newFakeHistory()
	s := start(t, log.options)
	s.kept(log, 2000)
	c := s.dial("/sensors/indoor", wire.ReadingsV2)
	c.read(websocket.TextMessage)
	log.fail = io.ErrUnexpectedEOF // nothing is read for a while
	if a := c.resume("sensors/indoor", "e1", map[string]uint32{"indoor": 7}); !*a.Payload.Recovered {
		t.Fatalf("%+v", a)
	}
	log.lose(0, 100, 1500)
	log.mu.Lock()
	log.fail = nil
	log.mu.Unlock()
	s.kept(log, 1)
	var texts []string
	got := c.until(2007, 1, func(text string) { texts = append(texts, text) })
	want := `{"type":"subscribed","payload":{"topic":"sensors/indoor","recovered":false,"from":{"indoor":1501}}}`
	if fmt.Sprint(texts) != "["+want+"]" {
		t.Errorf("texts %v, want %s", texts, want)
	}
	if fmt.Sprint(got.past[0]) != fmt.Sprint(append(span(8, 99), span(1501, 2006)...)) {
		t.Errorf("past %v", got.past[0])
	}
	s.wantAccounts()
}

// Whatever order a history is read in, a client gets no number twice, none after a
// later one, and its account adds up.
func TestHistoryOutOfOrder(t *testing.T) {
	log := newFakeHistory()
	s := start(t, log.options)
	s.kept(log, 2000)
	all := log.records[0]
	log.records[0] = slices.Concat(all[:500], all[1000:1500], all[500:1000], all[1000:1500], all[1450:1550], all[1500:])
	c := s.dial("/sensors/indoor", wire.ReadingsV2)
	c.read(websocket.TextMessage)
	c.resume("sensors/indoor", "e1", map[string]uint32{"indoor": 7})
	s.kept(log, 1)
	got := c.until(2007, 1, func(string) {}).past[0]
	for i := 1; i < len(got); i++ {
		if got[i] <= got[i-1] {
			t.Fatalf("%d comes after %d", got[i], got[i-1])
		}
	}
	if first, last := got[0], got[len(got)-1]; first != 8 || last != 2006 {
		t.Errorf("from %d to %d, want 8 to 2006", first, last)
	}
	s.wantAccounts()
}

// A later subscription takes the place of the lanes that are under way.
func TestResumeAnew(t *testing.T) {
	log := newFakeHistory()
	s := start(t, log.options)
	s.kept(log, 20_000)
	c := s.dial("/", wire.ReadingsV2)
	c.read(websocket.TextMessage)
	for range 3 {
		c.resume("sensors", "e1", map[string]uint32{"indoor": 6, "outdoor": 6})
	}
	s.kept(log, 1)
	got := c.until(20_007, 3, func(text string) { t.Errorf("unasked: %s", text) })
	for sensor := range uint16(2) {
		if fmt.Sprint(got.past[sensor]) != fmt.Sprint(span(7, 20_006)) {
			t.Errorf("sensor %d: %d records of the past", sensor, len(got.past[sensor]))
		}
	}
	c.resume("sensors", "e1", map[string]uint32{"indoor": 6, "outdoor": 6})
	if err := c.WriteMessage(websocket.TextMessage, []byte(`{"type":"unsubscribe","payload":{"topic":"sensors/indoor"}}`)); err != nil {
		t.Fatal(err)
	}
	for kind := 0; kind != websocket.TextMessage; {
		kind, _, _ = c.ReadMessage()
	}
	s.kept(log, 1)
	if got := c.until(20_008, 2, func(string) {}); len(got.past[0])+len(got.live[0]) > 0 {
		t.Errorf("indoor came after unsubscribed: %v", got)
	}
	for _, since := range []string{`{"indoor":6,"outdoor":6}`, `{"indoor":20008,"outdoor":90000}`} { // right behind each other
		if err := c.WriteMessage(websocket.TextMessage, []byte(`{"type":"subscribe","payload":{"topic":"sensors","epoch":"e1","since":`+since+`}}`)); err != nil {
			t.Fatal(err)
		}
	}
	for text := ""; !strings.Contains(text, `"from":{"outdoor":20009}`); {
		kind, b, err := c.ReadMessage()
		if err != nil {
			t.Fatal(err)
		}
		if kind == websocket.TextMessage {
			text = string(b)
		}
	}
	s.kept(log, 1)
	if got := c.until(20_009, 0, func(string) {}); len(got.past) > 0 {
		t.Errorf("the past came although there is nothing to resume: %d and %d records", len(got.past[0]), len(got.past[1]))
	}
	s.wantAccounts()
}

func TestResumeAsJSON(t *testing.T) {
	log := newFakeHistory()
	s := start(t, log.options)
	s.kept(log, 3)
	c := s.dial("/sensors/indoor", wire.ReadingsJSON)
	c.read(websocket.TextMessage)
	c.resume("sensors", "e1", map[string]uint32{"indoor": 8})
	want := `{"type":"sensor","payload":{"sensor":"indoor","temp":20.5,"unit":"C","humidity":40,"ts":0.900,"seq":9,"historical":true}}`
	if got := string(c.read(websocket.TextMessage)); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// Clients that stall, resume, and leave while ticks go on: each account closes.
func TestRandomReplays(t *testing.T) {
	log := newFakeHistory()
	s := start(t, log.options)
	s.kept(log, 3000)
	rnd := rand.New(rand.NewPCG(5, 6))
	var clients []*moody
	for range 6 {
		clients = append(clients, s.moody(wire.ReadingsV2))
	}
	for range 400 {
		s.kept(log, 1+rnd.IntN(20))
		m := clients[rnd.IntN(len(clients))]
		switch rnd.IntN(4) {
		case 0:
			select {
			case m.mood <- rnd.IntN(2) == 0:
			default: // it waits for a message: next time
			}
		case 1:
			since := map[string]uint32{"indoor": 7 + rnd.Uint32N(3000), "outdoor": 7 + rnd.Uint32N(3000)}
			if err := s.broadcaster.subscribe(m.session, m.session.endpoint.(*stream), wire.Subscription{Topic: "sensors", Epoch: "e1", Since: since}, nil); err != nil {
				t.Fatal(err)
			}
		}
		s.wantAccounts()
	}
	for _, m := range clients {
		m.c.Close()
		close(m.mood)
		<-m.done
	}
	s.wantClients(0)
	sum, abandoned := s.Accounts()
	if sum.Produced != sum.Delivered+sum.Conflated+sum.Missed+abandoned {
		t.Errorf("the sum does not close: %+v, abandoned %d", sum, abandoned)
	}
}

// BenchmarkReplay is how fast a client that reads gets what it missed, in
// readings a second, from a history in memory: the rest is the log's.
func BenchmarkReplay(b *testing.B) {
	const readings = 200_000
	for _, protocol := range []string{wire.ReadingsV1, wire.ReadingsV2} {
		b.Run(protocol, func(b *testing.B) {
			log := newFakeHistory()
			s := start(b, log.options)
			for seq := range uint32(readings) {
				log.records[0] = append(log.records[0], wire.Record{Seq: seq + 7, Reading: wire.Reading{UnixMilli: int64(seq)}})
			}
			s.seq = readings + 7
			s.kept(log, 1)
			for b.Loop() {
				c := s.dial("/sensors/indoor?since=0", protocol)
				if protocol == wire.ReadingsV2 {
					c.read(websocket.TextMessage) // hello
				}
				for left := readings * wire.ReadingSize; left > 0; {
					m := len(c.read(websocket.BinaryMessage))
					if protocol == wire.ReadingsV2 {
						m = m / wire.RecordSize * wire.ReadingSize
					}
					left -= m
				}
				c.Close()
			}
			b.ReportMetric(readings*float64(b.N)/b.Elapsed().Seconds(), "readings/s")
		})
	}
}
