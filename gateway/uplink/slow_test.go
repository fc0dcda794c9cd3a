package uplink

import (
	"net/url"
	"os"
	"slices"
	"testing"
	"time"

	"sensorgateway/gateway/fleet"
	"sensorgateway/gateway/mqtt/mqtttest"
	"sensorgateway/wire"
)

// Over 64 kbit/s and a round trip of 600 ms, while the backlog of an outage goes up, ticks
// come first: they wait for a part of a block at most. The backlog fills what they leave.
func TestLiveOverSlowLine(t *testing.T) {
	blocks := 20
	if os.Getenv("GATEWAY_TEST_SOAK") != "" {
		blocks = 120 // an hour of two sensors
	}
	const records = 380 // of this noise are as long as 600 of a room: 1.3 kB
	t.Parallel()
	r := newRig(t)
	size := 0
	for range blocks {
		r.readings.add(records)
		size += len(r.readings.blocks[len(r.readings.blocks)-1].Bytes)
	}
	const rate = 8000 // bytes/s
	h := r.newHub("hub-a")
	line := mqtttest.StartLine(t, r.address.Host, rate, 300*time.Millisecond)
	r.address = &url.URL{Scheme: "mqtt", Host: line.Address}
	begin := time.Now()
	r.run(r.Uplink)
	h.greet()
	ticks := time.NewTicker(100 * time.Millisecond)
	defer ticks.Stop()
	var ages []time.Duration
	var watched time.Time // when the hub began
	last := uint32(0)
	for seq := uint32(1); last < uint32(records*blocks) && time.Since(begin) < 10*time.Minute; {
		if time.Since(watched) > fleet.WatchRepeat {
			h.send(h.order(fleet.Watch, `{"hz":10}`))
			watched = time.Now()
		}
		select {
		case now := <-ticks.C:
			r.Tick([]wire.Record{
				{Seq: seq, Reading: wire.Reading{Values: [2]float32{20, 50}, UnixMilli: now.UnixMilli()}},
				{Sensor: 1, Seq: seq, Reading: wire.Reading{Values: [2]float32{21, 51}, UnixMilli: now.UnixMilli()}},
			}, 0)
			seq++
		case p := <-h.messages:
			switch at, err := fleet.ParseTopic(p.Topic); {
			case err != nil:
				t.Fatal(err)
			case at.Kind == fleet.Live:
				records, err := wire.ParseRecords(p.Payload)
				if err != nil {
					t.Fatal(err)
				}
				ages = append(ages, time.Since(time.UnixMilli(records[0].UnixMilli)))
			case at.Kind == fleet.Up:
				up, err := fleet.ParseUp(p.Payload)
				if err != nil {
					t.Fatal(err)
				}
				last = up[len(up)-1].Last
			}
		}
	}
	took := time.Since(begin)
	if last < uint32(records*blocks) || len(ages) < 10 {
		t.Fatalf("%d of %d readings and %d ticks in %s", last, records*blocks, len(ages), took)
	}
	slices.Sort(ages)
	p50, p99 := ages[len(ages)/2], ages[len(ages)*99/100]
	share := float64(size) / rate / took.Seconds()
	t.Logf("%d bytes of backlog in %.1f s, %.0f %% of the line; %d ticks meanwhile, %.0f ms old at the median, %.0f ms at the 99th percentile, %.0f ms at most",
		size, took.Seconds(), 100*share, len(ages), ms(p50), ms(p99), ms(ages[len(ages)-1]))
	bound := 6*time.Second + time.Duration(float64(size)/(0.6*rate)*float64(time.Second)) // ticks and headers take a part
	if p50 <= 700*time.Millisecond && p99 <= time.Second && took <= bound {
		return
	}
	if late := line.Late(); late > 100*time.Millisecond {
		t.Skipf("this machine is too busy: what was due came up to %s late", late)
	}
	t.Errorf("a tick is %s old at the median and %s at the 99th percentile; the backlog took %s; want 700ms, 1s and %s at most", p50, p99, took, bound)
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// While hubs watch at the rate of ticks, each tick goes up, although each message is late by a
// quarter of a period, and so is the next one. While they watch at half that rate, no more
// than half of the ticks go up.
func TestLivePace(t *testing.T) {
	const interval, late, ticks = 100 * time.Millisecond, 25 * time.Millisecond, 1000
	for _, c := range []struct {
		hz          float64
		least, most int
	}{{10, ticks, ticks}, {5, ticks * 4 / 10, ticks * 6 / 10}} {
		begin := time.Now()
		due, now, sent, newest := begin, begin, 0, -1
		for newest < ticks-1 {
			if next := begin.Add(time.Duration(newest+1) * interval); now.Before(next) {
				now = next // it waits for a tick
			}
			newest = int(now.Sub(begin) / interval)
			now = now.Add(late)
			sent++
			if due = nextDue(due, now, c.hz); due.After(now) {
				now = due
			}
		}
		if sent < c.least || sent > c.most {
			t.Errorf("at %v Hz %d of %d ticks go up, want %d to %d", c.hz, sent, ticks, c.least, c.most)
		}
	}
}
