package sensors

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/i2c"

	"sensorgateway/wire"
)

// station is a chip that measures temperature, humidity, pressure and CO2.
type station struct {
	sense func(n int, values []float32) error
	n     int
}

func (s *station) Sense(values []float32) error {
	s.n++
	for i := range values {
		values[i] = float32(map[int]float64{0: 20, 1: 50, 2: 1000, 3: 600}[i]) + float32(s.n)/100
	}
	return s.sense(s.n-1, values)
}
func (*station) Halt() error    { return nil }
func (*station) String() string { return "station 0x01 on bus 1" }

func (s *station) config() Config {
	return Config{ID: 3, Name: "air", Interval: 100 * time.Millisecond, StuckAfter: time.Second, FirstSeq: 7,
		Chip: Chip{
			Model: "station", Measures: []Measurand{celsius(-40, 85), percent},
			Also: []Measurand{{Quantity: wire.Pressure, Min: 300, Max: 1100}, {Quantity: wire.CO2, Min: 0, Max: 5000}},
			Open: func(i2c.Bus, uint16) (Sensor, error) { return s, nil },
		},
		Also: []Further{{ID: 5, Name: "air_co2", Value: 1, FirstSeq: math.MaxUint32}, {ID: 1, Name: "air_pressure", Value: 0, FirstSeq: 100}},
	}
}

// The sensors of one chip share each measurement, its tick and its time, and have their own
// numbers.
func TestFurtherSensors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		chip := &station{sense: func(int, []float32) error { return nil }}
		got, _ := sample(time.Second+time.Millisecond, chip.config())
		if len(got) != 10 || chip.n != 10 {
			t.Fatalf("%d messages of %d measurements, want 10 of 10", len(got), chip.n)
		}
		for i, m := range got {
			want := []wire.Record{{Sensor: 1, Seq: 100 + uint32(i)}, {Sensor: 3, Seq: 7 + uint32(i)}, {Sensor: 5, Seq: math.MaxUint32 + uint32(i)}}
			n := float32(i+1) / 100
			want[0].Values = [2]float32{1000 + n, wire.NotMeasured()}
			want[1].Values = [2]float32{20 + n, 50 + n}
			want[2].Values = [2]float32{600 + n, wire.NotMeasured()}
			if len(m.records) != len(want) {
				t.Fatalf("message %d has %d records", i, len(m.records))
			}
			for k, r := range m.records {
				want[k].UnixMilli, want[k].Flags = m.records[0].UnixMilli, wire.Simulated
				if string(r.Append(nil)) != string(want[k].Append(nil)) {
					t.Errorf("message %d: %+v, want %+v", i, r, want[k])
				}
			}
		}
	})
}

// A value that one of them cannot have measured is a failure of that sensor only; a failure of
// the chip is one of all.
func TestFailuresOfFurtherSensors(t *testing.T) {
	for _, tt := range []struct {
		name  string
		sense func(n int, values []float32) error
		want  string // the last faults of the sensors 1, 3, 5
		errs  [3]string
	}{
		{"pressure that cannot be", func(_ int, v []float32) error { v[2] = 0; return nil }, "[implausible good good]",
			[3]string{"station 0x01 on bus 1: 0.00 hPa is outside its range: implausible", "<nil>", "<nil>"}},
		{"temperature that cannot be", func(_ int, v []float32) error { v[0] = 86; return nil }, "[good implausible good]",
			[3]string{"<nil>", "station 0x01 on bus 1: 86.00 °C, 50.3 % is outside its range: implausible", "<nil>"}},
		{"stuck CO2", func(_ int, v []float32) error { v[3] = 612; return nil }, "[good good stuck]",
			[3]string{"<nil>", "<nil>", "station 0x01 on bus 1: 612 ppm unchanged to the last bit for 2s: stuck"}},
		{"a chip that fails", func(int, []float32) error { return fmt.Errorf("station: %w", wire.Checksum) }, "[checksum checksum checksum]",
			[3]string{"station: checksum", "station: checksum", "station: checksum"}},
		{"a chip that is late", func(int, []float32) error { time.Sleep(time.Hour); return nil }, "[timeout timeout timeout]",
			[3]string{"station 0x00: no reading within 100ms: timeout", "station 0x00: no reading within 100ms: timeout", "station 0x00: no reading within 100ms: timeout"}},
		{"nothing good", func(_ int, v []float32) error { v[0], v[2], v[3] = 99, 0, -1; return nil }, "[implausible implausible implausible]",
			[3]string{"station 0x01 on bus 1: 0.00 hPa is outside its range: implausible", "", "station 0x01 on bus 1: -1 ppm is outside its range: implausible"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				chip := &station{sense: tt.sense}
				var faults []wire.Fault
				lost := map[string]int{}
				s := NewSampler(Options{
					Sensors: []Config{chip.config()}, Clock: NewClock(ClockOptions{}), Log: slog.New(slog.DiscardHandler),
					Publish: func(records []wire.Record, _ int64) {
						faults = faults[:0]
						for _, r := range records {
							faults = append(faults, r.Fault)
							if r.Fault != r.Reading.Fault() {
								t.Errorf("%v, but its reading says %v", r.Fault, r.Reading.Fault())
							}
						}
					},
					Event: func(e wire.Event) { lost[e.Sensor]++ },
				})
				ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
				defer cancel()
				if err := s.Run(ctx); err != nil && tt.name != "a chip that is late" {
					t.Fatal(err)
				}
				if fmt.Sprint(faults) != tt.want {
					t.Errorf("faults %v, want %s", faults, tt.want)
				}
				for i, id := range []int{1, 3, 5} {
					err := s.Err(id)
					if want := tt.errs[i]; want != "" && fmt.Sprint(err) != want {
						t.Errorf("Err(%d): %v, want %s", id, err, want)
					}
					if name := map[int]string{1: "air_pressure", 3: "air", 5: "air_co2"}[id]; lost[name] != map[bool]int{true: 1}[err != nil] {
						t.Errorf("%s: %d events, Err %v", name, lost[name], err)
					}
				}
				time.Sleep(2 * time.Hour) // the late one returns
			})
		})
	}
}

