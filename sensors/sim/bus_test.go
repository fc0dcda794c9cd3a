package sim_test

import (
	"bytes"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sensorgateway/sensors/sim"
	"sensorgateway/wire"
)

func TestAddRefuses(t *testing.T) {
	b := newBus(t, 1)
	for _, tt := range []struct {
		model string
		addr  uint16
		want  string
	}{
		{"dht22", 0x44, `chip "dht22" on bus 1: not emulated, only aht10, aht20, am2320, bme280, bme680, bmp280, hdc1080, hdc302x, htu21d, mcp9808, scd4x, sht2x, sht3x, sht4x, shtc3, si7021, tmp117`},
		{"bme280", 0x44, `bme280 0x44 on bus 1: no address of this chip, use one of [0x76 0x77]`},
		{"sht3x", 0x44, `sht3x 0x44 on bus 1: address taken by sht3x`},
	} {
		if err := b.Add(tt.model, tt.addr, sim.Indoor); err == nil || err.Error() != tt.want {
			t.Errorf("Add(%q, 0x%02x): %v, want %s", tt.model, tt.addr, err, tt.want)
		}
	}
	if err := b.Inject(0x50, sim.Failure{Kind: sim.Vanish}); err == nil {
		t.Error("a chip that is not there can fail")
	}
}

func TestErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBus(t, 1)
		inject(t, b, aht, sim.Failure{Kind: sim.Hang, For: 100 * ms})
		for _, tt := range []struct {
			addr  uint16
			w, r  []byte
			want  string
			fault wire.Fault
		}{
			{0x45, []byte{1}, nil, "remote I/O error", wire.NoAck},
			{0x45, nil, nil, "remote I/O error", wire.NoAck},
			{0x3FF, []byte{1}, make([]byte, 1), "remote I/O error", wire.NoAck},
			{sht, nil, make([]byte, 6), "remote I/O error", wire.NoAck},
			{aht, nil, make([]byte, 6), "connection timed out", wire.Timeout},
		} {
			err := b.Tx(tt.addr, tt.w, tt.r)
			if err == nil || err.Error() != tt.want || wire.FaultOf(err) != tt.fault || !errors.Is(err, tt.fault) {
				t.Errorf("got %v (%v), want %s (%v)", err, wire.FaultOf(err), tt.want, tt.fault)
			}
		}
		for _, addr := range []uint16{sht, bme, aht} {
			put(t, b, addr) // only the address: is it there?
		}
	})
}

func TestCloseAndOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBus(t, 1)
		put(t, b, bme, 0xF2, 5)
		inject(t, b, bme, sim.Failure{Kind: sim.Stall}) // for ever
		start := time.Now()
		results := make(chan error, 2)
		go func() { results <- b.Tx(bme, []byte{0xD0}, make([]byte, 1)) }()
		synctest.Wait()
		go func() { results <- b.Tx(sht, []byte{0x24, 0x00}, nil) }() // waits for the bus
		time.Sleep(time.Minute)
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := <-results; wire.FaultOf(err) != wire.BusDown {
				t.Errorf("during close: %v", err)
			}
		}
		if err := b.Tx(sht, []byte{0x24, 0x00}, nil); wire.FaultOf(err) != wire.BusDown {
			t.Errorf("after close: %v", err)
		}
		if d := time.Since(start); d != time.Minute {
			t.Errorf("closing took %v", d-time.Minute)
		}
		if err := b.Close(); err != nil {
			t.Errorf("closing again: %v", err)
		}
		again, err := b.Open()
		if err != nil {
			t.Fatal(err)
		}
		var r [1]byte
		if err := again.Tx(bme, []byte{0xF2}, r[:]); err != nil || r[0] != 5 {
			t.Errorf("opened again: register %v, %v: the chip should not have noticed", r, err)
		}
	})
}

func TestSameSeedSameValues(t *testing.T) {
	series := func(seed uint64) (values []byte) {
		synctest.Test(t, func(t *testing.T) {
			b := newBus(t, seed)
			for _, chip := range readers {
				if err := chip.init(b); err != nil {
					t.Fatal(err)
				}
				for range 20 {
					r, err := chip.read(b)
					if err != nil {
						t.Fatal(err)
					}
					values = append(values, r...)
				}
			}
		})
		return values
	}
	first := series(1)
	if !bytes.Equal(first, series(1)) {
		t.Error("the same seed gave other values")
	}
	if bytes.Equal(first, series(2)) {
		t.Error("another seed gave the same values")
	}
}

