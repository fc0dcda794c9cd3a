package sensors_test

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/i2c"

	"sensorgateway/sensors"
	"sensorgateway/sensors/bus"
	"sensorgateway/sensors/sim"
	"sensorgateway/wire"
)

// counter counts the transactions that reach a bus.
type counter struct {
	i2c.BusCloser
	n int
}

func (c *counter) Tx(addr uint16, w, r []byte) error {
	c.n++
	return c.BusCloser.Tx(addr, w, r)
}

// Bad wiring that loses a share p of the transactions costs a reading of n transactions at
// most n·p³ and half a percent, because each is made up to three times.
func TestBadWiring(t *testing.T) {
	const ticks = 4000
	for name, chip := range onI2C() {
		for _, p := range []float64{0.05, 0.1, 0.2, 0.3} {
			t.Run(fmt.Sprintf("%s/%.0f", name, 100*p), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					addr := chip.Addresses[0]
					emulated := sim.NewBus("bus 1", sim.NewEnvironment(1), 1)
					if err := emulated.Add(name, addr, sim.Indoor); err != nil {
						t.Fatal(err)
					}
					count := &counter{BusCloser: emulated}
					b := bus.New("bus 1", func() (i2c.BusCloser, error) { return count, nil }, slog.New(slog.DiscardHandler))
					defer b.Close()

					driver, err := chip.Open(b, addr)
					if err != nil {
						t.Fatal(err)
					}
					time.Sleep(chip.MinInterval)
					count.n = 0
					if err := driver.Sense(make([]float32, len(chip.All()))); err != nil {
						t.Fatal(err)
					}
					n := count.n

					if err := emulated.Inject(addr, sim.Failure{Kind: sim.Vanish, Share: p}); err != nil {
						t.Fatal(err)
					}
					interval := max(100*time.Millisecond, chip.MinInterval)
					made, good := 0, 0
					ctx, cancel := context.WithTimeout(context.Background(), ticks*interval)
					defer cancel()
					s := sensors.NewSampler(sensors.Options{
						Sensors: []sensors.Config{{Name: "s", Chip: chip, Bus: b, Address: addr, Interval: interval}},
						Clock:   sensors.NewClock(sensors.ClockOptions{}), Log: slog.New(slog.DiscardHandler),
						Publish: func(records []wire.Record, _ int64) {
							made++
							if records[0].Fault == wire.Good {
								good++
							}
						},
					})
					if err := s.Run(ctx); err != nil {
						t.Fatal(err)
					}
					lost, limit := 1-float64(good)/float64(made), float64(n)*math.Pow(p, 3)+0.005
					t.Logf("%.1f %% of %d readings are good; each is %d transactions, of which %.0f %% are lost", 100*(1-lost), made, n, 100*p)
					if made < ticks-2 || lost > limit {
						t.Errorf("%d of %d ticks made, %.2f %% of them lost, at most %.2f %% may be", made, ticks, 100*lost, 100*limit)
					}
				})
			})
		}
	}
}
