package bus

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"sensorgateway/wire"
)

func TestHang(t *testing.T) {
	var release chan struct{}
	var hang atomic.Bool
	var runs atomic.Int32
	f := &fake{tx: func(_ uint16, w, r []byte) error {
		runs.Add(1)
		if !hang.Load() {
			copy(r, "good")
			return nil
		}
		<-release
		for i := range w { // the kernel might still do this when it is late
			w[i] = 0xEE
		}
		copy(r, "late")
		return nil
	}}
	synctest.Test(t, func(t *testing.T) {
		release = make(chan struct{}) // in the bubble
		var log bytes.Buffer
		b := New("bus 1", f.open, slog.New(slog.NewTextHandler(&log, nil)))
		defer b.Close()
		hang.Store(true)
		start := time.Now()
		w, r := []byte{1, 2}, []byte("mine")
		var all sync.WaitGroup
		all.Go(func() {
			err := (Bounded{b}).Tx(0x44, w, r)
			wantFault(t, err, wire.Timeout)
			if got := err.Error(); got != "0x44 on bus 1: write-read: no answer within 550ms" {
				t.Error(got)
			}
		})
		synctest.Wait()
		var behind sync.WaitGroup
		for range 3 {
			behind.Go(func() { wantFault(t, b.Tx(0x45, w, nil), wire.BusDown) })
		}
		if d := took(behind.Wait); d != waitLimit {
			t.Errorf("those behind it hear of it after %v", d)
		}
		if d := took(all.Wait); d != boundedLimit-waitLimit {
			t.Errorf("it is answered after another %v", d)
		}
		if err := b.Hangs(0x45); !errors.Is(err, wire.BusDown) || err.Error() != "0x45 on bus 1: transaction: a transaction with chip 0x44 has been hanging since "+start.Format(time.DateTime) {
			t.Errorf("Hangs says %v", err)
		}

		synctest.Wait()
		goroutines := runtime.NumGoroutine()
		for range 1000 {
			var err error
			if d := took(func() { err = b.Tx(0x45, nil, r) }); d != 0 {
				t.Fatalf("waited %v for a bus that hangs", d)
			}
			if want := "0x45 on bus 1: read: a transaction with chip 0x44 has been hanging since " + start.Format(time.DateTime); err.Error() != want {
				t.Fatalf("got %v, want %s", err, want)
			}
			wantFault(t, err, wire.BusDown)
			time.Sleep(time.Millisecond)
		}
		if n := runtime.NumGoroutine(); n > goroutines {
			t.Errorf("%d goroutines, were %d", n, goroutines)
		}
		if n := runs.Load(); n != 1 {
			t.Errorf("%d transactions while it hangs", n)
		}

		hang.Store(false)
		close(release)
		synctest.Wait()
		if err := b.Hangs(0x45); err != nil {
			t.Errorf("it hangs no more, but %v", err)
		}
		if !bytes.Equal(w, []byte{1, 2}) || string(r) != "mine" {
			t.Errorf("the late transaction touched its caller's memory: % x, %q", w, r)
		}
		if err := b.Tx(0x45, w, r); err != nil || string(r) != "good" {
			t.Errorf("after the hang: %q, %v", r, err)
		}
		if err := b.Tx(0x44, w, r); err != nil { // that it once waited was not its fault
			t.Error(err)
		}
		if len(f.opened) != 1 || f.closed.Load() != 0 {
			t.Errorf("opened %d times, closed %d times", len(f.opened), f.closed.Load())
		}
		wantLog(t, &log, "level=WARN msg=\"I²C bus is down\" bus=\"bus 1\" cause=\"a transaction with chip 0x44 has been hanging since ", "level=INFO msg=\"I²C bus is back\" bus=\"bus 1\" after=1.3s")
	})
}

// If the same transaction of a chip is late twice in a row, the chip itself holds the bus,
// whatever it answers in between. It rests for as long as that took. A chip that is late now
// and then waits for others.
func TestLateTransactions(t *testing.T) {
	var late atomic.Int64 // of reads
	f := &fake{tx: func(_ uint16, _, r []byte) error {
		if len(r) > 0 {
			time.Sleep(time.Duration(late.Load()))
		}
		return nil
	}}
	bubble(t, f, func(t *testing.T, b *Bus, log *bytes.Buffer) {
		sense := func() error {
			if err := b.Tx(0x44, []byte{1}, nil); err != nil {
				return err
			}
			return b.Tx(0x44, nil, []byte{0})
		}
		hold := func() {
			t.Helper()
			late.Store(int64(2 * time.Second))
			if d := took(func() { wantFault(t, sense(), wire.Good) }); d != 2*time.Second {
				t.Errorf("it returned after %v", d)
			}
			late.Store(0)
		}
		for range 9 { // each time it answers in time before the next
			hold()
			if err := sense(); err != nil {
				t.Fatal(err)
			}
		}
		hold()
		for pause := 2 * time.Second; pause <= 8*time.Second; pause *= 2 {
			hold()
			err := sense()
			wantFault(t, err, wire.Timeout)
			if want := "0x44 on bus 1: transaction: it held the bus for 2s"; err.Error() != want {
				t.Errorf("got %v, want %s", err, want)
			}
			time.Sleep(pause)
		}
		if err := sense(); err != nil {
			t.Error(err)
		}
		hold()
		if err := sense(); err != nil { // as at first
			t.Error(err)
		}
	})
}

