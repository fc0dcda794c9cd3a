package client

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sensorgateway/wire"
)

// On one connection: the numbers of the live lane.
func TestTrackLive(t *testing.T) {
	type step struct {
		seq    uint32
		missed uint32
		old    bool
	}
	for _, tt := range []struct {
		name  string
		steps []step
	}{
		{"in order", []step{{7, 0, false}, {8, 0, false}, {9, 0, false}}},
		{"a gap", []step{{7, 0, false}, {11, 3, false}, {12, 0, false}}},
		{"over the end of 32 bits", []step{{math.MaxUint32 - 1, 0, false}, {math.MaxUint32, 0, false}, {0, 0, false}, {1, 0, false}}},
		{"a gap over the end", []step{{math.MaxUint32 - 1, 0, false}, {2, 3, false}}},
		{"twice", []step{{7, 0, false}, {7, 0, true}, {8, 0, false}}},
		{"from the past", []step{{7, 0, false}, {5, 0, true}, {8, 0, false}}},
		{"the longest gap", []step{{0, 0, false}, {1<<31 - 1, 1<<31 - 2, false}}},
		{"zero is a number", []step{{0, 0, false}, {1, 0, false}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, flags := range []wire.Flags{0, wire.Conflated} { // which say who stands for the missing ones
				var track track
				for i, step := range tt.steps {
					if missed, _, isNew := track.see(wire.Record{Seq: step.seq, Flags: flags}); missed != step.missed || isNew == step.old {
						t.Errorf("step %d: %d missed, new %v, want %d, %v", i, missed, isNew, step.missed, !step.old)
					}
				}
			}
		})
	}
}

// Two lanes after a resumption from 10, as (number, replayed).
func TestTrackReplay(t *testing.T) {
	type step struct {
		seq      uint32
		replayed bool
		missed   uint32
		old      bool
	}
	const replayed, old = true, true
	for _, tt := range []struct {
		name    string
		steps   []step
		settled uint32
		lost    uint32
		open    bool // more may be replayed
	}{
		{"nothing was missed", []step{{11, false, 0, false}, {12, false, 0, false}}, 12, 0, false},
		{"replay, then live", []step{{11, replayed, 0, false}, {12, replayed, 0, false}, {13, false, 0, false}}, 13, 0, false},
		{"live comes between", []step{{11, replayed, 0, false}, {14, false, 0, false}, {12, replayed, 0, false}, {15, false, 0, false}, {13, replayed, 0, false}}, 15, 0, false},
		{"not yet there", []step{{14, false, 0, false}, {11, replayed, 0, false}}, 11, 0, true},
		{"each once", []step{{14, false, 0, false}, {11, replayed, 0, false}, {11, replayed, 0, old}, {10, replayed, 0, old}, {14, replayed, 0, old}, {14, false, 0, old}}, 11, 0, true},
		{"gaps in both lanes", []step{{15, false, 0, false}, {17, false, 1, false}, {12, replayed, 0, false}, {14, replayed, 0, false}}, 17, 2, false},
		{"replay runs into live", []step{{13, false, 0, false}, {11, replayed, 0, false}, {12, replayed, 0, false}, {13, replayed, 0, old}, {14, replayed, 0, false}, {15, false, 0, false}}, 15, 0, false},
		{"replay overtakes what it left out", []step{{13, false, 0, false}, {11, replayed, 0, false}, {14, replayed, 0, false}}, 14, 1, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			track := track{settled: 10, next: apart}
			for i, step := range tt.steps {
				r := wire.Record{Seq: step.seq}
				if step.replayed {
					r.Flags = wire.Historical
				}
				if missed, _, isNew := track.see(r); missed != step.missed || isNew == step.old {
					t.Errorf("step %d: %d missed, new %v, want %d, %v", i, missed, isNew, step.missed, !step.old)
				}
			}
			if open := len(track.ahead) > 0; track.settled != tt.settled || open != tt.open || track.lost != tt.lost {
				t.Errorf("settled up to %d, %d lost, open: %v; want %d, %d, %v", track.settled, track.lost, open, tt.settled, tt.lost, tt.open)
			}
		})
	}
}

// What a hub gets late is new once, in order, and asked for over the next connection;
// what is remembered for that is bounded.
func TestTrackLate(t *testing.T) {
	var track track
	see := func(n uint32, flags wire.Flags, wantLate, wantNew bool) {
		t.Helper()
		if _, late, isNew := track.see(wire.Record{Seq: n, Flags: flags}); late != wantLate || isNew != wantNew {
			t.Errorf("%d: late %t, new %t, want %t, %t", n, late, isNew, wantLate, wantNew)
		}
	}
	const between = 10 // each has nine missing before it
	for i := range uint32(maxGone + 2) {
		see(math.MaxUint32+between*i, 0, false, true)
	}
	if len(track.gone) != maxGone || track.since() != track.settled {
		t.Fatalf("%d absences are remembered; asks from %d on", len(track.gone), track.since())
	}
	see(3, wire.Historical, false, false) // of the first, which is forgotten
	see(9, wire.Historical, false, false) // it came
	see(12, wire.Historical, true, true)
	see(12, wire.Historical, false, false)
	see(11, wire.Historical, false, false)
	if track.since() != 12 {
		t.Errorf("asks from %d on", track.since())
	}
	see(25, wire.Historical, true, true) // over what is left of the second, and a part of the third
	if track.since() != 25 || len(track.gone) != maxGone-1 {
		t.Errorf("asks from %d on, %d absences are remembered", track.since(), len(track.gone))
	}
	see(track.settled+3, wire.Conflated, false, true)
	see(track.settled-1, wire.Historical, false, true) // which others stand for: nobody has reported it as missing
}

