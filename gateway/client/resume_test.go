package client

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gorilla/websocket"

	"sensorgateway/wire"
)

func replayed(sensor uint16, seq uint32) wire.Record {
	r := record(sensor, seq)
	r.Flags |= wire.Historical
	return r
}

// numbers returns what an event has, as text: "indoor 7", "indoor 8 replayed".
func (r Records) numbers() (all []string) {
	for _, r := range r {
		text := fmt.Sprintf("%s %d", r.Name, r.Seq)
		if r.Missed > 0 {
			text += fmt.Sprintf(" missed %d", r.Missed)
		}
		if r.Flags&wire.Historical != 0 {
			text += " replayed"
		}
		all = append(all, text)
	}
	return all
}

func wantNumbers(c *run, want ...string) {
	c.t.Helper()
	if diff := cmp.Diff(want, next[Records](c).numbers()); diff != "" {
		c.t.Error(diff)
	}
}

func wantEvent[T Event](c *run, want T) {
	c.t.Helper()
	if diff := cmp.Diff(want, next[T](c)); diff != "" {
		c.t.Error(diff)
	}
}

type counts = map[string]uint32

// The line breaks after 10; 11 to 14 are missed, of which 11 and 12 are gone.
// What comes before the answer is not delayed by it, and comes once.
func TestResumes(t *testing.T) {
	bubble(t, Options{Subprotocol: wire.ReadingsV2}, func(p *serverConn) {
		p.hello()
		if p.n == 0 {
			p.records(record(0, 9), record(1, 70))
			p.records(record(0, 10))
			p.bye(wire.CloseNormal, "")
			return
		}
		answer := p.resumption(`{"epoch":"e1","since":{"indoor":10,"outdoor":70},"topic":"sensors"}`)
		p.records(record(0, 15), record(1, 71))
		p.records(record(0, 16))
		answer("subscribed", `{"topic":"sensors","recovered":false,"from":{"indoor":13}}`)
		p.records(record(0, 17), record(1, 72))
		p.records(replayed(1, 71))
		p.records(replayed(0, 13), replayed(0, 14))
		p.records(replayed(0, 15), replayed(0, 16))
		p.records(record(0, 18), record(1, 74))
		p.wait()
	}, func(c *run) {
		next[Connected](c)
		wantNumbers(c, "indoor 9", "outdoor 70")
		wantNumbers(c, "indoor 10")
		next[Disconnected](c)
		next[Connected](c)
		wantNumbers(c, "indoor 15", "outdoor 71")
		wantNumbers(c, "indoor 16")
		if m := next[Message](c); m.Type != "subscribed" {
			t.Errorf("%+v", m)
		}
		wantEvent(c, Resumed{Gone: counts{"indoor": 2}})
		wantNumbers(c, "indoor 17", "outdoor 72")
		wantNumbers(c, "indoor 13 replayed", "indoor 14 replayed")
		wantEvent(c, Replayed{Recovered: counts{"indoor": 2}, Lost: counts{"indoor": 2}})
		wantNumbers(c, "indoor 18", "outdoor 74 missed 1")
	})
}

// readings.json, one sensor, and the position of an earlier client.
func TestResumesFromAPosition(t *testing.T) {
	o := Options{URL: "ws://gateway.test/sensors/outdoor", Subprotocol: wire.ReadingsJSON, Epoch: "e1", Since: counts{"outdoor": 3, "gone": 9}}
	bubble(t, o, func(p *serverConn) {
		p.hello()
		p.resumption(`{"epoch":"e1","since":{"outdoor":3},"topic":"sensors/outdoor"}`)("subscribed", `{"topic":"sensors/outdoor","recovered":true}`)
		const reading = `{"type":"sensor","payload":{"sensor":"outdoor","temp":1,"unit":"C","humidity":2,"ts":3,"seq":%d%s}}`
		for _, text := range []string{
			fmt.Sprintf(reading, 4, `,"historical":true`), fmt.Sprintf(reading, 6, ""), fmt.Sprintf(reading, 5, `,"historical":true`),
		} {
			_ = p.WriteMessage(websocket.TextMessage, []byte(text))
		}
		p.wait()
	}, func(c *run) {
		next[Connected](c)
		next[Message](c)
		wantEvent(c, Resumed{Recovered: true})
		wantNumbers(c, "outdoor 4 replayed")
		wantNumbers(c, "outdoor 6")
		wantNumbers(c, "outdoor 5 replayed")
		wantEvent(c, Replayed{Recovered: counts{"outdoor": 2}})
	})
}

