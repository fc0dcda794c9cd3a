package ship

import (
	"context"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sensorgateway/gateway/fleet"
	"sensorgateway/gateway/history/codec"
)

// When the month's bytes are used, nothing goes up until the next one begins. A clock
// that is not synchronised begins none.
func TestBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // it is the 1st of January 2000
		f := newFeed("indoor")
		for range 100 {
			f.add("indoor", "one", 600)
		}
		var synced atomic.Bool
		synced.Store(true)
		o := options(f)
		o.Budget = 100e3
		o.Clock = func() (time.Time, bool) { return time.Now(), synced.Load() }
		s := newShipper(t, o)
		l := &line{rate: 1e6, trip: time.Millisecond}
		publish := func(ctx context.Context, m Message) (byte, error) {
			s.Used(len(m.Payload) + 200)
			return l.publish(ctx, m)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx, Link{Publish: publish}) }()
		time.Sleep(time.Hour)
		st := s.Status()
		if st.Waiting != Budget || st.Unsent == 0 || st.Used < 80e3 || st.Used > 90e3+maxMessage || st.Month != "2000-01" {
			t.Errorf("%+v", st)
		}
		synced.Store(false)
		time.Sleep(35 * 24 * time.Hour)
		if again := s.Status(); again != st {
			t.Errorf("%+v, before %+v", again, st)
		}
		synced.Store(true)
		time.Sleep(time.Minute)
		if st := s.Status(); st.Month != "2000-02" || st.Used < 10e3 {
			t.Errorf("%+v", st)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// A clock that was set back a little begins no month a second time; one that was wrong by more
// than a month, though it seemed to be synchronised, keeps no bytes for a month that is far.
func TestWrongMonth(t *testing.T) {
	o, now := options(newFeed("indoor")), time.Time{}
	o.Budget = 100e3
	o.Clock = func() (time.Time, bool) { return now, true }
	s := newShipper(t, o)
	for i, step := range []struct {
		now, month string
		used       int64 // 10,000 bytes are used in each step
	}{
		{"2027-01-31T23:59:59Z", "2027-01", 10_000}, {"2027-02-01T00:00:01Z", "2027-02", 10_000}, {"2027-01-31T23:59:59Z", "2027-02", 20_000},
		{"2027-01-31T23:59:59+03:00", "2027-02", 30_000}, {"2026-12-31T23:59:59Z", "2026-12", 10_000}, {"2027-12-31T00:00:00Z", "2027-12", 10_000},
		{"2026-12-31T00:00:00Z", "2026-12", 10_000}, {"2026-12-31T00:00:00Z", "2026-12", 20_000}, {"2027-01-01T00:00:00Z", "2027-01", 10_000},
	} {
		var err error
		if now, err = time.Parse(time.RFC3339, step.now); err != nil {
			t.Fatal(err)
		}
		s.Used(10_000)
		if st := s.Status(); st.Month != step.month || st.Used != step.used {
			t.Errorf("step %d: %d bytes of %s, want %+v", i, st.Used, st.Month, step)
		}
	}
}

// When the month's bytes are nearly used, hubs get the heads of blocks, each once, until all
// bytes are used; the cursor stays, and the blocks follow in the next month.
func TestHeads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFeed("indoor", "outdoor")
		for range 120 {
			f.add("indoor", "one", 600)
			f.add("outdoor", "one", 600)
		}
		o := options(f)
		o.Budget, o.File = 200e3, filepath.Join(t.TempDir(), "sent")
		s := newShipper(t, o)
		l := &line{rate: 8e3, trip: 50 * time.Millisecond}
		run := func(during time.Duration) {
			t.Helper()
			ctx, cancel := context.WithTimeout(t.Context(), during)
			defer cancel()
			if err := s.Run(ctx, Link{Publish: func(ctx context.Context, m Message) (byte, error) {
				s.Used(len(m.Payload) + 200)
				return l.publish(ctx, m)
			}}); err != nil {
				t.Error(err)
			}
		}
		summarised := func(name string) (summaries, repeats int) {
			t.Helper()
			have := map[uint32]bool{}
			for _, m := range l.got {
				parts, err := fleet.ParseUp(m.Payload)
				if err != nil {
					t.Fatal(err)
				}
				up := parts[0] // heads are sent alone
				if up.Sensor != name || up.Heads == nil {
					continue
				}
				heads, _, err := codec.ParseHeads(up.Heads)
				if err != nil || len(up.Values) != 1 && len(heads) > 0 && up.Values == nil {
					t.Fatalf("%v, %+v", err, up.Values)
				}
				for _, h := range heads {
					if have[h.Summary.First] {
						repeats++
					}
					have[h.Summary.First] = true
				}
			}
			return len(have), repeats
		}
		run(time.Minute)
		st := s.Status()
		if st.Waiting != "" && st.Waiting != Budget || st.Unsent == 0 || st.Summarised != st.Unsent {
			t.Errorf("%+v", st)
		}
		in, again := summarised("indoor")
		out, more := summarised("outdoor")
		if int64(in+out) != st.Unsent/600 || again+more > 0 {
			t.Errorf("%d and %d minutes are summarised, %d and %d again, and %d readings wait", in, out, again, more, st.Unsent)
		}
		f.add("indoor", "one", 600)
		run(time.Minute) // what is new comes five minutes later at most, after a restart at once
		if now, again := summarised("indoor"); now != in+1 || again > 0 {
			t.Errorf("%d minutes are summarised, %d again", now, again)
		}
		if err := s.write(); err != nil {
			t.Fatal(err)
		}
		s = newShipper(t, o)
		f.add("indoor", "one", 600)
		run(time.Minute)
		if now, again := summarised("indoor"); now != in+2 || again > 0 {
			t.Errorf("after a restart %d minutes are summarised, %d again", now, again)
		}
		s.Used(int(o.Budget))
		f.add("indoor", "one", 600)
		messages := l.messages
		run(time.Hour)
		if l.messages != messages {
			t.Errorf("%d messages without any bytes left", l.messages-messages)
		}
		time.Sleep(32 * 24 * time.Hour)
		run(time.Minute)
		for _, name := range f.names {
			if got, _ := l.received(t, name); len(got) < 1200 || st.Waiting == Unheard {
				t.Errorf("%s: %d records in the next month", name, len(got))
			}
		}
		o.Budget = 0
		s = newShipper(t, o)
		run(time.Minute)
		for _, name := range f.names {
			if got, _ := l.received(t, name); !slices.Equal(got, f.all(t, name)) {
				t.Errorf("%s: %d records, want %d", name, len(got), len(f.all(t, name)))
			}
		}
	})
}
