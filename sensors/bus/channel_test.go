package bus

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"periph.io/x/conn/v3/i2c"

	"sensorgateway/wire"
)

// switched is a transport with multiplexers. It notes each transfer, as "70<08 44<2400".
type switched struct {
	fake
	masks map[uint16]byte         // of the multiplexers that are there
	fail  map[string]func() error // by transfer, such as "70<08", or "44" for all of a chip
	seen  []string
}

func newSwitched(muxes ...uint16) *switched {
	s := &switched{masks: map[uint16]byte{}, fail: map[string]func() error{}}
	for _, m := range muxes {
		s.masks[m] = 0xFF // another program left it like this
	}
	s.tx = func(addr uint16, w, r []byte) error {
		x := fmt.Sprintf("%02x<%x", addr, w)
		s.seen = append(s.seen, x)
		for _, key := range []string{x, x[:2]} {
			if fail := s.fail[key]; fail != nil {
				if err := fail(); err != nil {
					return err
				}
			}
		}
		if _, ok := s.masks[addr]; ok {
			s.masks[addr] = w[0]
		} else if addr >= FirstMux && addr <= LastMux {
			return eRemoteIO
		}
		return nil
	}
	return s
}

func (s *switched) open() (i2c.BusCloser, error) {
	_, err := s.fake.open()
	return s, err
}

// want checks the transfers since it was called last.
func (s *switched) want(t *testing.T, transfers string) {
	t.Helper()
	if got := strings.Join(s.seen, " "); got != transfers {
		t.Errorf("transfers:\n got %s\nwant %s", got, transfers)
	}
	s.seen = nil
}

// times returns what fails n times.
func times(n int, err error) func() error {
	return func() error {
		if n--; n >= 0 {
			return err
		}
		return nil
	}
}

func (s *switched) bubble(t *testing.T, test func(t *testing.T, b *Bus)) {
	t.Helper()
	s.fake.tx = s.tx
	bubble(t, &s.fake, func(t *testing.T, b *Bus, _ *bytes.Buffer) {
		b.transport.open = s.open
		test(t, b)
	})
}

func measure(t *testing.T, b i2c.Bus, addr uint16) {
	t.Helper()
	if err := b.Tx(addr, []byte{0x24}, nil); err != nil {
		t.Error(err)
	}
}

func TestChannelIsSelectedWhenItChanges(t *testing.T) {
	s := newSwitched(0x70)
	s.bubble(t, func(t *testing.T, b *Bus) {
		third, fourth := b.Channel(0x70, 3), b.Channel(0x70, 4)
		measure(t, third, 0x44)
		measure(t, third, 0x45)
		s.want(t, "70<08 44<24 45<24")
		measure(t, fourth, 0x44)
		measure(t, third, 0x44)
		s.want(t, "70<10 44<24 70<08 44<24")
		measure(t, b, 0x46) // nobody behind a channel hears it
		measure(t, b, 0x46)
		s.want(t, "70<00 46<24 46<24")
		measure(t, third, 0x44)
		s.seen = nil
		if err := b.Close(); err != nil {
			t.Error(err)
		}
		s.want(t, "70<00")
	})
}

// Of all channels of all multiplexers at most one is connected at any moment.
func TestTwoMultiplexers(t *testing.T) {
	s := newSwitched(0x70, 0x71)
	s.bubble(t, func(t *testing.T, b *Bus) {
		one, other := b.Channel(0x70, 0), b.Channel(0x71, 7)
		measure(t, b, 0x46) // what they connect is not known at first
		s.want(t, "70<00 71<00 46<24")
		measure(t, one, 0x44)
		measure(t, one, 0x44)
		s.want(t, "70<01 44<24 44<24")
		measure(t, other, 0x44)
		s.want(t, "70<00 71<80 44<24")
		measure(t, one, 0x44)
		s.want(t, "71<00 70<01 44<24")
		measure(t, b, 0x46)
		s.want(t, "70<00 46<24")
	})
}

