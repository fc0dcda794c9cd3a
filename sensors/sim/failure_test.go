package sim_test

import (
	"bytes"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"sensorgateway/sensors/sim"
	"sensorgateway/wire"
)

// each runs a test with each chip, initialised, on a bus of its own.
func each(t *testing.T, test func(t *testing.T, b *sim.Bus, chip reader)) {
	for _, chip := range readers {
		t.Run(chip.model, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBus(t, 1)
				if err := chip.init(b); err != nil {
					t.Fatal(err)
				}
				good(t, b, chip)
				test(t, b, chip)
			})
		})
	}
}

func good(t *testing.T, b *sim.Bus, chip reader) []byte {
	t.Helper()
	r, err := chip.read(b)
	if err != nil {
		t.Fatalf("%s: %v", chip.model, err)
	}
	return r
}

func bad(t *testing.T, b *sim.Bus, chip reader, want wire.Fault) {
	t.Helper()
	if r, err := chip.read(b); !errors.Is(err, want) {
		t.Fatalf("%s: % x, %v; want %v", chip.model, r, err, want)
	}
}

func TestVanish(t *testing.T) {
	each(t, func(t *testing.T, b *sim.Bus, chip reader) {
		inject(t, b, chip.addr, sim.Failure{Kind: sim.Vanish, For: time.Second})
		bad(t, b, chip, wire.NoAck)
		time.Sleep(time.Second - time.Nanosecond)
		bad(t, b, chip, wire.NoAck)
		time.Sleep(time.Nanosecond)
		good(t, b, chip) // as it was: initialised

		inject(t, b, chip.addr, sim.Failure{Kind: sim.Vanish, Count: 2})
		bad(t, b, chip, wire.NoAck)
		bad(t, b, chip, wire.NoAck)
		good(t, b, chip)

		inject(t, b, chip.addr, sim.Failure{Kind: sim.Vanish})
		time.Sleep(time.Hour)
		bad(t, b, chip, wire.NoAck)
		b.Repair(chip.addr)
		good(t, b, chip)
	})
}

func TestUnplugResets(t *testing.T) {
	for name, plug := range map[string]func(t *testing.T, b *sim.Bus, addr uint16){
		"for a time": func(t *testing.T, b *sim.Bus, addr uint16) {
			inject(t, b, addr, sim.Failure{Kind: sim.Unplug, For: time.Second})
			refused(t, b, addr, nil, 0)
			time.Sleep(time.Second)
		},
		"nobody looked": func(t *testing.T, b *sim.Bus, addr uint16) {
			inject(t, b, addr, sim.Failure{Kind: sim.Unplug, For: time.Second})
			time.Sleep(time.Second)
		},
		"for some transactions": func(t *testing.T, b *sim.Bus, addr uint16) {
			inject(t, b, addr, sim.Failure{Kind: sim.Unplug, Count: 1})
			refused(t, b, addr, nil, 0)
		},
		"until repaired": func(t *testing.T, b *sim.Bus, addr uint16) {
			inject(t, b, addr, sim.Failure{Kind: sim.Unplug})
			time.Sleep(time.Hour)
			refused(t, b, addr, nil, 0)
			b.Repair(addr)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBus(t, 1)
				for _, chip := range readers {
					if err := chip.init(b); err != nil {
						t.Fatal(err)
					}
				}
				put(t, b, sht, 0x30, 0x41) // clears that it was reset
				for _, chip := range readers {
					plug(t, b, chip.addr)
					refused(t, b, chip.addr, nil, 0) // it starts up
					time.Sleep(20 * ms)
				}
				if r := get(t, b, sht, []byte{0xF3, 0x2D}, 3); r[1]&0x10 == 0 {
					t.Errorf("sht3x: status % x, want reset detected", r)
				}
				if r := get(t, b, bme, []byte{0xF2}, 1); r[0] != 0 {
					t.Errorf("bme280: ctrl_hum %02x, want 0", r[0])
				}
				if r := get(t, b, aht, []byte{0x71}, 1); r[0] != 0x10 {
					t.Errorf("aht20: status %02x, want 10", r[0])
				}
			})
		})
	}
}

func TestCorrupt(t *testing.T) {
	each(t, func(t *testing.T, b *sim.Bus, chip reader) {
		want := wire.Checksum
		if chip.model == "bme280" {
			want = wire.Implausible
		}
		inject(t, b, chip.addr, sim.Failure{Kind: sim.Corrupt, Count: 50})
		for range 50 { // whichever bits
			bad(t, b, chip, want)
		}
		good(t, b, chip)
	})
}

func TestOnesAndZeros(t *testing.T) {
	each(t, func(t *testing.T, b *sim.Bus, chip reader) {
		for kind, want := range map[sim.Kind]byte{sim.Ones: 0xFF, sim.Zeros: 0} {
			inject(t, b, chip.addr, sim.Failure{Kind: kind, Count: 3})
			cmd := map[uint16]byte{sht: 0xF3, bme: 0xD0, aht: 0x71}[chip.addr]
			for range 3 {
				if r := get(t, b, chip.addr, []byte{cmd, 0x2D}, 4); !bytes.Equal(r, bytes.Repeat([]byte{want}, 4)) {
					t.Errorf("% x, want all %02x", r, want)
				}
			}
			good(t, b, chip)
		}
	})
}

func TestFreeze(t *testing.T) {
	each(t, func(t *testing.T, b *sim.Bus, chip reader) {
		before := good(t, b, chip)
		start := time.Now()
		inject(t, b, chip.addr, sim.Failure{Kind: sim.Freeze, For: 3 * time.Second})
		for time.Since(start) < 2900*ms {
			if r := good(t, b, chip); !bytes.Equal(r, before) {
				t.Fatalf("% x after % x", r, before)
			}
		}
		time.Sleep(100 * ms)
		if r := good(t, b, chip); bytes.Equal(r, before) {
			t.Errorf("still % x", r)
		}
	})
}

// A stall holds up the whole bus, and then everything goes on.
func TestStall(t *testing.T) {
	each(t, func(t *testing.T, b *sim.Bus, chip reader) {
		inject(t, b, chip.addr, sim.Failure{Kind: sim.Stall, For: 300 * ms, Count: 2})
		for range 2 {
			start := time.Now()
			done := make(chan time.Duration)
			go func() {
				time.Sleep(ms)
				put(t, b, otherThan(chip.addr))
				done <- time.Since(start)
			}()
			put(t, b, chip.addr)
			if d := time.Since(start); d != 300*ms {
				t.Errorf("stood for %v", d)
			}
			if d := <-done; d != 300*ms {
				t.Errorf("the other chip's transaction ended after %v", d)
			}
		}
		good(t, b, chip)
	})
}

func TestHang(t *testing.T) {
	each(t, func(t *testing.T, b *sim.Bus, chip reader) {
		inject(t, b, chip.addr, sim.Failure{Kind: sim.Hang, For: time.Second})
		start := time.Now()
		bad(t, b, chip, wire.Timeout)
		if d := time.Since(start); d != time.Second {
			t.Errorf("took %v", d)
		}
		good(t, b, chip)
	})
}

func otherThan(addr uint16) uint16 {
	if addr == sht {
		return bme
	}
	return sht
}
