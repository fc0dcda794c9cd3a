package bus

import (
	"bytes"
	"log/slog"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"sensorgateway/wire"
)

// A caller is held for as long as its transaction takes. Others that ask are told that the
// bus hangs; the log says it once, and then that the bus is back.
func TestHeldInATransaction(t *testing.T) {
	f := &fake{tx: func(uint16, []byte, []byte) error { time.Sleep(time.Minute); return nil }}
	bubble(t, f, func(t *testing.T, b *Bus, log *bytes.Buffer) {
		held := make(chan struct{})
		go func() {
			defer close(held)
			if d := took(func() { wantFault(t, b.Tx(0x44, []byte{1}, nil), wire.Good) }); d != time.Minute {
				t.Errorf("it returned after %v", d)
			}
		}()
		time.Sleep(TransactionLimit - 1)
		if err := b.Hangs(0x44); err != nil {
			t.Errorf("before its time is over: %v", err)
		}
		time.Sleep(time.Nanosecond)
		for range 100 {
			wantFault(t, b.Hangs(0x44), wire.BusDown)
			wantFault(t, b.Channel(0x70, 3).Hangs(0x45), wire.BusDown)
			time.Sleep(100 * time.Millisecond)
		}
		<-held
		f.tx = nil
		if err := b.Tx(0x44, []byte{1}, nil); err != nil || b.Hangs(0x44) != nil {
			t.Error(err, b.Hangs(0x44))
		}
		wantLog(t, log, `is down" bus="bus 1" cause="a transaction with chip 0x44 has been hanging since 2000-01-01 00:00:00"`, `is back" bus="bus 1" after=59.75s`)
	})
}

// A late answer is as good as one in time, if nobody was told meanwhile that the bus hangs.
func TestLateAndUnnoticed(t *testing.T) {
	f := &fake{tx: func(_ uint16, _, r []byte) error { time.Sleep(2 * time.Second); copy(r, "good"); return nil }}
	bubble(t, f, func(t *testing.T, b *Bus, log *bytes.Buffer) {
		r := make([]byte, 4)
		if err := b.Tx(0x44, nil, r); err != nil || string(r) != "good" {
			t.Errorf("%q, %v", r, err)
		}
		wantLog(t, log)
	})
}

// An outage in which each attempt takes long is logged once.
func TestSlowOutageIsLoggedOnce(t *testing.T) {
	f := &fake{tx: func(uint16, []byte, []byte) error { time.Sleep(400 * time.Millisecond); return syscall.ENODEV }}
	bubble(t, f, func(t *testing.T, b *Bus, log *bytes.Buffer) {
		for begin := time.Now(); time.Since(begin) < time.Minute; time.Sleep(100 * time.Millisecond) {
			if err := b.Tx(0x44, []byte{1}, nil); err == nil {
				t.Fatal("no error")
			}
		}
		wantLog(t, log, "is down")
	})
}

// A panic of a transport does not keep the bus.
func TestPanicInATransport(t *testing.T) {
	f := &fake{tx: func(uint16, []byte, []byte) error { panic("nil map") }}
	bubble(t, f, func(t *testing.T, b *Bus, log *bytes.Buffer) {
		func() {
			defer func() { _ = recover() }() // as the sampler does of a driver
			_ = b.Tx(0x44, []byte{1}, nil)
			t.Error("no panic")
		}()
		f.tx = nil
		if err := b.Tx(0x45, []byte{1}, nil); err != nil {
			t.Error(err)
		}
		wantLog(t, log)

		f.tx = func(uint16, []byte, []byte) error { time.Sleep(time.Second); panic("nil map") }
		time.AfterFunc(500*time.Millisecond, func() { wantFault(t, b.Hangs(0x44), wire.BusDown) })
		for range 2 {
			func() {
				defer func() { _ = recover() }()
				_ = b.Tx(0x44, []byte{1}, nil)
			}()
		}
		f.tx = nil
		if err := b.Tx(0x45, []byte{1}, nil); err != nil {
			t.Error(err)
		}
		wantLog(t, log, "is down", "is back")
	})
}

// A bounded transaction that does not end works on memory of its own, and does not hold its
// caller. Transactions that end are passed through as they are.
func TestBounded(t *testing.T) {
	end := make(chan struct{})
	f := &fake{tx: func(addr uint16, w, r []byte) error {
		switch addr {
		case 0x44:
			<-end
		case 0x45:
			return syscall.EIO
		}
		copy(r, w)
		return nil
	}}
	synctest.Test(t, func(t *testing.T) {
		end = make(chan struct{}) // in the bubble
		b := New("bus 1", f.open, slog.New(slog.DiscardHandler))
		defer b.Close()
		bounded, r := Bounded{b}, []byte{7}
		wantFault(t, bounded.Tx(0x45, []byte{1}, r), wire.Timeout)
		if err := bounded.Tx(0x46, []byte{1}, r); err != nil || r[0] != 1 {
			t.Error(r, err)
		}
		if d := took(func() { wantFault(t, bounded.Tx(0x44, []byte{9}, r), wire.Timeout) }); d != boundedLimit || r[0] != 1 {
			t.Errorf("after %v, with % x", d, r)
		}
		if d := took(func() { wantFault(t, bounded.Tx(0x46, []byte{9}, r), wire.BusDown) }); d != 0 {
			t.Errorf("another after %v", d)
		}
		close(end)
		synctest.Wait()
		if err := bounded.Tx(0x46, []byte{2}, r); err != nil || r[0] != 2 {
			t.Error(r, err)
		}
	})
}