func TestHangThatEndsWithALostTransport(t *testing.T) {
	hang := 300 * time.Millisecond
	f := &fake{tx: func(uint16, []byte, []byte) error { time.Sleep(hang); hang = 0; return syscall.ENODEV }}
	bubble(t, f, func(t *testing.T, b *Bus, log *bytes.Buffer) {
		wantFault(t, (Bounded{b}).Tx(0x44, []byte{1}, nil), wire.BusDown)
		f.tx = nil
		err := b.Tx(0x44, []byte{1}, nil)
		wantFault(t, err, wire.BusDown) // the bus has been closed, and the pause begins
		if !errors.Is(err, syscall.ENODEV) || f.closed.Load() != 1 {
			t.Errorf("%v, closed %d times", err, f.closed.Load())
		}
		time.Sleep(300 * time.Millisecond) // as long as it hung
		if err := b.Tx(0x44, []byte{1}, nil); err != nil {
			t.Error(err)
		}
		wantLog(t, log, "is down", "is back")
	})
}

func TestMissingThenAppearing(t *testing.T) {
	f := &fake{openErr: fmt.Errorf("open /dev/i2c-1: %w", syscall.ENOENT)}
	bubble(t, f, func(t *testing.T, b *Bus, log *bytes.Buffer) {
		start := time.Now()
		for time.Since(start) < 20*time.Second {
			var err error
			if d := took(func() { err = b.Tx(0x44, []byte{1}, nil) }); d != 0 {
				t.Fatalf("took %v", d)
			}
			wantFault(t, err, wire.BusDown)
			if want := "0x44 on bus 1: write: open /dev/i2c-1: no such file or directory"; err.Error() != want || !errors.Is(err, syscall.ENOENT) {
				t.Fatal(err)
			}
			time.Sleep(50 * time.Millisecond)
		}
		var at []int64
		for _, o := range f.opened {
			at = append(at, o.Sub(start).Milliseconds())
		}
		if want := []int64{0, 100, 300, 700, 1500, 3100, 4700, 6300, 7900, 9500, 11100, 12700, 14300, 15900, 17500, 19100}; !slices.Equal(at, want) {
			t.Errorf("tried at %v ms, want %v", at, want)
		}

		f.openErr = nil
		time.Sleep(5 * time.Second)
		if err := b.Tx(0x44, []byte{1}, nil); err != nil {
			t.Error(err)
		}
		wantLog(t, log, "no such file or directory", "is back\" bus=\"bus 1\" after=25s")
	})
}

func TestVanishingAndBack(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.ENODEV, syscall.ESHUTDOWN, syscall.EBADF, syscall.ENOTCONN, syscall.ECONNABORTED} {
		f := &fake{}
		bubble(t, f, func(t *testing.T, b *Bus, log *bytes.Buffer) {
			tx := func() error { return b.Tx(0x44, []byte{1}, nil) }
			for round := range 2 { // the second time the pause is short again
				if err := tx(); err != nil {
					t.Fatal(err)
				}
				f.tx = func(uint16, []byte, []byte) error { return errno }
				for range 2 { // once from the transport, once without it
					err := tx()
					wantFault(t, err, wire.BusDown)
					if !errors.Is(err, errno) {
						t.Error(err)
					}
				}
				if int(f.closed.Load()) != round+1 || len(f.opened) != round+1 {
					t.Errorf("round %d: opened %d times, closed %d times", round, len(f.opened), f.closed.Load())
				}
				f.tx = nil
				time.Sleep(pause - 1)
				wantFault(t, tx(), wire.BusDown)
				time.Sleep(time.Nanosecond)
			}
			if err := tx(); err != nil {
				t.Error(err)
			}
			wantLog(t, log, "is down", "after=100ms", "is down", "after=100ms")
		})
	}
}

