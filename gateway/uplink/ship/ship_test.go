package ship

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// Although connections are cut, answers are lost and brokers refuse, each record comes, and
// only what was not confirmed is sent twice.
func TestEverythingGoesUp(t *testing.T) {
	for seed := range uint64(4) {
		synctest.Test(t, func(t *testing.T) {
			chance := rand.New(rand.NewPCG(seed, 16))
			f := newFeed("indoor", "outdoor")
			for range 30 {
				f.add("indoor", "one", 200)
				f.add("outdoor", "one", 20)
			}
			f.add("indoor", "two", 1)
			l := &line{rate: 20e3, trip: 50 * time.Millisecond, answer: func(Message) (byte, error) {
				switch chance.IntN(20) {
				case 0:
					return 0, errCut
				case 1:
					return 0x10, nil
				case 2:
					return 0x83, nil
				}
				return 0, nil
			}}
			o := options(f)
			o.File = filepath.Join(t.TempDir(), "sent")
			s := newShipper(t, o)
			for i := range 400 {
				connect(t, s, l, time.Duration(chance.IntN(3000))*time.Millisecond)
				if i%20 == 0 {
					f.add("indoor", "two", 200)
				}
				if i%50 == 10 { // killed: only what is in the file is still known
					if chance.IntN(2) == 0 {
						if err := s.write(); err != nil {
							t.Fatal(err)
						}
					}
					s = newShipper(t, o)
				}
			}
			l.answer = nil
			connect(t, s, l, 10*time.Minute)
			for _, name := range f.names {
				got, _ := l.received(t, name)
				if want := f.all(t, name); !slices.Equal(got, want) {
					t.Errorf("%s: %d records, want %d", name, len(got), len(want))
				}
			}
			if st := s.Status(); st.Unsent != 0 || st.Waiting != "" || st.Lost != 0 {
				t.Errorf("%+v", st)
			}
			before := len(l.got)
			connect(t, s, l, time.Hour)
			if len(l.got) != before {
				t.Errorf("%d messages when nothing was left", len(l.got)-before)
			}
		})
	}
}

// The minute of all sensors is one message, if the line takes it at once.
func TestSensorsTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		names := make([]string, 16)
		for i := range names {
			names[i] = fmt.Sprintf("sensor-%d", i)
		}
		f := newFeed(names...)
		l := &line{rate: 1e6, trip: 20 * time.Millisecond}
		s := newShipper(t, options(f))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx, Link{Publish: l.publish}) }()
		minute := func() (messages int) {
			before := l.messages
			for _, name := range names {
				f.add(name, "one", 600)
			}
			time.Sleep(time.Minute)
			synctest.Wait()
			return l.messages - before
		}
		first, second := minute(), minute()
		if first < 2 || second != 1 { // at first the rate of the line is not known
			t.Errorf("%d messages, then %d", first, second)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		for _, name := range names {
			if got, repeats := l.received(t, name); !slices.Equal(got, f.all(t, name)) || repeats > 0 {
				t.Errorf("%s: %d records, %d of them again", name, len(got), repeats)
			}
		}
	})
}

// A slow line is filled, and yet nothing waits long for what was sent before it; also if
// it stood still at the beginning, so that it seemed to be filled with the first messages.
func TestSlowLine(t *testing.T) {
	for _, c := range []struct {
		rate    float64
		trip    time.Duration
		records int
		stall   time.Duration // three and a half trips after the beginning
	}{
		{8e3, 600 * time.Millisecond, 300, 0}, {32e3, 200 * time.Millisecond, 600, 0}, {1e3, 2 * time.Second, 100, 0},
		{8e3, 50 * time.Millisecond, 600, 0}, {2e3, 200 * time.Millisecond, 600, 0},
		{8e3, 600 * time.Millisecond, 600, 600 * time.Millisecond},
	} {
		t.Run(fmt.Sprint(c.rate, c.trip, c.stall), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFeed("indoor", "outdoor")
				for range 200 {
					f.add("indoor", "one", c.records)
					f.add("outdoor", "one", c.records)
				}
				stall := time.Now().Add(c.trip * 7 / 2)
				l := &line{rate: c.rate, trip: c.trip, stalled: [2]time.Time{stall, stall.Add(c.stall)}, measured: stall.Add(c.stall + 8*c.trip)}
				s := newShipper(t, options(f))
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				done := make(chan error, 1)
				begin := time.Now()
				go func() { done <- s.Run(ctx, Link{Publish: l.publish}) }()
				for unsent := int64(1); unsent > 0 && time.Since(begin) < 2*time.Hour; unsent, _, _ = s.count() { // Status is some seconds old
					time.Sleep(100 * time.Millisecond)
				}
				took := time.Since(begin).Seconds()
				cancel()
				if err := <-done; err != nil {
					t.Error(err)
				}
				share := float64(l.bytes) / c.rate / took
				t.Logf("%.0f B/s, %v: %.1f %% of the line, %d messages, the queue at most %v", c.rate, c.trip, 100*share, l.messages, l.queue)
				if share < 0.9 {
					t.Errorf("%.1f %% of the line was used", 100*share)
				}
				// What is wanted, the time of a message itself, and now and then the time that
				// it takes to measure the round trip anew.
				if most := ahead + time.Duration(2*minMessage/c.rate*float64(time.Second)) + c.trip; l.queue > most {
					t.Errorf("a message waited %v, at most %v is right", l.queue, most)
				}
			})
		})
	}
}

