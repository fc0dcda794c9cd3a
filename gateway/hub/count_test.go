package hub

import (
	"context"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"

	"sensorgateway/gateway/fleet"
	"sensorgateway/gateway/history/codec"
	"sensorgateway/gateway/hub/count"
	"sensorgateway/wire"
)

// TestCounts holds what is counted of what comes and of what is sent.
func TestCounts(t *testing.T) {
	t.Parallel()
	broker, h := startBroker(t), newHub(t, t.TempDir())
	h.run(broker)
	d := h.startDevice(broker, "n1", nil)
	d.here(5)
	h.await("hello", func() bool { _, some := h.remote().Hello(); return some })
	d.send(fleet.Up, upOf(0, 1, 600))
	d.send(fleet.Up, upOf(0, 1, 600)) // again
	d.send(fleet.Up, []byte("nonsense"))
	of := func(k fleet.Kind) count.Traffic {
		for _, m := range h.g.Counts().Messages {
			if m.Kind == k {
				return m
			}
		}
		t.Fatalf("%s is not counted", k)
		return count.Traffic{}
	}
	h.await("all that was sent", func() bool { return h.g.Counts().Refused == 1 && h.g.Counts().Readings == 1200 })
	if c := h.g.Counts(); c.Blocks != 2 || of(fleet.Up).Messages != 3 || c.Unstored != 0 || of(fleet.Here).Messages != 1 || of(fleet.News).Messages != 1 || of(fleet.News).Bytes != int64(len(pi.Topic(fleet.News))+len(helloOf("n1", 5))) {
		t.Errorf("%+v", c)
	}
	if got := h.remote().Measured("indoor"); got.Good != 600 {
		t.Errorf("%+v", got)
	}

	before := h.g.Counts()
	d.answerWith(func(d *device, o fleet.Order, _ error, p *paho.Publish) {
		if o.Client == "" {
			return
		}
		answer := ack(wire.Start)
		if string(o.Body) == "2" {
			answer = wire.JSON(wire.Envelope{Type: wire.TypeError, Payload: wire.Errorf(409, "no")})
		}
		d.reply(p, answer)
	})
	for _, body := range []string{"1", "2"} {
		if _, err := h.remote().Command(context.Background(), "anna", "c1", []byte(body)); err != nil {
			t.Fatal(err)
		}
	}
	d.answerWith(nil)
	ctx, cancel := context.WithTimeout(context.Background(), time.Second) // time enough for it to be sent
	defer cancel()
	if _, err := h.remote().Command(ctx, "anna", "c1", []byte("3")); err == nil {
		t.Error("a command without answer is carried out")
	}
	stop := h.remote().Listen(Listener{Records: func([]wire.SensorInfo, []wire.Record) {}})
	defer stop()
	h.await("the watch", func() bool { return h.g.Counts().Watched == 1 })
	after := h.g.Counts()
	if after.Confirmed != 1 || after.Denied != 1 || after.Silent != 1 || after.Orders[0].Sent-before.Orders[0].Sent < 3 || after.Orders[2].Kind != fleet.Watch {
		t.Errorf("%+v, before %+v", after, before)
	}
	h.await("the watch to be sent", func() bool { return h.g.Counts().Orders[2].Sent == 1 })
	if s := h.g.Sites()[0]; s.Connections != 1 {
		t.Errorf("%+v", s)
	}
	h.remote().here(fleet.Presence{Connection: 5})
	if _, err := h.remote().Command(context.Background(), "anna", "c1", []byte("4")); err == nil || h.g.Counts().Silent != 1 {
		t.Errorf("a command to one that is away: %v, %+v", err, h.g.Counts())
	}
}

// measuredOf returns a payload of records of indoor of an epoch, of which every tenth failed.
func measuredOf(t *testing.T, epoch string, first, last uint32, size int) fleet.Blocks {
	t.Helper()
	payload := fleet.AppendUpHeader(nil, nil)
	var packer codec.Packer
	for from := first; from <= last; from += uint32(size) {
		var sum codec.Summary
		var records []wire.Record
		for n := from; n <= min(from+uint32(size)-1, last); n++ {
			r := wire.Record{Seq: n, Reading: wire.Reading{Values: [2]float32{20, 50}, UnixMilli: 1_700_000_000_000 + int64(n)*100}}
			if n%10 == 0 {
				r.Fault = []wire.Fault{wire.NoAck, wire.Checksum}[n/10%2]
				r.Reading = wire.Failed(r.Fault, r.UnixMilli)
			}
			sum.Add(r)
			records = append(records, r)
		}
		payload = packer.AppendBlock(payload, codec.Origin{Sensor: "indoor", Epoch: epoch, Boot: "b"}, from-1, sum, records)
	}
	b, err := fleet.ParseUp(payload)
	if err != nil {
		t.Fatal(err)
	}
	return b[0]
}

// TestMeasured holds that each tick counts once, even if it comes again in blocks that are
// cut differently, and that none counts that is older than what has come.
func TestMeasured(t *testing.T) {
	h := newHub(t, t.TempDir())
	r := h.g.remote(pi)
	for i, x := range []struct {
		epoch         string
		first, last   uint32
		size          int
		good          uint64
		noAck, noSums uint64
	}{
		{"e", 101, 200, 50, 90, 5, 5},
		{"e", 101, 200, 30, 90, 5, 5},   // the gateway was killed
		{"e", 141, 260, 70, 144, 8, 8},  // and goes on
		{"e", 1, 100, 100, 144, 8, 8},   // what was missing
		{"e", 261, 269, 9, 153, 8, 8},   // none fails
		{"e2", 1, 20, 7, 171, 9, 9},     // the card is new
		{"e2", 21, 30, 10, 180, 9, 10},  // and grows
		{"e2", 11, 30, 100, 180, 9, 10}, // again
	} {
		r.durable(measuredOf(t, x.epoch, x.first, x.last, x.size), false)
		want := map[wire.Fault]uint64{wire.NoAck: x.noAck, wire.Checksum: x.noSums}
		if got := r.Measured("indoor"); got.Good != x.good || !reflect.DeepEqual(got.Failed, want) {
			t.Errorf("step %d: %s, want %d and %v", i, fmt.Sprint(got), x.good, want)
		}
	}
	if got := r.Measured("nothing"); got.Good != 0 || len(got.Failed) != 0 {
		t.Errorf("%+v", got)
	}
}