// What a server does that has no log, or numbers that are behind the client's; or
// that has never heard of resuming.
func TestCannotResume(t *testing.T) {
	const asks = `{"epoch":"e1","since":{"indoor":10},"topic":"sensors/indoor"}`
	for _, tt := range []struct {
		name, kind, answer string
		early              []uint32 // what comes before the answer
		resumed            Resumed
		replayed           Replayed
		at                 time.Duration // when that is told, after the answer
		late               uint32        // what comes then
		missed             string
	}{
		{"no log", "subscribed", `{"topic":"sensors","recovered":false,"from":{"indoor":15}}`, []uint32{15},
			Resumed{Gone: counts{"indoor": 4}}, Replayed{Lost: counts{"indoor": 4}}, replayPatience, 17, ""},
		{"an older server", "subscribed", `{"topic":"sensors"}`, nil, Resumed{}, Replayed{}, 0, 15, " missed 4"},
		{"a refusal", "error", `{"code":404,"message":"Unknown sensor: indoor"}`, []uint32{15}, Resumed{}, Replayed{Lost: counts{"indoor": 4}}, 0, 16, ""},
		{"a server that is behind", "subscribed", `{"topic":"sensors","recovered":false,"from":{"indoor":3}}`, nil, Resumed{}, Replayed{}, 0, 3, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := Options{URL: "ws://gateway.test/sensors/indoor", Subprotocol: wire.ReadingsV2, Epoch: "e1", Since: counts{"indoor": 10}}
			bubble(t, o, func(p *serverConn) {
				p.hello()
				answer := p.resumption(asks)
				for _, n := range tt.early {
					p.records(record(0, n))
				}
				answer(tt.kind, tt.answer)
				if tt.at > 0 { // without a pause that would be a loss
					<-time.After(tt.at / 2)
					p.records(record(0, tt.early[0]+1))
					<-time.After(tt.at / 2)
				}
				p.records(record(0, tt.late))
				p.wait()
			}, func(c *run) {
				next[Connected](c)
				for _, n := range tt.early {
					wantNumbers(c, fmt.Sprintf("indoor %d", n))
				}
				if m := next[Message](c); m.Type != tt.kind {
					t.Errorf("%+v", m)
				}
				wantEvent(c, tt.resumed)
				if tt.at > 0 {
					wantNumbers(c, fmt.Sprintf("indoor %d", tt.early[0]+1))
				}
				var got []Event
				for len(got) < 2 {
					got = append(got, <-c.events)
				}
				if _, ok := got[0].(Records); ok { // which may end the replay
					got[0], got[1] = got[1], got[0]
				}
				if diff := cmp.Diff(Event(tt.replayed), got[0]); diff != "" {
					t.Error(diff)
				}
				if diff := cmp.Diff([]string{fmt.Sprintf("indoor %d%s", tt.late, tt.missed)}, got[1].(Records).numbers()); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

// The server began another epoch: what came in it is replayed from its beginning.
func TestResumesInAnotherEpoch(t *testing.T) {
	bubble(t, Options{Subprotocol: wire.ReadingsV2}, func(p *serverConn) {
		if p.n == 0 {
			p.hello()
			p.records(record(0, 4_000_000_000), record(1, 0))
			p.bye(wire.CloseServiceRestart, "Service restart; retry_ms=1")
			return
		}
		p.helloOf("e2")
		answer := p.resumption(`{"epoch":"e1","since":{"indoor":4000000000,"outdoor":0},"topic":"sensors"}`)
		p.records(record(0, 7), record(1, 500_000_000))
		answer("subscribed", `{"topic":"sensors","recovered":false,"from":{"indoor":5,"outdoor":499999999}}`)
		p.records(record(0, 8))
		p.records(replayed(1, 499_999_999))
		p.records(replayed(0, 5), replayed(0, 7))
		p.records(record(0, 9), record(1, 500_000_001))
		p.wait()
	}, func(c *run) {
		next[Connected](c)
		wantNumbers(c, "indoor 4000000000", "outdoor 0")
		next[Disconnected](c)
		next[Connected](c)
		wantNumbers(c, "indoor 7", "outdoor 500000000")
		next[Message](c)
		wantEvent(c, Resumed{Anew: true})
		wantNumbers(c, "indoor 8")
		wantNumbers(c, "outdoor 499999999 replayed")
		wantNumbers(c, "indoor 5 replayed")
		wantNumbers(c, "indoor 9", "outdoor 500000001")
	})
}

// A tick that was missed just before the first live one leaves the end of the
// replay open, and so does a server that does not answer. Then a quiet minute is
// the end.
func TestReplayEndsInSilence(t *testing.T) {
	const base = 3_000_000_000
	for _, answered := range []bool{true, false} {
		last := uint32(base + 8)
		if answered {
			last += 2 // two thirds of a minute later
		}
		o := Options{Subprotocol: wire.ReadingsV2, Epoch: "e1", Since: counts{"indoor": base, "outdoor": 5}}
		bubble(t, o, func(p *serverConn) {
			p.hello()
			answer := p.resumption(`{"epoch":"e1","since":{"indoor":3000000000,"outdoor":5},"topic":"sensors"}`)
			if answered {
				answer("subscribed", `{"topic":"sensors","recovered":true}`)
				p.records(replayed(0, base+1))
			}
			for n := uint32(base + 5); n <= last; n++ {
				if p.records(record(0, n)); n == base+7 && answered {
					p.records(replayed(0, base+2))
				}
				<-time.After(20 * time.Second)
			}
			p.records(record(1, 8)) // a slow one, that had missed two
			p.wait()
		}, func(c *run) {
			next[Connected](c)
			lost := uint32(4) // the server said nothing
			if answered {
				next[Message](c)
				wantEvent(c, Resumed{Recovered: true})
				wantNumbers(c, "indoor 3000000001 replayed")
				lost = 2
			}
			for n := uint32(base + 5); n <= last; n++ {
				if wantNumbers(c, fmt.Sprintf("indoor %d", n)); n == base+7 && answered {
					wantNumbers(c, "indoor 3000000002 replayed")
				}
			}
			r := next[Replayed](c)
			if r.Lost["indoor"] != lost || r.Recovered["indoor"] != 4-lost {
				t.Errorf("%+v, want %d lost", r, lost)
			}
			wantNumbers(c, "outdoor 8 missed 2")
		})
	}
}

// A link that breaks in the middle of a replay: the next one goes on there.
func TestResumesAReplay(t *testing.T) {
	o := Options{Subprotocol: wire.ReadingsV2, Epoch: "e1", Since: counts{"indoor": 0}}
	bubble(t, o, func(p *serverConn) {
		p.hello()
		if p.n == 0 {
			p.resumption(`{"epoch":"e1","since":{"indoor":0},"topic":"sensors"}`)("subscribed", `{"topic":"sensors","recovered":true}`)
			p.records(record(0, 5))
			p.records(replayed(0, 1), replayed(0, 2))
			p.bye(wire.CloseTooSlow, "Too slow to follow")
			return
		}
		p.resumption(`{"epoch":"e1","since":{"indoor":2,"outdoor":4294967295},"topic":"sensors"}`)("subscribed", `{"topic":"sensors","recovered":true}`)
		p.records(record(0, 8), record(1, 0))
		p.records(replayed(0, 3), replayed(0, 4), replayed(0, 5), replayed(0, 6), replayed(0, 7))
		p.wait()
	}, func(c *run) {
		next[Connected](c)
		next[Message](c)
		next[Resumed](c)
		wantNumbers(c, "indoor 5")
		wantNumbers(c, "indoor 1 replayed", "indoor 2 replayed")
		var why *ServerError
		if lost := next[Disconnected](c); !errors.As(lost.Err, &why) || why.Code != wire.CloseTooSlow {
			t.Errorf("%+v", lost)
		}
		next[Connected](c)
		next[Message](c)
		wantEvent(c, Resumed{Recovered: true})
		wantNumbers(c, "indoor 8", "outdoor 0")
		wantNumbers(c, "indoor 3 replayed", "indoor 4 replayed", "indoor 6 replayed", "indoor 7 replayed")
		wantEvent(c, Replayed{Recovered: counts{"indoor": 6}})
	})
}

// A short break in which no record was made: a record that comes before the answer is
// not taken for the answer.
func TestNothingWasMissed(t *testing.T) {
	o := Options{Subprotocol: wire.ReadingsV2, Epoch: "e1", Since: counts{"indoor": 10}}
	bubble(t, o, func(p *serverConn) {
		p.hello()
		answer := p.resumption(`{"epoch":"e1","since":{"indoor":10},"topic":"sensors"}`)
		p.records(record(0, 11))
		answer("subscribed", `{"topic":"sensors","recovered":true}`)
		p.records(replayed(0, 11))
		p.records(record(0, 12))
		p.wait()
	}, func(c *run) {
		next[Connected](c)
		wantNumbers(c, "indoor 11")
		next[Message](c)
		wantEvent(c, Resumed{Recovered: true})
		wantNumbers(c, "indoor 12")
		wantEvent(c, Replayed{})
	})
}

// A replay that takes long is not over while something comes of it.
func TestSlowReplay(t *testing.T) {
	o := Options{Subprotocol: wire.ReadingsV2, Epoch: "e1", Since: counts{"indoor": 10}}
	bubble(t, o, func(p *serverConn) {
		p.hello()
		p.resumption(`{"epoch":"e1","since":{"indoor":10},"topic":"sensors"}`)("subscribed", `{"topic":"sensors","recovered":true}`)
		for i := range uint32(10) {
			p.records(record(0, 21+i))
			<-time.After(replayPatience / 3)
			p.records(replayed(0, 11+i))
			<-time.After(replayPatience / 3)
		}
		p.wait()
	}, func(c *run) {
		next[Connected](c)
		next[Message](c)
		next[Resumed](c)
		for i := range 10 {
			wantNumbers(c, fmt.Sprintf("indoor %d", 21+i))
			wantNumbers(c, fmt.Sprintf("indoor %d replayed", 11+i))
		}
		wantEvent(c, Replayed{Recovered: counts{"indoor": 10}})
	})
}
