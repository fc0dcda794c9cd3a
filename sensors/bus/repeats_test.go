package bus

import (
	"bytes"
	"syscall"
	"testing"
	"time"

	"sensorgateway/wire"
)

func TestLyingTransportRepeatsNothing(t *testing.T) {
	f := &fake{tx: func(_ uint16, _, r []byte) error { copy(r, "secret"); return nil }}
	bubble(t, f, func(t *testing.T, b *Bus, log *bytes.Buffer) {
		r := make([]byte, 6)
		if err := b.Tx(0x44, nil, r); err != nil {
			t.Fatal(err)
		}
		f.tx = nil // it reports success without reading
		if err := b.Tx(0x45, nil, r); err != nil || !bytes.Equal(r, make([]byte, 6)) {
			t.Errorf("%q, %v", r, err)
		}
	})
}

// A transaction that is not acknowledged is made again, and so is one that lost
// the bus to another master; one that holds the bus is not.
func TestRepeats(t *testing.T) {
	for _, c := range []struct {
		err      error
		failures int
		want     wire.Fault
		tries    int
	}{
		{eRemoteIO, 1, wire.Good, 2},
		{eRemoteIO, 2, wire.Good, 3},
		{eRemoteIO, 3, wire.NoAck, 3},
		{syscall.ENXIO, 1, wire.Good, 2},
		{wire.NoAck, 1, wire.Good, 2},
		{syscall.EAGAIN, 2, wire.Good, 3},
		{syscall.EAGAIN, 9, wire.BusDown, 3},
		{syscall.ETIMEDOUT, 1, wire.Timeout, 1},
		{syscall.EIO, 1, wire.Timeout, 1},
		{syscall.EINVAL, 1, wire.Other, 1},
		{syscall.ENODEV, 1, wire.BusDown, 1},
	} {
		tries := 0
		f := &fake{tx: func(_ uint16, w, r []byte) error {
			if tries++; tries <= c.failures {
				return c.err
			}
			copy(r, w)
			return nil
		}}
		bubble(t, f, func(t *testing.T, b *Bus, log *bytes.Buffer) {
			r := []byte{0}
			var err error
			d := took(func() { err = b.Tx(0x44, []byte{0x55}, r) })
			wantFault(t, err, c.want)
			if tries != c.tries || d != time.Duration(tries-1)*repeatPause || int(b.Repeats()) != tries-1 {
				t.Errorf("%v: tried %d times in %v, want %d; counted %d", c.err, tries, d, c.tries, b.Repeats())
			}
			if c.want == wire.Good && r[0] != 0x55 {
				t.Errorf("%v: read % x", c.err, r)
			}
		})
	}
}

// A chip whose failures hold the bus leaves most of it to the others, and is
// asked as before once it answers.
func TestCostlyChipRests(t *testing.T) {
	for _, cost := range []time.Duration{35 * time.Millisecond, 100 * time.Millisecond, 2 * time.Second} {
		slow, asked := true, 0
		f := &fake{tx: func(addr uint16, _, _ []byte) error {
			if addr == 0x44 {
				asked++
				if slow {
					time.Sleep(cost)
					return syscall.EIO
				}
			}
			return nil
		}}
		bubble(t, f, func(t *testing.T, b *Bus, log *bytes.Buffer) {
			const ticks = 3000
			good := 0
			for range ticks {
				start := time.Now()
				_ = b.Tx(0x44, []byte{1}, nil)
				if b.Tx(0x38, []byte{1}, nil) == nil {
					good++
				}
				time.Sleep(time.Until(start.Add(100 * time.Millisecond)))
			}
			if share := float64(good) / ticks; share < 0.9 {
				t.Errorf("%v: the other chip has %.0f %% of its readings", cost, 100*share)
			}
			slow = false
			time.Sleep(30 * time.Second)
			for asked = 0; asked < 10; {
				if err := b.Tx(0x44, []byte{1}, nil); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}
