package bus

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"

	"sensorgateway/wire"
)

// pause is how long the bus waits after its first failure.
const pause = 250 * time.Millisecond

// fake is a transport whose behaviour a test decides, and its opener.
type fake struct {
	tx       func(addr uint16, w, r []byte) error // nil answers with zeros
	openErr  error
	closeErr error
	opened   []time.Time // every attempt
	closed   atomic.Int32
}

func (f *fake) open() (i2c.BusCloser, error) {
	f.opened = append(f.opened, time.Now())
	if f.openErr != nil {
		return nil, f.openErr
	}
	return f, nil
}

func (f *fake) Tx(addr uint16, w, r []byte) error {
	if f.tx == nil {
		return nil
	}
	return f.tx(addr, w, r)
}

func (f *fake) Close() error                    { f.closed.Add(1); return f.closeErr }
func (f *fake) String() string                  { return "fake" }
func (f *fake) SetSpeed(physic.Frequency) error { return nil }

// bubble runs test on a bus over f, in fake time. The bubble itself fails a
// test that leaves a goroutine behind.
func bubble(t *testing.T, f *fake, test func(t *testing.T, b *Bus, log *bytes.Buffer)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		b := New("bus 1", f.open, slog.New(slog.NewTextHandler(&log, nil)))
		defer b.Close()
		test(t, b, &log)
	})
}

func wantFault(t *testing.T, err error, want wire.Fault) {
	t.Helper()
	if got := wire.FaultOf(err); got != want {
		t.Errorf("fault %v (%v), want %v", got, err, want)
	}
}

// wantLog checks which messages were logged, in order.
func wantLog(t *testing.T, log *bytes.Buffer, want ...string) {
	t.Helper()
	lines := strings.FieldsFunc(log.String(), func(r rune) bool { return r == '\n' })
	ok := len(lines) == len(want)
	for i := 0; ok && i < len(want); i++ {
		ok = strings.Contains(lines[i], want[i]) && strings.Contains(lines[i], `bus="bus 1"`)
	}
	if !ok {
		t.Errorf("log:\n%swant %q", log, want)
	}
}

// took returns how long f takes.
func took(f func()) time.Duration {
	start := time.Now()
	f()
	return time.Since(start)
}

func TestTx(t *testing.T) {
	f := &fake{tx: func(addr uint16, w, r []byte) error {
		if addr != 0x44 || !bytes.Equal(w, []byte{0x24, 0x0B}) {
			return fmt.Errorf("got % x at %#x", w, addr)
		}
		copy(r, "answer")
		return nil
	}}
	bubble(t, f, func(t *testing.T, b *Bus, log *bytes.Buffer) {
		if len(f.opened) != 0 {
			t.Error("opened before the first transaction")
		}
		r := make([]byte, 6)
		if err := b.Tx(0x44, []byte{0x24, 0x0B}, r); err != nil || string(r) != "answer" {
			t.Errorf("%q, %v", r, err)
		}
		if b.String() != "bus 1" {
			t.Errorf("String %q", b.String())
		}
		wantLog(t, log)
	})
}

