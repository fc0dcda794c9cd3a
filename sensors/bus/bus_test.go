package bus

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
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
const pause = minCost

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
		}{{wire.Good, 200 * time.Millisecond}, {wire.Good, 400 * time.Millisecond}, {wire.Timeout, waitLimit}, {wire.Timeout, waitLimit}} {
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

// Callers are served in the order in which they came, however long the others take.
func TestInOrderOnASlowBus(t *testing.T) {
	f := &fake{tx: func(uint16, []byte, []byte) error { time.Sleep(130 * time.Millisecond); return nil }}
	bubble(t, f, func(t *testing.T, b *Bus, log *bytes.Buffer) {
		var all sync.WaitGroup
		var mu sync.Mutex
		var order []int
		for i, at := range []time.Duration{0, 1, 2, 200} {
			all.Go(func() {
				time.Sleep(at * time.Millisecond)
				if err := b.Tx(0x44, []byte{1}, nil); err != nil {
					t.Errorf("caller %d: %v", i, err)
				}
				mu.Lock()
				defer mu.Unlock()
				order = append(order, i)
			})
		}
		all.Wait()
		if !slices.IsSorted(order) {
			t.Errorf("served in the order %v", order)
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
		took    time.Duration // until the limit ends it
		abandon bool
	}{
		{"comes back", time.Second, time.Second - boundedLimit, false},
		{"does not in time", time.Hour, closeLimit, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := &fake{tx: func(uint16, []byte, []byte) error { time.Sleep(c.hang); return nil }}
			bubble(t, f, func(t *testing.T, b *Bus, log *bytes.Buffer) {
				wantFault(t, (Bounded{b}).Tx(0x44, []byte{1}, nil), wire.Timeout)
				var err error
				if d := took(func() { err = b.Close() }); d != c.took {
					t.Errorf("took %v, want %v", d, c.took)
				}
				if (err != nil) != c.abandon || (f.closed.Load() == 1) == c.abandon {
					t.Errorf("%v, closed %d times", err, f.closed.Load())
				}
				wantFault(t, b.Tx(0x44, []byte{1}, nil), wire.BusDown)
				time.Sleep(c.hang) // the transaction that was given up closes the transport when it ends
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
