package gateway

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"sensorgateway/wire"
)

// Readings v1 since a time: one lane, in order, without a hole and without a double,
// while ticks go on.
func TestSinceOnV1(t *testing.T) {
	log := newFakeHistory()
	s := start(t, log.options)
	s.kept(log, 5000)
	for _, tt := range []struct {
		path  string
		first int64
	}{
		{"/sensors/indoor?since=0", 700},
		{"/sensors/outdoor?since=250050", 250_100},
		{"/?since=500600", 500_600},
	} {
		c := s.dial(tt.path)
		want := tt.first
		for range 200 {
			s.kept(log, 1)
		}
		end := int64(s.seq-1) * 100
		for ; want <= end; want += 100 {
			r, err := wire.ParseReading(c.read(websocket.BinaryMessage))
			if err != nil || r.UnixMilli != want {
				t.Fatalf("%s: %v %v, want %d", tt.path, r, err, want)
			}
		}
		s.wantAccounts()
	}
	future := s.dial("/sensors/indoor?since=99999999999999")
	s.until("all are live", func() bool {
		early := false
		s.broadcaster.each(func(c *session) { early = early || c.sensors == 0 })
		return !early
	})
	s.kept(log, 1)
	r, err := wire.ParseReading(future.read(websocket.BinaryMessage))
	if err != nil || r.UnixMilli < 500_000 {
		t.Errorf("since the future: %v %v", r, err)
	}
	s.dial("/sensors/indoor?since=yesterday").wantClose(wire.ClosePolicy, "since must be Unix milliseconds")
	s.dial("/sensors/indoor?since="+strings.Repeat("é", 300)).wantClose(wire.ClosePolicy, "since must be Unix milliseconds") // as much of it as a close frame has room for
	s.dial("/sensors/indoor?since=1795826680").wantClose(wire.ClosePolicy, "write 1795826680000")
	s.dial("/?since=0", wire.ReadingsV2).wantClose(wire.ClosePolicy, "since goes with one sensor")
	v2 := s.dial("/sensors/indoor?since=0", wire.ReadingsV2)
	v2.read(websocket.TextMessage)
	if records, err := wire.ParseRecords(v2.read(websocket.BinaryMessage)); err != nil || records[0].Seq != 7 || records[0].Flags&wire.Historical == 0 {
		t.Errorf("v2 since a time: %v %v", records, err)
	}
}

// A clock that was set back among what is kept: each reading comes once, in the
// order in which they were made, however often the log is opened anew.
func TestSinceAndAClockSetBack(t *testing.T) {
	log := newFakeHistory()
	s := start(t, log.options)
	s.broadcaster.replayTime = 0 // a batch at a time
	var want []int64
	for i := range int64(1000) {
		r := wire.Record{Seq: s.seq, Reading: wire.Reading{UnixMilli: 1_000_000 + i*100 - i/350*20_000}}
		want = append(want, r.UnixMilli)
		log.keep([]wire.Record{r})
		s.Publish([]wire.Record{r})
		s.seq++
	}
	for _, since := range []int64{0, 1_015_000} {
		c := s.dial(fmt.Sprint("/sensors/indoor?since=", since))
		for i, at := range want {
			if at < since {
				continue
			}
			if r, err := wire.ParseReading(c.read(websocket.BinaryMessage)); err != nil || r.UnixMilli != at {
				t.Fatalf("since %d: %v %v, want reading %d, made at %d", since, r, err, i, at)
			}
		}
		c.Close()
	}
}