// Where the numbers begin is not known: nothing before the first that comes is lost.
func TestTrackBlind(t *testing.T) {
	for _, first := range []uint32{1, 2, 500} {
		track := track{blind: true, next: apart}
		for _, n := range []uint32{first, first + 1, first + 3} {
			if _, _, isNew := track.see(wire.Record{Seq: n, Flags: wire.Historical}); !isNew {
				t.Errorf("from %d on: %d did not come", first, n)
			}
		}
		if track.lost != 1 || track.recovered != 3 {
			t.Errorf("from %d on: %+v, want 1 lost", first, track)
		}
	}
}

func TestPositions(t *testing.T) {
	var s sequences
	hello := func(epoch string, a, b uint32) wire.Hello {
		return wire.Hello{Epoch: epoch, Sensors: []wire.SensorInfo{{Name: "a", NextSeq: a}, {Name: "b", NextSeq: b}}}
	}
	now := time.Unix(0, 0)
	begins := func(what string, h wire.Hello, only, wantEpoch string, want map[string]uint32) {
		t.Helper()
		if epoch, since := s.begin(h, only, now); want != nil && epoch != wantEpoch || !cmp.Equal(since, want) {
			t.Errorf("%s: %v of %s, want %v of %s", what, since, epoch, want, wantEpoch)
		}
	}
	begins("the first time", hello("e1", 5, 70), "", "", nil)
	s.see("a", wire.Record{Seq: 7}, now)
	begins("what came, and what came before the first time", hello("e1", 9, 80), "", "e1", map[string]uint32{"a": 7, "b": 69})
	begins("for one sensor", hello("e1", 9, 80), "a", "e1", map[string]uint32{"a": 7})
	begins("another epoch", hello("e2", 0, 0), "a", "e1", map[string]uint32{"a": 7})
	s.see("a", wire.Record{Seq: 3, Flags: wire.Historical}, now)
	s.see("b", wire.Record{Seq: 6}, now)
	begins("the second time in that", hello("e2", 9, 9), "", "e2", map[string]uint32{"a": 3, "b": 6})
	begins("without sensors", wire.Hello{Epoch: "e2"}, "", "e2", nil)
	begins("which are forgotten then", hello("e2", 9, 9), "", "e2", nil)
}

// The link breaks before anything of another epoch came: all of that epoch is asked for
// again, and numbers that were lost before and not reported yet are not forgotten.
func TestAnotherEpochTwice(t *testing.T) {
	var s sequences
	now, recovered := time.Unix(0, 0), false
	hello := func(epoch string) wire.Hello {
		return wire.Hello{Epoch: epoch, Sensors: []wire.SensorInfo{{Name: "a", NextSeq: 8}}}
	}
	s.from("e1", map[string]uint32{"a": 500})
	s.begin(hello("e1"), "", now)
	s.see("a", wire.Record{Seq: 503, Flags: wire.Historical}, now)
	for i, want := range []Resumed{{Anew: true}, {}} {
		s.begin(hello("e2"), "", now)
		if got := s.resume(wire.Subscribed{Recovered: &recovered, From: map[string]uint32{"a": 5}}, now); !cmp.Equal(got, want) {
			t.Errorf("time %d: %+v, want %+v", i+1, got, want)
		}
	}
	for seq := uint32(5); seq < 8; seq++ {
		s.see("a", wire.Record{Seq: seq, Flags: wire.Historical}, now)
	}
	s.see("a", wire.Record{Seq: 8}, now)
	got, ended := s.end(now)
	if want := (Replayed{Recovered: map[string]uint32{"a": 4}, Lost: map[string]uint32{"a": 2}}); !ended || !cmp.Equal(got, want) {
		t.Errorf("%+v, %v, want %+v", got, ended, want)
	}
}

