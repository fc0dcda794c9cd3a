package history

import (
	"testing"
	"time"

	"sensorgateway/gateway/history/disk"
	"sensorgateway/wire"
)

// A boot whose clock is wrong at first: what was made until it is set is found at
// the time at which it was really made, by this process and by the next ones.
func TestClockIsCorrected(t *testing.T) {
	const boot = 1_700_000_000_000 // true time of the boot, Unix ms
	for name, wrong := range map[string]int64{"1970": 5000, "an hour ahead": boot + 3_600_000, "an hour behind": boot - 3_600_000} {
		t.Run(name, func(t *testing.T) {
			o := Options{FS: disk.NewMemory(), Sensors: []string{"a"}, Boot: "boot 2"}
			m := newMaker(1)
			uptime := int64(20_000)
			tick := func(l *Log, offset int64, unsynced bool) {
				m.at, m.offset, m.flags = offset+uptime, offset, wire.Simulated
				if unsynced {
					m.flags |= wire.ClockUnsynced
				}
				if l.Append(m.tick(), offset+uptime%2); uptime%7 == 0 { // rounding
					l.write()
				}
				uptime += 100
			}
			begin := func() *Log {
				l := open(t, o)
				l.maintain(time.Unix(1, 0))
				l.Begin("epoch", m.next)
				return l
			}
			l := begin()
			for range 700 {
				tick(l, wrong, true)
			}
			got := all(t, l.Between(0, wrong, wrong+100_000))
			if len(got) != 700 || got[0].Flags&wire.ClockUnsynced == 0 {
				t.Fatalf("before the clock is set: %d records, flags %d", len(got), got[0].Flags)
			}
			if l.Kept(0, 0) != 1 {
				t.Error("something is lost")
			}
			l.Close()
			l = begin() // another process of the same boot
			for range 700 {
				tick(l, wrong, true)
			}
			if err := l.seal(false); err != nil {
				t.Fatal(err)
			}
			for range 100 {
				tick(l, wrong, true)
			}
			for range 700 {
				tick(l, boot, false)
			}
			check := func() {
				t.Helper()
				got := all(t, l.Between(0, boot, boot+uptime))
				if len(got) != 2200 {
					t.Fatalf("%d records at their true time, want 2200", len(got))
				}
				for i, r := range got {
					true := boot + 20_000 + int64(i)*100
					if off := r.UnixMilli - true; off < -5 || off > 5 || r.Seq != uint32(i) || r.Flags != wire.Simulated|wire.Historical {
						t.Fatalf("record %d: number %d, flags %d, %d ms off", i, r.Seq, r.Flags, off)
					}
				}
				for i, r := range all(t, l.Since(0, 99)) {
					if r != got[100+i] && r.Fault == wire.Good {
						t.Fatalf("record %d by number is %+v, by time %+v", i, r, got[100+i])
					}
				}
				if wrong < boot-1e9 {
					if got := all(t, l.Between(0, 0, 1e12)); len(got) > 0 {
						t.Errorf("%d records are still in 1970", len(got))
					}
				}
				n := 0
				for _, b := range allBuckets(t, l.Buckets(0, boot, boot+uptime, 10_000)) {
					if n += int(b.Count + b.Failed); b.Count+b.Failed != 100 {
						t.Errorf("a bucket of %d records, want 100", b.Count+b.Failed)
					}
				}
				if n != 2200 {
					t.Errorf("%d records in buckets, want 2200", n)
				}
			}
			check()
			l.Close()
			l = begin()
			check()
			l.Close()
			o.Boot = "boot 3" // its clock says nothing of the one before
			l = begin()
			check()
			l.Close()
		})
	}
}