func TestSilentBusIsReopened(t *testing.T) {
	f := &fake{tx: func(uint16, []byte, []byte) error { return syscall.ETIMEDOUT }}
	bubble(t, f, func(t *testing.T, b *Bus, log *bytes.Buffer) {
		tx := func() error { return b.Tx(0x44, nil, make([]byte, 1)) }
		silent := func() {
			t.Helper()
			for range maxUnanswered {
				wantFault(t, tx(), wire.Timeout)
			}
			err := tx()
			wantFault(t, err, wire.BusDown)
			if want := "0x44 on bus 1: read: no answer 3 times in a row: " + syscall.ETIMEDOUT.Error(); err.Error() != want {
				t.Errorf("got %v, want %s", err, want)
			}
		}
		silent()
		time.Sleep(pause)
		silent() // that it opens is no answer: no second warning, and the pause grows
		time.Sleep(2*pause - 1)
		wantFault(t, tx(), wire.BusDown)
		time.Sleep(time.Nanosecond)
		if f.closed.Load() != 2 || len(f.opened) != 2 {
			t.Errorf("opened %d times, closed %d times", len(f.opened), f.closed.Load())
		}
		f.tx = func(uint16, []byte, []byte) error { return syscall.ENXIO } // no chip, but a bus
		wantFault(t, tx(), wire.NoAck)
		if got, want := recoveries(b), "reopen 2 1;"; got != want || b.Repeats() != 2 {
			t.Errorf("%s, want %s; %d repeats", got, want, b.Repeats())
		}
		wantLog(t, log, "is down", "is opened anew, because nobody answered", "still does not answer after it was opened anew", `is back" bus="bus 1" step=reopen`)
	})
}

// recoveries is each step, how often it was taken and how often it helped.
func recoveries(b *Bus) (all string) {
	b.Recoveries(func(step string, r *Recovery) { all += fmt.Sprintf("%s %d %d;", step, r.Taken.Load(), r.Helped.Load()) })
	return all
}

// If opening anew does not help, the further steps are taken in their order. They are not
// taken before, nor for a chip that does not acknowledge.
func TestSilentBusGetsEachStep(t *testing.T) {
	held := false
	f := &fake{tx: func(addr uint16, _, _ []byte) error {
		switch {
		case held:
			time.Sleep(100 * time.Millisecond)
			return syscall.ETIMEDOUT
		case addr == 0x45:
			return eRemoteIO
		}
		return nil
	}}
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		b := New("bus 1", f.open, slog.New(slog.NewTextHandler(&log, nil)))
		defer b.Close()
		fed, cuts := 0, 0
		b.SetRecovery(func() error { fed++; return nil }, Step{"clocks", "SCL is clocked", func() error {
			if b.transport.port != nil {
				t.Error("the transport is open")
			}
			return errors.New("SCL is low")
		}}, Step{"power", "power is cut", func() error {
			cuts++
			time.Sleep(500 * time.Millisecond)
			held = cuts < 2 // the first time the chip's capacitors hold it
			return nil
		}})
		tick := func(d time.Duration) {
			for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
				_ = b.Tx(0x44, []byte{1}, nil)
				_ = b.Tx(0x45, []byte{1}, nil)
			}
		}
		tick(time.Minute)
		if fed != 1 || cuts != 0 || len(f.opened) != 1 {
			t.Errorf("fed %d times, cut %d times, opened %d times while all is well", fed, cuts, len(f.opened))
		}
		held = true
		tick(time.Minute)
		if got, want := recoveries(b), "reopen 1 0;clocks 2 0;power 2 1;"; got != want || held {
			t.Errorf("%s, want %s; held %v", got, want, held)
		}
		if err := b.Tx(0x44, []byte{1}, nil); err != nil {
			t.Error(err)
		}
		wantLog(t, &log, "is down", "is opened anew, because nobody answered\" bus=\"bus 1\" step=reopen", "still does not answer",
			"SCL is clocked, because nobody answered", "level=WARN msg=\"a step to recover the I²C bus failed\" bus=\"bus 1\" step=clocks err=\"SCL is low\"", "still does not answer\" bus=\"bus 1\" step=clocks",
			"power is cut, because", "still does not answer after all recovery steps", "is back\" bus=\"bus 1\" step=power")
	})
}

func TestOneSilentChipIsNoSilentBus(t *testing.T) {
	for _, other := range []error{nil, eRemoteIO} { // that a chip is absent is an answer too
		f := &fake{tx: func(addr uint16, _, _ []byte) error {
			if addr == 0x44 {
				return syscall.EIO
			}
			return other
		}}
		bubble(t, f, func(t *testing.T, b *Bus, log *bytes.Buffer) {
			for range 5 * maxUnanswered {
				wantFault(t, b.Tx(0x44, []byte{1}, nil), wire.Timeout)
				wantFault(t, b.Tx(0x44, []byte{1}, nil), wire.Timeout)
				if err := b.Tx(0x45, []byte{1}, nil); !errors.Is(err, other) {
					t.Error(err)
				}
			}
			if f.closed.Load() != 0 {
				t.Error("closed")
			}
			wantLog(t, log)
		})
	}
}
