package client

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gorilla/websocket"

	"sensorgateway/wire"
)

// conversation is one of testdata/conversations.json, which says what its fields
// are. Other clients are tested with the same file.
type conversation struct {
	Name     string
	Steps    []step
	Readings []string
	Counts   map[string]tally
}

type step struct {
	Hello    json.RawMessage
	Records  [][]uint32
	Asks     json.RawMessage
	Answers  json.RawMessage
	Refuses  json.RawMessage
	PassesMS int `json:"passes_ms"`
	Ends     int
}

type tally struct{ Received, Recovered, Conflated, Missing uint32 }

// play plays one connection of the conversation, and returns the rest of it.
func (p *serverConn) play(steps []step) []step {
	var answer func(kind, payload string)
	for i, s := range steps {
		switch {
		case s.Hello != nil && i > 0:
			p.t.Errorf("connection %d: a second hello", p.n)
		case s.Hello != nil:
			p.say(wire.Envelope{Type: "hello", Payload: s.Hello})
		case s.Records != nil:
			var records []wire.Record
			for _, r := range s.Records {
				records = append(records, record(uint16(r[0]), r[1]))
				if len(r) > 2 {
					records[len(records)-1].Flags = wire.Flags(r[2])
				}
			}
			p.records(records...)
		case s.Asks != nil:
			answer = p.resumption(compact(p.t, s.Asks))
		case s.Answers != nil:
			answer("subscribed", string(s.Answers))
		case s.Refuses != nil:
			answer("error", string(s.Refuses))
		case s.PassesMS > 0:
			<-time.After(time.Duration(s.PassesMS) * time.Millisecond)
		case s.Ends == websocket.CloseAbnormalClosure:
			_ = p.Close()
			return steps[i+1:]
		case s.Ends > 0:
			p.bye(s.Ends, "")
			return steps[i+1:]
		}
	}
	return nil
}

func compact(t *testing.T, text json.RawMessage) string {
	var b bytes.Buffer
	if err := json.Compact(&b, text); err != nil {
		t.Error(err)
	}
	return b.String()
}

// outcomes is what the client's user got.
func outcomes(events <-chan Event) (readings []string, counts map[string]tally) {
	counts = map[string]tally{}
	count := func(name string, n tally) {
		sum := counts[name]
		counts[name] = tally{sum.Received + n.Received, sum.Recovered + n.Recovered, sum.Conflated + n.Conflated, sum.Missing + n.Missing}
	}
	for {
		select {
		case event := <-events:
			switch e := event.(type) {
			case Records:
				for _, r := range e {
					n := tally{Received: 1}
					text := fmt.Sprintf("%s %d", r.Name, r.Seq)
					if r.Flags&wire.Historical != 0 {
						n.Recovered = 1
						text += " replayed"
					}
					if r.Flags&wire.Conflated != 0 {
						n.Conflated = r.Missed
					} else {
						n.Missing = r.Missed
					}
					if r.Late {
						n.Missing-- // it wraps, and so does the sum
					}
					readings = append(readings, text)
					count(r.Name, n)
				}
			case Replayed:
				for name, lost := range e.Lost {
					count(name, tally{Missing: lost})
				}
			}
		default:
			return readings, counts
		}
	}
}

func TestConversations(t *testing.T) {
	text, err := os.ReadFile("testdata/conversations.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Conversations []conversation }
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	for _, c := range file.Conversations {
		t.Run(c.Name, func(t *testing.T) {
			var rest atomic.Pointer[[]step] // each connection goes on where the one before ended
			rest.Store(&c.Steps)
			var played atomic.Bool
			bubble(t, Options{Subprotocol: wire.ReadingsV2}, func(p *serverConn) {
				steps := p.play(*rest.Load())
				if rest.Store(&steps); steps == nil {
					played.Store(true)
					p.wait()
				}
			}, func(r *run) {
				for begin := time.Now(); !played.Load(); <-time.After(time.Second) {
					if time.Since(begin) > patience {
						t.Fatal("the conversation does not come to its end")
					}
				}
				synctest.Wait()
				readings, counts := outcomes(r.events)
				if diff := cmp.Diff(c.Readings, readings); diff != "" {
					t.Error(diff)
				}
				for name, want := range c.Counts {
					if counts[name] != want {
						t.Errorf("%s: %+v, want %+v", name, counts[name], want)
					}
				}
			})
		})
	}
}