// Records of a boot that never had the time stay as they were made.
func TestClockOfAnotherBootCorrectsNothing(t *testing.T) {
	fs := disk.NewMemory()
	m := newMaker(1)
	for boot, flags := range []wire.Flags{wire.ClockUnsynced, 0} {
		l := open(t, Options{FS: fs, Sensors: []string{"a"}}) // boots that are not known
		l.maintain(time.Unix(1, 0))
		l.Begin("epoch", m.next)
		m.flags, m.at = flags, 1+int64(boot)*1e12
		for range 10 {
			l.Append(m.tick(), int64(boot)*1e12)
		}
		l.Close()
	}
	l := open(t, Options{FS: fs, Sensors: []string{"a"}})
	same(t, all(t, l.Between(0, 0, 1e6)), m.of(0)[:10])
	same(t, all(t, l.Since(0, ^uint32(0))), m.of(0))
}

// A phase of a boot is ticks with one offset of the system clock.
type phase struct {
	offset int64 // Unix time minus the boot clock, ms
	synced bool
	want   int64 // the offset that the readings are found with
	flag   bool  // their times are not known to be right
}

// Times are corrected by the span between steps that they belong to; what cannot be
// known is left as it was made.
func TestClockIsCorrectedBetweenSteps(t *testing.T) {
	const (
		r1 = 1_700_000_000_000
		r2 = r1 + 600_000
		w  = r1 - 3_600_000
	)
	for name, phases := range map[string][]phase{
		"away after a step":       {{w, false, r1, false}, {r1, true, r1, false}, {r2, true, r2, false}, {r2, false, r2, false}},
		"away between":            {{r2, true, r2, false}, {r1, true, r1, false}, {r1, false, r1, false}, {r1, true, r1, false}},
		"stepped while away":      {{r1, true, r1, false}, {r1, false, r1, false}, {w, false, w, true}},
		"stepped, then right":     {{r1, true, r1, false}, {r2, false, r2, false}, {r2, true, r2, false}},
		"stepped and back":        {{r1, true, r1, false}, {w, false, r1, false}, {r1, true, r1, false}},
		"stepped between two":     {{r1, true, r1, false}, {w, false, w, true}, {r2, true, r2, false}},
		"set twice at the start":  {{w, false, r1, false}, {w + 1000, false, r1, false}, {r1, true, r1, false}, {r2, true, r2, false}},
		"held":                    {{r1 + 300, true, r1 + 300, false}, {r1 + 201, false, r1, false}, {r1 + 102, false, r1, false}, {r1, true, r1, false}},
		"held, not known yet":     {{r1 + 300, true, r1 + 300, false}, {r1 + 201, false, r1 + 201, true}},
		"a step of less than 1 s": {{r1, true, r1, false}, {r1 + 900, true, r1 + 900, false}, {r1 + 900, false, r1 + 900, false}},
	} {
		t.Run(name, func(t *testing.T) {
			o := Options{FS: disk.NewMemory(), Sensors: []string{"a", "b"}, Boot: "boot"}
			m := newMaker(2)
			l := open(t, o)
			l.maintain(time.Unix(1, 0))
			l.Begin("epoch", m.next)
			uptime := int64(20_000)
			for _, p := range phases {
				m.flags = 0
				if !p.synced {
					m.flags = wire.ClockUnsynced
				}
				for range 25 {
					m.at = uptime + p.offset
					l.Append(m.tick(), p.offset)
					uptime += 100
				}
				l.write()
			}
			check := func(what string) {
				t.Helper()
				for sensor := range uint16(2) {
					got := all(t, l.Since(sensor, ^uint32(0)))
					if len(got) != 25*len(phases) {
						t.Fatalf("%s: %d records, want %d", what, len(got), 25*len(phases))
					}
					for i, r := range got {
						p := phases[i/25]
						if off := r.UnixMilli - (20_000 + int64(i)*100 + p.want); off != 0 || (r.Flags&wire.ClockUnsynced != 0) != p.flag {
							t.Fatalf("%s: sensor %d, phase %d: %d ms off, flags %d", what, sensor, i/25, off, r.Flags)
						}
					}
				}
			}
			check("in memory")
			l.Close()
			l = open(t, o)
			check("from the journal")
			if err := l.seal(false); err != nil {
				t.Fatal(err)
			}
			check("sealed")
			l.Close()
			l = open(t, o)
			check("from a segment")
			l.Close()
		})
	}
}
