//go:build unix

package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"sensorgateway/wire"
)

// oneSensorFile is a configuration with a sensor, for --simulate.
func oneSensorFile(t testing.TB, more string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "gateway.yaml")
	if err := os.WriteFile(path, []byte("sensors: [{name: indoor, chip: sht3x}]\n"+more), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// survivor is a client that connects again after each kill and resumes. It checks
// what the protocol promises: wire/README.md, "What was missed".
type survivor struct {
	t        *testing.T
	epoch    string
	have     uint32 // each number up to this one came, or was reported lost
	reported uint32 // numbers up to this one that do not come are reported lost
	any      bool
	seen     map[uint32]wire.Reading
	lost     int      // numbers that were reported lost
	holes    []string // numbers that neither came nor were reported
}

// follow connects, resumes and reads until the connection ends. It calls first with
// each message of records once the gateway has answered.
func (s *survivor) follow(url string, first func()) {
	d := websocket.Dialer{Subprotocols: []string{wire.ReadingsV2}}
	c, _, err := d.Dial(url, nil)
	if err != nil {
		return // killed already
	}
	defer c.Close()
	var hello struct{ Payload wire.Hello }
	if _, b, err := c.ReadMessage(); err != nil || json.Unmarshal(b, &hello) != nil {
		return
	}
	switch {
	case s.epoch == "":
		s.epoch = hello.Payload.Epoch
	case s.epoch != hello.Payload.Epoch:
		s.t.Fatalf("epoch %s after %s: the numbers could be continued", hello.Payload.Epoch, s.epoch)
	}
	if s.any {
		err = c.WriteJSON(map[string]any{"type": "subscribe", "payload": map[string]any{
			"topic": "sensors", "epoch": s.epoch, "since": map[string]uint32{"indoor": s.have}}})
		if err != nil {
			return
		}
	}
	asked := !s.any // nothing to wait for
	var live []uint32
	defer func() {
		// Live numbers count once the replay has reached them.
		if len(live) > 0 && s.any && max(s.have, s.reported) == live[0]-1 {
			for _, n := range live {
				s.advance(n, "live")
			}
		}
	}()
	for {
		_ = c.SetReadDeadline(time.Now().Add(patience))
		kind, b, err := c.ReadMessage()
		if os.IsTimeout(err) {
			s.t.Fatalf("no message for %v", patience)
		}
		if err != nil {
			return
		}
		if kind == websocket.TextMessage {
			var answer struct {
				Type    string
				Payload wire.Subscribed
			}
			if json.Unmarshal(b, &answer) != nil || answer.Type != "subscribed" {
				s.t.Fatalf("a message that is no answer: %s", b)
			}
			s.reported = 0 // of the connection before
			if from, ok := answer.Payload.From["indoor"]; ok {
				s.reported = from - 1
			}
			asked, live = true, nil // what comes from here on is complete
			continue
		}
		records, err := wire.ParseRecords(b)
		if err != nil {
			s.t.Fatal(err)
		}
		for _, r := range records {
			if before, ok := s.seen[r.Seq]; ok && r.Fault == wire.Good && before != r.Reading {
				s.t.Fatalf("number %d was used twice: %v and %v", r.Seq, before, r.Reading)
			}
			s.seen[r.Seq] = r.Reading
			switch {
			case !s.any:
				s.have, s.any = r.Seq, true
			case r.Flags&wire.Historical != 0:
				s.advance(r.Seq, "past")
			default:
				live = append(live, r.Seq)
			}
		}
		if asked {
			first()
		}
	}
}

func (s *survivor) advance(n uint32, lane string) {
	if n <= s.have {
		s.t.Fatalf("number %d came after %d", n, s.have)
	}
	if before := max(s.have, s.reported); n > before+1 {
		s.holes = append(s.holes, fmt.Sprintf("%s: %d after %d, %d ms later", lane, n, s.have, s.seen[n].UnixMilli-s.seen[s.have].UnixMilli))
	}
	s.lost += max(int(min(s.reported, n-1))-int(s.have), 0)
	s.have = n
}

// wantHoles allows for as many holes as ticks were missed, because a busy machine
// was late by more than an interval: their numbers are never used. Between the
// question how many these were and the end of the program, there may be some more.
func (s *survivor) wantHoles(missed int) {
	s.t.Helper()
	const unasked = 3
	if len(s.holes) > unasked+missed {
		s.t.Errorf("numbers are missing and were not reported: %q", s.holes)
	}
}

// The program is killed at random moments, also while it starts. After each start
// it continues with the next number. What a client that resumes misses is reported,
// and no more than a tick each time.
func TestKilled(t *testing.T) {
	t.Parallel()
	kills := tenth(t, 100, "kills")
	addr := freeAddress(t)
	program, config, state := buildGateway(t), oneSensorFile(t, ""), t.TempDir()
	url := (&url.URL{Scheme: "ws", Host: addr, Path: "/"}).String()
	rnd := rand.New(rand.NewPCG(7, 8))
	s := &survivor{t: t, seen: map[uint32]wire.Reading{}}
	var back []time.Duration // from a start to its first reading
	missed := 0
	for n := range kills + 1 {
		begin := time.Now()
		process := launchGateway(t, program, "--simulate", "--config", config, "--listen", addr, "--state", state)
		life := time.Duration(rnd.IntN(700)) * time.Millisecond
		if n == kills {
			life = 2 * time.Second // the last run replays all that is left
		}
		killed := make(chan int, 1) // receives how many ticks were missed
		kill := sync.OnceFunc(func() {
			time.AfterFunc(life, func() {
				missed, _ := askMetric(url, "gateway_ticks_missed_total") // it may not listen yet
				process.cmd.Process.Kill()
				killed <- missed
			})
		})
		if n%2 == 0 && n != kills {
			kill() // a run that is killed here may end before the first reading
		}
		first := sync.OnceFunc(func() {
			back = append(back, time.Since(begin))
			kill()
		})
		select {
		case <-process.announced:
		case <-process.exited:
		case <-time.After(patience):
			t.Fatalf("after kill %d the gateway does not listen for %v", n, patience)
		}
		for process.running() {
			s.follow(url, first)
		}
		missed += <-killed
	}
	if len(back) < kills/2 {
		t.Fatalf("only %d of %d lives had a reading: this proves little", len(back), kills)
	}
	slices.Sort(back)
	t.Logf("killed %d times, the first reading after %v (%v at most); %d numbers seen, %d reported lost, %d ticks missed, holes %q",
		kills, back[len(back)/2], back[len(back)-1], len(s.seen), s.lost, missed, s.holes)
	s.wantHoles(missed)
	if s.lost > kills {
		t.Errorf("%d numbers are lost after %d kills", s.lost, kills)
	}
}