// A multiplexer that was reset connects nothing, and one transfer finds that out.
func TestSelectedAgainAfterAFailure(t *testing.T) {
	s := newSwitched(0x70)
	s.bubble(t, func(t *testing.T, b *Bus) {
		c := b.Channel(0x70, 3)
		measure(t, c, 0x44)
		s.seen = nil

		s.fail["44"] = times(1, eRemoteIO)
		measure(t, c, 0x44)
		s.want(t, "44<24 70<08 44<24")

		s.fail["44"] = times(3, eRemoteIO)
		wantFault(t, c.Tx(0x44, []byte{0x24}, nil), wire.NoAck)
		measure(t, c, 0x44)
		s.want(t, "44<24 70<08 44<24 70<08 44<24 70<08 44<24")

		s.fail["44"] = times(1, syscall.ETIMEDOUT)
		wantFault(t, c.Tx(0x44, []byte{0x24}, nil), wire.Timeout)
		measure(t, c, 0x44)
		s.want(t, "44<24 70<08 44<24")

		s.fail["70"] = times(2, eRemoteIO) // bad wiring costs no reading here either
		measure(t, b.Channel(0x70, 4), 0x44)
		s.want(t, "70<10 70<10 70<10 44<24")
		if n := b.Repeats(); n != 5 {
			t.Errorf("%d repeats counted", n)
		}

		s.fail["44"] = times(1, syscall.ENODEV) // an adapter that is pulled and plugged in again
		wantFault(t, c.Tx(0x44, []byte{0x24}, nil), wire.BusDown)
		s.want(t, "70<08 44<24")
		time.Sleep(minCost)
		measure(t, c, 0x44)
		s.want(t, "70<08 44<24")
		if len(s.opened) != 2 {
			t.Errorf("opened %d times", len(s.opened))
		}
	})
}

func TestChannelsFailures(t *testing.T) {
	s := newSwitched(0x70)
	s.bubble(t, func(t *testing.T, b *Bus) {
		c := b.Channel(0x70, 3)
		check := func(fault wire.Fault, want string) {
			t.Helper()
			err := c.Tx(0x44, []byte{0x24}, nil)
			wantFault(t, err, fault)
			if err != nil && err.Error() != want {
				t.Errorf("\n got %v\nwant %s", err, want)
			}
		}
		s.fail["44"] = times(3, eRemoteIO)
		check(wire.NoAck, "0x44 on bus 1, channel 3 of multiplexer 0x70: write: remote I/O error")
		s.fail["44"] = times(3, &Error{Bus: "bus 1", Addr: 0x44, Op: "write", Fault: wire.NoAck, Err: eRemoteIO})
		check(wire.NoAck, "0x44 on bus 1, channel 3 of multiplexer 0x70: write: remote I/O error")
		s.fail["70"] = times(3, &Error{Bus: "bus 1", Addr: 0x70, Op: "write", Fault: wire.NoAck, Err: eRemoteIO})
		check(wire.NoAck, "0x44 on bus 1, channel 3 of multiplexer 0x70: select the channel: remote I/O error")
		s.fail["70"] = times(3, syscall.ETIMEDOUT)
		for range 2 {
			check(wire.Timeout, "0x44 on bus 1, channel 3 of multiplexer 0x70: select the channel: connection timed out")
		}
		check(wire.Timeout, "0x44 on bus 1, channel 3 of multiplexer 0x70: select the channel: no answer 3 times in a row: connection timed out")
		check(wire.BusDown, "0x44 on bus 1, channel 3 of multiplexer 0x70: write: no answer 3 times in a row: connection timed out")
	})
}

// A chip whose failures hold the bus is left alone, but not one with the same address behind
// another channel.
func TestCostlyChipBehindAChannelRests(t *testing.T) {
	s := newSwitched(0x70)
	s.bubble(t, func(t *testing.T, b *Bus) {
		s.fail["44"] = func() error { time.Sleep(costly); s.fail["44"] = nil; return syscall.EIO }
		c := b.Channel(0x70, 3)
		wantFault(t, c.Tx(0x44, []byte{0x24}, nil), wire.Timeout)
		s.seen = nil
		wantFault(t, c.Tx(0x44, []byte{0x24}, nil), wire.Timeout)
		s.want(t, "")
		measure(t, b.Channel(0x70, 4), 0x44)
		s.want(t, "70<10 44<24")
	})
}

