package sensors

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"sensorgateway/wire"
)

// BenchmarkTick runs the sampler in real time, eight sensors at 100 Hz, and
// reports how late ticks begin, as the shares of ticks within each bound. One
// operation is one tick.
func BenchmarkTick(b *testing.B) {
	const interval = 10 * time.Millisecond
	var configs []Config
	for i := range 8 {
		f := &fake{sense: func(n int) (float64, error) { return 20 + float64(n%100)/100, nil }}
		configs = append(configs, f.config(uint16(i), interval))
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(b.N)*interval)
	defer cancel()
	s := NewSampler(Options{
		Sensors: configs, Clock: NewClock(ClockOptions{}), Publish: func([]wire.Record, int64) {}, Log: slog.New(slog.DiscardHandler),
	})
	b.ReportAllocs()
	b.ResetTimer()
	if err := s.Run(ctx); err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	var n, total int64
	s.Lateness().Each(func(_ time.Duration, c int64) { total += c })
	if total == 0 {
		return
	}
	s.Lateness().Each(func(bound time.Duration, c int64) {
		n += c
		switch bound {
		case 250 * time.Microsecond, time.Millisecond, 4 * time.Millisecond:
			b.ReportMetric(100*float64(n)/float64(total), fmt.Sprintf("%%<=%v", bound))
		}
	})
	b.ReportMetric(float64(s.Missed()), "missed")
}