func TestRefused(t *testing.T) {
	f := &fake{}
	bubble(t, f, func(t *testing.T, b *Bus, log *bytes.Buffer) {
		long := make([]byte, 8193)
		for _, c := range []struct {
			addr uint16
			w, r []byte
			want string
		}{
			{0x02, []byte{1}, nil, "0x02 on bus 1: write: not a chip's address (0x03 to 0x77)"},
			{0x78, nil, []byte{1}, "0x78 on bus 1: read: not a chip's address (0x03 to 0x77)"},
			{0x144, nil, []byte{1}, "0x144 on bus 1: read: not a chip's address (0x03 to 0x77)"},
			{0x44, long, nil, "0x44 on bus 1: write: 8193 bytes to write, more than 8192"},
			{0x44, []byte{1}, long, "0x44 on bus 1: write-read: 8193 bytes to read, more than 8192"},
		} {
			err := b.Tx(c.addr, c.w, c.r)
			if err == nil || err.Error() != c.want {
				t.Errorf("got %v, want %s", err, c.want)
			}
			wantFault(t, err, wire.Other)
		}
		if err := b.Tx(0x44, nil, []byte{}); err != nil {
			t.Errorf("empty: %v", err)
		}
		if len(f.opened) != 0 {
			t.Error("reached the transport")
		}
		for _, addr := range []uint16{0x03, 0x77} {
			if err := b.Tx(addr, long[:8192], long[:8192]); err != nil {
				t.Error(err)
			}
		}
		if err := b.SetSpeed(physic.MegaHertz); err == nil || !strings.Contains(err.Error(), "dtparam=i2c_arm_baudrate=") {
			t.Errorf("SetSpeed: %v", err)
		}
	})
}

func TestOneAtATimeInOrder(t *testing.T) {
	var inside atomic.Int32
	var order []uint16
	f := &fake{tx: func(addr uint16, w, r []byte) error {
		if inside.Add(1) != 1 {
			t.Error("two at once")
		}
		order = append(order, addr)
		time.Sleep(10 * time.Millisecond)
		inside.Add(-1)
		copy(r, w)
		return nil
	}}
	bubble(t, f, func(t *testing.T, b *Bus, log *bytes.Buffer) {
		var all sync.WaitGroup
		var want []uint16
		for addr := uint16(0x10); addr < 0x20; addr++ {
			want = append(want, addr)
			all.Go(func() {
				r := make([]byte, 2)
				if err := b.Tx(addr, []byte{byte(addr), 1}, r); err != nil || r[0] != byte(addr) {
					t.Errorf("%#x: % x, %v", addr, r, err)
				}
			})
			synctest.Wait() // it has the bus or queues
		}
		all.Wait()
		if !slices.Equal(order, want) {
			t.Errorf("order %x, want %x", order, want)
		}
	})
}

func TestNobodyQueuesForLong(t *testing.T) {
	f := &fake{tx: func(uint16, []byte, []byte) error { time.Sleep(200 * time.Millisecond); return nil }}
	bubble(t, f, func(t *testing.T, b *Bus, log *bytes.Buffer) {
		var all sync.WaitGroup
		for i, want := range []struct {
			fault wire.Fault
			took  time.Duration
		}{{wire.Good, 200 * time.Millisecond}, {wire.Good, 400 * time.Millisecond}, {wire.Timeout, turnLimit}, {wire.Timeout, turnLimit}} {
			all.Go(func() {
				var err error
				if d := took(func() { err = b.Tx(0x44, []byte{1}, nil) }); d != want.took {
					t.Errorf("caller %d: after %v, want %v", i, d, want.took)
				}
				wantFault(t, err, want.fault)
			})
			synctest.Wait()
		}
		all.Wait()
		wantLog(t, log)
	})
}

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
		for i := range w { // what a late kernel might still do
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
			err := b.Tx(0x44, w, r)
			wantFault(t, err, wire.Timeout)
			if got := err.Error(); got != "0x44 on bus 1: write-read: no answer within 250ms" {
				t.Error(got)
			}
		})
		synctest.Wait()
		for range 3 { // those behind it hear of it when it is known
			all.Go(func() { wantFault(t, b.Tx(0x45, w, nil), wire.BusDown) })
		}
		if d := took(all.Wait); d != transactionLimit {
			t.Errorf("all answered after %v", d)
		}

		synctest.Wait()
		goroutines := runtime.NumGoroutine()
		for range 1000 {
			var err error
			if d := took(func() { err = b.Tx(0x45, nil, r) }); d != 0 {
				t.Fatalf("waited %v for a bus that hangs", d)
			}
			if want := "0x45 on bus 1: read: hangs since " + start.Format(time.DateTime) + ", at chip 0x44"; err.Error() != want {
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
		if !bytes.Equal(w, []byte{1, 2}) || string(r) != "mine" {
			t.Errorf("the late transaction touched its caller's memory: % x, %q", w, r)
		}
		if err := b.Tx(0x44, w, r); err != nil || string(r) != "good" {
			t.Errorf("after the hang: %q, %v", r, err)
		}
		if len(f.opened) != 1 || f.closed.Load() != 0 {
			t.Errorf("opened %d times, closed %d times", len(f.opened), f.closed.Load())
		}
		wantLog(t, &log, "level=WARN msg=\"I²C bus is down\" bus=\"bus 1\" cause=\"hangs since ", "level=INFO msg=\"I²C bus is back\" bus=\"bus 1\" after=1s")
	})
}