// A multiplexer that is missing makes the chips behind it fail, and others for a short time only.
func TestMissingMultiplexer(t *testing.T) {
	s := newSwitched(0x71)
	s.bubble(t, func(t *testing.T, b *Bus) {
		lost, c := b.Channel(0x70, 0), b.Channel(0x71, 7)
		wantFault(t, lost.Tx(0x44, []byte{0x24}, nil), wire.NoAck)
		s.want(t, "71<00 70<01 70<01 70<01")
		err := c.Tx(0x44, []byte{0x24}, nil) // these may be lost transfers, and then its chip would answer too
		if want := "0x44 on bus 1, channel 7 of multiplexer 0x71: disconnect the channels of 0x70: remote I/O error"; err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
		s.want(t, "70<00 70<00 70<00")
		measure(t, b, 0x46) // a chip that is connected has another address
		s.want(t, "70<00 70<00 70<00 46<24")
		for range 2 {
			measure(t, c, 0x44)
		}
		s.want(t, "70<00 71<80 44<24 70<00 44<24")

		s.masks[0x70] = 0 // it is there again
		measure(t, c, 0x44)
		measure(t, lost, 0x44)
		s.want(t, "70<00 44<24 71<00 70<01 44<24")
	})
}

func TestChannelRefuses(t *testing.T) {
	s := newSwitched(0x70, 0x71)
	s.bubble(t, func(t *testing.T, b *Bus) {
		b.Channel(0x71, 0)
		for _, c := range []struct {
			mux     uint16
			channel uint8
			addr    uint16
			want    string
		}{
			{0x6F, 0, 0x44, "0x44 on bus 1, channel 0 of multiplexer 0x6f: write: 0x6f is no multiplexer's address (0x70 to 0x77)"},
			{0x78, 0, 0x44, "0x44 on bus 1, channel 0 of multiplexer 0x78: write: 0x78 is no multiplexer's address (0x70 to 0x77)"},
			{0x70, 8, 0x44, "0x44 on bus 1, channel 8 of multiplexer 0x70: write: a multiplexer has no channel 8 (0 to 7)"},
			{0x70, 7, 0x71, "0x71 on bus 1, channel 7 of multiplexer 0x70: write: 0x71 is the address of a multiplexer, which would answer"},
			{0x70, 7, 0x78, "0x78 on bus 1, channel 7 of multiplexer 0x70: write: not a chip's address (0x03 to 0x77)"},
		} {
			if err := b.Channel(c.mux, c.channel).Tx(c.addr, []byte{0x24}, nil); err == nil || err.Error() != c.want {
				t.Errorf("got %v, want %s", err, c.want)
			}
		}
		s.want(t, "")
		if err := b.Channel(0x70, 3).SetSpeed(1); err == nil {
			t.Error("the speed is set")
		}
		if got := b.Channel(0x70, 3).String(); got != "bus 1, channel 3 of multiplexer 0x70" {
			t.Error(got)
		}
	})
}

// A caller keeps its channel until its transfer is over.
func TestSelectAndTransferAreOneTurn(t *testing.T) {
	s := newSwitched(0x70, 0x71)
	tx := s.tx
	s.tx = func(addr uint16, w, r []byte) error {
		if addr == 0x44 {
			want := map[uint16]byte{0x70: 0, 0x71: 0}
			if w[0] != 0 {
				want[uint16(w[0])] = 1 << w[1]
			}
			if s.masks[0x70] != want[0x70] || s.masks[0x71] != want[0x71] {
				t.Errorf("% x with %x connected", w, s.masks)
			}
		}
		return tx(addr, w, r)
	}
	s.bubble(t, func(t *testing.T, b *Bus) {
		var all sync.WaitGroup
		for channel := range byte(MuxChannels) {
			for _, mux := range []byte{0x70, 0x71} {
				c := b.Channel(uint16(mux), channel)
				all.Go(func() {
					for range 100 {
						if err := c.Tx(0x44, []byte{mux, channel}, nil); err != nil {
							t.Error(err)
						}
					}
				})
			}
		}
		all.Go(func() {
			for range 100 {
				if err := b.Tx(0x44, []byte{0, 0}, nil); err != nil {
					t.Error(err)
				}
			}
		})
		all.Wait()
	})
}

func TestChannelAllocatesNothing(t *testing.T) {
	f := &fake{}
	b := New("bus 1", f.open, slog.New(slog.DiscardHandler))
	defer b.Close()
	w, r := []byte{0x24, 0x0B}, make([]byte, 6)
	channels := []i2c.Bus{b.Channel(0x70, 3), b.Channel(0x71, 4), b}
	if n := testing.AllocsPerRun(1000, func() {
		for _, c := range channels {
			if err := c.Tx(0x44, w, r); err != nil {
				t.Error(err)
			}
		}
	}); n != 0 {
		t.Errorf("%v allocations in three transactions", n)
	}
}
