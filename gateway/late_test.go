package gateway

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"sensorgateway/wire"
)

// Clients that count numbers get what is missing between published records when the
// history has it, once and in order; what is live does not wait for it.
func TestLate(t *testing.T) {
	log := newFakeHistory()
	s := start(t, log.options, func(o *Options) { o.Late = true })
	v2, text, v1 := s.dial("/sensors/indoor", wire.ReadingsV2), s.dial("/sensors/indoor", wire.ReadingsJSON), s.dial("/sensors/indoor", wire.ReadingsV1)
	s.joined()
	record := func(seq uint32) []wire.Record {
		return []wire.Record{{Seq: seq, Reading: wire.Reading{Values: [2]float32{20.5, 40}, UnixMilli: int64(seq) * 100}}}
	}
	for _, seq := range []uint32{101, 102, 110, 111, 120} {
		s.Publish(record(seq))
	}
	for _, want := range []int64{101, 102, 110, 111, 120} { // nobody waits
		if r, err := wire.ParseReading(v1.read(websocket.BinaryMessage)); err != nil || r.UnixMilli != want*100 {
			t.Fatalf("%+v, %v", r, err)
		}
	}
	var live, late []uint32
	take := func(n int) {
		t.Helper()
		for n > 0 {
			kind, b, err := v2.ReadMessage()
			if err != nil {
				t.Fatalf("%v; live %v, late %v", err, live, late)
			}
			if kind == websocket.TextMessage {
				continue
			}
			records, err := wire.ParseRecords(b)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range records {
				if r.Flags&wire.Historical != 0 {
					late = append(late, r.Seq)
				} else {
					live = append(live, r.Seq)
				}
				n--
			}
		}
	}
	take(5)
	if want := []uint32{101, 102, 110, 111, 120}; !slices.Equal(live, want) || late != nil {
		t.Fatalf("live %v, late %v", live, late)
	}
	for seq := uint32(101); seq <= 112; seq++ { // as a block that comes a minute later
		if seq != 105 { // which even its gateway has lost
			log.keep(record(seq))
		}
	}
	take(7)
	log.lose(0, 113, 114)
	for seq := uint32(115); seq <= 121; seq++ {
		log.keep(record(seq))
	}
	take(5)
	want := slices.Concat(span(103, 104), span(106, 109), span(112, 112), span(115, 119))
	if !slices.Equal(late, want) {
		t.Errorf("late %v, want %v", late, want)
	}
	for got := 0; got < 5+len(want); {
		if strings.Contains(string(text.read(websocket.TextMessage)), `"seq":`) {
			got++
		}
	}
	for deadline := time.Now().Add(5 * time.Second); ; {
		sum, _ := s.Accounts()
		if sum.Produced != sum.Delivered+sum.Conflated+sum.Missed+sum.Queued {
			t.Fatalf("%+v does not add up", sum)
		}
		if sum.Queued == 0 || time.Now().After(deadline) {
			if sum.Missed != 3+3+15 || sum.Queued != 0 { // three by two, and on v1 all
				t.Errorf("%+v", sum)
			}
			return
		}
	}
}

// A number that was never made, as the history shows by what follows it, does not make
// the client wait, nor delay what is missing after it: hundreds of gaps, as of a line
// that is too slow for each tick.
func TestLateGaps(t *testing.T) {
	const gaps = 300
	log := newFakeHistory()
	s := start(t, log.options, func(o *Options) { o.Late = true })
	c := s.dial("/sensors/indoor", wire.ReadingsV2)
	s.joined()
	record := func(seq uint32) wire.Record {
		return wire.Record{Seq: seq, Reading: wire.Reading{Values: [2]float32{20.5, 40}, UnixMilli: int64(seq) * 100}}
	}
	var all []wire.Record
	var want, late []uint32
	for seq := uint32(1); seq <= 2*gaps+1; seq++ {
		switch {
		case seq%2 == 1:
			s.Publish([]wire.Record{record(seq)})
		case seq%4 == 0:
			continue // the sampler left it out
		default:
			want = append(want, seq)
		}
		all = append(all, record(seq))
	}
	for live := 0; live <= gaps || len(late) < len(want); {
		kind, b, err := c.ReadMessage()
		if err != nil {
			t.Fatalf("%v; %d of %d came live, and late %v", err, live, gaps+1, late)
		}
		if kind == websocket.TextMessage {
			continue
		}
		records, err := wire.ParseRecords(b)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range records {
			if r.Flags&wire.Historical != 0 {
				late = append(late, r.Seq)
			} else if live++; live == gaps+1 {
				log.keep(all)
			}
		}
	}
	if !slices.Equal(late, want) {
		t.Errorf("late %v, want %v", late, want)
	}
	for deadline := time.Now().Add(5 * time.Second); ; {
		sum, _ := s.Accounts()
		if sum.Queued == 0 || time.Now().After(deadline) {
			if sum.Produced != sum.Delivered+sum.Missed || sum.Missed != gaps/2 {
				t.Errorf("%+v, want %d that were never made", sum, gaps/2)
			}
			return
		}
	}
}
