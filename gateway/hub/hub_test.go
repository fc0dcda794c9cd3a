package hub

import (
	"encoding/json"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"

	"sensorgateway/gateway/fleet"
	"sensorgateway/wire"
)

func notice(t *testing.T, payload []byte) fleet.Notice {
	t.Helper()
	n, err := fleet.ParseNews(payload)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// The will of an earlier connection may come when the gateway is back already: it is
// ignored.
func TestPresence(t *testing.T) {
	h := newHub(t, t.TempDir())
	r := h.g.remote(pi)
	var said []string
	r.Listen(Listener{Presence: func(p Presence) { said = append(said, p.State) }})
	begin := h.g.o.Now().UnixMilli()
	for i, step := range []struct {
		payload string
		state   string
		said    int
	}{
		{"offline 3", Away, 1}, {"online 4", Here, 2}, {"online 4", Here, 2}, {"online 9", Here, 3}, {"offline 4", Here, 3}, {"offline 9", Away, 4}, {"offline 9", Away, 4},
		{"offline 4", Away, 4}, {"online 2", Here, 5},
	} {
		h.ahead.Add(int64(time.Second))
		p, err := fleet.ParsePresence([]byte(step.payload))
		if err != nil {
			t.Fatal(err)
		}
		r.here(p)
		if o := r.Overview(); o.Presence.State != step.state || len(said) != step.said {
			t.Errorf("step %d, %s: %+v, said %v", i, step.payload, o.Presence, said)
		}
	}
	if since := r.Overview().Presence.Since - begin; since < 9000 || since > 60_000 {
		t.Errorf("here since %d ms after the begin", since)
	}
}

// Of messages that waited at the broker while the hub was away, hello says when they were sent.
func TestPresenceOfEarlier(t *testing.T) {
	h := newHub(t, t.TempDir())
	r := h.g.remote(pi)
	r.here(fleet.Presence{Online: true, Connection: 5})
	n := notice(t, helloOf("n", 5))
	n.Hello.Time -= 3_600_000
	r.news(n, false)
	if p := r.Overview().Presence; p.State != Here || p.Since != n.Hello.Time {
		t.Errorf("%+v, want since %d", p, n.Hello.Time)
	}
}

func TestNews(t *testing.T) {
	h := newHub(t, t.TempDir())
	r := h.g.remote(pi)
	if _, some := r.Hello(); some {
		t.Error("there is a hello before it came")
	}
	var changed []wire.MotorState
	var events []wire.Event
	stop := r.Listen(Listener{MotorChanged: func(m wire.MotorState) { changed = append(changed, m) }, Event: func(e wire.Event) { events = append(events, e) }})
	r.news(notice(t, helloOf("n", 5)), false)
	if hello, _ := r.Hello(); hello.Nonce != "n" || !reflect.DeepEqual(r.Motors(), []wire.MotorState{fan}) || len(r.Overview().Alarms) != 1 || r.Overview().Presence.State != Here {
		t.Errorf("%+v, %+v, %+v", hello, r.Motors(), r.Overview().Alarms)
	}
	running := fan
	running.Running, running.TS = true, fan.TS+1
	r.news(notice(t, wire.JSON(wire.Envelope{Type: wire.TypeState, Payload: running})), false)
	r.news(notice(t, helloOf("n", 6)), false) // an old state: the fan is off again
	r.news(notice(t, helloOf("n", 6)), false)
	if !reflect.DeepEqual(changed, []wire.MotorState{fan, running, fan}) || !reflect.DeepEqual(r.Motors(), []wire.MotorState{fan}) {
		t.Errorf("changes %+v, now %+v", changed, r.Motors())
	}
	alarm := wire.Alarm{Name: "cold", State: wire.AlarmRaised, Severity: wire.SeverityInfo, Since: 1_800_000_000}
	for _, step := range []struct {
		state string
		want  []string
	}{{wire.AlarmRaised, []string{"cold", "hot"}}, {wire.AlarmAcknowledged, []string{"cold", "hot"}}, {wire.AlarmCleared, []string{"hot"}}} {
		alarm.State, alarm.Acknowledged, alarm.Cleared = step.state, &wire.Acknowledgement{By: "ahmet", TS: 2}, 3
		r.news(notice(t, wire.JSON(wire.Envelope{Type: wire.TypeEvent, Payload: alarm.Event()})), false)
		var names []string
		for _, a := range r.Overview().Alarms {
			names = append(names, a.Name)
		}
		if !reflect.DeepEqual(names, step.want) {
			t.Errorf("%s: %v", step.state, names)
		}
	}
	if len(events) != 3 || events[1].By != "ahmet" {
		t.Errorf("events %+v", events)
	}
	stop()
	r.news(notice(t, helloOf("n", 7)), false)
	if len(changed) != 3 {
		t.Error("who has stopped to listen is notified")
	}
}

// Records of the audit log are only ever added: an end that shows otherwise is reported, one
// that the broker repeats is not.
func TestAuditHeads(t *testing.T) {
	for name, c := range map[string]struct {
		heads []fleet.AuditHead
		again bool
		wrong string
	}{
		"grows": {[]fleet.AuditHead{{Seq: 1, Hash: "a"}, {Seq: 2, Hash: "b"}, {Seq: 2, Hash: "b"}}, false, ""}, "repeated": {[]fleet.AuditHead{{Seq: 2, Hash: "b"}, {Seq: 1, Hash: "a"}}, true, ""},
		"shorter": {[]fleet.AuditHead{{Seq: 9, Hash: "b"}, {Seq: 7, Hash: "a"}}, false, "8 to 9"}, "changed": {[]fleet.AuditHead{{Seq: 9, Hash: "b"}, {Seq: 9, Hash: "c"}, {Seq: 10, Hash: "d"}}, false, "record 9"},
		"changed, repeated": {[]fleet.AuditHead{{Seq: 9, Hash: "b"}, {Seq: 9, Hash: "c"}}, true, "record 9"},
	} {
		h := newHub(t, t.TempDir())
		r := h.g.remote(pi)
		for _, head := range c.heads {
			r.news(notice(t, wire.JSON(wire.Envelope{Type: fleet.TypeAudit, Payload: head})), c.again)
		}
		if o := r.Overview(); !strings.Contains(o.Audit, c.wrong) || (o.Audit == "") != (c.wrong == "") {
			t.Errorf("%s: %q", name, o.Audit)
		}
	}
}

// The audit log of another device that gets the name of the gateway begins anew, also if the hub was
// restarted meanwhile.
func TestAuditOfAnotherDevice(t *testing.T) {
	dir := t.TempDir()
	for i, step := range []struct {
		device string
		seq    uint64
		wrong  string
	}{
		{"", 9, ""}, {"a", 7, "8 to 9"}, {"a", 8, "8 to 9"}, // the hub was updated, and knows devices now
		{"b", 1, ""}, {"b", 5, ""}, {"b", 4, "5 to 5"}, {"c", 2, ""}, {"", 3, ""}, {"c", 2, "3 to 3"},
	} {
		h := newHub(t, dir)
		h.g.o.Device = func(string) string { return step.device }
		r := h.g.remote(pi)
		r.news(notice(t, wire.JSON(wire.Envelope{Type: fleet.TypeAudit, Payload: fleet.AuditHead{Seq: step.seq, Hash: "a"}})), false)
		if o := r.Overview(); !strings.Contains(o.Audit, step.wrong) || (o.Audit == "") != (step.wrong == "") {
			t.Errorf("step %d: %q, want %q", i, o.Audit, step.wrong)
		}
		h.g.saveChanged(t.Context(), false)
	}
}

// TestKnownAfterRestart holds that a restarted hub knows what it knew before, and that a hub whose
// file is damaged learns it again.
func TestKnownAfterRestart(t *testing.T) {
	broker, dir := startBroker(t), t.TempDir()
	h := newHub(t, dir)
	stop := h.run(broker)
	d := h.startDevice(broker, "n1", nil)
	d.here(17)
	d.send(fleet.Up, upOf(0, 1, 100))
	d.send(fleet.News, wire.JSON(wire.Envelope{Type: fleet.TypeAudit, Payload: fleet.AuditHead{Seq: 9, Hash: "00"}}))
	r := h.remote()
	h.await("the readings", func() bool { return len(r.Overview().Readings) == 1 })
	h.await("the head", func() bool { r.mu.Lock(); defer r.mu.Unlock(); return r.head != nil })
	stop()
	before := r.Overview()
	again := newHub(t, dir)
	r2, ok := again.g.Get(pi.Name)
	if !ok {
		t.Fatal("the gateway is not known any more")
	}
	after := r2.Overview()
	after.Changed, before.Changed = 0, 0
	if !reflect.DeepEqual(after, before) {
		t.Errorf("%+v\nwas\n%+v", after, before)
	}
	if before.Bytes < 100 || before.Title != "greenhouse" || before.Readings[0].Record.Seq != 100 || before.Readings[0].Record.Values != [2]float32{21, 50} || before.Stored == 0 {
		t.Errorf("%+v", before)
	}
	if hello, _ := r2.Hello(); hello.Nonce != "n1" || r2.head == nil || *r2.head != (fleet.AuditHead{Seq: 9, Hash: "00"}) {
		t.Errorf("hello %+v, head %+v", hello, r2.head)
	}
	next := time.Now().UTC().AddDate(0, 1, 0)
	again.ahead.Store(int64(time.Until(next)))
	if n := r2.Overview().Bytes; n != 0 {
		t.Errorf("%d bytes in a new month", n)
	}

	writeFile(t, filepath.Join(dir, pi.Name, file), "nonsense")
	third := newHub(t, dir)
	third.run(broker)
	d.hello(17)
	if hello, _ := third.remote().Hello(); hello.Nonce != "n1" {
		third.await("hello", func() bool { hello, _ = third.remote().Hello(); return hello.Nonce == "n1" })
	}
}

// TestMembers holds that the overview has who belongs to the fleet and to the hub's sites, also
// if nothing has come, and nobody else.
func TestMembers(t *testing.T) {
	broker := startBroker(t)
	h := newHub(t, t.TempDir())
	h.members = []fleet.Gateway{pi, {Site: "lab", Name: "aux"}, {Site: "roof", Name: "pi-9"}}
	h.run(broker)
	d := h.startDevice(broker, "n1", nil)
	d.publish(&paho.Publish{Topic: fleet.Gateway{Site: "lab", Name: "stranger"}.Topic(fleet.Here), Payload: []byte("online 1")})
	d.here(1)
	h.await("its presence", func() bool { return h.remote().Overview().Presence.State == Here })
	var names []string
	for _, o := range h.g.All() {
		names = append(names, o.Name+" "+o.Presence.State)
	}
	if !reflect.DeepEqual(names, []string{"aux never", "pi-7 here"}) {
		t.Errorf("%v", names)
	}
	if _, ok := h.g.Get("stranger"); ok {
		t.Error("a stranger is known")
	}
}

// TestAskedAfterStart holds that a hub that starts asks what all gateways are, and that
// live records, blocks and presence reach who listens.
func TestAskedAfterStart(t *testing.T) {
	broker := startBroker(t)
	h := newHub(t, t.TempDir())
	d := h.startDevice(broker, "n1", func(d *device, o fleet.Order, err error, p *paho.Publish) {
		if q, _ := o.Question(); err == nil && q.Ask == fleet.AskHello {
			d.publish(&paho.Publish{Topic: pi.AnswerTopic(o.Hub), Payload: helloOf("n1", 17), Properties: &paho.PublishProperties{CorrelationData: p.Properties.CorrelationData}})
		}
	})
	h.run(broker)
	r := h.remote()
	h.await("hello", func() bool { hello, some := r.Hello(); return some && hello.Connection == 17 })

	var mu sync.Mutex
	var live []wire.Record
	var stored []fleet.Blocks
	r.Listen(Listener{
		Records: func(sensors []wire.SensorInfo, records []wire.Record) {
			mu.Lock()
			defer mu.Unlock()
			if sensors[0].Name == "indoor" {
				live = append(live, records...)
			}
		},
		Stored: func(b fleet.Blocks) { mu.Lock(); defer mu.Unlock(); stored = append(stored, b) },
	})
	if v, err := d.next(fleet.Watch).View(); err != nil || v.Hz != 10 {
		t.Errorf("watch %+v, %v", v, err)
	}
	record := wire.Record{Sensor: 3, Seq: 200, Reading: wire.Reading{UnixMilli: time.Now().UnixMilli(), Values: [2]float32{1, 2}}}
	other := record
	other.Sensor = 4 // of none that hello names
	d.send(fleet.Live, record.Append(other.Append(nil)))
	d.send(fleet.Up, upOf(0, 1, 100))
	h.await("the records", func() bool { mu.Lock(); defer mu.Unlock(); return len(live) == 1 && len(stored) == 1 })
	if live[0] != record || stored[0].Last != 100 || r.Overview().Readings[0].Record.Seq != 200 {
		t.Errorf("%+v, %+v, %+v", live, stored, r.Overview().Readings)
	}
}

// TestMissing holds that the missing readings of a log are asked for once, and stored.
func TestMissing(t *testing.T) {
	broker := startBroker(t)
	h := newHub(t, t.TempDir())
	h.run(broker)
	d := h.startDevice(broker, "n1", func(d *device, o fleet.Order, err error, p *paho.Publish) {
		if o.Kind != fleet.Ask || err != nil {
			return
		}
		q, err := o.Question()
		if err != nil || q.Ask != fleet.AskReadings {
			return
		}
		d.reply(p, upOf(q.Since, q.Since+1, q.Until))
		h.mu.Lock()
		h.gaps = nil
		h.mu.Unlock()
		d.reply(p, wire.JSON(wire.Envelope{Type: fleet.TypeReadings, Payload: fleet.ReadingsSent{Sensor: q.Sensor, Epoch: q.Epoch, Messages: 1, Records: int(q.Until - q.Since)}}))
	})
	d.here(1)
	h.await("hello", func() bool { _, some := h.remote().Hello(); return some })
	d.send(fleet.Up, upOf(0, 1, 100))
	h.await("the blocks", func() bool { h.mu.Lock(); defer h.mu.Unlock(); return len(h.stored) == 1 })
	h.mu.Lock()
	h.gaps = []Gap{{"indoor", "e", 100, 200}}
	h.mu.Unlock()
	d.send(fleet.Up, upOf(200, 201, 300))
	h.await("what was missing", func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return len(h.stored) == 3 && h.stored[2].First == 101 && h.stored[2].Last == 200
	})
	// Readings that the gateway does not have either are asked for once; gaps that are filled, not at all.
	r := h.remote()
	h.await("that nothing is missing", func() bool { h.mu.Lock(); defer h.mu.Unlock(); return h.gaps == nil })
	h.mu.Lock()
	h.gaps = []Gap{{"indoor", "e", 300, 310}}
	h.mu.Unlock()
	d.answerWith(func(d *device, o fleet.Order, err error, p *paho.Publish) {
		if o.Kind == fleet.Ask && err == nil {
			d.reply(p, wire.JSON(wire.Envelope{Type: fleet.TypeReadings, Payload: fleet.ReadingsSent{}}))
		}
	})
	for first := uint32(311); first < 351; first += 20 {
		d.send(fleet.Up, upOf(first-1, first, first+9))
	}
	h.await("the question", func() bool {
		q, err := d.next(fleet.Ask).Question()
		return err == nil && q.Ask == fleet.AskReadings && q.Since == 300
	})
	h.await("what was asked for", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		_, asked := r.asked[Gap{"indoor", "e", 300, 310}]
		return asked && len(r.asked) == 1
	})
	h.g.check(r)
	h.g.check(r)
	h.await("the checks", func() bool { return len(h.g.checks) == 0 })
	for {
		select {
		case o := <-d.orders:
			if o.Kind == fleet.Ask {
				t.Errorf("asked again: %s", o.Body)
			}
			continue
		default:
		}
		break
	}
}

func decode(t *testing.T, b []byte) (m struct {
	Type    string
	ID      int
	Payload struct {
		Action  string
		Code    int
		Message string
	}
}) {
	t.Helper()
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatalf("%s: %v", b, err)
	}
	return m
}