// All sensors of a chip have the median of their own values. A tick that fails is a
// failure at once, and the next one shows nothing of before it.
func TestMedianOfSensors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pressures := []float32{1000, 1001, 500, 1003, 1004, 0, 900, 901, 902}
		chip := &station{sense: func(n int, values []float32) error {
			if values[2] = pressures[n]; values[2] == 0 {
				return fmt.Errorf("it does not answer: %w", wire.NoAck)
			}
			return nil
		}}
		c := chip.config()
		c.Median = 3
		got, _ := sample(900*time.Millisecond+time.Millisecond, c)
		for i, want := range []float32{1000, 1001, 1000, 1001, 1003, 0, 900, 901, 901} {
			r := got[i].records[0]
			if want == 0 && r.Fault != wire.NoAck || want != 0 && (r.Fault != wire.Good || r.Values[0] != want || !wire.IsNotMeasured(r.Values[1])) {
				t.Errorf("tick %d: %+v, want %v", i, r, want)
			}
		}
		if own := got[4].records[1].Values; own != [2]float32{20.04, 50.04} {
			t.Errorf("the chip's own sensor has %v in the fifth tick", own)
		}
	})
}

// A sensor that was lost shows nothing of before that, however many ticks its median is of.
func TestMedianOfLostSensor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const fails, again = 10, 10 + lostTicks
		chip := &station{sense: func(n int, values []float32) error {
			if n >= fails && n < again {
				return fmt.Errorf("it does not answer: %w", wire.NoAck)
			}
			if n >= again {
				values[0] += 10
			}
			return nil
		}}
		c := chip.config()
		c.Median = wire.MaxMedian
		got, _ := sample(3*time.Second, c)
		var back []float32
		for _, m := range got[fails:] {
			if r := m.records[1]; r.Fault == wire.Good {
				back = append(back, r.Values[0])
			}
		}
		if len(back) < 3 || back[0] != 30.16 || back[1] != 30.17 || back[2] != 30.17 {
			t.Errorf("back with %v, want 30.16, 30.17, 30.17", back)
		}
	})
}

// A measurement that comes when its tick has failed has no part in the medians after it.
func TestMedianWithoutLateMeasurement(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		chip := &station{sense: func(n int, values []float32) error {
			if values[2] = []float32{1000, 1010, 1099, 1020, 1021}[min(n, 4)]; n == 2 {
				time.Sleep(150 * time.Millisecond)
			}
			return nil
		}}
		c := chip.config()
		c.Median = 5
		got, _ := sample(500*time.Millisecond+time.Millisecond, c)
		for i, want := range []float32{1000, 1010, 0, 0, 1010} {
			r := got[i].records[0]
			if want == 0 && r.Fault != wire.Timeout || want != 0 && (r.Fault != wire.Good || r.Values[0] != want) {
				t.Errorf("tick %d: %+v, want %v", i, r, want)
			}
		}
	})
}
