package gateway

import (
	"fmt"
	"testing"

	"github.com/gorilla/websocket"

	"sensorgateway/wire"
)

// What a client asks for is requested once from whoever may have it sent; what it gets
// unasked beside what is live is not.
func TestLacks(t *testing.T) {
	log := newFakeHistory()
	wanted := make(chan string, 100)
	s := start(t, log.options, func(o *Options) {
		o.Late = true
		o.Lacks = func(sensor uint16, from, to int64, _ bool) string {
			wanted <- fmt.Sprint("time ", sensor, from)
			return ""
		}
		o.LacksSince = func(sensor uint16, after uint32) string { wanted <- fmt.Sprint("number ", sensor, after); return "" }
	})
	record := func(seq uint32) []wire.Record {
		return []wire.Record{{Seq: seq, Reading: wire.Reading{Values: [2]float32{20.5, 40}, UnixMilli: int64(seq) * 100}}}
	}
	c := s.dial("/sensors/indoor", wire.ReadingsV2)
	s.joined()
	s.Publish(record(101))
	s.Publish(record(110)) // what is between may come late
	for live := 0; live < 2; {
		if kind, _, err := c.ReadMessage(); err != nil {
			t.Fatal(err)
		} else if kind == websocket.BinaryMessage {
			live++
		}
	}
	log.keep(record(105))
	c.read(websocket.BinaryMessage) // it has been read for that
	c.resume("sensors/indoor", "e1", map[string]uint32{"indoor": 99})
	newest := s.dial("/sensors/indoor", wire.ReadingsV2)
	newest.resume("sensors/indoor", "e1", map[string]uint32{"indoor": 110})
	v1 := s.dial("/sensors/indoor?since=5000")
	defer v1.Close()
	got := map[string]int{}
	for range 3 {
		got[<-wanted]++
	}
	if got["number 0 99"] != 1 || got["number 0 110"] != 1 || got["time 0 5000"] != 1 {
		t.Errorf("%v", got)
	}
	for seq := uint32(100); seq <= 111; seq++ {
		log.keep(record(seq))
	}
	s.Publish(record(111))
	for past := 0; past < 5; { // the lane was read for more than once
		if kind, b, err := c.ReadMessage(); err != nil {
			t.Fatal(err)
		} else if kind == websocket.BinaryMessage {
			records, err := wire.ParseRecords(b)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range records {
				if r.Flags&wire.Historical != 0 {
					past++
				}
			}
		}
	}
	if len(wanted) > 0 {
		t.Errorf("asked for again: %q", <-wanted)
	}
}