func TestHangThatEndsWithALostTransport(t *testing.T) {
	hang := 300 * time.Millisecond
	f := &fake{tx: func(uint16, []byte, []byte) error { time.Sleep(hang); hang = 0; return syscall.ENODEV }}
	bubble(t, f, func(t *testing.T, b *Bus, log *bytes.Buffer) {
		wantFault(t, b.Tx(0x44, []byte{1}, nil), wire.Timeout)
		time.Sleep(time.Second)
		synctest.Wait()
		f.tx = nil
		err := b.Tx(0x44, []byte{1}, nil)
		wantFault(t, err, wire.BusDown) // it has been closed, and the pause begins
		if !errors.Is(err, syscall.ENODEV) || f.closed.Load() != 1 {
			t.Errorf("%v, closed %d times", err, f.closed.Load())
		}
		time.Sleep(pause)
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
		if want := []int64{0, 250, 750, 1750, 3750, 7750, 12750, 17750}; !slices.Equal(at, want) {
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
			for round := range 2 { // the second time the pause begins anew
				if err := tx(); err != nil {
					t.Fatal(err)
				}
				f.tx = func(uint16, []byte, []byte) error { return errno }
				for range 2 { // once from the transport, once at once
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
			wantLog(t, log, "is down", "after=250ms", "is down", "after=250ms")
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
			if want := "0x44 on bus 1: read: no answer 10 times in a row: " + syscall.ETIMEDOUT.Error(); err.Error() != want {
				t.Errorf("got %v, want %s", err, want)
			}
		}
		silent()
		time.Sleep(pause)
		silent() // opening it was no sign of life: no second warning, and the pause grows
		time.Sleep(2*pause - 1)
		wantFault(t, tx(), wire.BusDown)
		time.Sleep(time.Nanosecond)
		if f.closed.Load() != 2 || len(f.opened) != 2 {
			t.Errorf("opened %d times, closed %d times", len(f.opened), f.closed.Load())
		}
		f.tx = func(uint16, []byte, []byte) error { return syscall.ENXIO } // no chip, but a bus
		wantFault(t, tx(), wire.NoAck)
		wantLog(t, log, "is down", "is back")
	})
}

func TestOneSilentChipIsNoSilentBus(t *testing.T) {
	for _, other := range []error{nil, eRemoteIO} { // an absent chip's answer is one too
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

func TestLyingTransportRepeatsNothing(t *testing.T) {
	f := &fake{tx: func(_ uint16, _, r []byte) error { copy(r, "secret"); return nil }}
	bubble(t, f, func(t *testing.T, b *Bus, log *bytes.Buffer) {
		r := make([]byte, 6)
		if err := b.Tx(0x44, nil, r); err != nil {
			t.Fatal(err)
		}
		f.tx = nil // says it read, and did not
		if err := b.Tx(0x45, nil, r); err != nil || !bytes.Equal(r, make([]byte, 6)) {
			t.Errorf("%q, %v", r, err)
		}
	})
}

func TestClose(t *testing.T) {
	f := &fake{}
	bubble(t, f, func(t *testing.T, b *Bus, log *bytes.Buffer) {
		if err := b.Close(); err != nil || len(f.opened) != 0 {
			t.Errorf("never used: %v", err)
		}
		err := b.Tx(0x44, []byte{1}, nil)
		wantFault(t, err, wire.BusDown)
		if err.Error() != "0x44 on bus 1: write: the bus is closed" {
			t.Error(err)
		}
	})

	f = &fake{closeErr: syscall.EIO}
	bubble(t, f, func(t *testing.T, b *Bus, log *bytes.Buffer) {
		if err := b.Tx(0x44, []byte{1}, nil); err != nil {
			t.Fatal(err)
		}
		if err := b.Close(); !errors.Is(err, syscall.EIO) || f.closed.Load() != 1 {
			t.Errorf("%v, closed %d times", err, f.closed.Load())
		}
		if err := b.Close(); err != nil || f.closed.Load() != 1 {
			t.Errorf("again: %v, closed %d times", err, f.closed.Load())
		}
	})
}

func TestCloseWithCallersQueueing(t *testing.T) {
	f := &fake{tx: func(uint16, []byte, []byte) error { time.Sleep(100 * time.Millisecond); return nil }}
	bubble(t, f, func(t *testing.T, b *Bus, log *bytes.Buffer) {
		var all sync.WaitGroup
		for _, want := range []wire.Fault{wire.Good, wire.BusDown, wire.BusDown} {
			all.Go(func() { wantFault(t, b.Tx(0x44, []byte{1}, nil), want) })
			synctest.Wait()
		}
		if d := took(func() {
			if err := b.Close(); err != nil {
				t.Error(err)
			}
		}); d != 100*time.Millisecond {
			t.Errorf("took %v", d)
		}
		all.Wait()
	})
}

func TestCloseOfAHangingBus(t *testing.T) {
	for _, c := range []struct {
		name    string
		hang    time.Duration // from the start of the transaction
		took    time.Duration // from its end by the limit
		abandon bool
	}{
		{"comes back", time.Second, 750 * time.Millisecond, false},
		{"does not in time", time.Hour, closeLimit, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := &fake{tx: func(uint16, []byte, []byte) error { time.Sleep(c.hang); return nil }}
			bubble(t, f, func(t *testing.T, b *Bus, log *bytes.Buffer) {
				wantFault(t, b.Tx(0x44, []byte{1}, nil), wire.Timeout)
				var err error
				if d := took(func() { err = b.Close() }); d != c.took {
					t.Errorf("took %v, want %v", d, c.took)
				}
				if (err != nil) != c.abandon || (f.closed.Load() == 1) == c.abandon {
					t.Errorf("%v, closed %d times", err, f.closed.Load())
				}
				wantFault(t, b.Tx(0x44, []byte{1}, nil), wire.BusDown)
				time.Sleep(c.hang) // the one that was left alone closes up after itself
				synctest.Wait()
				if f.closed.Load() != 1 {
					t.Errorf("closed %d times in the end", f.closed.Load())
				}
			})
		})
	}
}

func TestSteadyStateAllocatesNothing(t *testing.T) {
	f := &fake{}
	b := New("bus 1", f.open, slog.New(slog.DiscardHandler))
	defer b.Close()
	w, r := []byte{0x24, 0x0B}, make([]byte, 6)
	if n := testing.AllocsPerRun(1000, func() {
		if err := b.Tx(0x44, w, r); err != nil {
			t.Error(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations a transaction", n)
	}
}

func BenchmarkTx(b *testing.B) {
	f := &fake{}
	bus := New("bus 1", f.open, slog.New(slog.DiscardHandler))
	defer bus.Close()
	w, r := []byte{0x24, 0x0B}, make([]byte, 6)
	b.ReportAllocs()
	for b.Loop() {
		if err := bus.Tx(0x44, w, r); err != nil {
			b.Fatal(err)
		}
	}
}