func TestNoiseIsNeverStuck(t *testing.T) {
	for _, chip := range readers {
		t.Run(chip.model, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBus(t, 1)
				if err := chip.init(b); err != nil {
					t.Fatal(err)
				}
				same, before := 0, []byte(nil)
				for range 600 {
					r, err := chip.read(b)
					if err != nil {
						t.Fatal(err)
					}
					if same++; !bytes.Equal(r, before) {
						same = 0
					}
					if before = r; same == 3 {
						t.Fatalf("% x four times", r)
					}
				}
			})
		})
	}
}

// Any number of goroutines may use the bus, also while chips come and fail.
func TestConcurrentUse(t *testing.T) {
	b := newBus(t, 1)
	b.SetFlaky()
	var users sync.WaitGroup
	for i := range 4 {
		users.Go(func() {
			for j := range 200 {
				addr := []uint16{sht, bme, aht, 0x45}[j%4]
				_ = b.Tx(addr, []byte{0xF3, 0x2D}, make([]byte, 3)) // whatever comes
				switch {
				case j == 50 && i == 0:
					if err := b.Add("sht3x", 0x45, sim.Outdoor); err != nil {
						t.Error(err)
					}
				case j%10 == 0 && i == 1:
					inject(t, b, sht, sim.Failure{Kind: sim.Kind(1 + j%8), For: time.Microsecond, Count: 2})
				case j%50 == 0 && i == 2:
					b.Repair(sht)
					b.SetFlaky()
				}
			}
		})
	}
	users.Wait()
	if err := b.Close(); err != nil {
		t.Error(err)
	}
}

func TestTxAllocatesNothing(t *testing.T) {
	b := newBus(t, 1)
	b.SetFlaky()
	w, r := []byte{0xF4, 0x21}, make([]byte, 8)
	data := []byte{0xF7}
	n := testing.AllocsPerRun(100, func() {
		if b.Tx(bme, w, nil) != nil || b.Tx(bme, data, r) != nil {
			t.Error("failed")
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzTx runs a program of three bytes an instruction: the chip, how far the
// clock goes on and how much is read, the length to write; then what to write.
func FuzzTx(f *testing.F) {
	f.Add([]byte{0, 0x06, 2, 0x24, 0x00, 0, 0xF6, 0})             // SHT3x: measure, read
	f.Add([]byte{0, 0x03, 2, 0x27, 0x21, 0, 0xF6, 2, 0xE0, 0x00}) // SHT3x: periodic, fetch
	f.Add([]byte{1, 0x00, 2, 0xF4, 0x23, 1, 0x1F, 1, 0xF7})       // BME280: normal mode, read over the end
	f.Add([]byte{1, 0x00, 3, 0xE0, 0xB6, 0xF4, 1, 0x91, 1, 0xD0}) // BME280: reset, odd write
	f.Add([]byte{2, 0x00, 3, 0xAC, 0x33, 0x00, 2, 0xF7, 0})       // AHT20
	f.Fuzz(func(t *testing.T, program []byte) {
		synctest.Test(t, func(t *testing.T) {
			b := newBus(t, 1)
			b.SetFlaky()
			for len(program) >= 3 {
				addr := []uint16{sht, bme, aht, 0x45}[program[0]%4]
				if program[0] >= 0xF8 {
					inject(t, b, sht, sim.Failure{Kind: sim.Kind(program[0] % 8), For: time.Second, Count: int(program[1])})
				}
				wait, read := time.Duration(program[1]>>4)*10*ms, int(program[1]&15)*3
				n := min(int(program[2]), len(program)-3)
				w := program[3 : 3+n]
				program = program[3+n:]
				time.Sleep(wait)
				before := bytes.Clone(w)
				if err := b.Tx(addr, w, make([]byte, read)); err != nil && wire.FaultOf(err) == wire.Other {
					t.Errorf("error without a fault: %v", err)
				}
				if !bytes.Equal(before, w) {
					t.Errorf("what was to be written has changed: % x, % x", before, w)
				}
			}
		})
	})
}