// Links that always break before the replay ends: what is remembered is bounded,
// and what is given up for it is reported.
func TestReplayThatNeverEnds(t *testing.T) {
	var s sequences
	s.from("e1", map[string]uint32{"a": 0})
	const connections, each = 1000, 10
	for i := range uint32(connections) {
		s.begin(wire.Hello{Epoch: "e1", Sensors: []wire.SensorInfo{{Name: "a"}}}, "", time.Unix(0, 0))
		recovered := true
		s.resume(wire.Subscribed{Recovered: &recovered}, time.Unix(0, 0))
		s.see("a", wire.Record{Seq: (i + 1) * each}, time.Unix(0, 0))
		if n := len(s.tracks["a"].ahead); n > maxAhead+1 {
			t.Fatalf("%d spans are remembered", n)
		}
	}
	a := s.tracks["a"]
	if want := a.settled / each * (each - 1); a.lost != want || a.settled < (connections-maxAhead-1)*each {
		t.Errorf("settled up to %d of %d; %d are to be reported as lost, want %d", a.settled, connections*each, a.lost, want)
	}
}

// A server whose log has holes, links that break at any moment, and answers that
// come late: each number is delivered once or reported as lost once, and whatever is
// still kept is delivered.
func TestNothingTwiceNothingUntold(t *testing.T) {
	for seed := range uint64(3000) {
		m := model{rnd: rand.New(rand.NewPCG(seed, 0)), now: time.Unix(0, 0), came: map[uint32]bool{}}
		m.next = uint32(m.rnd.IntN(100)) - 50 // so that many go over the end
		first := m.next
		m.s.from("e1", map[string]uint32{"a": first - 1})
		for range m.rnd.IntN(maxAhead) {
			m.tick(m.rnd.IntN(30), nil) // nobody is there
			m.connection(m.rnd.IntN(30))
		}
		m.connection(math.MaxInt) // which lasts
		missing := uint32(0)
		for n := first; n != m.next; n++ {
			if m.kept[n-first] && !m.came[n] && !m.gone(n) {
				t.Fatalf("seed %d: %d was kept, and did not come", seed, n)
			}
			if !m.came[n] {
				missing++
			}
		}
		track := m.s.tracks["a"]
		if m.twice != 0 || m.reported != missing || track.settled != m.next-1 || len(track.ahead) > 0 || track.lost != 0 || m.s.asked != nil {
			t.Fatalf("seed %d: %d came twice; %d were reported as lost, %d are; %+v, next %d", seed, m.twice, m.reported, missing, track, m.next)
		}
	}
}

type model struct {
	rnd      *rand.Rand
	now      time.Time
	s        sequences
	next     uint32 // number
	kept     []bool // by number, from the first: there is a record in the log
	begin    uint32 // what is before it was evicted
	came     map[uint32]bool
	twice    int
	reported uint32 // as lost
}

func (m *model) gone(n uint32) bool { return wire.Before(n, m.begin) }

// tick makes numbers, of which some have no record and some are not kept, and
// sends those that have one.
func (m *model) tick(count int, send func(uint32)) {
	for range count {
		made, kept := m.rnd.IntN(10) > 0, m.rnd.IntN(20) > 0
		m.kept = append(m.kept, made && kept)
		n := m.next
		m.next++
		if made && send != nil {
			send(n)
		}
	}
}

func (m *model) see(n uint32, flags wire.Flags) {
	missed, _, isNew := m.s.see("a", wire.Record{Seq: n, Flags: flags}, m.now)
	m.reported += missed
	if isNew {
		if m.came[n] {
			m.twice++
		}
		m.came[n] = true
	}
	m.end()
}

func (m *model) end() {
	if r, ended := m.s.end(m.now); ended {
		m.reported += r.Lost["a"]
	}
}

// connection is one that ends after so many records at most.
func (m *model) connection(length int) {
	sent := 0
	live := func(n uint32) {
		if sent++; sent <= length {
			m.see(n, 0)
		}
	}
	_, since := m.s.begin(wire.Hello{Epoch: "e1", Sensors: []wire.SensorInfo{{Name: "a", NextSeq: m.next}}}, "", m.now)
	m.tick(m.rnd.IntN(4), live)
	if sent > length || m.rnd.IntN(10) == 0 && length < math.MaxInt {
		return // before the answer
	}
	index := func(n uint32) int { return len(m.kept) - int(m.next-n) }
	begin, missed := since["a"]+1, int(m.next-since["a"])
	if m.rnd.IntN(3) == 0 { // the oldest were evicted
		begin += uint32(m.rnd.IntN(missed))
	}
	m.begin = begin
	from := begin
	if m.rnd.IntN(3) == 0 { // and some are lost in the middle
		from += uint32(m.rnd.IntN(int(m.next-begin) + 1))
	}
	recovered := from == since["a"]+1
	answer := wire.Subscribed{Recovered: &recovered}
	if !recovered {
		answer.From = map[string]uint32{"a": from}
	}
	m.s.resume(answer, m.now)
	m.end()
	for n, end := begin, m.next; wire.Before(n, end); n++ {
		if m.kept[index(n)] {
			if sent++; sent > length {
				return
			}
			m.see(n, wire.Historical)
		}
		m.tick(m.rnd.IntN(3)/2, live)
	}
	m.tick(m.rnd.IntN(3), live)
	if length == math.MaxInt {
		m.now = m.now.Add(replayPatience) // in which it was quiet
		for made := false; !made; {
			m.tick(1, func(n uint32) { made = true; live(n) })
		}
	}
}