// While nobody subscribes, or the broker is full, the cursor stays; it is tried again
// less and less often, with one message.
func TestRefused(t *testing.T) {
	for reason, want := range map[byte]Reason{0x10: Unheard, 0x83: Full, 0x97: Full, 0x87: Refused} {
		synctest.Test(t, func(t *testing.T) {
			f := newFeed("indoor")
			for range 50 {
				f.add("indoor", "one", 100)
			}
			l := &line{rate: 1e6, trip: time.Millisecond, answer: func(Message) (byte, error) { return reason, nil }}
			s := newShipper(t, options(f))
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- s.Run(ctx, Link{Publish: l.publish}) }()
			time.Sleep(time.Hour)
			if st := s.Status(); st.Waiting != want || st.Unsent != 50*100 || want == Refused && st.Code != reason {
				t.Errorf("%#x: %+v", reason, st)
			}
			if l.messages < 60 || l.messages > 75 {
				t.Errorf("%#x: %d messages in an hour", reason, l.messages)
			}
			l.mu.Lock()
			l.answer = nil
			l.mu.Unlock()
			time.Sleep(2 * time.Minute)
			if st := s.Status(); st.Waiting != "" || st.Unsent != 0 {
				t.Errorf("%#x: %+v", reason, st)
			}
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
			if got, repeats := l.received(t, "indoor"); repeats > 0 || !slices.Equal(got, f.all(t, "indoor")) {
				t.Errorf("%d records, %d repeats", len(got), repeats)
			}
		})
	}
}

// What the log has evicted before it went up is counted, once.
func TestEvicted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFeed("indoor")
		for range 10 {
			f.add("indoor", "one", 100)
		}
		refuse := false
		l := &line{answer: func(Message) (byte, error) {
			if refuse {
				return 0x10, nil
			}
			return 0, nil
		}}
		s := newShipper(t, options(f))
		connect(t, s, l, time.Second)
		for range 10 {
			f.add("indoor", "one", 100)
		}
		f.evict("indoor", 14)
		refuse = true
		connect(t, s, l, time.Minute)
		if st := s.Status(); st.Lost != 400 || st.Unsent != 600 {
			t.Errorf("%+v", st)
		}
		refuse = false
		connect(t, s, l, time.Minute)
		if st := s.Status(); st.Lost != 400 || st.Unsent != 0 {
			t.Errorf("%+v", st)
		}
	})
}

// Cursors of epochs that the log no longer has are forgotten, but not because it has not
// read its directory yet.
func TestCursorsAreFew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFeed("indoor")
		for i := range 5 {
			f.add("indoor", fmt.Sprint("e", i), 10)
		}
		s, l := newShipper(t, options(f)), &line{}
		connect(t, s, l, time.Second)
		all := f.blocks["indoor"]
		f.blocks["indoor"] = nil
		connect(t, s, l, time.Minute)
		if n := len(s.state.Sent); n != 5 {
			t.Errorf("%d cursors", n)
		}
		f.blocks["indoor"] = all
		f.evict("indoor", 3)
		connect(t, s, l, time.Minute)
		if n := len(s.state.Sent); n != 2 || len(l.got) != 2 { // nothing is sent again
			t.Errorf("%d cursors, %d messages", n, len(l.got))
		}
	})
}

// The file is written when much was sent, after a while, and at the end.
func TestFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFeed("indoor")
		f.add("indoor", "one", 600)
		o := options(f)
		o.File = filepath.Join(t.TempDir(), "sent")
		s := newShipper(t, o)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Maintain(ctx) }()
		written := func() (at time.Time) {
			if info, err := os.Stat(o.File); err == nil {
				at = info.ModTime()
			}
			synctest.Wait()
			return at
		}
		l := &line{}
		connect(t, s, l, time.Second)
		time.Sleep(9 * time.Minute)
		if !written().IsZero() {
			t.Error("a block was worth writing the file")
		}
		time.Sleep(2 * time.Minute)
		if written().IsZero() {
			t.Error("after ten minutes there was no file")
		}
		f.add("indoor", "one", 600)
		connect(t, s, l, 6*time.Second)
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if again := newShipper(t, o); !slices.Equal(again.state.Sent, s.state.Sent) || again.state.Sent[0].Last != f.blocks["indoor"][1].Last {
			t.Errorf("%+v, want %+v", again.state, s.state)
		}
		data, _ := os.ReadFile(o.File)
		data[20] ^= 1
		if err := os.WriteFile(o.File, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if s := newShipper(t, o); len(s.state.Sent) != 0 || s.Status().Unsent != 1200 {
			t.Errorf("%+v of a damaged file", s.state)
		}
	})
}

func TestStateIsGolden(t *testing.T) {
	s := state{Month: "2026-11", Used: 1234, Sent: cursors{{"indoor", "one", 4294967295, 1_700_000_000_000}}}
	const want = `{"version":1,"month":"2026-11","used":1234,"sent":[{"sensor":"indoor","epoch":"one","last":4294967295,"time":1700000000000}]}` + "\nb27c1d47\n"
	if got := string(s.format()); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func FuzzState(f *testing.F) {
	f.Add(state{Month: "2026-11", Used: 7, Sent: cursors{{"a", "b", 1, 2}}}.format())
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := parseState(b)
		if err != nil {
			return
		}
		again, err := parseState(s.format())
		if err != nil || again.Month != s.Month || again.Used != s.Used || !slices.Equal(again.Sent, s.Sent) {
			t.Errorf("%+v became %+v, %v", s, again, err)
		}
	})
}
